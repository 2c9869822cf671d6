//! Probes: is the process alive, has it started, and should it get requests?
//!
//! `GET /healthz` answers 200 as long as the process can answer at all: restarting it would not bring a database back.
//! `GET /startupz` answers 503 `starting` until the service says that it has started, and 200 `started` ever after.
//! `GET /readyz` answers 503 `starting` until then; it then runs the checks and answers 200 `ready`, 200 `degraded` when
//! only optional ones fail, 503 `not ready` when a required one fails, and 503 `shutting down` from the moment shutdown
//! begins.
//!
//! A service that waits for a database serves its probes while it waits, and tells the checks once there is something to
//! check:
//!
//! ```
//! # use service_kit::{auth::Authenticator, health::Health, server::{Server, ServerConfig}, shutdown::Shutdown};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let shutdown = Shutdown::new();
//! let mut server = Server::bind(ServerConfig::ephemeral(), &Authenticator::disabled())?;
//! let (health, starting) = Health::starting(shutdown.clone());
//! server.serve_probes(&health.router());
//! // Connect to the database, however long that takes.
//! starting.started(Health::builder().required("database", || async { Ok(()) }));
//! // Then `server.serve(…)`, with `health.router()` merged into both routers.
//! # Ok(())
//! # }
//! ```

mod check;
mod report;

use std::{
    future::Future,
    sync::{Arc, Mutex, OnceLock, PoisonError},
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
    /// Empty until the service has started.
    checks: OnceLock<Checks>,
    shutdown: Shutdown,
    // Held while checks run, so that probes at the same time run them once.
    cached: tokio::sync::Mutex<Option<(Instant, Arc<Report>)>>,
    last_status: Mutex<Option<Status>>,
}

struct Checks {
    all: Vec<Check>,
    timeout: Duration,
    cache_for: Duration,
}

/// Collects the checks of a [`Health`].
pub struct HealthBuilder(Checks);

/// A start that is under way; dropped, it never ends.
#[must_use = "the service is not ready before `started`"]
pub struct Starting(Arc<Inner>);

impl Starting {
    /// The start is over: from now on `/startupz` answers 200, and `/readyz` what these checks say.
    pub fn started(self, checks: HealthBuilder) {
        // It cannot be set yet: there is one `Starting`, and this consumes it.
        let _ = self.0.checks.set(checks.0);
    }
}

impl HealthBuilder {
    /// Adds a check without which the service is not ready.
    #[must_use]
    pub fn required<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckFailure>> + Send + 'static,
    {
        self.0.all.push(Check::new(name, true, check));
        self
    }

    /// Adds a check without which the service is degraded, but works.
    #[must_use]
    pub fn optional<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), CheckFailure>> + Send + 'static,
    {
        self.0.all.push(Check::new(name, false, check));
        self
    }

    /// How long one check may take; 1 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// How long an answer is repeated; 1 s unless set.
    #[must_use]
    pub fn cache_for(mut self, cache_for: Duration) -> Self {
        self.0.cache_for = cache_for;
        self
    }

    /// The probes of a service that has started already, not ready from the moment `shutdown` begins.
    pub fn build(self, shutdown: Shutdown) -> Health {
        let (health, starting) = Health::starting(shutdown);
        starting.started(self);
        health
    }
}

impl Health {
    /// Begins without checks.
    pub fn builder() -> HealthBuilder {
        HealthBuilder(Checks {
            all: Vec::new(),
            timeout: CHECK_TIMEOUT,
            cache_for: CACHE_FOR,
        })
    }

    /// The probes of a service that is starting, and what ends the start.
    pub fn starting(shutdown: Shutdown) -> (Self, Starting) {
        let inner = Arc::new(Inner {
            checks: OnceLock::new(),
            shutdown,
            cached: tokio::sync::Mutex::new(None),
            last_status: Mutex::new(None),
        });
        (Self(Arc::clone(&inner)), Starting(inner))
    }

    /// `/healthz`, `/startupz` and `/readyz`.
    pub fn router(&self) -> Router {
        let health = self.clone();
        let started = move || {
            let health = health.clone();
            async move { health.started() }
        };
        let health = self.clone();
        let ready = move || {
            let health = health.clone();
            async move { health.ready().await }
        };
        let routes = Router::new()
            .route("/healthz", get(alive))
            .route("/startupz", get(started))
            .route("/readyz", get(ready));
        // Unknown paths are left to the router that this one is merged into.
        fallbacks(routes).reset_fallback()
    }

    fn started(&self) -> Response {
        let status = match self.0.checks.get() {
            Some(_) => Status::Started,
            None => Status::Starting,
        };
        answer(&Report::unchecked(status))
    }

    async fn ready(&self) -> Response {
        if self.0.shutdown.is_begun() {
            return answer(&Report::unchecked(Status::ShuttingDown));
        }
        match self.0.checks.get() {
            Some(checks) => answer(&*self.report(checks).await),
            None => answer(&Report::unchecked(Status::Starting)),
        }
    }

    async fn report(&self, checks: &Checks) -> Arc<Report> {
        let mut cached = self.0.cached.lock().await;
        if let Some((made, report)) = &*cached
            && made.elapsed() < checks.cache_for
        {
            return Arc::clone(report);
        }
        let runs = join_all(checks.all.iter().map(|check| check.run(checks.timeout))).await;
        let report = Arc::new(Report::of(&checks.all, &runs));
        self.log_change(report.status, &checks.all, &runs);
        *cached = Some((Instant::now(), Arc::clone(&report)));
        report
    }

    /// Logs when the status changes, not at every probe.
    fn log_change(&self, status: Status, checks: &[Check], runs: &[Result<(), CheckFailure>]) {
        let mut last_status = self.0.last_status.lock().unwrap_or_else(PoisonError::into_inner);
        if last_status.replace(status) == Some(status) {
            return;
        }
        tracing::info!(status = status.as_str(), "readiness changed");
        for (check, run) in checks.iter().zip(runs) {
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

fn answer(report: &Report) -> Response {
    let status = match report.status {
        Status::Started | Status::Ready | Status::Degraded => StatusCode::OK,
        Status::Starting | Status::NotReady | Status::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

async fn alive() -> Response {
    let body = Json(serde_json::json!({ "status": "alive" }));
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}
