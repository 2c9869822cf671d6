//! What the policy redacts and what it leaves, case by case and for any input.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod corpus;
mod credentials;
mod effort;
mod history;
mod json;
mod properties;
