//! Probes: is the process alive, and should it get requests?
//!
//! `GET /healthz` answers 200 as long as the process can answer at all: restarting it would not bring a database back.
//! `GET /readyz` runs the checks and answers 200 `ready`, 200 `degraded` when only optional ones fail, 503 `not ready`
//! when a required one fails, and 503 `shutting down` from the moment shutdown begins.

mod check;
mod report;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::join_all;
use tokio::time::Instant;

pub use self::check::CheckFailure;
use self::{
    check::Check,
    report::{Report, Status},
};
use crate::{router::fallbacks, shutdown::Shutdown};

/// How long one check may take by default.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer is repeated by default, so that probes cannot hammer what they probe.
const CACHE_FOR: Duration = Duration::from_secs(1);

/// The probes of a service; clones share checks and answers.
///
/// The router stands beside [`boundary::stack`](crate::boundary::stack), not inside: probes are neither logged nor
/// counted, and no limit on requests must fail them.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    checks: Vec<Check>,
    timeout: Duration,
    cache_for: Duration,
    shutdown: Shutdown,
    // Held while checks run, so that probes at the same time run them once.
    cached: tokio::sync::Mutex<Option<(Instant, Arc<Report>)>>,
    last_status: Mutex<Option<Status>>,
}

/// Collects the checks of a [`Health`].
pub struct HealthBuilder {
    checks: Vec<Check>,
    timeout: Duration,
    cache_for: Duration,
}

impl HealthBuilder {
    /// Adds a check without which the service is not ready.
    #[must_use]
    pub fn required<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckFailure>> + Send + 'static,
    {
        self.checks.push(Check::new(name, true, check));
        self
    }

    /// Adds a check without which the service is degraded, but works.
    #[must_use]
    pub fn optional<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckFailure>> + Send + 'static,
    {
        self.checks.push(Check::new(name, false, check));
        self
    }

    /// How long one check may take; 1 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long an answer is repeated; 1 s unless set.
    #[must_use]
    pub fn cache_for(mut self, cache_for: Duration) -> Self {
        self.cache_for = cache_for;
        self
    }

    /// The probes, not ready from the moment `shutdown` begins.
    pub fn build(self, shutdown: Shutdown) -> Health {
        let Self {
            checks,
            timeout,
            cache_for,
        } = self;
        let cached = tokio::sync::Mutex::new(None);
        Health(Arc::new(Inner {
            checks,
            timeout,
            cache_for,
            shutdown,
            cached,
            last_status: Mutex::new(None),
        }))
    }
}

impl Health {
    /// Begins without checks.
    pub fn builder() -> HealthBuilder {
        HealthBuilder {
            checks: Vec::new(),
            timeout: CHECK_TIMEOUT,
            cache_for: CACHE_FOR,
        }
    }

    /// `/healthz` and `/readyz`.
    pub fn router(&self) -> Router {
        let health = self.clone();
        let ready = move || {
            let health = health.clone();
            async move { health.ready().await }
        };
        let routes = Router::new()
            .route("/healthz", get(alive))
            .route("/readyz", get(ready));
        // Unknown paths are left to the router that this one is merged into.
        fallbacks(routes).reset_fallback()
    }

    async fn ready(&self) -> Response {
        let report = if self.0.shutdown.is_begun() {
            Arc::new(Report::shutting_down())
        } else {
            self.report().await
        };
        let status = match report.status {
            Status::Ready | Status::Degraded => StatusCode::OK,
            Status::NotReady | Status::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, [(header::CACHE_CONTROL, "no-store")], Json(&*report)).into_response()
    }

    async fn report(&self) -> Arc<Report> {
        let mut cached = self.0.cached.lock().await;
        if let Some((made, report)) = &*cached
            && made.elapsed() < self.0.cache_for
        {
            return Arc::clone(report);
        }
        let runs = join_all(self.0.checks.iter().map(|check| check.run(self.0.timeout))).await;
        let report = Arc::new(Report::of(&self.0.checks, &runs));
        self.log_change(report.status, &runs);
        *cached = Some((Instant::now(), Arc::clone(&report)));
        report
    }

    /// Logs when the status changes, not at every probe.
    fn log_change(&self, status: Status, runs: &[Result<(), CheckFailure>]) {
        let mut last_status = self.0.last_status.lock().unwrap_or_else(PoisonError::into_inner);
        if last_status.replace(status) == Some(status) {
            return;
        }
        tracing::info!(status = status.as_str(), "readiness changed");
        for (check, run) in self.0.checks.iter().zip(runs) {
            if let Err(failure) = run {
                let cause = failure.cause_chain();
                tracing::warn!(
                    check = check.name,
                    reason = failure.reason(),
                    cause = cause.as_deref(),
                    "check failed"
                );
            }
        }
    }
}

async fn alive() -> Response {
    let body = Json(serde_json::json!({ "status": "alive" }));
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}
