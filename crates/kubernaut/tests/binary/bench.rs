//! `kubernaut bench` on real services: what it counts is what happened.

use campaign::process::Running;
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::Database;

use crate::directory::directory;
use crate::process::kubernaut;

/// How many outcomes of all kinds there were.
fn ended(counts: &Value) -> u64 {
    let outcomes = counts["outcomes"].as_object().unwrap();
    outcomes.values().map(|count| count.as_u64().unwrap()).sum()
}

/// Runs it on the shared server, on which it makes schemas of its own: the report, and what it printed.
async fn bench(arguments: &[&str]) -> (Value, String) {
    let database = Database::new("bench").await;
    let url = database.url();
    bench_on(Some(&url), arguments).await
}

/// Runs it on a server, or on one of its own.
async fn bench_on(url: Option<&str>, arguments: &[&str]) -> (Value, String) {
    let directory = directory();
    let json = directory.path().join("bench.json");
    let mut command = kubernaut(&["bench", "--incidents", "20"]);
    command
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .env("DATABASE_URL", url.unwrap_or_default());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    let (table, errors) = (said(output.stdout), said(output.stderr));
    assert!(output.status.success(), "{table}{errors}");
    (
        serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap(),
        table,
    )
}

fn names(report: &Value) -> Vec<&str> {
    let figures = report["figures"].as_array().unwrap();
    figures
        .iter()
        .map(|figure| figure["name"].as_str().unwrap())
        .collect()
}

/// Of everything due it is known what became of it, and nothing was refused. Returns the answers 201.
fn acknowledged(figure: &Value) -> u64 {
    let mut acknowledged = 0;
    for part in ["warmUp", "measured"] {
        let counts = &figure[part];
        let due = counts["due"].as_u64().unwrap();
        assert_eq!(
            due,
            ended(counts) + counts["dropped"].as_u64().unwrap(),
            "{figure}"
        );
        let outcomes = counts["outcomes"].as_object().unwrap();
        // The model of a debug build is slow: searches may be given up, and are counted as what they are.
        let is_search = figure["name"].as_str().unwrap().starts_with("search");
        assert!(
            outcomes
                .keys()
                .all(|status| status == "200" || status == "201" || (is_search && status == "503")),
            "{figure}"
        );
        acknowledged += outcomes.get("201").map_or(0, |count| count.as_u64().unwrap());
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_due_is_answered_or_dropped_and_the_ledger_has_what_was_acknowledged() {
    let directory = directory();
    let svg = directory.path().join("bench.svg");
    let (report, table) = bench(&[
        "--duration=1s",
        "--warm-up=250ms",
        "--rate=20",
        "--callers=3",
        "--fresh-texts=0.05",
        "--replays=0.2",
        "--cold-starts=1",
        "--svg",
        svg.to_str().unwrap(),
    ])
    .await;
    assert_eq!(
        names(&report),
        [
            "writes, open loop, 20 /s",
            "writes, closed loop, 3 callers",
            "cached reads, open loop, 20 /s",
            "cached reads, closed loop, 3 callers",
            "uncached reads, open loop, 20 /s",
            "uncached reads, closed loop, 3 callers",
            "search, open loop, 20 /s",
            "search, closed loop, 3 callers",
        ]
    );
    for figure in report["figures"].as_array().unwrap() {
        let name = figure["name"].as_str().unwrap();
        let acknowledged = acknowledged(figure);
        if name.contains("open loop") {
            assert_eq!(
                (&figure["warmUp"]["due"], &figure["measured"]["due"]),
                (&5.into(), &20.into())
            );
        }
        if name.starts_with("writes") {
            assert_eq!(figure["ledgerRows"], acknowledged, "{name}");
            // A load is over when the last of its texts has a vector; none is left to the next.
            let (texts, seconds) = (&figure["draining"]["texts"], &figure["draining"]["seconds"]);
            assert!(texts.as_i64().unwrap() <= acknowledged as i64, "{name}: {texts}");
            assert!(seconds.as_f64().unwrap() > 0.0, "{name}: {seconds}");
        } else {
            assert_eq!(figure["draining"], Value::Null, "{name}");
        }
        // Each fifth of the 25 records is a replay, and nothing else is.
        let dropped = [&figure["warmUp"]["dropped"], &figure["measured"]["dropped"]];
        if name == "writes, open loop, 20 /s" && dropped == [&Value::from(0), &Value::from(0)] {
            assert_eq!(acknowledged, 20);
        }
        let ratios = figure["ratios"].as_array().unwrap();
        assert!(
            !ratios.is_empty() || figure["latency"]["count"] == 0,
            "{name} stands beside nothing"
        );
    }
    let baselines = report["baselines"].as_array().unwrap();
    assert_eq!(baselines.len(), 17, "{baselines:?}");
    for baseline in baselines {
        assert!(baseline["perSecond"].as_f64().unwrap() > 0.0, "{baseline}");
        assert_eq!(baseline["notes"].get("failed"), None, "{baseline}");
    }
    let uncached = report["figures"].as_array().unwrap().iter();
    for figure in uncached.filter(|figure| figure["name"].as_str().unwrap().starts_with("uncached")) {
        for operation in figure["operations"].as_object().unwrap().keys() {
            let prefix = format!("p50 of {operation} ÷ that of ");
            let mut ratios = figure["ratios"].as_array().unwrap().iter();
            assert!(
                ratios.any(|ratio| ratio["of"].as_str().unwrap().starts_with(&prefix)),
                "{operation} stands beside nothing: {figure}"
            );
        }
    }
    let history = &report["history"];
    assert_eq!(history["incidents"], 20);
    assert_eq!(history.get("copying"), None);
    for size in history["tables"].as_array().unwrap() {
        let bytes = size["tableBytes"].as_i64().unwrap() + size["indexBytes"].as_i64().unwrap();
        assert!(bytes > 0 && size["toastBytes"].as_i64().unwrap() >= 0, "{size}");
    }
    assert_eq!(history["partitions"]["made"], 2, "{history}");
    let starts = &report["coldStart"];
    assert_eq!(starts["seconds"].as_array().unwrap().len(), 1);
    assert_eq!(starts["seconds"][0], starts["medianSeconds"]);
    assert_eq!(report["isMeasurement"], !cfg!(debug_assertions));
    assert_eq!(table.contains("THIS IS NO MEASUREMENT"), cfg!(debug_assertions));
    assert!(std::fs::read_to_string(svg).unwrap().ends_with("</svg>\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_naive_services_stand_beside_the_service() {
    let (report, _) = bench(&[
        "--workload=writes",
        "--duration=2s",
        "--warm-up=100ms",
        "--rate=0",
        "--callers=2",
        "--naive",
        "--cold-starts=0",
    ])
    .await;
    assert_eq!(
        names(&report),
        [
            "writes, closed loop, 2 callers",
            "writes, closed loop, a transaction for each record",
            "writes, closed loop, a vector for each record",
            "writes, closed loop, naive: both for each record",
        ]
    );
    for figure in &report["figures"].as_array().unwrap()[1..] {
        acknowledged(figure);
        assert_eq!(
            figure["ratios"][0]["of"],
            "records/s ÷ those of the service as it is"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_history_is_read_from_a_standby_by_two_of_each_service() {
    let (report, table) = bench_on(
        None,
        &[
            "--workload=writes,uncached-reads",
            "--duration=1s",
            "--warm-up=250ms",
            "--rate=20",
            "--callers=2",
            "--copies=4",
            "--replicas=2",
            "--read-replica",
            "--cold-starts=0",
        ],
    )
    .await;
    assert_eq!(
        names(&report),
        [
            "writes, open loop, 20 /s, 2 replicas",
            "writes, closed loop, 2 callers, 2 replicas",
            "uncached reads, open loop, 20 /s, 2 replicas",
            "uncached reads, closed loop, 2 callers, 2 replicas",
        ]
    );
    for figure in report["figures"].as_array().unwrap() {
        acknowledged(figure);
        let memory = figure["memory"].as_array().unwrap();
        let services: Vec<_> = memory
            .iter()
            .map(|memory| memory["service"].as_str().unwrap())
            .collect();
        assert_eq!(
            services,
            ["data-storage", "data-storage", "context-api", "context-api"]
        );
        assert!(
            memory
                .iter()
                .all(|memory| memory["residentMib"].as_f64().unwrap() > 1.0),
            "{memory:?}"
        );
        let lag = &figure["replicationLag"];
        let bytes = lag["bytes"].as_i64().unwrap();
        assert!(
            bytes >= 0 && lag["mostBytes"].as_i64().unwrap() >= bytes,
            "{figure}"
        );
        assert!(lag["caughtUpAfterMs"].as_f64().unwrap() > 0.0, "{figure}");
        let used = &figure["cpuSeconds"];
        assert!(
            used["standby"].is_number() && used["postgresql"].is_number(),
            "{figure}"
        );
    }
    let history = &report["history"];
    assert_eq!(
        (&history["incidents"], &history["copying"]["copies"]),
        (&100.into(), &4.into())
    );
    let built = history["copying"]["indexes"].as_array().unwrap();
    for index in ["incident_embeddings_nearest", "resource_action_traces_by_words"] {
        assert!(built.iter().any(|built| built["index"] == index), "{built:?}");
        assert!(table.contains(index), "{table}");
    }
    assert!(table.contains("history: 100 incidents"), "{table}");
    assert!(table.contains("the standby was"), "{table}");
    assert!(report.get("coldStart").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_made_once_and_kept_and_each_rate_and_share_of_fresh_texts_is_a_load() {
    let database = Database::new("bench").await;
    let (url, schema) = (database.url(), format!("{}_history", database.schema()));
    let history = format!("--history={schema}");
    let run = |more: &'static [&'static str]| {
        let mut arguments = vec![
            history.as_str(),
            "--duration=1s",
            "--warm-up=100ms",
            "--cold-starts=0",
        ];
        arguments.extend(more);
        let url = url.clone();
        async move { bench_on(Some(&url), &arguments).await.0 }
    };
    let first = run(&["--workload=search", "--rate=4,2", "--callers=0"]).await;
    assert_eq!(
        names(&first),
        ["search, open loop, 4 /s", "search, open loop, 2 /s"]
    );
    assert_eq!(first["figures"][1]["point"]["series"], "search, open loop");
    assert_eq!(first["figures"][1]["point"]["rate"], 2.0);
    let second = run(&[
        "--workload=writes",
        "--rate=5",
        "--callers=1",
        "--fresh-texts=0,0.5",
    ])
    .await;
    assert_eq!(
        names(&second),
        [
            "writes, open loop, 0 % fresh texts, 5 /s",
            "writes, closed loop, 1 callers, 0 % fresh texts",
            "writes, open loop, 50 % fresh texts, 5 /s",
            "writes, closed loop, 1 callers, 50 % fresh texts",
        ]
    );
    for report in [&first, &second] {
        assert_eq!(report["history"]["incidents"], 20, "{report}");
    }
    let told = |report: &Value| {
        let notes = report["notes"].as_array().unwrap().iter();
        notes
            .filter(|note| note.as_str().unwrap().contains("was there before the run"))
            .count()
    };
    assert_eq!((told(&first), told(&second)), (0, 1));
    let store = database.store().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "DROP SCHEMA {schema}_context CASCADE; DROP SCHEMA {schema} CASCADE; DROP ROLE {schema}_reader"
    )))
    .execute(store.pool())
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_leaves_no_schema_behind() {
    let database = Database::new("bench").await;
    let mut command = kubernaut(&["bench", "--incidents=20", "--cold-starts=0", "--duration=10m"]);
    command.env("DATABASE_URL", database.url());
    let mut bench = Running::start(command);
    let schema = bench
        .find("the schema", |line| {
            Some(line.strip_prefix("the schema ")?.split_once(' ')?.0.to_owned())
        })
        .await;
    bench
        .find("a load", |line| {
            line.starts_with("writes, open loop").then_some(())
        })
        .await;
    let store = database.store().await;
    let left = async || -> (i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, $1)),
                    (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, $1))",
        )
        .bind(&schema)
        .fetch_one(store.pool())
        .await
        .unwrap()
    };
    assert_eq!(left().await, (2, 1));
    bench.signal(Signal::SIGINT);
    let status = bench.ended().await;
    assert_eq!(status.code(), Some(1), "{}", bench.said());
    assert!(
        bench.said().contains("stopped before everything was measured"),
        "{}",
        bench.said()
    );
    assert_eq!(left().await, (0, 0));
}

#[test]
fn what_needs_services_of_the_run_is_refused_for_others() {
    let refused = |arguments: &[&str], code: i32, word: &str| {
        let output = kubernaut(&["bench"]).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(word), "{text}");
    };
    for option in [
        "--copies=2",
        "--replicas=2",
        "--read-replica",
        "--variable=DATA_STORAGE__A=1",
    ] {
        let name = option.split('=').next().unwrap();
        refused(&[option, "--context-api=http://127.0.0.1:1"], 2, name);
        refused(&[option, "--data-storage=http://127.0.0.1:1"], 2, name);
    }
    refused(&["--copies=2", "--incidents=0"], 1, "--copies needs --incidents");
    refused(
        &["--read-replica", "--database-url=postgres://127.0.0.1:1/nowhere"],
        1,
        "--read-replica needs the run's own PostgreSQL",
    );
    refused(
        &[
            "--postgresql=work_mem=8MB",
            "--database-url=postgres://127.0.0.1:1/nowhere",
        ],
        1,
        "--postgresql needs the run's own PostgreSQL",
    );
    refused(
        &["--variable=PATH=/bin"],
        1,
        "--variable PATH: names begin with DATA_STORAGE__ or CONTEXT_API__",
    );
    refused(
        &["--variable=DATA_STORAGE__DATABASE__URL=postgres://127.0.0.1:1/nowhere"],
        1,
        "--variable DATA_STORAGE__DATABASE__URL: the run sets that itself",
    );
    refused(&["--history=kept"], 1, "--history needs --database-url");
}

#[test]
fn what_cannot_be_is_refused_by_the_name_of_its_option() {
    for (option, value) in [
        ("--rate", "-1"),
        ("--fresh-texts", "1.5"),
        ("--duration", "60"),
        ("--in-flight", "0"),
        ("--replicas", "0"),
        ("--copies", "-1"),
        ("--rate", "100,-1"),
        ("--precision", "int4"),
        ("--postgresql", "work_mem"),
    ] {
        let output = kubernaut(&["bench", &format!("{option}={value}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(option), "{text}");
    }
}
