//! How much may be asked: of a replica, and by each of its callers.
//!
//! Two token buckets stand before a limited route: the caller's share, then the whole replica. A request costs one unit
//! before its body is read; a handler that finds more in the body (a batch of records) charges the rest:
//!
//! ```
//! # use axum::{Extension, Json, Router, http::StatusCode, routing::post};
//! # use service_kit::{Problem, auth::Caller, rate_limit::{Allowance, RateLimitConfig, RateLimiter, SteadyClock, limit}};
//! async fn store(
//!     Extension(allowance): Extension<Allowance>,
//!     Json(records): Json<Vec<String>>,
//! ) -> Result<StatusCode, Problem> {
//!     allowance.charge(records.len().saturating_sub(1))?;
//!     Ok(StatusCode::CREATED)
//! }
//!
//! # fn routes(config: RateLimitConfig, registry: &mut service_kit::metrics::Registry) -> Router {
//! let limiter = RateLimiter::new(config, SteadyClock::system(), registry);
//! let routes = limit(Router::new().route("/records", post(store)), limiter);
//! // What tells the caller stands outside, so that it comes first.
//! routes.layer(Extension(Caller::anonymous()))
//! # }
//! ```
//!
//! *Where it stands*: inside of [`boundary::stack`](crate::boundary::stack), so that a refusal is logged and counted
//! like any answer; inside of authentication, which tells the [`Caller`]; outside of everything that reads the body,
//! since what is refused shall cost nothing. Where callers are not authenticated all of them have one share, which is the
//! replica's: only loopback addresses are served so. Probes and metrics stand beside and are not limited.
//!
//! *The caller comes first*: a request beyond its caller's share takes nothing of what the others need. A request
//! within its share that the replica refuses gets its units back, so that waiting for the others does not eat the share.
//! What a layer or a handler once charged stays charged, whatever the answer.
//!
//! *There is no switch*: every service has a limit, and one that shall not be felt is set high. Zero is no limit and is
//! refused when the configuration is read.

mod bucket;
mod callers;
mod clock;
mod fields;
mod metrics;

use std::{
    convert::Infallible,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{Route, future::RouteFuture},
};
use futures::future::{self, Either, Ready};
use pin_project_lite::pin_project;
use serde::Deserialize;
use tower::{Layer, Service};

use self::{
    bucket::{Bucket, Policy, Wait},
    callers::{Callers, MAX_CALLERS},
    metrics::RateLimitMetrics,
};
pub use self::{
    clock::SteadyClock,
    fields::{RATE_LIMIT_HEADER, RATE_LIMIT_POLICY_HEADER},
};
use crate::{
    auth::Caller,
    metrics::Registry,
    problem::{Problem, ProblemKind},
};

/// 413: one request asks for more than is ever granted at once; sending it again does not help.
pub const COST_TOO_LARGE: ProblemKind = ProblemKind::new(
    "cost-too-large",
    "The request asks for more than is granted at once",
    StatusCode::PAYLOAD_TOO_LARGE,
);

/// The section `[rate_limit]` of a service's configuration; a unit is a record or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Units a second that this replica takes in the long run, from all callers together.
    pub per_second: NonZeroU32,
    /// Units that it takes at once after a rest.
    pub burst: NonZeroU32,
    /// Units a second of one caller in the long run.
    pub caller_per_second: NonZeroU32,
    /// Units of one caller at once after a rest. The smaller of the two bursts is the most one request may cost.
    pub caller_burst: NonZeroU32,
}

impl RateLimitConfig {
    /// The most that one request may cost. A service whose batches may be larger should refuse to start.
    #[must_use]
    pub fn largest_cost(&self) -> u32 {
        self.burst.min(self.caller_burst).get()
    }
}

/// The limits of a replica; clones share them.
#[derive(Clone, Debug)]
pub struct RateLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    replica: Bucket,
    callers: Callers,
    /// Of all who are not authenticated: nothing that they send can tell them apart, so they share what there is.
    anonymous: Arc<Bucket>,
    largest_cost: u32,
    granted: Granted,
    metrics: RateLimitMetrics,
}

/// What answers tell of the policies, the same for each caller.
#[derive(Debug)]
struct Granted {
    caller: HeaderValue,
    anonymous: HeaderValue,
}

const REPLICA: &str = "replica";
const CALLER: &str = "caller";
const COST: &str = "cost";

impl RateLimiter {
    /// Full buckets; the metrics go into `registry`.
    pub fn new(config: RateLimitConfig, clock: SteadyClock, registry: &mut Registry) -> Self {
        let replica = Policy {
            name: REPLICA,
            per_second: config.per_second,
            burst: config.burst,
        };
        let caller = Policy {
            name: CALLER,
            per_second: config.caller_per_second,
            burst: config.caller_burst,
        };
        let everybody = Policy {
            name: CALLER,
            ..replica
        };
        Self(Arc::new(Inner {
            replica: Bucket::new(replica, clock.clone()),
            anonymous: Arc::new(Bucket::new(everybody, clock.clone())),
            callers: Callers::new(caller, clock, MAX_CALLERS),
            largest_cost: config.largest_cost(),
            granted: Granted {
                caller: fields::granted([caller, replica]),
                anonymous: fields::granted([everybody, replica]),
            },
            metrics: RateLimitMetrics::register(registry, [CALLER, REPLICA, COST]),
        }))
    }

    /// What `caller` may ask for. Held for one request.
    pub fn allowance(&self, caller: &Caller) -> Allowance {
        let anonymous = caller.is_anonymous();
        Allowance {
            limiter: self.clone(),
            anonymous,
            caller: if anonymous {
                Arc::clone(&self.0.anonymous)
            } else {
                self.0.callers.bucket(&caller.username)
            },
        }
    }

    /// Charges `units` to `caller` and to the replica, or neither.
    ///
    /// # Errors
    ///
    /// As [`Allowance::charge`].
    pub fn charge(&self, caller: &Caller, units: usize) -> Result<(), Problem> {
        self.allowance(caller).charge(units)
    }
}

/// What the caller of one request may still ask for; [`limit`] puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct Allowance {
    limiter: RateLimiter,
    anonymous: bool,
    caller: Arc<Bucket>,
}

impl Allowance {
    /// Charges `units` to the caller and to the replica, or neither. Nothing is always granted.
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After`, when the units are there after a wait; 413 [`COST_TOO_LARGE`], when they never are.
    pub fn charge(&self, units: usize) -> Result<(), Problem> {
        let Inner { replica, metrics, .. } = &*self.limiter.0;
        let Some(units) = NonZeroU32::new(u32::try_from(units).unwrap_or(u32::MAX)) else {
            return Ok(());
        };
        let largest = self.limiter.0.largest_cost;
        if units.get() > largest {
            metrics.refused(COST, units.get());
            return Err(Problem::new(COST_TOO_LARGE).with_detail(format!(
                "It asks for {units} at once, and at most {largest} are ever granted at once. Send less in one request."
            )));
        }
        self.caller.take(units).map_err(|wait| {
            metrics.refused(CALLER, units.get());
            too_many(
                wait,
                format!(
                    "This caller's share is {} a second, and it is used up.",
                    self.caller.policy().per_second
                ),
            )
        })?;
        replica.take(units).map_err(|wait| {
            // Others used it up: this caller shall not pay for that.
            self.caller.give_back(units);
            metrics.refused(REPLICA, units.get());
            too_many(
                wait,
                format!(
                    "All callers together used up the {} a second that this replica takes.",
                    replica.policy().per_second
                ),
            )
        })
    }

    fn describe(&self, response: &mut Response) {
        let Inner { replica, granted, .. } = &*self.limiter.0;
        let granted = if self.anonymous {
            &granted.anonymous
        } else {
            &granted.caller
        };
        fields::put(response.headers_mut(), granted.clone(), [&self.caller, replica]);
    }
}

fn too_many(Wait(wait): Wait, detail: String) -> Problem {
    Problem::new(ProblemKind::TOO_MANY_REQUESTS)
        .with_detail(detail)
        .with_retry_after(wait)
}

/// Limits every route that `router` has by now: call it after the last one. Unknown paths are not limited.
///
/// Each request must carry its [`Caller`] in its extensions, put there by a layer that is added *after* this one; a
/// request without one is answered with 500, since that is a mistake in how the service is put together.
pub fn limit<S>(router: Router<S>, limiter: RateLimiter) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.route_layer(Limit(limiter))
}

#[derive(Debug, thiserror::Error)]
#[error("no layer outside of the rate limit tells the caller")]
struct CallerUnknown;

#[derive(Clone)]
struct Limit(RateLimiter);

/// A limited route. Copies share it.
#[derive(Clone)]
struct Limited {
    limiter: RateLimiter,
    inside: Arc<Route>,
}

impl Layer<Route> for Limit {
    type Service = Limited;

    fn layer(&self, inside: Route) -> Limited {
        Limited {
            limiter: self.0.clone(),
            inside: Arc::new(inside),
        }
    }
}

impl Service<Request> for Limited {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, Described>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(caller) = request.extensions().get::<Caller>() else {
            let mistake = Problem::internal(CallerUnknown).into_response();
            return Either::Left(future::ready(Ok(mistake)));
        };
        let allowance = self.limiter.allowance(caller);
        match allowance.charge(1) {
            Ok(()) => {
                request.extensions_mut().insert(allowance.clone());
                let inside = Route::clone(&self.inside).call(request);
                Either::Right(Described { inside, allowance })
            }
            Err(problem) => {
                let mut refusal = problem.into_response();
                allowance.describe(&mut refusal);
                Either::Left(future::ready(Ok(refusal)))
            }
        }
    }
}

pin_project! {
    /// An answer that tells what is left.
    struct Described {
        #[pin]
        inside: RouteFuture<Infallible>,
        allowance: Allowance,
    }
}

impl Future for Described {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.inside.poll(context));
        if let Ok(response) = &mut answer {
            // After the handler, which may have charged more.
            this.allowance.describe(response);
        }
        Poll::Ready(answer)
    }
}
