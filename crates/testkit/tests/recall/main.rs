//! The promise of the whole: what Data Storage acknowledges can be recalled through Context API.
//!
//! Both services as routers, on one schema of a real PostgreSQL, each with its own role.

#![expect(clippy::expect_used, reason = "test support")]

mod aggregations;
mod both;
mod cache;
mod cache_redis;
mod cached;
mod contract;
mod cursors;
mod demo;
mod evidence;
mod families;
mod fields;
mod filters;
mod meaning;
mod nearest;
mod paging;
mod rates;
mod recovery;
mod reembed;
mod refusals;
mod self_check;
mod targets;
mod trend;
mod words;
