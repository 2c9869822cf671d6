//! Data Storage as its clients see it: the real router on a real PostgreSQL, a schema per test.

mod app;
mod errors;
mod ordering;
mod replays;
mod storing;
