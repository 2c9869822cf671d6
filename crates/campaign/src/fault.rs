//! The faults. Each starts what it needs, lets clients record, happens, and says what it met and what it left behind.

pub(crate) mod burst;
#[cfg(target_os = "linux")]
pub(crate) mod clock;
#[cfg(target_os = "linux")]
pub(crate) mod disk;
pub(crate) mod embedder;
pub(crate) mod kills;
pub(crate) mod network;
pub(crate) mod recall;
pub(crate) mod upkeep;
pub(crate) mod vanish;

use std::time::Duration;

use crate::load::Recording;
use crate::process::wait_until;

/// Settings of either service with which what takes a minute by default takes seconds. Not where nothing happens: there a
/// busy machine alone must not look like a bad network.
const IMPATIENT: [(&str, &str); 2] = [
    ("DATABASE__ACQUIRE_TIMEOUT", "500ms"),
    ("DATABASE__STATEMENT_TIMEOUT", "1s"),
];
/// 1.5 s of trying, 0.5 s for a connection, 2 s for a transaction, 0.15 s for a vector; and 3.85 s for the machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// Waits until so many more records are acknowledged, and tells how long that took.
async fn progress(recording: &Recording, records: usize) -> Duration {
    let counts = &recording.counts;
    let before = counts.acknowledged();
    wait_until("records", async || counts.acknowledged() >= before + records).await
}
