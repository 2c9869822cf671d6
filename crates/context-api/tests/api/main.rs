//! Context API as its callers see it: who may ask, how much, for how long, and what the service tells of itself. What
//! it answers is tested together with Data Storage, in `testkit/tests/recall`.

#![expect(clippy::unwrap_used, reason = "test support")]

mod app;
mod callers;
mod deadline;
mod limits;
mod service;
mod settings;
mod spans;
mod start;
mod telling;
