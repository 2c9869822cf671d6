//! The short transaction that puts the new table in the place of the old one.
//!
//! Its locks, in this order, each waited for briefly:
//!
//! 1. the new table, which nobody but other processes of the re-embedding uses;
//! 2. the old table against writers; the last texts are copied now;
//! 3. the views over it, against readers, those first that the others do not depend on: a reader takes them in the
//!    same order;
//! 4. the old table against everybody.
//!
//! A reader may still hold a view and want the next one while we hold that and want the first. Then we are the ones who
//! give up: the wait is shorter than the second after which PostgreSQL looks for a deadlock.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{ReembedError, Schemas, blueprint, code, exists, lock};
use crate::StoreError;
use crate::compatibility::{ModelIdentity, model_in};

/// How often it is tried.
const TRIES: u32 = 30;
/// Between two tries, so that those who waited for us come in between.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the tables are waited for, while we hold nothing a reader wants. Longer than the second after which a
/// vacuum makes way.
const TABLE_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
/// How long anything is waited for that a reader may hold.
const VIEW_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";
/// How long one statement may take: the copy of the last texts compares all ids.
const STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = '30s'";

/// What a switch left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switched {
    /// Texts without a vector, which the services' worker embeds.
    pub pending: i64,
    /// How often it was tried.
    pub tries: u32,
}

pub(super) async fn switch(
    connection: &mut PgConnection,
    schemas: &Schemas,
    target: &ModelIdentity,
) -> Result<Switched, ReembedError> {
    for tries in 1..=TRIES {
        match once(connection, schemas, target).await {
            Ok(pending) => return Ok(Switched { pending, tries }),
            Err(ReembedError::Store(error)) if lost_a_lock(&error) => {
                tracing::info!(tries, "the tables are busy; the switch is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(ReembedError::Busy { tries: TRIES })
}

/// One try: gives how many texts have no vector.
async fn once(
    connection: &mut PgConnection,
    schemas: &Schemas,
    target: &ModelIdentity,
) -> Result<i64, ReembedError> {
    let Schemas { live, next } = schemas;
    let mut transaction = connection.begin().await?;
    // Definitions read with this search path name the schema of everything, and mean the same wherever they are run.
    for setting in [
        TABLE_TIMEOUT,
        STATEMENT_TIMEOUT,
        "SET LOCAL search_path = pg_catalog",
    ] {
        sqlx::query(setting).execute(&mut *transaction).await?;
    }
    lock(&mut transaction, "migrate", live).await?;
    lock(&mut transaction, "reembed copy", live).await?;
    if model_in(&mut transaction, live).await? == *target {
        return pending(&mut transaction, live).await;
    }
    if !exists(&mut transaction, schemas).await? {
        return Err(ReembedError::Aborted);
    }
    blueprint::require_same_shape(&mut transaction, schemas).await?;
    // Never here: services would wait for it.
    if !blueprint::missing_indexes(&mut transaction, schemas)
        .await?
        .is_empty()
    {
        return Err(ReembedError::IndexesMissing);
    }
    run(
        &mut transaction,
        format!("LOCK TABLE {next}.incident_embeddings IN ACCESS EXCLUSIVE MODE"),
    )
    .await?;
    run(
        &mut transaction,
        format!("LOCK TABLE {live}.incident_embeddings IN SHARE ROW EXCLUSIVE MODE"),
    )
    .await?;
    blueprint::copy(&mut transaction, schemas, 0, i64::MAX).await?;
    blueprint::drop_vanished(&mut transaction, schemas).await?;
    go_on_with_ids(&mut transaction, schemas).await?;

    let views = views(&mut transaction, live).await?;
    let of_table = attributes(&mut transaction, &format!("{live}.incident_embeddings"), "TABLE").await?;
    sqlx::query(VIEW_TIMEOUT).execute(&mut *transaction).await?;
    for view in views.iter().rev() {
        run(&mut transaction, format!("DROP VIEW {}", view.name)).await?;
    }
    run(&mut transaction, format!("DROP TABLE {live}.incident_embeddings")).await?;
    run(
        &mut transaction,
        format!("ALTER TABLE {next}.incident_embeddings SET SCHEMA {live}"),
    )
    .await?;
    for statement in of_table
        .into_iter()
        .chain(views.into_iter().flat_map(|view| view.statements))
    {
        run(&mut transaction, statement).await?;
    }
    run(
        &mut transaction,
        format!(
            "UPDATE {live}.store_properties p SET embedding_model = n.embedding_model,
                 embedding_model_version = n.embedding_model_version, embedding_dimension = n.embedding_dimension
             FROM {next}.store_properties n"
        ),
    )
    .await?;
    run(&mut transaction, format!("DROP TABLE {next}.store_properties")).await?;
    run(&mut transaction, format!("DROP SCHEMA {next}")).await?;
    let pending = pending(&mut transaction, live).await?;
    transaction.commit().await?;
    Ok(pending)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), ReembedError> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets the new table give ids from where the old one is.
async fn go_on_with_ids(connection: &mut PgConnection, schemas: &Schemas) -> Result<(), ReembedError> {
    let Schemas { live, next } = schemas;
    let sequence: String = sqlx::query_scalar("SELECT pg_get_serial_sequence($1, 'id')")
        .bind(format!("{live}.incident_embeddings"))
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(AssertSqlSafe(format!(
        "SELECT setval(pg_get_serial_sequence('{next}.incident_embeddings', 'id'), last_value, is_called) FROM {sequence}"
    )))
    .execute(connection)
    .await?;
    Ok(())
}

/// A view over the table of texts, or over such a view.
struct View {
    /// With its schema.
    name: String,
    /// What makes it again as it is: definition, comments, grants, owner.
    statements: Vec<String>,
}

/// The views that must go with the old table, each after those it depends on.
async fn views(connection: &mut PgConnection, live: &str) -> Result<Vec<View>, ReembedError> {
    let dependents: Vec<(String, bool)> = sqlx::query_as(AssertSqlSafe(format!(
        "WITH RECURSIVE dependents (oid, depth) AS (
             SELECT '{live}.incident_embeddings'::regclass::oid, 0
             UNION
             SELECT r.ev_class, p.depth + 1
             FROM dependents p
             JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid
                              AND d.classid = 'pg_rewrite'::regclass
             JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> p.oid
         )
         SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'v'
         FROM dependents d JOIN pg_class c ON c.oid = d.oid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE d.depth > 0 GROUP BY n.nspname, c.relname, c.relkind ORDER BY max(d.depth), n.nspname, c.relname"
    )))
    .fetch_all(&mut *connection)
    .await?;
    let mut views = Vec::with_capacity(dependents.len());
    for (name, is_plain) in dependents {
        if !is_plain {
            return Err(ReembedError::Dependent(name));
        }
        let definition: String = sqlx::query_scalar(
            "SELECT format('CREATE VIEW %s%s AS %s', $1, ' WITH (' || array_to_string(reloptions, ', ') || ')',
                           pg_get_viewdef(oid))
             FROM pg_class WHERE oid = $1::regclass",
        )
        .bind(&name)
        .fetch_one(&mut *connection)
        .await?;
        let mut statements = vec![definition];
        statements.extend(attributes(connection, &name, "VIEW").await?);
        views.push(View { name, statements });
    }
    Ok(views)
}

/// The statements that give a table or a view of that name its comments, grants and owner.
async fn attributes(
    connection: &mut PgConnection,
    name: &str,
    kind: &str,
) -> Result<Vec<String>, ReembedError> {
    Ok(sqlx::query_scalar(
        "SELECT statement FROM (
             SELECT 1 AS step, d.objsubid AS place, format('COMMENT ON %s IS %L',
                        CASE WHEN d.objsubid = 0 THEN $2 || ' ' || $1 ELSE format('COLUMN %s.%I', $1, a.attname) END,
                        d.description) AS statement
             FROM pg_description d
             LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
             WHERE d.classoid = 'pg_class'::regclass AND d.objoid = $1::regclass
             UNION ALL
             SELECT 2, g.grantee::integer, format('GRANT %s ON %s TO %s%s', g.privilege_type, $1,
                        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                        CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM pg_class c, aclexplode(c.relacl) g
             WHERE c.oid = $1::regclass AND g.grantee <> c.relowner
             UNION ALL
             SELECT 3, 0, format('ALTER %s %s OWNER TO %I', $2, $1, pg_get_userbyid(c.relowner))
             FROM pg_class c WHERE c.oid = $1::regclass
         ) statements ORDER BY step, place, statement",
    )
    .bind(name)
    .bind(kind)
    .fetch_all(connection)
    .await?)
}

async fn pending(connection: &mut PgConnection, live: &str) -> Result<i64, ReembedError> {
    Ok(sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT count(*) FROM {live}.incident_embeddings WHERE embedding IS NULL"
    )))
    .fetch_one(connection)
    .await?)
}

/// Whether a lock was not free in time (55P03), or the transaction lost against another one.
fn lost_a_lock(error: &StoreError) -> bool {
    match error {
        StoreError::Contention(_) => true,
        StoreError::Driver(source) => code(source).as_deref() == Some("55P03"),
        _ => false,
    }
}
