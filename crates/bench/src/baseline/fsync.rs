//! How often the disk takes 8 kB for good: no commit can be faster. As `pg_test_fsync` measures it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Baseline;
use crate::histogram::Latencies;

/// A page of PostgreSQL's log.
const PAGE: usize = 8_192;

/// Writes the same page of a file in `directory` again and again, and syncs it each time. It blocks.
///
/// # Errors
/// Where there can be no file.
pub(crate) fn measure(directory: &Path, duration: Duration) -> std::io::Result<Baseline> {
    let path = directory.join("fsync");
    let mut file = File::create(&path)?;
    let page = vec![0x5a; PAGE];
    file.write_all(&page)?;
    file.sync_all()?;
    let mut latencies = Latencies::default();
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let write = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        file.sync_data()?;
        latencies.record(write.elapsed());
    }
    let seconds = begin.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(Baseline {
        name: "8 kB written and synced".to_owned(),
        per_second: latencies.count() as f64 / seconds,
        unit: "syncs",
        latency: latencies.quantiles(),
        notes: BTreeMap::new(),
    })
}
