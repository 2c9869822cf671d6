//! The provider on the network, against one that does as it is told.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests fail loudly, as tests do"
)]

mod answers;
mod batches;
mod breaker;
mod keys;
mod poison;
mod provider;
mod retries;
mod trust;
