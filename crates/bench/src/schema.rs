//! Schemas that are made for a run and go with it.

use std::str::FromStr;

use audit_store::compatibility::ModelIdentity;
use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore};
use chrono::{DateTime, Utc};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::baseline::rows::connect;

/// Months before and after this one: a year of history, over which copies are spread.
pub(crate) const PARTITIONS: PartitionWindow = PartitionWindow {
    months_back: 12,
    months_ahead: 3,
};

/// The schemas of a run. All of them go with it, also when it is stopped in their midst.
#[derive(Debug, Clone)]
pub(crate) struct Schemas {
    /// Of the services.
    pub(crate) services: SchemaName,
    /// Of services without some of their ideas.
    pub(crate) naive: SchemaName,
    /// Into which rows are inserted again.
    pub(crate) rows: SchemaName,
    /// Whether that of the services stays when the run is over.
    kept: bool,
}

impl Schemas {
    /// Names that nobody else has, except for that of the services if it has one, which is kept.
    ///
    /// # Errors
    /// Where the system gives no random number, or the name is none of a schema.
    pub(crate) fn unique(kept: Option<&str>) -> anyhow::Result<Self> {
        let name = format!("kubernaut_bench_{:016x}", OsRng.try_next_u64()?);
        Ok(Self {
            naive: SchemaName::new(format!("{name}_naive"))?,
            rows: SchemaName::new(format!("{name}_rows"))?,
            services: SchemaName::new(kept.map_or(name, str::to_owned))?,
            kept: kept.is_some(),
        })
    }

    /// Drops all of them that are there and are not kept.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub(crate) async fn drop(&self, url: &str) -> anyhow::Result<()> {
        for schema in [&self.naive, &self.rows] {
            drop(url, schema).await?;
        }
        if !self.kept {
            drop(url, &self.services).await?;
        }
        Ok(())
    }
}

/// Migrates a schema for a model, and lets a role read its views: the URL of that role.
///
/// # Errors
/// Where that cannot be done.
pub(crate) async fn migrate_for_services(
    url: &str,
    schema: &SchemaName,
    model: ModelIdentity,
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let mut bytes = [0_u8; 24];
    OsRng.try_fill_bytes(&mut bytes)?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let reads = PgConnectOptions::from_str(url)?
        .username(&reader(schema))
        .password(&password)
        .to_url_lossy();
    migrate_with(url, schema, model, Some(password), now).await?;
    Ok(reads.to_string())
}

/// Migrates a schema as another one of the same database was, with its model.
///
/// # Errors
/// Where that cannot be done.
pub(crate) async fn migrate_like(
    url: &str,
    other: &str,
    schema: &SchemaName,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let store = WriteStore::connect(&ConnectOptions::new(url, SchemaName::new(other)?, "bench")).await?;
    let model = store.model().await?;
    store.close().await;
    migrate_with(url, schema, model, None, now).await
}

async fn migrate_with(
    url: &str,
    schema: &SchemaName,
    model: ModelIdentity,
    password: Option<String>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let options = MigrateOptions {
        model,
        reader: ReaderRole {
            name: reader(schema),
            password,
        },
        partitions: PARTITIONS,
    };
    // Named as all its connections are, so that they are found where it is dropped.
    let connect = ConnectOptions::new(url, schema.clone(), schema.data());
    Ok(migrate(&connect, &options, now).await?)
}

/// The role that may read the views.
fn reader(schema: &SchemaName) -> String {
    format!("{schema}_reader")
}

/// Drops both schemas of a name, and the role that could read one of them.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn drop(url: &str, schema: &SchemaName) -> anyhow::Result<()> {
    let mut connection = connect(url, "public").await?;
    // A run that was stopped may have left a statement behind, which goes on and holds its locks.
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user",
    )
    .bind(schema.data())
    .execute(&mut connection)
    .await?;
    // A name is a plain identifier.
    for name in [schema.context(), schema.data().to_owned()] {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {name} CASCADE")))
            .execute(&mut connection)
            .await?;
    }
    let role = reader(schema);
    sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE IF EXISTS {role}")))
        .execute(&mut connection)
        .await?;
    Ok(())
}
