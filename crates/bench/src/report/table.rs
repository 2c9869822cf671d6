//! The report for people who read it in a terminal.

mod history;

use std::fmt::{self, Display, Formatter};

use super::{Figure, Report};
use crate::histogram::Quantiles;

/// Column for what a line is about.
const NAME: usize = 46;

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            out,
            "kubernaut {} ({} build), PostgreSQL {}",
            machine.version, machine.profile, machine.postgresql
        )?;
        writeln!(
            out,
            "{}, {} cores, {} GiB, Linux {}, load {}",
            machine.cpu, machine.cores, machine.memory_gib, machine.kernel, machine.load
        )?;
        if !self.is_measurement {
            writeln!(
                out,
                "\nTHIS IS NO MEASUREMENT: a debug build. Build with --release before you believe a figure."
            )?;
        }
        if let Some(history) = &self.history {
            history::write(out, history)?;
        }
        if let Some(starts) = &self.cold_start {
            writeln!(
                out,
                "\nfrom the start of both services to ready: median {:.2} s of {}",
                starts.median_seconds,
                starts.seconds.len()
            )?;
        }
        writeln!(out)?;
        header(out, "baseline")?;
        for baseline in &self.baselines {
            line(
                out,
                &baseline.name,
                &format!("{} {}", number(baseline.per_second), baseline.unit),
                &baseline.latency,
            )?;
            for (note, value) in &baseline.notes {
                writeln!(out, "    {note} {value}")?;
            }
        }
        writeln!(out)?;
        header(out, "figure")?;
        for figure in &self.figures {
            write_figure(out, figure)?;
        }
        for note in &self.notes {
            writeln!(out, "\n{note}")?;
        }
        if !self.is_measurement {
            writeln!(out, "\nTHIS IS NO MEASUREMENT: a debug build.")?;
        }
        Ok(())
    }
}

fn header(out: &mut Formatter<'_>, what: &str) -> fmt::Result {
    writeln!(
        out,
        "{what:NAME$} {:>18} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "per second", "p50 ms", "p90", "p95", "p99", "max"
    )
}

fn line(out: &mut Formatter<'_>, name: &str, rate: &str, latency: &Quantiles) -> fmt::Result {
    let [p50, p90, p95, p99, max] =
        [latency.p50, latency.p90, latency.p95, latency.p99, latency.max].map(number);
    writeln!(
        out,
        "{name:NAME$} {rate:>18} {p50:>9} {p90:>9} {p95:>9} {p99:>9} {max:>9}"
    )
}

fn write_figure(out: &mut Formatter<'_>, figure: &Figure) -> fmt::Result {
    line(out, &figure.name, &number(figure.per_second), &figure.latency)?;
    if figure.operations.len() > 1 {
        for (operation, latency) in &figure.operations {
            line(out, &format!("  {operation}"), "", latency)?;
        }
    }
    let counts = &figure.measured;
    let outcomes: Vec<_> = counts
        .outcomes
        .iter()
        .map(|(outcome, count)| format!("{outcome}: {count}"))
        .collect();
    write!(out, "    due {}, {}", counts.due, outcomes.join(", "))?;
    writeln!(
        out,
        ", dropped {}; generator late by p99 {} ms",
        counts.dropped,
        number(figure.lateness.p99)
    )?;
    if counts.dropped > 0 {
        writeln!(
            out,
            "    DROPPED {} of {}: the load was more than was answered, and the latencies leave out those who did not get in.",
            counts.dropped, counts.due
        )?;
    }
    if !figure.cpu_seconds.is_empty() {
        let used: Vec<_> = figure
            .cpu_seconds
            .iter()
            .map(|(name, seconds)| format!("{name} {seconds:.1}"))
            .collect();
        writeln!(out, "    processor seconds: {}", used.join(", "))?;
    }
    if !figure.memory.is_empty() {
        let memory = figure.memory.iter();
        let told: Vec<_> = memory
            .map(|memory| {
                format!(
                    "{} {:.0} (at most {:.0})",
                    memory.service, memory.resident_mib, memory.peak_mib
                )
            })
            .collect();
        writeln!(out, "    resident MiB at the end: {}", told.join(", "))?;
    }
    if let Some(lag) = &figure.replication_lag {
        writeln!(
            out,
            "    the standby was {} bytes behind at the end, and had them after {} ms; at most {} bytes before",
            lag.bytes,
            number(lag.caught_up_after_ms),
            lag.most_bytes
        )?;
    }
    if let Some(draining) = &figure.draining {
        writeln!(
            out,
            "    texts without a vector at the end: {}, and none after {} s",
            draining.texts,
            number(draining.seconds)
        )?;
    }
    for ratio in &figure.ratios {
        writeln!(out, "    {:.2} = {}", ratio.value, ratio.of)?;
    }
    Ok(())
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
