//! A schema per test.

use audit_store::compatibility::ModelIdentity;
use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, Reader, SchemaName, WriteStore};
use chrono::{DateTime, TimeZone, Utc};
use embedding::{Embedder, EmbedderOptions, Hashed, Model};

use crate::run::{READER_PASSWORD, READER_ROLE, run};

/// Dimension of the vectors in tests: small, since their meaning is not what is tested.
const DIMENSION: usize = 64;

/// A migrated schema of its own on the shared server. Dropping it drops the schema.
pub struct Database {
    /// Address of a server of the test's own; `None` for the shared one.
    server: Option<String>,
    schema: SchemaName,
    model: ModelIdentity,
}

impl Database {
    /// A schema for vectors of the deterministic test model.
    pub async fn new(service: &str) -> Self {
        Self::with_model(service, Self::test_model()).await
    }

    /// A schema for vectors of another model.
    pub async fn with_model(service: &str, model: ModelIdentity) -> Self {
        let database = Self::unmigrated(service, model);
        database.migrate().await;
        database
    }

    /// A schema for vectors of the deterministic test model on a server of the test's own, with which it goes.
    pub async fn on_server(url: String, service: &str) -> Self {
        let mut database = Self::unmigrated(service, Self::test_model());
        database.server = Some(url);
        database.migrate().await;
        database
    }

    fn test_model() -> ModelIdentity {
        let info = Hashed::new(DIMENSION).info().clone();
        ModelIdentity {
            name: info.name,
            version: info.version,
            dimension: info.dimension,
        }
    }

    /// A schema that does not exist yet.
    pub fn unmigrated(service: &str, model: ModelIdentity) -> Self {
        let schema = SchemaName::new(run().schema_name(service)).expect("a plain schema name");
        Self {
            server: None,
            schema,
            model,
        }
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) {
        migrate(&self.writer_options(), &self.migrate_options(), Self::now())
            .await
            .expect("a migrated schema");
    }

    /// The time tests begin at.
    #[must_use]
    pub fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0)
            .single()
            .expect("a valid time")
    }

    /// How this schema is migrated.
    #[must_use]
    pub fn migrate_options(&self) -> MigrateOptions {
        MigrateOptions {
            model: self.model.clone(),
            reader: ReaderRole {
                name: READER_ROLE.to_owned(),
                password: Some(READER_PASSWORD.to_owned()),
            },
            partitions: PartitionWindow {
                months_back: 1,
                months_ahead: 1,
            },
        }
    }

    /// The data schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// The model of the vectors.
    #[must_use]
    pub fn model(&self) -> &ModelIdentity {
        &self.model
    }

    /// An embedder of the deterministic test model.
    #[must_use]
    pub fn embedder() -> Embedder {
        Embedder::start(Hashed::new(DIMENSION), EmbedderOptions::default()).expect("a thread")
    }

    /// URL of the schema's owner.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.clone().unwrap_or_else(|| run().url().to_owned())
    }

    /// URL of the role that may only read the context schema.
    #[must_use]
    pub fn reader_url(&self) -> String {
        let url = self.url();
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        format!("{scheme}://{READER_ROLE}:{READER_PASSWORD}@{address}")
    }

    /// Gathers the planner's statistics of this schema, and of no other test's, however long that takes.
    pub async fn analyze(&self) {
        const TABLES: &str = "SELECT string_agg(quote_ident(relname), ', ') FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";
        let store = self.store().await;
        let mut connection = store.pool().acquire().await.expect("a connection");
        let tables: String = sqlx::query_scalar(TABLES)
            .fetch_one(&mut *connection)
            .await
            .expect("tables");
        sqlx::query("SET statement_timeout = 0")
            .execute(&mut *connection)
            .await
            .expect("no timeout");
        sqlx::query(sqlx::AssertSqlSafe(format!("ANALYZE {tables}")))
            .execute(&mut *connection)
            .await
            .expect("statistics");
        drop(connection);
        store.close().await;
    }

    /// How the owner connects.
    #[must_use]
    pub fn writer_options(&self) -> ConnectOptions {
        ConnectOptions {
            max_connections: 5,
            ..ConnectOptions::new(self.url(), self.schema.clone(), "data-storage-test")
        }
    }

    /// How the reader connects.
    #[must_use]
    pub fn reader_options(&self) -> ConnectOptions {
        ConnectOptions {
            max_connections: 3,
            ..ConnectOptions::new(self.reader_url(), self.schema.clone(), "context-api-test")
        }
    }

    /// The database as Data Storage sees it.
    pub async fn store(&self) -> WriteStore {
        WriteStore::connect(&self.writer_options())
            .await
            .expect("a connection as the owner")
    }

    /// The database as Context API sees it.
    pub async fn reader(&self) -> Reader {
        Reader::connect(&self.reader_options())
            .await
            .expect("a connection as the reader")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.server.is_none() {
            run().drop_schema(self.schema.data().to_owned());
        }
    }
}
