//! Moving a database to another embedding model while both services go on with the old one.
//!
//! The vectors of the new model grow in a table of the same name, `incident_embeddings`, in a schema of their own, the
//! data schema's name plus `_reembed`. Beside it stands a `store_properties` that names the target, so every statement
//! of [`pending`](crate::pending), which names no schema, works there as it is: claims, leases, vectors and failures of
//! a re-embedding are those of late texts. At the end the finished table takes the place of the old one in one short
//! transaction. Text ids stay, so no record changes.
//!
//! Here is what stands around that: [`Reembedding::begin`], copying texts ([`Reembedding::copy_texts`]), the vector
//! index ([`Reembedding::build_indexes`]), the switch ([`Reembedding::switch`]), [`status`] and [`abort`]. Statements
//! that touch both schemas have to name them; the names are plain identifiers.

mod blueprint;
mod status;
mod switch;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, PgConnection};

use crate::compatibility::{Incompatible, ModelIdentity, model_in, require_database};
use crate::{ConnectOptions, SchemaName, StoreError, WriteStore};

pub use status::{Status, UnderWay, status};
pub use switch::Switched;

/// Texts copied by one statement.
const COPIED_AT_ONCE: i64 = 2_000;

/// Why a re-embedding does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReembedError {
    /// The database cannot be served by this version at all.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// There is nothing to do.
    #[error("the database holds vectors of {0} already")]
    AlreadyThere(ModelIdentity),
    /// The dimension cannot be indexed.
    #[error("the model {0} cannot be used: pgvector's index takes vectors of 1 to 2000 dimensions")]
    Dimension(ModelIdentity),
    /// Another target was begun with.
    #[error(
        "a re-embedding to {under_way} is under way, not to {wanted}: finish that one, or end it with `kubernaut reembed --abort`"
    )]
    OtherTarget {
        /// The target of the one under way.
        under_way: ModelIdentity,
        /// The target asked for.
        wanted: ModelIdentity,
    },
    /// A schema that is not ours has the name of the one that is needed.
    #[error("the schema {0} exists and was not made by a re-embedding: it is left alone, and needed")]
    NotOurs(String),
    /// The re-embedding was ended by somebody else.
    #[error("the re-embedding was aborted")]
    Aborted,
    /// A migration changed the table of texts meanwhile.
    #[error(
        "the table of texts has changed since the re-embedding began: end it with `kubernaut reembed --abort` and begin again"
    )]
    SchemaChanged,
    /// The switch was asked for too early, or a migration added an index meanwhile.
    #[error("an index of the table of texts is not built yet: run the command again")]
    IndexesMissing,
    /// Something depends on the table of texts that cannot be made again.
    #[error("{0} depends on the table of texts and is no plain view: drop it, and make it again afterwards")]
    Dependent(String),
    /// The switch did not get its locks.
    #[error(
        "the tables were busy in each of {tries} tries to switch: nothing is lost; run the command again when there is less traffic"
    )]
    Busy {
        /// How often it was tried.
        tries: u32,
    },
    /// The login role may not make or drop schemas.
    #[error("the login role may not {action}: run the command as the role that runs `kubernaut migrate`")]
    NotAllowed {
        /// What was tried.
        action: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReembedError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Where a re-embedding stands, as seen by one that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is something to do.
    UnderWay,
    /// The database holds vectors of the target.
    Switched,
    /// Somebody aborted it.
    Aborted,
}

/// The names of the two schemas that statements of a re-embedding touch.
#[derive(Debug, Clone)]
pub(crate) struct Schemas {
    /// The data schema.
    pub(crate) live: String,
    /// The schema of the vectors to come.
    pub(crate) next: String,
}

impl Schemas {
    fn of(schema: &SchemaName) -> Self {
        Self {
            live: schema.data().to_owned(),
            next: schema.reembed(),
        }
    }

    /// What marks the schema as made by us.
    fn mark(&self) -> String {
        format!("kubernaut: vectors to come of schema {}", self.live)
    }
}

/// A re-embedding under way. Any number of processes may take part in one.
#[derive(Debug)]
pub struct Reembedding {
    connect: ConnectOptions,
    schemas: Schemas,
    target: ModelIdentity,
    store: WriteStore,
}

impl Reembedding {
    /// Begins a re-embedding, or takes part in the one to this target that is under way.
    ///
    /// # Errors
    /// [`ReembedError`]; nothing is changed then.
    pub async fn begin(connect: &ConnectOptions, target: &ModelIdentity) -> Result<Self, ReembedError> {
        if !(1..=2_000).contains(&target.dimension) {
            return Err(ReembedError::Dimension(target.clone()));
        }
        let schemas = Schemas::of(&connect.schema);
        let mut connection = chore_connection(connect).await?;
        require_database(&mut connection, &connect.schema).await?;
        let mut transaction = connection.begin().await?;
        lock(&mut transaction, "migrate", &schemas.live).await?;
        if model_in(&mut transaction, &schemas.live).await? == *target {
            return Err(ReembedError::AlreadyThere(target.clone()));
        }
        if exists(&mut transaction, &schemas).await? {
            let under_way = model_in(&mut transaction, &schemas.next).await?;
            if under_way != *target {
                return Err(ReembedError::OtherTarget {
                    under_way,
                    wanted: target.clone(),
                });
            }
            blueprint::require_same_shape(&mut transaction, &schemas).await?;
        } else {
            blueprint::build(&mut transaction, &schemas, target).await?;
        }
        transaction.commit().await?;
        connection.close().await?;
        Ok(Self {
            store: WriteStore::connect_to_next(connect).await?,
            connect: connect.clone(),
            schemas,
            target: target.clone(),
        })
    }

    /// The texts of the re-embedding, for [`pending`](crate::pending) with [`Self::target`] as the model.
    #[must_use]
    pub fn store(&self) -> &WriteStore {
        &self.store
    }

    /// The model the database is to move to.
    #[must_use]
    pub fn target(&self) -> &ModelIdentity {
        &self.target
    }

    /// Where it stands: others may have switched or aborted.
    ///
    /// # Errors
    /// [`ReembedError`] where the database cannot be reached.
    pub async fn state(&self) -> Result<State, ReembedError> {
        let mut connection = self.store.pool().acquire().await?;
        if model_in(&mut connection, &self.schemas.live).await? == self.target {
            return Ok(State::Switched);
        }
        Ok(if exists(&mut connection, &self.schemas).await? {
            State::UnderWay
        } else {
            State::Aborted
        })
    }

    /// Copies the texts that are not there yet, each waiting for its vector, and drops those that were deleted.
    /// Gives how many were copied.
    ///
    /// # Errors
    /// [`ReembedError`]; what was copied stays.
    pub async fn copy_texts(&self) -> Result<u64, ReembedError> {
        let mut connection = chore_connection(&self.connect).await?;
        let (mut copied, mut after) = (0, Some(0));
        while let Some(id) = after {
            let mut transaction = connection.begin().await?;
            lock(&mut transaction, "reembed copy", &self.schemas.live).await?;
            if !exists(&mut transaction, &self.schemas).await? {
                return Err(ReembedError::Aborted);
            }
            let batch = blueprint::copy(&mut transaction, &self.schemas, id, COPIED_AT_ONCE).await?;
            transaction.commit().await?;
            copied += batch.rows;
            after = batch.last;
        }
        let mut transaction = connection.begin().await?;
        lock(&mut transaction, "reembed copy", &self.schemas.live).await?;
        if exists(&mut transaction, &self.schemas).await? {
            blueprint::drop_vanished(&mut transaction, &self.schemas).await?;
        }
        transaction.commit().await?;
        connection.close().await?;
        Ok(copied)
    }

    /// Builds the indexes that are still missing, the one over the vectors above all, and measures the new table for
    /// the planner. It takes minutes for millions of texts, and nobody but other processes of this re-embedding waits.
    ///
    /// # Errors
    /// [`ReembedError`]; an index that was finished stays.
    pub async fn build_indexes(&self) -> Result<(), ReembedError> {
        let mut connection = chore_connection(&self.connect).await?;
        sqlx::query("SELECT pg_advisory_lock(hashtextextended('kubernaut reembed indexes ' || $1, 0))")
            .bind(&self.schemas.live)
            .execute(&mut connection)
            .await?;
        if !exists(&mut connection, &self.schemas).await? {
            // Another process was here before and has switched, or it was aborted: the state tells.
            return Ok(());
        }
        blueprint::build_indexes(&mut connection, &self.schemas, true).await?;
        sqlx::query(AssertSqlSafe(format!(
            "VACUUM (ANALYZE) {}.incident_embeddings",
            self.schemas.next
        )))
        .execute(&mut connection)
        .await?;
        connection.close().await?;
        Ok(())
    }

    /// Puts the new table in the place of the old one. Texts without a vector, among them those that came in the last
    /// moment, then wait for the services' worker under the new model.
    ///
    /// Writes wait while it lasts, reads only for its last steps. Where a lock is not free soon, it gives all of them
    /// back and tries again later.
    ///
    /// # Errors
    /// [`ReembedError`]; nothing is changed then.
    pub async fn switch(&self) -> Result<Switched, ReembedError> {
        let mut connection = chore_connection(&self.connect).await?;
        let switched = switch::switch(&mut connection, &self.schemas, &self.target).await?;
        connection.close().await?;
        Ok(switched)
    }
}

/// Ends a re-embedding and drops what it made; gives its target, or `None` where there was none.
///
/// # Errors
/// [`ReembedError`]; nothing is changed then.
pub async fn abort(connect: &ConnectOptions) -> Result<Option<ModelIdentity>, ReembedError> {
    let schemas = Schemas::of(&connect.schema);
    let mut connection = chore_connection(connect).await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, "migrate", &schemas.live).await?;
    lock(&mut transaction, "reembed copy", &schemas.live).await?;
    if !exists(&mut transaction, &schemas).await? {
        return Ok(None);
    }
    let target = model_in(&mut transaction, &schemas.next).await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "DROP TABLE {next}.incident_embeddings; DROP TABLE {next}.store_properties; DROP SCHEMA {next}",
        next = schemas.next
    )))
    .execute(&mut *transaction)
    .await
    .map_err(not_allowed("drop the schema of the re-embedding"))?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(Some(target))
}

/// A connection for work that takes its time.
async fn chore_connection(connect: &ConnectOptions) -> Result<PgConnection, ReembedError> {
    let mut connection = connect.writer()?.connect().await?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// A lock on one kind of work in a schema, until the transaction ends.
async fn lock(connection: &mut PgConnection, work: &str, schema: &str) -> Result<(), ReembedError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('kubernaut ' || $1 || ' ' || $2, 0))")
        .bind(work)
        .bind(schema)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether a re-embedding is under way.
async fn exists(connection: &mut PgConnection, schemas: &Schemas) -> Result<bool, ReembedError> {
    let comment: Option<Option<String>> = sqlx::query_scalar(
        "SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace WHERE nspname = $1",
    )
    .bind(&schemas.next)
    .fetch_optional(connection)
    .await?;
    match comment {
        None => Ok(false),
        Some(comment) if comment == Some(schemas.mark()) => Ok(true),
        Some(_) => Err(ReembedError::NotOurs(schemas.next.clone())),
    }
}

/// Tells a missing privilege (42501) from everything else.
fn not_allowed(action: &'static str) -> impl FnOnce(sqlx::Error) -> ReembedError {
    move |source| match code(&source).as_deref() {
        Some("42501") => ReembedError::NotAllowed { action, source },
        _ => source.into(),
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .map(std::borrow::Cow::into_owned)
}
