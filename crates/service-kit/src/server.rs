//! Two listeners, served until shutdown.
//!
//! The API listener carries the service and its probes; the metrics listener carries `/metrics` and the probes, apart
//! from the API's connection limit and the last to close, so that the end of a process can be watched.

mod config;
mod listener;

use std::net::SocketAddr;

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
use crate::{auth::Authenticator, shutdown::Shutdown};

/// Both ports taken, nothing served yet.
#[derive(Debug)]
pub struct Server {
    api: TcpListener,
    metrics: TcpListener,
    api_address: SocketAddr,
    metrics_address: SocketAddr,
    config: ServerConfig,
}

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
            api,
            metrics,
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
