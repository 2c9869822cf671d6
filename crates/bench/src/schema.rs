//! Schemas that are made for a run and go with it.

use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore};
use chrono::{DateTime, Utc};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sqlx::AssertSqlSafe;

use crate::baseline::rows::connect;

/// Months before and after this one, as the services have them by default.
const PARTITIONS: PartitionWindow = PartitionWindow {
    months_back: 3,
    months_ahead: 3,
};
/// A name that nobody else has.
///
/// # Errors
/// Where the system gives no random number.
pub(crate) fn unique(purpose: &str) -> anyhow::Result<SchemaName> {
    let random = OsRng.try_next_u64()?;
    Ok(SchemaName::new(format!("kubernaut_{purpose}_{random:016x}"))?)
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
    let options = MigrateOptions {
        model,
        reader: ReaderRole {
            name: reader(schema),
            password: None,
        },
        partitions: PARTITIONS,
    };
    Ok(migrate(&ConnectOptions::new(url, schema.clone(), "bench"), &options, now).await?)
}

/// The role that may read the views: named as `up` names it, so that it goes the same way.
fn reader(schema: &SchemaName) -> String {
    format!("{schema}_up_reader")
}

/// Drops both schemas of a name, and the role that could read one of them.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn drop(url: &str, schema: &SchemaName) -> anyhow::Result<()> {
    let mut connection = connect(url, "public").await?;
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
