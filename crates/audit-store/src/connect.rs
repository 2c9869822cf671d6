//! Connections: one kind for the writer, one for the reader.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use crate::{SchemaName, StoreError};

/// Statements that a connection of the reader keeps prepared, more than it has.
const READER_STATEMENTS: usize = 256;

/// Where the database is and how many connections to it to hold.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// The data schema.
    pub schema: SchemaName,
    /// Upper bound of connections.
    pub max_connections: u32,
    /// How long a caller waits for a connection, the making of a new one included.
    pub acquire_timeout: Duration,
    /// How long a statement may run before PostgreSQL cancels it.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

impl ConnectOptions {
    /// Options with the defaults of the services: 10 connections, 5 s to get one, 10 s for a statement.
    #[must_use]
    pub fn new(url: impl Into<String>, schema: SchemaName, application_name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            application_name: application_name.into(),
        }
    }

    fn parse(&self) -> Result<PgConnectOptions, StoreError> {
        Ok(PgConnectOptions::from_str(&self.url)
            .map_err(StoreError::Driver)?
            .application_name(&self.application_name))
    }

    fn pool(&self) -> PgPoolOptions {
        // Half of the time for a connection, so that there is time to make another.
        let limit = self.acquire_timeout / 2;
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            // A connection that died silently must not be handed out, nor keep its place in the pool when what used
            // it gave up. The pool's own test has no time limit: it waits for an answer that never comes.
            .test_before_acquire(false)
            .before_acquire(move |connection, _| Box::pin(answers(connection, limit)))
            .after_release(move |connection, _| Box::pin(answers(connection, limit)))
    }

    /// How long a transaction may take as a whole. It has several statements; the server cuts a long one off first,
    /// if it still answers.
    pub(crate) fn transaction_timeout(&self) -> Duration {
        self.statement_timeout * 2
    }

    /// What holds for the sessions of both kinds.
    fn session(&self) -> [(&'static str, String); 4] {
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        [
            ("statement_timeout", milliseconds(self.statement_timeout)),
            // A client that died silently in the middle of a transaction must not hold its locks until TCP notices,
            // which takes hours: the same records, sent again, wait for them.
            (
                "idle_in_transaction_session_timeout",
                milliseconds(self.transaction_timeout()),
            ),
            ("timezone", "UTC".to_owned()),
            // Batches are short statements with high cost estimates: compiling them costs more than running them.
            ("jit", "off".to_owned()),
        ]
    }

    pub(crate) fn writer(&self) -> Result<PgConnectOptions, StoreError> {
        Ok(self.parse()?.options(self.session()).options([
            ("search_path", self.schema.writer_search_path()),
            // What is acknowledged is durable, whatever the server's default is.
            ("synchronous_commit", "on".to_owned()),
        ]))
    }

    /// Like [`Self::writer`], but searching the table of a re-embedding first.
    fn next_writer(&self) -> Result<PgConnectOptions, StoreError> {
        // The later of two settings holds.
        Ok(self
            .writer()?
            .options([("search_path", self.schema.reembed_search_path())]))
    }

    fn reader(&self) -> Result<PgConnectOptions, StoreError> {
        // Room for every statement of a reader: one that is put out takes its kept plan along.
        let connect = self.parse()?.statement_cache_capacity(READER_STATEMENTS);
        Ok(connect.options(self.session()).options([
            ("search_path", self.schema.reader_search_path()),
            ("default_transaction_read_only", "on".to_owned()),
            // Optional filters are written `$1 IS NULL OR column = $1`: only a plan made for the values at hand
            // drops the unused ones and finds the index and the partitions of the used ones.
            ("plan_cache_mode", "force_custom_plan".to_owned()),
        ]))
    }

    pub(crate) async fn connect_reader(&self) -> Result<PgPool, StoreError> {
        Ok(self.pool().connect_with(self.reader()?).await?)
    }
}

/// The database as Data Storage sees it: everything in the data schema may be written.
#[derive(Debug, Clone)]
pub struct WriteStore {
    pool: PgPool,
    schema: SchemaName,
    batch_timeout: Duration,
}

impl WriteStore {
    /// Connects as the owner of the data schema.
    ///
    /// # Errors
    /// [`StoreError`] where the URL is malformed or the database cannot be reached in `acquire_timeout`.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, StoreError> {
        Self::connect_with(options, options.writer()?).await
    }

    /// Connects to the texts of a re-embedding. Where none is under way, they are those in use.
    pub(crate) async fn connect_to_next(options: &ConnectOptions) -> Result<Self, StoreError> {
        Self::connect_with(options, options.next_writer()?).await
    }

    async fn connect_with(options: &ConnectOptions, connect: PgConnectOptions) -> Result<Self, StoreError> {
        let pool = options.pool().connect_with(connect).await?;
        Ok(Self {
            pool,
            schema: options.schema.clone(),
            batch_timeout: options.transaction_timeout(),
        })
    }

    /// The connections, for the modules of this crate and for tests.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The data schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// How long a batch may take on a connection that may have died silently.
    pub(crate) fn batch_timeout(&self) -> Duration {
        self.batch_timeout
    }

    /// Bounds what is asked of the database outside of a batch by the time that a batch may take: on a connection
    /// that died silently nothing else ends the wait.
    ///
    /// # Errors
    /// Those of `asked`; [`StoreError::Unavailable`] where it takes too long. Then it may or may not have happened.
    pub async fn bounded<T, E: From<StoreError>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match tokio::time::timeout(self.batch_timeout, asked).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::timed_out().into()),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("SELECT 1 AS one").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether the other end of a connection still answers. What it has not answered yet counts too: a query that was
/// given up may run on.
async fn answers(connection: &mut PgConnection, limit: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(limit, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        // An error and not `false`, after which the pool would say goodbye and wait to be heard.
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
