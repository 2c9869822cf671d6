//! What `kubernaut bench --json` wrote.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{at, list, number, row, text};

type Rows = anyhow::Result<Vec<Vec<String>>>;

/// The figures whose names begin like this.
fn figures<'a>(report: &'a Value, prefix: &str) -> anyhow::Result<Vec<&'a Value>> {
    Ok(list(report, "/figures")?
        .iter()
        .filter(|figure| {
            figure["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(prefix))
        })
        .collect())
}

/// When, what and on which machine.
pub(super) fn machine(report: &Value) -> anyhow::Result<String> {
    Ok(format!(
        "{}, version {}, {} build, PostgreSQL {}; {}, {} cores, {} GiB, Linux {}; load before: {}.\n",
        text(report, "/begun")?,
        text(report, "/machine/version")?,
        text(report, "/machine/profile")?,
        text(report, "/machine/postgresql")?,
        text(report, "/machine/cpu")?,
        at(report, "/machine/cores")?,
        at(report, "/machine/memoryGib")?,
        text(report, "/machine/kernel")?,
        text(report, "/machine/load")?,
    ))
}

fn latencies(value: &Value) -> anyhow::Result<Vec<String>> {
    ["/p50", "/p95", "/p99"]
        .into_iter()
        .map(|quantile| Ok(number(at(value, quantile)?)))
        .collect()
}

/// Rate and latencies of each load.
pub(super) fn loads(report: &Value, prefix: &str) -> Rows {
    let mut rows = vec![row(&[
        "load",
        "a second",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "answered of due",
    ])];
    for figure in figures(report, prefix)? {
        let outcomes = figure.pointer("/measured/outcomes").and_then(Value::as_object);
        let answered: u64 = outcomes
            .into_iter()
            .flatten()
            .filter(|(status, _)| matches!(status.as_str(), "200" | "201"))
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        let mut cells = vec![
            text(figure, "/name")?.to_owned(),
            number(at(figure, "/perSecond")?),
        ];
        cells.extend(latencies(&figure["latency"])?);
        let due = at(figure, "/measured/due")?;
        cells.push(format!("{answered} of {due}"));
        rows.push(cells);
    }
    Ok(rows)
}

/// Latencies of each operation of the loads.
pub(super) fn operations(report: &Value, prefix: &str) -> Rows {
    let mut rows = vec![row(&["operation", "answers", "p50 ms", "p95 ms", "p99 ms"])];
    for figure in figures(report, prefix)? {
        let operations = figure["operations"].as_object();
        for (operation, latency) in operations.into_iter().flatten() {
            let mut cells = vec![operation.clone(), format!("{}", at(latency, "/count")?)];
            cells.extend(latencies(latency)?);
            rows.push(cells);
        }
    }
    Ok(rows)
}

/// The loads beside their baselines.
pub(super) fn ratios(report: &Value, prefix: &str) -> Rows {
    let mut rows = vec![row(&["load", "ratio", "of"])];
    for figure in figures(report, prefix)? {
        for ratio in list(figure, "/ratios")? {
            rows.push(vec![
                text(figure, "/name")?.to_owned(),
                format!("{:.2}", at(ratio, "/value")?),
                text(ratio, "/of")?.to_owned(),
            ]);
        }
    }
    Ok(rows)
}

/// The baselines.
pub(super) fn baselines(report: &Value, prefix: &str) -> Rows {
    let mut rows = vec![row(&["baseline", "a second", "p50 ms", "p95 ms", "p99 ms"])];
    for baseline in list(report, "/baselines")? {
        let name = text(baseline, "/name")?;
        if name.starts_with(prefix) {
            let connections = match baseline.pointer("/notes/connections").and_then(Value::as_str) {
                None => String::new(),
                Some("1") => ", 1 connection".to_owned(),
                Some(connections) => format!(", {connections} connections"),
            };
            let mut cells = vec![
                format!("{name}{connections}"),
                number(at(baseline, "/perSecond")?),
            ];
            cells.extend(latencies(&baseline["latency"])?);
            rows.push(cells);
        }
    }
    Ok(rows)
}

/// Milliseconds of a processor for each answer, by what used them. Times include the warm-up, and so do answers here.
pub(super) fn processor(report: &Value, prefix: &str) -> Rows {
    let figures = figures(report, prefix)?;
    let who: BTreeSet<&str> = figures
        .iter()
        .filter_map(|figure| figure["cpuSeconds"].as_object())
        .flat_map(|seconds| seconds.keys().map(String::as_str))
        .collect();
    let mut heading = vec!["ms of a processor for each answer".to_owned()];
    heading.extend(who.iter().map(|name| (*name).to_owned()));
    let mut rows = vec![heading];
    for figure in figures {
        let ended = at(figure, "/warmUp/ended")? + at(figure, "/measured/ended")?;
        let mut cells = vec![text(figure, "/name")?.to_owned()];
        for name in &who {
            let seconds = figure["cpuSeconds"][name].as_f64();
            cells.push(seconds.map_or_else(String::new, |seconds| {
                format!("{:.3}", seconds * 1_000.0 / ended.max(1.0))
            }));
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// Most that each service had resident after any load, and at any moment since it began.
pub(super) fn memory(report: &Value) -> Rows {
    let mut rows = vec![row(&[
        "service",
        "MiB after a load",
        "MiB at most, its start included",
    ])];
    let figures = figures(report, "")?;
    let all = figures.iter().filter_map(|figure| figure["memory"].as_array());
    let all: Vec<&Value> = all.flatten().collect();
    let services: BTreeSet<&str> = all
        .iter()
        .filter_map(|memory| memory["service"].as_str())
        .collect();
    for service in services {
        let most = |key: &str| {
            let of = all.iter().filter(|memory| memory["service"] == service);
            let most = of.filter_map(|memory| memory[key].as_f64()).fold(0.0, f64::max);
            format!("{most:.0}")
        };
        rows.push(vec![service.to_owned(), most("residentMib"), most("peakMib")]);
    }
    Ok(rows)
}

/// Texts that had no vector when a load ended, and how long it took until all had one.
pub(super) fn pending(report: &Value, prefix: &str) -> Rows {
    let columns = [
        ("a second", "/perSecond", 1.0),
        ("p99 ms", "/latency/p99", 1.0),
        ("pending texts", "/draining/texts", 1.0),
        ("s until none", "/draining/seconds", 1.0),
    ];
    numbers(report, prefix, &columns)
}

/// How far the standby was behind, of loads that wrote.
pub(super) fn lag(report: &Value, prefix: &str) -> Rows {
    let columns = [
        ("kB behind at its end", "/replicationLag/bytes", 1e3),
        ("kB at most", "/replicationLag/mostBytes", 1e3),
        ("ms until caught up", "/replicationLag/caughtUpAfterMs", 1.0),
    ];
    numbers(report, prefix, &columns)
}

/// Of each load the numbers at some places, each divided by that of its column.
fn numbers(report: &Value, prefix: &str, columns: &[(&str, &str, f64)]) -> Rows {
    let mut heading = row(&["load"]);
    heading.extend(columns.iter().map(|(name, ..)| (*name).to_owned()));
    let mut rows = vec![heading];
    for figure in figures(report, prefix)? {
        let mut cells = row(&[text(figure, "/name")?]);
        for (_, pointer, divisor) in columns {
            cells.push(number(at(figure, pointer)? / divisor));
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// What a round of partition maintenance takes.
pub(super) fn partitions(report: &Value) -> Rows {
    let rounds = |key: &str| Ok::<_, anyhow::Error>(number(1_000.0 * at(report, key)?));
    let made = at(report, "/history/partitions/made")?;
    Ok(vec![
        row(&["round", "ms"]),
        vec![
            "all months are there".to_owned(),
            rounds("/history/partitions/nothingToDoSeconds")?,
        ],
        vec![
            format!("the {made} partitions of one month are made"),
            rounds("/history/partitions/oneMonthSeconds")?,
        ],
    ])
}

/// Rows and bytes of the tables, in MB.
pub(super) fn sizes(report: &Value) -> Rows {
    let mut rows = vec![row(&[
        "table",
        "rows",
        "table MB",
        "out of line MB",
        "indexes MB",
    ])];
    let mega = |bytes: f64| number(bytes / 1e6);
    for table in list(report, "/history/tables")? {
        rows.push(vec![
            text(table, "/table")?.to_owned(),
            number(at(table, "/rows")?),
            mega(at(table, "/tableBytes")?),
            mega(at(table, "/toastBytes")?),
            mega(at(table, "/indexBytes")?),
        ]);
    }
    Ok(rows)
}
