//! The tier that replicas share. It may be away at any time: then nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::metrics::{CacheMetrics, Tier};

/// How long a connection may take: name, TCP, password. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two tries to connect; the pause doubles from one to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Larger values stay in memory: they would hold up what comes behind them on the one connection.
const MAX_VALUE_BYTES: usize = 1_048_576;

/// Why Redis gave no answer. The text names no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    #[error("there is no connection to Redis")]
    Disconnected,
    #[error("Redis did not answer in time")]
    Slow,
    #[error("Redis failed")]
    Failed(#[source] RedisError),
}

/// A Redis, with a connection that a task of its own keeps. Clones share it; the task ends with the last.
///
/// A request that finds no connection goes on at once. One that gets no answer in time, or a broken connection, takes
/// the connection away from all, so that a Redis that hangs costs its time limit once and not once for every request.
/// A new connection is given out only after it has answered a PING within the limit.
#[derive(Debug, Clone)]
pub(super) struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    timeout: Duration,
    connection: Mutex<Connection>,
    lost: Notify,
    metrics: CacheMetrics,
}

#[derive(Debug, Default)]
struct Connection {
    /// Which one, so that a late failure of an earlier one does not take a later one away.
    number: u64,
    current: Option<MultiplexedConnection>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Redis {
    /// Begins to connect, and does not wait for it. Must run in a Tokio runtime.
    ///
    /// # Errors
    /// If the URL is none of Redis.
    pub(super) fn open(url: &str, timeout: Duration, metrics: CacheMetrics) -> Result<Self, RedisError> {
        let shared = Arc::new(Shared {
            client: Client::open(url)?,
            timeout,
            connection: Mutex::default(),
            lost: Notify::new(),
            metrics,
        });
        let keeper = tokio::spawn(keep(Arc::clone(&shared))).abort_handle();
        Ok(Self(Arc::new(Inner { shared, keeper })))
    }

    /// The value, `None` if there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Away> {
        self.0.shared.ask(redis::cmd("GET").arg(name)).await
    }

    /// Stores a value for so long.
    pub(super) async fn put(&self, name: &str, value: Vec<u8>, lifetime: Duration) {
        let metrics = &self.0.shared.metrics;
        // Redis knows no lifetime of 0, and whole milliseconds only.
        let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if lifetime == 0 || value.len() > MAX_VALUE_BYTES {
            return;
        }
        let mut command = redis::cmd("SET");
        command.arg(name).arg(value).arg("PX").arg(lifetime);
        match self.0.shared.ask::<()>(&command).await {
            Ok(()) => metrics.redis_written(),
            Err(away) => metrics.failed(Tier::Redis, &away),
        }
    }

    /// Whether it answers.
    pub(super) async fn ping(&self) -> Result<(), Away> {
        self.0.shared.ask(&redis::cmd("PING")).await
    }
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Away> {
        let (number, connection) = {
            let connection = self.connection();
            (connection.number, connection.current.clone())
        };
        let mut connection = connection.ok_or(Away::Disconnected)?;
        match timeout(self.timeout, command.query_async(&mut connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if is_of_the_connection(&error) {
                    self.lose(number);
                }
                Err(Away::Failed(error))
            }
            Err(_elapsed) => {
                self.lose(number);
                Err(Away::Slow)
            }
        }
    }

    fn lose(&self, number: u64) {
        let mut connection = self.connection();
        if connection.number == number && connection.current.take().is_some() {
            self.lost.notify_one();
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Away> {
        // One limit, ours: see `ask`.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_elapsed| Away::Slow)?
            .map_err(Away::Failed)?;
        timeout(
            self.timeout,
            redis::cmd("PING").query_async::<()>(&mut connection),
        )
        .await
        .map_err(|_elapsed| Away::Slow)?
        .map_err(Away::Failed)?;
        Ok(connection)
    }
}

/// Whether a new connection may help. A server that was demoted is one that the name no longer leads to.
fn is_of_the_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Connects, and again whenever the connection is lost.
async fn keep(shared: Arc<Shared>) {
    let mut told = false;
    loop {
        let mut pause = FIRST_PAUSE;
        let connection = loop {
            match shared.connect().await {
                Ok(connection) => break connection,
                Err(away) => {
                    if !std::mem::replace(&mut told, true) {
                        let cause = std::error::Error::source(&away).map(ToString::to_string);
                        tracing::warn!(error = %away, cause, "Redis is away, reading goes on without it");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        };
        tracing::info!("connected to Redis");
        told = false;
        {
            let mut state = shared.connection();
            state.number += 1;
            state.current = Some(connection);
        }
        shared.metrics.redis_connected(true);
        shared.lost.notified().await;
        shared.metrics.redis_connected(false);
    }
}
