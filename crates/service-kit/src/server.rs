//! Two listeners, served until shutdown.
//!
//! The API listener carries the service and its probes; the metrics listener carries `/metrics` and the probes, apart
//! from the API's connection limit and the last to close, so that the end of a process can be watched.

mod config;
mod listener;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

pub use self::{
    config::ServerConfig,
    listener::{ListenError, ListenerName},
};
use crate::{auth::Authenticator, problem::Problem, shutdown::Shutdown};

/// Both ports taken, nothing served yet but probes.
#[derive(Debug)]
pub struct Server {
    api: Arc<TcpListener>,
    metrics: Arc<TcpListener>,
    early: Early,
    api_address: SocketAddr,
    metrics_address: SocketAddr,
    config: ServerConfig,
}

/// The probes served before the service is. Dropped, they end.
#[derive(Debug, Default)]
struct Early {
    stop: Shutdown,
    listeners: JoinSet<JoinSet<()>>,
}

impl Early {
    /// Stops accepting; gives the connections that are still open, each closing itself after the answer in progress.
    async fn hand_over(mut self) -> Vec<JoinSet<()>> {
        self.stop.begin();
        let mut connections = Vec::new();
        while let Some(ended) = self.listeners.join_next().await {
            connections.extend(ended);
        }
        connections
    }
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
    pub async fn bind(config: ServerConfig, authenticator: &Authenticator) -> Result<Self, ListenError> {
        if !authenticator.is_enabled() && !config.api_address.ip().to_canonical().is_loopback() {
            return Err(ListenError::NotLoopback {
                address: config.api_address,
            });
        }
        let (api, api_address) = listener::bind(ListenerName::Api, config.api_address).await?;
        let (metrics, metrics_address) =
            listener::bind(ListenerName::Metrics, config.metrics_address).await?;
        Ok(Self {
            api: Arc::new(api),
            metrics: Arc::new(metrics),
            early: Early::default(),
            api_address,
            metrics_address,
            config,
        })
    }

    /// Address of the API listener, with its true port.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// Address of the metrics listener, with its true port.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Serves `probes` on both ports from now on, until [`serve`](Self::serve) takes over: a service that waits for its
    /// database can be watched while it waits. Any other path is answered with 503 and `Retry-After`. Between the two
    /// no connection is refused; those open at that moment close after the answer in progress.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve_probes(&mut self, probes: &Router) {
        let router = probes.clone().fallback(starting);
        let listeners = [
            (&self.api, listener::Limits::api(&self.config)),
            (&self.metrics, listener::Limits::metrics(&self.config)),
        ];
        for (listener, limits) in listeners {
            let run = listener::run(
                Arc::clone(listener),
                router.clone(),
                limits,
                self.early.stop.clone(),
            );
            self.early.listeners.spawn(run);
        }
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
        let config = self.config;
        // Held to the end, which cuts off what is left of them.
        let _closing = self.early.hand_over().await;
        let metrics_stop = Shutdown::new();
        let mut metrics_task = JoinSet::new();
        let limits = listener::Limits::metrics(&config);
        metrics_task.spawn(listener::run(self.metrics, metrics, limits, metrics_stop.clone()));

        let stop_accepting = Shutdown::new();
        let mut api_task = JoinSet::new();
        let limits = listener::Limits::api(&config);
        api_task.spawn(listener::run(self.api, api, limits, stop_accepting.clone()));
        tracing::info!(api = %self.api_address, metrics = %self.metrics_address, "serving");

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

        stop_accepting.begin();
        let mut connections = match api_task.join_next().await {
            Some(Ok(connections)) => connections,
            _listener_panicked => JoinSet::new(),
        };
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
        metrics_stop.begin();
        metrics_task.shutdown().await;
        tracing::info!(?ended, "served");
        ended
    }
}

async fn starting() -> Problem {
    Problem::unavailable("The service is starting.", STARTING_RETRY_AFTER)
}
