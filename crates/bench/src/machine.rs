//! What the figures were measured on.

use serde::Serialize;

/// Memory that programs can have without others being driven out, in MiB, where the system tells.
#[must_use]
pub(crate) fn free_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1_024)
}

/// A machine and what ran on it. What cannot be found out is `unknown`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// Kernel.
    pub kernel: String,
    /// Processes that wanted a processor, on average of the minute before: beyond the cores, others were at work.
    pub load: String,
    /// Version of the PostgreSQL, where its URL is known.
    pub postgresql: String,
    /// Version of kubernaut.
    pub version: String,
    /// `release` or `debug`.
    pub profile: &'static str,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub(crate) fn detect(version: &str, postgresql: Option<String>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let field = |text: &str, name: &str| {
            text.lines()
                .find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim().to_owned()))
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
            .unwrap_or_default();
        let or_unknown = |text: String| if text.is_empty() { unknown() } else { text };
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: (memory / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: or_unknown(read("/proc/sys/kernel/osrelease").trim().to_owned()),
            load: or_unknown(
                read("/proc/loadavg")
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
            postgresql: postgresql.unwrap_or_else(unknown),
            version: version.to_owned(),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        }
    }

    /// Whether what was measured says something about the product.
    #[must_use]
    pub(crate) fn is_measurement(&self) -> bool {
        self.profile == "release"
    }
}
