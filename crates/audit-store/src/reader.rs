//! What Context API may ask of the database.
//!
//! A [`Reader`] cannot write, three times over: it has no method that does, its connections open read-only
//! transactions, and the role it logs in as holds `SELECT` on the context schema and nothing else.

mod actions;
mod changes;
mod environment;
mod error_class;
mod evidence;
mod filter;
mod incident;
mod incidents;
mod namespaces;
mod patterns;
mod recovery;
mod replication;
mod search;
mod severities;
mod snapshot;
mod success_rates;
mod trend;
mod windows;

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::compatibility::{
    Incompatible, ModelIdentity, dimension, require_extension, require_properties, require_server,
};
use crate::{ConnectOptions, SchemaName, StoreError};

pub use actions::{ActionCounts, Frequent};
pub use changes::{ChangeFeed, Changed, Look};
pub use environment::{CommonFailure, RecentRemediation, Statistics, TargetContext, TargetFilter};
pub use evidence::{ActionTried, Evidence, SEEN_UP_TO};
pub use filter::IncidentFilter;
pub use incident::{Analysis, Event, ExecutionState, IncidentDetail, WorkflowState};
pub use incidents::{Incident, IncidentPage, Order, PageRequest, Position, Start};
pub use namespaces::{Groups, NamespaceCounts, Weights};
pub use patterns::{History, Pattern, PatternFilter};
pub use recovery::{
    Correlation, Failure, Recorded, Recovery, RecoveryContext, RelatedAlert, RemediationKey, Strategy,
    StrategyKind,
};
pub use replication::Replication;
pub use search::{Found, Hit, Question, RECALL_AT, RecallSample, Search, Try, Tuning, score_of_place};
pub use severities::SeverityCounts;
pub use success_rates::{Durations, Outcomes, RateGroup, RateKey, SuccessRates};
pub use trend::{BucketUnit, TrendBucket};
pub use windows::Windows;

/// The database as Context API sees it: the views of the context schema.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: PgPool,
    schema: SchemaName,
    statement_timeout: Duration,
    /// When whoever asks gives up; see [`Self::until`].
    deadline: Option<Instant>,
    time_limit: Duration,
}

impl Reader {
    /// Connects as the reader role.
    ///
    /// # Errors
    /// [`StoreError`] where the URL is malformed or the database cannot be reached in `acquire_timeout`.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, StoreError> {
        Ok(Self {
            pool: options.connect_reader().await?,
            schema: options.schema.clone(),
            statement_timeout: options.statement_timeout,
            deadline: None,
            time_limit: options.acquire_timeout + options.transaction_timeout(),
        })
    }

    /// The same database for somebody who gives up at `deadline`: they do not wait longer for a connection, and from
    /// the beginning of a snapshot on no statement of it may run for longer than what is left then. A snapshot of
    /// several statements is therefore not cut off at the deadline itself; what runs at that moment ends at its timeout.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self.clone()
        }
    }

    /// How long what is asked may take while the server answers: the time for a connection and for a transaction. The
    /// server itself cuts off what takes longer; a server that is silently gone cuts off nothing.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// Refuses a server, a contract or a model that this version cannot read.
    ///
    /// # Errors
    /// [`Incompatible`], saying what to do.
    pub async fn require_compatible(&self, model: &ModelIdentity) -> Result<(), Incompatible> {
        let mut connection = self.pool.acquire().await?;
        require_server(&mut connection).await?;
        require_extension(&mut connection).await?;
        let (contract_version, database) = contract(&mut connection).await.map_err(|error| match error {
            // undefined_table, insufficient_privilege, invalid_schema_name
            StoreError::Driver(source)
                if source
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code)
                    .is_some_and(|code| ["42P01", "42501", "3F000"].contains(&code.as_ref())) =>
            {
                Incompatible::NoContract {
                    schema: self.schema.context(),
                }
            }
            _ => error.into(),
        })?;
        let may_do_more = sqlx::query_scalar!(
            r#"SELECT coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'USAGE'), false) AS "may!""#,
            self.schema.data()
        )
        .fetch_one(&mut *connection)
        .await?;
        if may_do_more {
            tracing::warn!(
                schema = %self.schema,
                "this role may use the data schema: log in as the reader role that `kubernaut migrate` grants"
            );
        }
        require_properties(contract_version, database, model)
    }

    /// The model whose vectors the database holds now: a re-embedding changes it under a running service.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached.
    pub async fn model(&self) -> Result<ModelIdentity, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(contract(&mut connection).await?.1)
    }

    /// Passes a result on that was computed from vectors, unless the database has moved to another model than the one
    /// they were compared with.
    ///
    /// Asked afterwards, in a snapshot of its own: a database that has not moved by now had not moved before.
    async fn if_still_of<T>(
        &self,
        model: &ModelIdentity,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.model().await?;
        if database == *model {
            result
        } else {
            Err(StoreError::OtherModel(database))
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

    /// The connections, for tests.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The contract that the views keep, and the model of the vectors.
async fn contract(connection: &mut PgConnection) -> Result<(i32, ModelIdentity), StoreError> {
    let contract = sqlx::query!(
        r#"SELECT contract_version AS "contract_version!", embedding_model AS "model!",
                  embedding_model_version AS "model_version!", embedding_dimension AS "dimension!"
           FROM contract"#
    )
    .fetch_one(connection)
    .await?;
    let model = ModelIdentity {
        name: contract.model,
        version: contract.model_version,
        dimension: dimension(contract.dimension),
    };
    Ok((contract.contract_version, model))
}
