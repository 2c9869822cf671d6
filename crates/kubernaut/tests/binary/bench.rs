//! `kubernaut bench` on real services: what it counts is what happened.

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
    let directory = directory();
    let json = directory.path().join("bench.json");
    let database = Database::new("bench").await;
    let mut command = kubernaut(&["bench", "--incidents", "20"]);
    command
        .args(arguments)
        .arg("--json")
        .arg(&json)
        .env("DATABASE_URL", database.url());
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
    assert_eq!(baselines.len(), 10, "{baselines:?}");
    for baseline in baselines {
        assert!(baseline["perSecond"].as_f64().unwrap() > 0.0, "{baseline}");
        assert_eq!(baseline["notes"].get("failed"), None, "{baseline}");
    }
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

#[test]
fn what_cannot_be_is_refused_by_the_name_of_its_option() {
    for (option, value) in [
        ("--rate", "-1"),
        ("--fresh-texts", "1.5"),
        ("--duration", "60"),
        ("--in-flight", "0"),
    ] {
        let output = kubernaut(&["bench", &format!("{option}={value}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(option), "{text}");
    }
}
