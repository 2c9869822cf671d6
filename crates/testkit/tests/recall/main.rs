//! The promise of the whole: what Data Storage acknowledges can be recalled through Context API.
//!
//! Both services as routers, on one schema of a real PostgreSQL, each with its own role.

#![expect(clippy::expect_used, reason = "test support")]

mod aggregations;
mod both;
mod cache;
mod cache_matrix;
mod cache_redis;
mod cached;
mod contract;
mod cursors;
mod demo;
mod edge_values;
mod evidence;
mod families;
mod fields;
mod filters;
mod freshness;
mod fuzz;
mod lifecycle;
mod meaning;
mod nearest;
mod nearness;
mod observed;
mod pace;
mod paging;
mod plans;
mod prepared;
mod rates;
mod recovery;
mod reembed;
mod refusals;
mod remediation_names;
mod replica;
mod round_robin;
mod self_check;
mod slow_database;
mod stopping;
mod targets;
mod trend;
mod volumes;
mod words;
