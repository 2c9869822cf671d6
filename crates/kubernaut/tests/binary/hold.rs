//! Legal holds from the command line.

use std::process::Output;

use serde_json::{Value, json};
use testkit::Database;

use crate::process::kubernaut;

fn run(database: &Database, arguments: &[&str]) -> Output {
    kubernaut(arguments)
        .env("DATABASE_URL", database.url())
        .env("DATA_STORAGE__DATABASE__SCHEMA", database.schema().data())
        .output()
        .unwrap()
}

#[track_caller]
fn said(database: &Database, arguments: &[&str]) -> String {
    let output = run(database, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(database: &Database, arguments: &[&str], code: i32) -> String {
    let output = run(database, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_placed_listed_and_released() {
    let database = Database::new("kubernaut").await;
    let because = ["--reason", "case 7", "--by", "counsel"];
    let place = |scope: &[&str]| said(&database, &[&["hold", "place"], scope, &because[..]].concat());
    assert_eq!(
        place(&["--record", "kubernaut-system/rr-1"]),
        "hold 1 on record kubernaut-system/rr-1 is in force\n"
    );
    assert_eq!(
        place(&[
            "--namespace",
            "shop",
            "--cluster",
            "prod",
            "--since",
            "2026-01-31T00:00:00Z"
        ]),
        "hold 2 on namespace shop, cluster prod, since 2026-01-31T00:00:00+00:00 is in force\n"
    );
    assert_eq!(place(&["--everything"]), "hold 3 on everything is in force\n");
    assert_eq!(
        said(
            &database,
            &["hold", "release", "1", "--reason", "case closed", "--by", "judge"]
        ),
        "hold 1 on record kubernaut-system/rr-1 is released\n"
    );
    let in_force = said(&database, &["hold", "list"]);
    assert_eq!(
        in_force.lines().map(|line| &line[..2]).collect::<Vec<_>>(),
        ["2:", "3:"]
    );
    let all: Value = serde_json::from_str(&said(&database, &["hold", "list", "--all", "--json"])).unwrap();
    assert_eq!(
        all.as_array()
            .unwrap()
            .iter()
            .map(|hold| &hold["id"])
            .collect::<Vec<_>>(),
        [&json!(1), &json!(2), &json!(3)]
    );
    assert_eq!(
        all[0]["scope"],
        json!({"namespace": "kubernaut-system", "name": "rr-1"})
    );
    assert_eq!(all[0]["release"]["releasedBy"], "judge");
    assert_eq!(all[2].get("release"), None);

    let again = refused(
        &database,
        &["hold", "release", "1", "--reason", "again", "--by", "judge"],
        1,
    );
    assert!(again.contains("hold 1 was released by judge at "), "{again}");
    for (arguments, part) in [
        (&["hold", "place"][..], "<--correlation-id"),
        (&["hold", "place", "--record", "rr-1"], "it is not NAMESPACE/NAME"),
        (
            &["hold", "place", "--everything", "--cluster", "c"],
            "cannot be used with",
        ),
        (&["hold", "place", "--cluster", " "], "it is empty"),
    ] {
        let error = refused(&database, &[arguments, &because[..]].concat(), 2);
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_would_do_is_shown_and_not_done() {
    let database = Database::new("kubernaut").await;
    let store = database.store().await;
    sqlx::raw_sql(
        "CREATE TABLE audit_events_y2020m01 PARTITION OF audit_events
             FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-02-01 00:00:00+00');
         CREATE TABLE audit_events_y2020m02 PARTITION OF audit_events
             FOR VALUES FROM ('2020-02-01 00:00:00+00') TO ('2020-03-01 00:00:00+00');
         INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
             payload_sha256, redaction_policy, received_at)
         VALUES ('workflow', 'n', 'w', '2020-01-10T00:00:00Z', 'Pending', 'c', 'a', '{}', sha256(''), 0, now()),
                ('workflow', 'n', 'w', '2019-01-10T00:00:00Z', 'Pending', 'c', 'a', '{}', sha256(''), 0, now())",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let off = refused(&database, &["retention"], 1);
    assert!(
        off.contains("retention is off: set retention.keep_months"),
        "{off}"
    );
    said(
        &database,
        &[
            "hold",
            "place",
            "--correlation-id",
            "c",
            "--reason",
            "case 7",
            "--by",
            "counsel",
        ],
    );
    // 60 months before any time at which this runs, January and February 2020 had ended.
    assert_eq!(
        said(&database, &["retention", "--keep-months", "60"]),
        "2020-01: kept by holds [1], 1 ledger rows\n\
         2020-02: would be dropped, 0 ledger rows\n\
         1 older ledger rows are in the DEFAULT partition and stay\n"
    );
    assert_eq!(
        said(&database, &["retention", "--keep-months", "12000"]),
        "no month is older than 12000 months\n"
    );
    let plan: Value =
        serde_json::from_str(&said(&database, &["retention", "--keep-months", "60", "--json"])).unwrap();
    assert_eq!(
        plan,
        json!({
            "months": [
                {"month": "2020-01-01", "ledgerRows": 1, "heldBy": [1]},
                {"month": "2020-02-01", "ledgerRows": 0, "heldBy": []}
            ],
            "expiredDefaultRows": 1
        })
    );
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE record_kind = 'workflow'")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(left, 2);
}
