//! What `campaign --json` wrote.

use serde_json::Value;

use super::{at, list, number, row, text};

/// Each fault with what it left behind.
pub(super) fn faults(report: &Value) -> anyhow::Result<Vec<Vec<String>>> {
    let mut rows = vec![row(&[
        "fault",
        "times",
        "acknowledged",
        "refused",
        "lost",
        "doubled",
        "half-written",
        "fsck",
        "recovery p50 / max, s",
        "took, s",
        "",
    ])];
    for outcome in list(report, "/outcomes")? {
        let mut times: Vec<f64> = list(outcome, "/recoveries")?
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        times.sort_by(f64::total_cmp);
        let recovery = match (times.get(times.len() / 2), times.last()) {
            (Some(half), Some(most)) => format!("{half:.2} / {most:.2}"),
            _ => String::new(),
        };
        let mut cells = vec![format!("`{}`", text(outcome, "/fault")?)];
        let counted = [
            "/times",
            "/acknowledged",
            "/refused",
            "/findings/lost/count",
            "/findings/doubled/count",
            "/findings/half_written/count",
            "/findings/fsck/count",
        ];
        for pointer in counted {
            cells.push(whole(at(outcome, pointer)?));
        }
        let kept = ["/unmet", "/wrong"]
            .into_iter()
            .map(|complaints| Ok(list(outcome, complaints)?.is_empty()))
            .collect::<anyhow::Result<Vec<bool>>>()?;
        let findings: f64 = counted[3..]
            .iter()
            .filter_map(|pointer| at(outcome, pointer).ok())
            .sum();
        let good = kept.into_iter().all(|kept| kept) && findings == 0.0 && outcome["failure"].is_null();
        cells.push(recovery);
        cells.push(number(at(outcome, "/took")?));
        cells.push(if good { "kept" } else { "**BROKEN**" }.to_owned());
        rows.push(cells);
    }
    Ok(rows)
}

/// What each fault met. What the other table tells is left out.
pub(super) fn met(report: &Value) -> anyhow::Result<Vec<Vec<String>>> {
    let mut rows = vec![row(&["met", "count"])];
    for outcome in list(report, "/outcomes")? {
        let met = outcome["met"].as_object().into_iter().flatten();
        let told = met.filter(|(what, count)| {
            count.as_f64() > Some(0.0)
                && !["times it happened", "versions acknowledged"].contains(&what.as_str())
        });
        for (what, count) in told {
            rows.push(vec![
                format!("`{}`: {what}", text(outcome, "/fault")?),
                whole(count.as_f64().unwrap_or_default()),
            ]);
        }
    }
    Ok(rows)
}

/// A count, thousands apart.
fn whole(count: f64) -> String {
    if count < 100.0 {
        format!("{count:.0}")
    } else {
        number(count)
    }
}
