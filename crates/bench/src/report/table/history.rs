//! How large the history was, as a table.

use std::fmt::{self, Formatter};

use super::NAME;
use crate::history::History;

/// Methods of indexes that are large, or long in the making.
const TOLD: [&str; 2] = ["hnsw", "gin"];

/// Writes the section.
pub(super) fn write(out: &mut Formatter<'_>, history: &History) -> fmt::Result {
    writeln!(
        out,
        "\nhistory: {} incidents, {} records, {} texts",
        history.incidents, history.records, history.texts
    )?;
    writeln!(
        out,
        "{:NAME$} {:>18} {:>9} {:>9} {:>9}",
        "", "rows, about", "MiB", "TOAST", "indexes"
    )?;
    for table in &history.tables {
        let [rows, toast, indexes] = [table.table_bytes, table.toast_bytes, table.index_bytes].map(mebibytes);
        writeln!(
            out,
            "{:NAME$} {:>18} {rows:>9} {toast:>9} {indexes:>9}",
            table.table, table.rows
        )?;
    }
    let built = |name: &str| {
        let indexes = history.copying.iter().flat_map(|copying| &copying.indexes);
        indexes
            .filter(|built| built.index == name)
            .map(|built| format!(", made in {:.1} s", built.seconds))
            .collect::<String>()
    };
    for index in &history.indexes {
        if TOLD.contains(&index.method.as_str()) {
            let name = format!("  {} ({})", index.index, index.method);
            let size = mebibytes(index.bytes);
            writeln!(
                out,
                "{name:NAME$} {:>18} {size:>9} MiB{}",
                "",
                built(&index.index)
            )?;
        }
    }
    if let Some(copying) = &history.copying {
        let inserting: f64 = copying.tables.iter().map(|table| table.seconds).sum();
        let indexing: f64 = copying.indexes.iter().map(|index| index.seconds).sum();
        writeln!(
            out,
            "    {} copies in {:.1} s: rows {inserting:.1}, indexes {indexing:.1}, vacuum {:.1}",
            copying.copies, copying.seconds, copying.vacuum_seconds
        )?;
    }
    if let Some(rounds) = &history.partitions {
        writeln!(
            out,
            "    upkeep of partitions: {:.1} ms with nothing to do, {:.1} ms with one month to make ({} partitions)",
            rounds.nothing_to_do_seconds * 1_000.0,
            rounds.one_month_seconds * 1_000.0,
            rounds.made
        )?;
    }
    Ok(())
}

/// Bytes as MiB.
fn mebibytes(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / 1_048_576.0)
}
