//! The binary as its users have it: a process with a command line, an environment, signals, and a way to end.

#![expect(clippy::unwrap_used, reason = "test support: a failure is the test's failure")]

mod bench;
mod copies;
mod demo;
mod directory;
mod fsck;
mod help;
mod hold;
mod http_model;
mod memory;
mod model;
mod other_postgres;
mod precision;
mod process;
mod reembed;
mod refusals;
mod rolling;
mod stack;
mod stop;
mod up;
