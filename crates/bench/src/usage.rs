//! Where the time of the processors and the memory went, as Linux tells it; nothing elsewhere.

use std::collections::BTreeMap;

use serde::Serialize;

/// Ticks of a second in `/proc`, on every Linux there is (`USER_HZ`).
const TICKS: f64 = 100.0;
/// What the names of the embedding model's threads begin with.
const EMBEDDER: &str = "embedder";

/// Processes whose time is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    /// Those of the services, by the name of their service.
    pub(crate) services: Vec<(&'static str, u32)>,
    /// The first process of PostgreSQL.
    pub(crate) postgresql: Option<u32>,
    /// The first process of its standby.
    pub(crate) standby: Option<u32>,
}

/// Seconds of processor time, by what used them.
pub(crate) type Seconds = BTreeMap<&'static str, f64>;

impl Watched {
    /// What each has used since it began.
    #[must_use]
    pub(crate) fn read(&self) -> Seconds {
        let mut seconds = Seconds::new();
        if let Some(own) = ticks("self", false) {
            seconds.insert("generator", own / TICKS);
        }
        for (name, pid) in &self.services {
            if let Some(all) = ticks(&pid.to_string(), false) {
                let model: f64 = threads(*pid)
                    .iter()
                    .filter(|(name, _)| name.starts_with(EMBEDDER))
                    .map(|(_, ticks)| ticks)
                    .sum();
                *seconds.entry(*name).or_default() += (all - model) / TICKS;
                *seconds.entry("embedding").or_default() += model / TICKS;
            }
        }
        for (name, server) in [("postgresql", self.postgresql), ("standby", self.standby)] {
            if let Some(pid) = server
                && let Some(gone) = ticks(&pid.to_string(), true)
            {
                let alive: f64 = children(pid).iter().filter_map(|pid| ticks(pid, false)).sum();
                seconds.insert(name, (gone + alive) / TICKS);
            }
        }
        seconds
    }

    /// The memory that each process of the services has now.
    #[must_use]
    pub(crate) fn memory(&self) -> Vec<Memory> {
        let services = self.services.iter();
        services
            .filter_map(|(service, pid)| {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                Some(Memory {
                    service,
                    resident_mib: mebibytes(&status, "VmRSS:")?,
                    peak_mib: mebibytes(&status, "VmHWM:")?,
                })
            })
            .collect()
    }
}

/// Memory of one process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Which service it is.
    pub service: &'static str,
    /// What it has of the machine's memory, in MiB.
    pub resident_mib: f64,
    /// The most it had since it began, in MiB.
    pub peak_mib: f64,
}

/// A line of a `status` file, which counts in kB.
fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1_024.0)
}

/// What was used between two readings.
#[must_use]
pub(crate) fn between(before: &Seconds, after: &Seconds) -> Seconds {
    after
        .iter()
        .filter_map(|(name, after)| Some((*name, (after - before.get(name)?).max(0.0))))
        .collect()
}

/// The fields of a `stat` file behind the name of the program: the first is the state, field 3 of proc(5).
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default()
}

/// Time in user and system mode; with that of the children that it has waited for, or without.
fn ticks(process: &str, with_children: bool) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    sum(&fields(&stat), with_children)
}

fn sum(fields: &[&str], with_children: bool) -> Option<f64> {
    let last = if with_children { 15 } else { 13 };
    fields
        .get(11..last)?
        .iter()
        .map(|field| field.parse::<f64>().ok())
        .sum()
}

/// Names and times of the threads of a process.
fn threads(pid: u32) -> Vec<(String, f64)> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
            let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
            Some((name, sum(&fields(&stat), false)?))
        })
        .collect()
}

/// The processes that a process has started and that run.
fn children(parent: u32) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let parent = parent.to_string();
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().into_string().ok()?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            (*fields(&stat).get(1)? == parent).then_some(pid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_process() {
        let watched = Watched {
            services: vec![("this", std::process::id())],
            ..Watched::default()
        };
        let [memory] = watched.memory()[..] else {
            panic!("one process, one figure")
        };
        assert_eq!(memory.service, "this");
        assert!(
            memory.resident_mib > 0.5 && memory.peak_mib >= memory.resident_mib,
            "{memory:?}"
        );
        assert_eq!(
            mebibytes("VmPeak:\t 9 kB\nVmRSS:\t   2048 kB\n", "VmRSS:"),
            Some(2.0)
        );
    }

    #[test]
    fn times_are_found_behind_a_name_with_anything_in_it() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 9 0 100";
        let fields = fields(stat);
        assert_eq!(fields[1], "7");
        assert_eq!(sum(&fields, false), Some(200.0));
        assert_eq!(sum(&fields, true), Some(250.0));
    }
}
