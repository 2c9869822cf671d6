//! Bringing a database to the schema of this version. Data Storage owns the schema; nothing else changes it.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::migrate::{MigrateError as SqlxMigrateError, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, PgConnection};

use crate::compatibility::{Incompatible, ModelIdentity, require_extension, require_server};
use crate::schema::is_plain_identifier;
use crate::{ConnectOptions, PartitionWindow, StoreError, WriteStore, compatibility, ensure_partitions};

/// The migrations, in order. One that has been released is never changed.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    // The built-in lock is one per database; ours is one per schema, so tests migrate side by side.
    migrator.set_locking(false);
    migrator
});

/// The role Context API logs in as: `SELECT` on the context schema and nothing else.
#[derive(Debug, Clone)]
pub struct ReaderRole {
    /// Name of the role; made where it does not exist.
    pub name: String,
    /// Password to set; `None` leaves it as it is.
    pub password: Option<String>,
}

/// What a migration run is to leave behind.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// The model of the vectors; fixed when the database is made.
    pub model: ModelIdentity,
    /// The reader role to grant the context schema to.
    pub reader: ReaderRole,
    /// The months that must have partitions.
    pub partitions: PartitionWindow,
}

/// Why a migration did not end well.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server or the database cannot carry the schema.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// A migration failed or does not match the one applied earlier.
    #[error("a migration failed")]
    Migration(#[from] SqlxMigrateError),
    /// The login role may not make schemas, the extension or the reader role.
    #[error(
        "the login role may not {action}: run the migration as a superuser or as the owner of the database with CREATEROLE"
    )]
    NotAllowed {
        /// What was tried.
        action: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A name that cannot be the reader role.
    #[error("reader role {0:?} is not a plain identifier")]
    InvalidRoleName(String),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Incompatible(error.into())
    }
}

impl From<StoreError> for MigrateError {
    fn from(error: StoreError) -> Self {
        Self::Incompatible(error.into())
    }
}

/// Brings the database to this version's schema, grants the reader role, and makes partitions around `now`.
///
/// It may run any number of times and at the same time as others: an advisory lock serialises the runs.
///
/// # Errors
/// [`MigrateError`]; nothing is half applied, each migration being a transaction.
pub async fn migrate(
    connect: &ConnectOptions,
    options: &MigrateOptions,
    now: DateTime<Utc>,
) -> Result<(), MigrateError> {
    let role = plain_identifier(&options.reader.name)?;
    let mut connection = connect.writer()?.connect().await?;
    // Migrations build indexes and wait for each other; the statement timeout of requests is not for them.
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut connection)
        .await?;
    require_server(&mut connection).await?;
    prepare_database(&mut connection).await?;
    require_extension(&mut connection).await?;
    let schema = &connect.schema;
    // Held by the connection, so it goes when the connection goes, whatever happens.
    sqlx::query!(
        "SELECT pg_advisory_lock(hashtextextended('kubernaut migrate ' || $1, 0))",
        schema.data()
    )
    .execute(&mut connection)
    .await?;
    for name in [schema.data().to_owned(), schema.context()] {
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {name}")))
            .execute(&mut connection)
            .await
            .map_err(not_allowed("make schemas"))?;
    }
    for (key, value) in [
        ("kubernaut.embedding_model", options.model.name.clone()),
        ("kubernaut.embedding_model_version", options.model.version.clone()),
        (
            "kubernaut.embedding_dimension",
            options.model.dimension.to_string(),
        ),
    ] {
        sqlx::query!("SELECT set_config($1, $2, false)", key, value)
            .fetch_one(&mut connection)
            .await?;
    }
    MIGRATOR.run(&mut connection).await?;
    let (contract_version, database) = compatibility::properties(&mut connection).await?;
    compatibility::require_properties(contract_version, database, &options.model)?;
    grant_reader(
        &mut connection,
        role,
        options.reader.password.as_deref(),
        &schema.context(),
    )
    .await?;
    connection.close().await?;

    let store = WriteStore::connect(&ConnectOptions {
        max_connections: 1,
        ..connect.clone()
    })
    .await?;
    ensure_partitions(&store, now, options.partitions).await?;
    store.close().await;
    Ok(())
}

/// The extension, which belongs to the database and not to a schema.
async fn prepare_database(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let enabled = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector') AS "enabled!""#
    )
    .fetch_one(&mut *connection)
    .await?;
    if enabled {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('kubernaut database', 0))")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        .execute(&mut *transaction)
        .await
        .map_err(not_allowed("enable the extension vector"))?;
    transaction.commit().await?;
    Ok(())
}

/// Makes the reader role where it is missing, and grants it the views.
async fn grant_reader(
    connection: &mut PgConnection,
    role: &str,
    password: Option<&str>,
    context_schema: &str,
) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    // Roles belong to the server, so concurrent runs for other schemas meet here.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('kubernaut database', 0))")
        .execute(&mut *transaction)
        .await?;
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1) AS "exists!""#,
        role
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !exists {
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION; \
             ALTER ROLE {role} SET default_transaction_read_only = on"
        )))
        .execute(&mut *transaction)
        .await
        .map_err(not_allowed("make the reader role"))?;
    }
    if let Some(password) = password {
        let quoted = sqlx::query_scalar!(r#"SELECT quote_literal($1) AS "literal!""#, password)
            .fetch_one(&mut *transaction)
            .await?;
        sqlx::query(AssertSqlSafe(format!("ALTER ROLE {role} PASSWORD {quoted}")))
            .execute(&mut *transaction)
            .await
            .map_err(not_allowed("set the reader role's password"))?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!(
        "GRANT USAGE ON SCHEMA {context_schema} TO {role}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA {context_schema} TO {role}"
    )))
    .execute(&mut *transaction)
    .await
    .map_err(not_allowed("grant the context schema"))?;
    transaction.commit().await?;
    Ok(())
}

/// Longest name of a role, in bytes (PostgreSQL's NAMEDATALEN less one).
const MAX_ROLE_NAME_BYTES: usize = 63;

fn plain_identifier(name: &str) -> Result<&str, MigrateError> {
    if is_plain_identifier(name, MAX_ROLE_NAME_BYTES) {
        Ok(name)
    } else {
        Err(MigrateError::InvalidRoleName(name.to_owned()))
    }
}

/// Tells a missing privilege (42501) from everything else.
fn not_allowed(action: &'static str) -> impl FnOnce(sqlx::Error) -> MigrateError {
    move |source| match source
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .as_deref()
    {
        Some("42501") => MigrateError::NotAllowed { action, source },
        _ => source.into(),
    }
}
