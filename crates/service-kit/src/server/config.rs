//! Where and within which limits a service listens.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

/// The section `[server]` of a service's configuration.
///
/// All keys are required: their defaults stand in the service's default TOML and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address of the API, such as `127.0.0.1:8080`; port 0 takes any free one.
    pub api_address: SocketAddr,
    /// Address of metrics and probes.
    pub metrics_address: SocketAddr,
    /// Connections open at once on the API address; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long a connection may take to send a request's head. Also closes connections that are idle for as long.
    #[serde(with = "crate::config::duration")]
    pub header_read_timeout: Duration,
    /// How long requests are still accepted after readiness is withdrawn, so that load balancers notice.
    #[serde(with = "crate::config::duration")]
    pub readiness_delay: Duration,
    /// How long requests may go on after the port is closed.
    #[serde(with = "crate::config::duration")]
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// Any free ports of the loopback interface, and no readiness delay: for tests and laptops.
    pub fn ephemeral() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            api_address: any_port,
            metrics_address: any_port,
            max_connections: 1_024,
            header_read_timeout: Duration::from_secs(30),
            readiness_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
