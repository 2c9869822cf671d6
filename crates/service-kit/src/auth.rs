//! Who may call: bearer token → TokenReview → SubjectAccessReview → handler.
//!
//! The API server knows who a token belongs to and what they may do; we know neither keys nor roles. A token counts
//! only if it was issued for one of our audiences, so that one meant for another service cannot be passed on to us.
//! Every doubt refuses: 401 when the token does not prove a caller, 403 when the caller may not, 503 when there is no
//! verdict.
//!
//! Verdicts that let somebody in are remembered for a few seconds, under a key from which the token cannot be
//! recovered. Refusals and failures are not remembered. However many requests come with one token, there is one review
//! of it at a time, and reviews of unknown tokens have their own bounded places: a flood of them costs those that are
//! known nothing.
//!
//! ```
//! use axum::{Router, routing::post};
//! use service_kit::auth::{Access, Authenticator, Caller, require};
//!
//! const RECORD: Access = Access { verb: "create", group: "kubernaut.ai", resource: "auditrecords" };
//!
//! async fn record(caller: Caller) -> String {
//!     format!("recorded for {}", caller.username)
//! }
//!
//! let routes: Router = Router::new().route("/records", post(record));
//! let routes = require(routes, Authenticator::disabled(), RECORD);
//! ```

mod access;
mod bearer;
mod caller;
mod config;
mod error;
mod key;
mod kubernetes;
mod lanes;
mod memory;
mod metrics;
mod refusal;
mod require;
mod reviews;

use std::{fmt, sync::Arc};

use axum::http::HeaderMap;
use futures::FutureExt;
use prometheus_client::registry::Registry;

pub use self::{
    access::Access,
    caller::Caller,
    config::{AuthConfig, AuthMode},
    error::AuthError,
    key::VerdictKeys,
    require::require,
};
use self::{bearer::Token, kubernetes::Kubernetes, reviews::Reviews};
use crate::problem::Problem;

/// Tells who sends a request. Clones share what they remember.
#[derive(Clone)]
pub struct Authenticator(Option<Arc<Reviews>>);

impl Authenticator {
    /// Lets everybody do everything as [`Caller::anonymous`]. With it, a
    /// [`Server`](crate::server::Server::bind) listens on loopback only.
    pub fn disabled() -> Self {
        Self(None)
    }

    /// As configured. Reads the credentials for the API server, but does not ask it anything: a service starts, and is
    /// ready, while the API server is away.
    ///
    /// # Errors
    ///
    /// [`AuthError`], saying what to do.
    pub async fn from_config(config: &AuthConfig, keys: VerdictKeys) -> Result<Self, AuthError> {
        match config.mode {
            AuthMode::Disabled => Ok(Self::disabled()),
            AuthMode::Kubernetes => {
                let kubernetes = Kubernetes::from_config(config).await?;
                let ask = move |token, access| kubernetes.clone().ask(token, access).boxed();
                Ok(Self(Some(Reviews::new(config, keys, Box::new(ask)))))
            }
        }
    }

    /// Whether callers are identified at all.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Puts the metrics of reviews into a registry, if there are reviews:
    ///
    /// - `auth_reviews_total{result}`: `authenticated`, `refused`, `forbidden`, `error`, and `turned-away` when the
    ///   queue was full;
    /// - `auth_cache_lookups_total{result}`: `hit`, `miss`, and `joined` for who waits for another's review;
    /// - `auth_reviews_in_flight`, `auth_reviews_waiting`, `auth_review_duration_seconds`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        if let Some(reviews) = &self.0 {
            reviews.metrics.register(registry);
        }
    }

    /// Who sends the request with these headers, if they may do this.
    ///
    /// # Errors
    ///
    /// 401 without a token that proves the caller, 403 if the caller may not, 503 if that cannot be found out within
    /// the timeout of a review.
    pub async fn authenticate(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Problem> {
        let Some(reviews) = &self.0 else {
            return Ok(Caller::anonymous());
        };
        let verdict = match Token::of(headers) {
            Ok(token) => reviews.verdict(token, access).await,
            Err(refusal) => Err(refusal),
        };
        verdict.map_err(|refusal| refusal.problem(access))
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_enabled() {
            "Authenticator(kubernetes)"
        } else {
            "Authenticator(disabled)"
        })
    }
}
