//! What a run found: as a table, as JSON, as a picture.

mod knee;
mod svg;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::baseline::Baseline;
use crate::cold_start::ColdStart;
use crate::draining::Draining;
use crate::histogram::Quantiles;
use crate::history::History;
use crate::machine::Machine;
use crate::standby::ReplicationLag;
use crate::tally::{Run, Tally};
use crate::usage::{Memory, Seconds};

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began, UTC.
    pub begun: String,
    /// What it was measured on.
    pub machine: Machine,
    /// Whether the figures say something about the product: not those of a debug build.
    pub is_measurement: bool,
    /// What was asked for, by the name of the option.
    pub options: BTreeMap<&'static str, String>,
    /// What to know about the figures.
    pub notes: Vec<String>,
    /// How large the history was, where the database could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// How long the services took to start, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    /// What the figures are compared with.
    pub baselines: Vec<Baseline>,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// What one load found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// The workload and the kind of load.
    pub name: String,
    /// Where it is on a curve of loads that differ in their rate; of open loops only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// Seconds that count.
    pub seconds: f64,
    /// Before anything counted.
    pub warm_up: Counts,
    /// While it counted.
    pub measured: Counts,
    /// Successful answers in a second: of those that were due while it counted, from then until the last answer.
    pub per_second: f64,
    /// How long the successful answers took, in milliseconds; in an open loop from when they were due.
    pub latency: Quantiles,
    /// The same by operation.
    pub operations: BTreeMap<&'static str, Quantiles>,
    /// How late the generator sent, in milliseconds: a part of the latency.
    pub lateness: Quantiles,
    /// Share of the successful answers and the milliseconds they did not exceed.
    pub curve: Vec<(f64, f64)>,
    /// Successful answers in each second.
    pub throughput: Vec<u64>,
    /// Rows that the ledger has more than before, where the database could be asked. As many as there were answers 201.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_rows: Option<i64>,
    /// Seconds of processor time, warm-up included, by what used them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu_seconds: Seconds,
    /// Memory of each process of the services when the load had ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Memory>,
    /// How far the standby was behind when the load had ended, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_lag: Option<ReplicationLag>,
    /// Texts that a load of writes left without a vector, where the database could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
    /// The figure beside its baselines.
    pub ratios: Vec<Ratio>,
}

/// A rate among others.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The loads that differ in their rate only.
    pub series: String,
    /// Requests that are due in a second.
    pub rate: f64,
}

/// Requests of a part of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// To be sent.
    pub due: u64,
    /// Not sent, because too many had no answer yet.
    pub dropped: u64,
    /// Answered, refused or failed.
    pub ended: u64,
    /// Those by status, `timeout` or `broken`.
    pub outcomes: BTreeMap<String, u64>,
}

/// A figure beside a baseline.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ratio {
    /// What is divided by what.
    pub of: String,
    /// The quotient.
    pub value: f64,
}

/// Shares at which the curve is drawn: each step halves what is left.
const STEPS: i32 = 14;

impl From<&Tally> for Counts {
    fn from(tally: &Tally) -> Self {
        let outcomes = tally.outcomes.iter();
        Self {
            due: tally.due,
            dropped: tally.dropped,
            ended: tally.ended(),
            outcomes: outcomes
                .map(|(outcome, count)| (outcome.to_string(), *count))
                .collect(),
        }
    }
}

impl Counts {
    /// How many were answered with one status.
    #[must_use]
    pub(crate) fn status(&self, status: &str) -> u64 {
        self.outcomes.get(status).copied().unwrap_or_default()
    }
}

impl Figure {
    /// The figure of a run. `seconds` count, and answers came for `until` seconds.
    #[must_use]
    pub(crate) fn new(name: String, run: &Run, seconds: f64, until: f64) -> Self {
        let measured = &run.measured;
        let curve = (0..=STEPS)
            .map(|step| 1.0 - 0.5_f64.powi(step))
            .filter(|_| measured.successes() > 0)
            .map(|share| (share, measured.latencies.at(share)))
            .collect();
        Self {
            name,
            point: None,
            seconds,
            warm_up: Counts::from(&run.warm_up),
            measured: Counts::from(measured),
            per_second: measured.successes() as f64 / until.max(seconds),
            latency: measured.latencies.quantiles(),
            operations: measured
                .operations
                .iter()
                .map(|(operation, latencies)| (*operation, latencies.quantiles()))
                .collect(),
            lateness: measured.lateness.quantiles(),
            curve,
            throughput: run.per_second.clone(),
            ledger_rows: None,
            cpu_seconds: Seconds::new(),
            memory: Vec::new(),
            replication_lag: None,
            draining: None,
            ratios: Vec::new(),
        }
    }

    /// Puts it beside a baseline, unless there is nothing to divide by.
    pub(crate) fn compare(&mut self, of: String, value: f64, baseline: f64) {
        if baseline > 0.0 && value > 0.0 {
            let value = value / baseline;
            self.ratios.push(Ratio { of, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::tally::{Outcome, Period, Recorder};

    /// A run of ten seconds: 1,000 answers of 1 to 1,000 ms, 5 refusals, 3 dropped.
    fn run() -> Run {
        let begin = Instant::now();
        let recorder = Recorder::new(Period::new(begin, Duration::ZERO, Duration::from_secs(10)));
        for number in 1..=1_000 {
            let due = begin + Duration::from_millis(number * 9);
            recorder.sent(due, due);
            recorder.ended(
                "get",
                due,
                due + Duration::from_millis(number),
                Outcome::Status(200),
            );
        }
        for _ in 0..5 {
            recorder.sent(begin, begin);
            recorder.ended("get", begin, begin, Outcome::Status(503));
        }
        for _ in 0..3 {
            recorder.dropped(begin);
        }
        recorder.run()
    }

    fn report(profile: &'static str) -> Report {
        let mut figure = Figure::new("reads & <searches>".to_owned(), &run(), 10.0, 12.5);
        figure.compare("answers/s ÷ those of nothing".to_owned(), 1.0, 0.0);
        figure.compare("answers/s ÷ those of a stone".to_owned(), figure.per_second, 32.0);
        let machine = Machine {
            profile,
            ..Machine::detect("1.2.3", None)
        };
        Report {
            begun: "2026-01-01 00:00 UTC".to_owned(),
            is_measurement: machine.is_measurement(),
            machine,
            options: BTreeMap::new(),
            notes: vec!["A note.".to_owned()],
            history: None,
            cold_start: None,
            baselines: Vec::new(),
            figures: vec![figure],
        }
    }

    #[test]
    fn a_figure_has_its_counts_its_rate_until_the_last_answer_and_its_curve() {
        let figure = &report("release").figures[0];
        assert_eq!(
            (
                figure.measured.due,
                figure.measured.ended,
                figure.measured.dropped
            ),
            (1_008, 1_005, 3)
        );
        assert_eq!(
            (figure.measured.status("200"), figure.measured.status("503")),
            (1_000, 5)
        );
        assert_eq!(
            figure.per_second, 80.0,
            "1,000 answers in 12.5 s, not in the 10 s in which they were due"
        );
        assert_eq!(figure.throughput.iter().sum::<u64>(), 1_000);
        assert_eq!(figure.curve.len(), 15);
        let (share, millis) = figure.curve[1];
        assert!(share == 0.5 && (millis - 500.0).abs() < 1.0, "{millis}");
        assert!(figure.curve.is_sorted_by(|one, other| one.1 <= other.1));
        assert_eq!(figure.ratios.len(), 1, "nothing is divided by nothing");
        assert_eq!(figure.ratios[0].value, 2.5);
    }

    #[test]
    fn the_table_tells_what_was_dropped_and_that_a_debug_build_measures_nothing() {
        let release = report("release").to_string();
        assert!(
            release.contains("due 1008, 200: 1000, 503: 5, dropped 3;"),
            "{release}"
        );
        assert!(release.contains("DROPPED 3 of 1008"), "{release}");
        assert!(
            release.contains("2.50 = answers/s ÷ those of a stone"),
            "{release}"
        );
        assert!(!release.contains("NO MEASUREMENT"), "{release}");
        let debug = report("debug");
        assert!(debug.to_string().contains("THIS IS NO MEASUREMENT"), "{debug}");
        assert!(debug.svg().contains("THIS IS NO MEASUREMENT"));
    }

    #[test]
    fn the_picture_has_a_line_for_latencies_and_one_for_answers_and_escapes_names() {
        let svg = report("release").svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("reads &amp; &lt;searches&gt;"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn loads_that_differ_in_their_rate_are_drawn_as_one_curve() {
        let mut report = report("release");
        let at = |rate| Figure {
            point: Some(Point {
                series: "writes, open loop".to_owned(),
                rate,
            }),
            ..Figure::new(format!("writes, open loop, {rate} /s"), &run(), 10.0, 12.5)
        };
        report.figures = vec![at(200.0)];
        assert_eq!(
            report.svg().matches("<polyline").count(),
            2,
            "one rate is no curve"
        );
        report.figures.push(at(100.0));
        let svg = report.svg();
        // Three latencies, the answers and what was due; and two lines for each of the two loads.
        assert_eq!(svg.matches("<polyline").count(), 5 + 2 * 2);
        assert!(svg.contains("writes, open loop, by the rate"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_load_without_an_answer_is_told_as_such() {
        let figure = Figure::new("silence".to_owned(), &Run::default(), 1.0, 1.0);
        assert_eq!((figure.per_second, figure.latency), (0.0, Quantiles::default()));
        let mut report = report("release");
        report.figures = vec![figure];
        let svg = report.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(report.to_string().contains("silence"));
    }
}
