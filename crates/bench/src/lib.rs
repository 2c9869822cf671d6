//! Figures instead of adjectives: load on both services, baselines of the same run beside it, and a report.
//!
//! A figure of a shared machine says little by itself. Every figure here stands beside a baseline that the same run
//! measured on the same machine, and what is published is their ratio. [`run()`] does all of it.

mod baseline;
mod client;
mod closed_loop;
mod cold_start;
mod draining;
mod histogram;
mod history;
mod load;
mod machine;
mod open_loop;
mod preload;
mod questions;
mod report;
mod request;
mod run;
mod schema;
mod server;
mod services;
mod standby;
mod tally;
mod traffic;
mod usage;

pub use baseline::Baseline;
pub use cold_start::ColdStart;
pub use draining::Draining;
pub use histogram::Quantiles;
pub use history::{History, IndexSize, PartitionRounds, TableSize};
pub use machine::Machine;
pub use preload::copies::{BuiltIndex, CopiedTable, Copying, copy_history};
pub use report::{Counts, Figure, Ratio, Report};
pub use run::{Options, Target, Workload, run};
pub use standby::ReplicationLag;
pub use usage::Memory;
