//! One thing a service depends on.

use std::{borrow::Cow, error::Error, future::Future, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::timeout;

/// Why a check failed: a reason that anybody may read, and the cause for the log.
#[derive(Clone, Debug)]
pub struct CheckFailure {
    reason: Cow<'static, str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl CheckFailure {
    /// A failure for a reason that anybody may read: no addresses, no names of users.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            cause: None,
        }
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn cause_chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| crate::problem::chain(cause))
    }
}

pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) required: bool,
    run: Box<dyn Fn() -> BoxFuture<'static, Result<(), CheckFailure>> + Send + Sync>,
}

impl Check {
    pub(super) fn new<F, Fut>(name: &'static str, required: bool, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckFailure>> + Send + 'static,
    {
        Self {
            name,
            required,
            run: Box::new(move || check().boxed()),
        }
    }

    pub(super) async fn run(&self, within: Duration) -> Result<(), CheckFailure> {
        timeout(within, (self.run)()).await.unwrap_or_else(|_elapsed| {
            Err(CheckFailure::new(format!(
                "no answer within {}",
                humantime::format_duration(within)
            )))
        })
    }
}
