//! One port: binding it, accepting connections, serving each.

use std::{fmt, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{ServerConfig, port::Switch};
use crate::shutdown::Shutdown;

/// Connections open at once on the metrics address: a few scrapers and probes.
const METRICS_CONNECTIONS: usize = 64;

/// Bytes of the largest request head; above, 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Connections that may wait to be accepted, in the kernel's queue; it cuts this down to its own `net.core.somaxconn`,
/// which is 4,096 by default since Linux 5.4.
///
/// Of a burst of connections beyond the queue, Linux drops the beginning of some, whose clients begin anew after a second
/// or more, and resets others after their request was sent. The default of the standard library is 128.
const QUEUED_CONNECTIONS: u32 = 4_096;

/// How long accepting rests after it failed for want of something, usually file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// One of a server's two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerName {
    /// The API's.
    Api,
    /// The one of metrics and probes.
    Metrics,
}

impl ListenerName {
    /// The key of the configuration that sets its address.
    pub fn option(self) -> &'static str {
        match self {
            Self::Api => "server.api_address",
            Self::Metrics => "server.metrics_address",
        }
    }
}

impl fmt::Display for ListenerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api => "API",
            Self::Metrics => "metrics",
        })
    }
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The API address can be reached from other machines, and callers are not authenticated.
    #[error(
        "refusing to serve the API on {address}: other machines could reach it, and callers are not authenticated; \
         set `server.api_address` to a loopback address such as 127.0.0.1:{}, or `auth.mode` to \"kubernetes\"",
        address.port()
    )]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The operating system refuses the address.
    #[error("cannot listen for the {listener} on {address}: {source}; `{}` changes the address", listener.option())]
    Bind {
        /// Which listener.
        listener: ListenerName,
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Binds, and tells the true address.
pub(super) fn bind(
    listener: ListenerName,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    listen(address).map_err(|source| ListenError::Bind {
        listener,
        address,
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart does not wait for the connections of the last run to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(QUEUED_CONNECTIONS)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What one listener grants its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    connections: usize,
    header_read_timeout: Duration,
}

impl Limits {
    pub(super) fn api(config: &ServerConfig) -> Self {
        let connections = config.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connections,
            header_read_timeout: config.header_read_timeout,
        }
    }

    pub(super) fn metrics(config: &ServerConfig) -> Self {
        Self {
            connections: METRICS_CONNECTIONS,
            header_read_timeout: config.header_read_timeout,
        }
    }
}

/// Accepts connections until `stop` begins, then closes the port and answers with the connections still open, each of
/// which closes itself after the answer in progress. Dropping the answer cuts them off.
pub(super) async fn run(
    listener: TcpListener,
    service: Switch,
    limits: Limits,
    stop: Shutdown,
) -> JoinSet<()> {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        // The permit comes first: a connection beyond the limit stays in the kernel's queue.
        let accepted = tokio::select! {
            biased;
            () = stop.begun() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let connection = serve(stream, service.clone(), limits, stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    connections
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // Fails only if the semaphore is closed, which nobody does.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => {
            // Answers are small: never wait for more to send.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            Some((stream, permit))
        }
        Err(error) => {
            let of_the_connection = matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
            );
            if !of_the_connection {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_REST).await;
            }
            None
        }
    }
}

async fn serve(stream: TcpStream, service: Switch, limits: Limits, stop: Shutdown) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // A client that is slow, garbled or gone: nothing that an operator could act upon.
        tracing::debug!(%error, "connection ended");
    }
}
