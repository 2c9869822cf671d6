//! Two listeners, served until shutdown.
//!
//! The API listener carries the service and its probes; the metrics listener carries `/metrics` and the probes, apart
//! from the API's connection limit and the last to close, so that the end of a process can be watched.

mod config;
mod listener;
mod port;

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use tokio::time::{sleep, timeout};

use self::port::Port;
pub use self::{
    config::ServerConfig,
    listener::{ListenError, ListenerName},
};
use crate::{auth::Authenticator, problem::Problem, shutdown::Shutdown};

/// Both ports taken, nothing served yet but probes.
#[derive(Debug)]
pub struct Server {
    api: Port,
    metrics: Port,
    config: ServerConfig,
}

/// How long a client is told to wait for a service that is starting.
const STARTING_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request that was begun was answered.
    Drained,
    /// Requests were cut off: they took longer than the drain timeout.
    TimedOut {
        /// Connections that were cut off.
        connections: usize,
    },
    /// Requests were cut off, if there were any: shutdown was forced.
    Forced,
}

impl Server {
    /// Takes both ports. Port 0 takes any free one.
    ///
    /// `authenticator` is the one that the routes are [wrapped with](crate::auth::require). If it lets everybody in, the
    /// API address must be one that other machines cannot reach.
    ///
    /// # Errors
    ///
    /// [`ListenError`], which names the address and the option that changes it.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O.
    pub fn bind(config: ServerConfig, authenticator: &Authenticator) -> Result<Self, ListenError> {
        if !authenticator.is_enabled() && !config.api_address.ip().to_canonical().is_loopback() {
            return Err(ListenError::NotLoopback {
                address: config.api_address,
            });
        }
        let (api, api_address) = listener::bind(ListenerName::Api, config.api_address)?;
        let (metrics, metrics_address) = listener::bind(ListenerName::Metrics, config.metrics_address)?;
        Ok(Self {
            api: Port::new(api, api_address, listener::Limits::api(&config)),
            metrics: Port::new(metrics, metrics_address, listener::Limits::metrics(&config)),
            config,
        })
    }

    /// Address of the API listener, with its true port.
    pub fn api_address(&self) -> SocketAddr {
        self.api.address()
    }

    /// Address of the metrics listener, with its true port.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics.address()
    }

    /// Serves `probes` on both ports from now on, until [`serve`](Self::serve) takes over: a service that waits for its
    /// database can be watched while it waits. Any other path is answered with 503 and `Retry-After`. Connections notice
    /// nothing of the change.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve_probes(&mut self, probes: &Router) {
        let router = probes.clone().fallback(starting);
        self.api.open(&router);
        self.metrics.open(&router);
    }

    /// Serves until `shutdown`, in these steps:
    ///
    /// 1. `shutdown` begins: probes answer `shutting down`, requests are still served for
    ///    [`readiness_delay`](ServerConfig::readiness_delay), in which load balancers turn away;
    /// 2. the API port is closed; idle connections are closed, others after the answer in progress;
    /// 3. at the latest after [`drain_timeout`](ServerConfig::drain_timeout), connections are cut off;
    /// 4. the metrics port is closed, and this returns.
    ///
    /// A forced shutdown skips to the end from wherever it is. The caller then flushes what answered requests left
    /// behind and closes its pools; no request is running any more.
    pub async fn serve(self, api: Router, metrics: Router, shutdown: Shutdown) -> Ended {
        self.open(api, metrics).until(shutdown).await
    }

    /// The first half of [`serve`](Self::serve): requests are answered by the service from now on. What tells that the
    /// service has started belongs after it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(mut self, api: Router, metrics: Router) -> Serving {
        self.metrics.switch_to(metrics);
        self.api.switch_to(api);
        tracing::info!(api = %self.api.address(), metrics = %self.metrics.address(), "serving");
        Serving(self)
    }
}

/// A server that serves. Dropped, it ends at once.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct Serving(Server);

impl Serving {
    /// The second half of [`serve`](Server::serve).
    pub async fn until(self, shutdown: Shutdown) -> Ended {
        let Server {
            api: api_port,
            metrics: metrics_port,
            config,
        } = self.0;
        let unready = async {
            shutdown.begun().await;
            tracing::info!(
                delay_seconds = config.readiness_delay.as_secs_f64(),
                "no longer ready"
            );
            sleep(config.readiness_delay).await;
        };
        tokio::select! {
            () = shutdown.forced() => {}
            () = unready => {}
        }

        let mut connections = api_port.close().await;
        tracing::info!(connections = connections.len(), "stopped accepting, draining");
        let drained = async { while connections.join_next().await.is_some() {} };
        let drained = tokio::select! {
            biased;
            () = shutdown.forced() => None,
            drained = timeout(config.drain_timeout, drained) => Some(drained.is_ok()),
        };
        let ended = match drained {
            None => Ended::Forced,
            Some(true) => Ended::Drained,
            Some(false) => Ended::TimedOut {
                connections: connections.len(),
            },
        };
        // Waits until the last of them is really gone: the caller relies on it.
        connections.shutdown().await;
        metrics_port.close().await.shutdown().await;
        tracing::info!(?ended, "served");
        ended
    }
}

async fn starting() -> Problem {
    Problem::unavailable("The service is starting.", STARTING_RETRY_AFTER)
}
