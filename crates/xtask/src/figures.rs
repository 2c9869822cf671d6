//! The tables of `docs`, made of the files in `docs/figures` that a measurement wrote: no figure is typed by hand.
//!
//! A table stands between two comments of a page, which name the file, what is shown of it, and whose names begin how:
//!
//! ```text
//! <!-- table: bench.json loads writes -->
//! …
//! <!-- end of table -->
//! ```

mod bench;
mod campaign;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

const PAGES: [&str; 2] = ["docs/performance.md", "docs/reliability.md"];
const BEGIN: &str = "<!-- table: ";
const BEGUN: &str = " -->";
const END: &str = "<!-- end of table -->";

/// Writes the tables, or compares them with what they should be.
pub(crate) fn renew(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    for page in PAGES {
        let file = root.join(page);
        let text = std::fs::read_to_string(&file).with_context(|| format!("{page} cannot be read"))?;
        let load = |name: &str| -> anyhow::Result<Value> {
            let file = root.join("docs/figures").join(name);
            let text = std::fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
            Ok(serde_json::from_str(&text)?)
        };
        let fresh = rewritten(&text, load).with_context(|| page.to_owned())?;
        if check {
            ensure!(
                fresh == text,
                "{page} is not what docs/figures says: run `cargo xtask figures` and commit it"
            );
            println!("{page} is up to date");
        } else {
            std::fs::write(&file, fresh)?;
            println!("{page} is written");
        }
    }
    Ok(())
}

/// The page with all its tables made anew.
fn rewritten(page: &str, load: impl Fn(&str) -> anyhow::Result<Value>) -> anyhow::Result<String> {
    let mut fresh = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        fresh.push_str(line);
        fresh.push('\n');
        let Some(asked) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(BEGUN)) else {
            continue;
        };
        ensure!(
            lines.by_ref().any(|line| line == END),
            "the table `{asked}` has no end"
        );
        fresh.push('\n');
        fresh.push_str(&table(asked, &load)?);
        fresh.push_str(&format!("\n{END}\n"));
    }
    Ok(fresh)
}

fn table(asked: &str, load: impl Fn(&str) -> anyhow::Result<Value>) -> anyhow::Result<String> {
    let mut words = asked.splitn(3, ' ');
    let (Some(file), Some(kind)) = (words.next(), words.next()) else {
        bail!("`{asked}` names no file or no kind of table");
    };
    let (report, prefix) = (load(file)?, words.next().unwrap_or_default());
    let rows = match kind {
        "machine" => return bench::machine(&report),
        "faults" => campaign::faults(&report),
        "met" => campaign::met(&report),
        "loads" => bench::loads(&report, prefix),
        "operations" => bench::operations(&report, prefix),
        "ratios" => bench::ratios(&report, prefix),
        "baselines" => bench::baselines(&report, prefix),
        "processor" => bench::processor(&report, prefix),
        "memory" => bench::memory(&report),
        "sizes" => bench::sizes(&report),
        "pending" => bench::pending(&report, prefix),
        "partitions" => bench::partitions(&report),
        "lag" => bench::lag(&report, prefix),
        _ => bail!("`{kind}` is no kind of table"),
    }
    .with_context(|| format!("the table `{asked}`"))?;
    ensure!(rows.len() > 1, "the table `{asked}` is empty");
    Ok(markdown(&rows))
}

/// The first row is the heading, the first column text; all others are numbers, to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if number == 0 {
            text.push_str(&format!("|---|{}\n", "---:|".repeat(row.len() - 1)));
        }
    }
    text
}

/// Three digits that say something; thousands apart.
fn number(value: f64) -> String {
    if value >= 99.95 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A number of the report.
fn at(value: &Value, pointer: &str) -> anyhow::Result<f64> {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("there is no number {pointer}"))
}

/// A text of the report.
fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("there is no text {pointer}"))
}

/// A list of the report.
fn list<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a Vec<Value>> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .with_context(|| format!("there is no list {pointer}"))
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_three_digits_and_thousands_apart() {
        for (value, expected) in [
            (0.184, "0.18"),
            (9.996, "10.0"),
            (47.12, "47.1"),
            (99.96, "100"),
            (4_938.4, "4,938"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn what_stands_between_the_comments_is_made_anew_and_the_rest_is_left() {
        let latency = json!({"p50": 1.0, "p95": 2.0, "p99": 3.0});
        let figure = |name| json!({"name": name, "perSecond": 5.0, "latency": latency, "measured": {"due": 4, "outcomes": {"201": 3}}});
        let report = json!({"figures": [figure("writes, open"), figure("reads")]});
        let page = "before\n<!-- table: a.json loads writes -->\nold\n<!-- end of table -->\nafter\n";
        let fresh = rewritten(page, |name| {
            assert_eq!(name, "a.json");
            Ok(report.clone())
        })
        .unwrap();
        assert_eq!(
            fresh,
            "before\n<!-- table: a.json loads writes -->\n\n\
             | load | a second | p50 ms | p95 ms | p99 ms | answered of due |\n|---|---:|---:|---:|---:|---:|\n\
             | writes, open | 5.00 | 1.00 | 2.00 | 3.00 | 3 of 4 |\n\n<!-- end of table -->\nafter\n"
        );
        let load = |_: &str| Ok(report.clone());
        assert!(
            rewritten("<!-- table: a.json loads -->\n", load).is_err(),
            "no end"
        );
        assert!(
            rewritten(
                "<!-- table: a.json loads nothing -->\n<!-- end of table -->\n",
                load
            )
            .is_err(),
            "an empty table"
        );
    }

    #[test]
    fn each_table_tells_what_its_name_says() {
        let memory = json!([{"service": "data-storage", "residentMib": 150.4, "peakMib": 203.3}]);
        let report = json!({
            "history": {"partitions": {"nothingToDoSeconds": 0.0042, "oneMonthSeconds": 0.25, "made": 5}},
            "figures": [{
                "name": "writes", "perSecond": 1_234.0, "latency": {"p99": 50.0}, "memory": memory,
                "draining": {"texts": 2_143, "seconds": 8.1},
                "replicationLag": {"bytes": 12_000, "mostBytes": 340_000, "caughtUpAfterMs": 24.0},
            }],
            "outcomes": [{"fault": "burst", "met": {"records refused": 23_976, "times it happened": 1, "nothing": 0}}],
        });
        for (kind, line) in [
            ("memory", "| data-storage | 150 | 203 |"),
            ("pending writes", "| writes | 1,234 | 50.0 | 2,143 | 8.10 |"),
            ("partitions", "| the 5 partitions of one month are made | 250 |"),
            ("lag writes", "| writes | 12.0 | 340 | 24.0 |"),
            ("met", "| `burst`: records refused | 23,976 |"),
        ] {
            let table = table(&format!("a.json {kind}"), |_| Ok(report.clone())).unwrap();
            assert_eq!(table.lines().last(), Some(line), "{kind}");
        }
    }
}
