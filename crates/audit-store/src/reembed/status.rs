//! How far a re-embedding is.

use sqlx::{AssertSqlSafe, Connection};

use super::{ReembedError, Schemas, blueprint, chore_connection, exists};
use crate::ConnectOptions;
use crate::compatibility::{ModelIdentity, model_in, require_database};
use crate::pending::POISONED_AFTER;

/// How far a re-embedding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The model whose vectors the database holds.
    pub model: ModelIdentity,
    /// The re-embedding under way, if there is one.
    pub under_way: Option<UnderWay>,
}

/// A re-embedding under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// The model the database is to move to.
    pub target: ModelIdentity,
    /// Texts of the database.
    pub texts: i64,
    /// Texts that have a vector of the target.
    pub embedded: i64,
    /// Texts that the target cannot embed: tried in vain, and left to the services' worker after the switch.
    pub poisoned: i64,
    /// Indexes that are still to be built.
    pub missing_indexes: usize,
}

/// How far the re-embedding of a database is.
///
/// # Errors
/// [`ReembedError`] where the database cannot be reached or served.
pub async fn status(connect: &ConnectOptions) -> Result<Status, ReembedError> {
    let schemas = Schemas::of(&connect.schema);
    let mut connection = chore_connection(connect).await?;
    require_database(&mut connection, &connect.schema).await?;
    // One state of the database: it may be switched or aborted meanwhile.
    let mut snapshot = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let model = model_in(&mut snapshot, &schemas.live).await?;
    let under_way = if exists(&mut snapshot, &schemas).await? {
        let target = model_in(&mut snapshot, &schemas.next).await?;
        let (texts, embedded, poisoned): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT (SELECT count(*) FROM {}.incident_embeddings),
                    count(*) FILTER (WHERE embedding IS NOT NULL),
                    count(*) FILTER (WHERE embedding IS NULL AND refusals >= $1)
             FROM {}.incident_embeddings",
            schemas.live, schemas.next
        )))
        .bind(POISONED_AFTER)
        .fetch_one(&mut *snapshot)
        .await?;
        let missing_indexes = blueprint::missing_indexes(&mut snapshot, &schemas).await?.len();
        Some(UnderWay {
            target,
            texts,
            embedded,
            poisoned,
            missing_indexes,
        })
    } else {
        None
    };
    snapshot.commit().await?;
    connection.close().await?;
    Ok(Status { model, under_way })
}
