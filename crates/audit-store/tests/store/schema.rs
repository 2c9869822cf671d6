//! The schema, on every PostgreSQL version served.

use audit_store::compatibility::{CONTRACT_VERSION, ModelIdentity};
use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName, WriteStore};
use devstack::{Major, SharedServer};
use testkit::Database;

async fn column(store: &WriteStore, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(store.pool()).await.unwrap()
}

/// Migrates on a server of a version, twice and at the same time, and writes nothing.
async fn migrates_on(major: Major) {
    let server = tokio::task::spawn_blocking(move || SharedServer::acquire(major))
        .await
        .unwrap()
        .unwrap();
    let schema = SchemaName::new(format!(
        "store_versions_{}_{}",
        if major == Major::V16 { 16 } else { 18 },
        std::process::id()
    ))
    .unwrap();
    let connect = ConnectOptions::new(server.url(), schema.clone(), "test");
    let options = MigrateOptions {
        model: ModelIdentity {
            name: "any".into(),
            version: "1".into(),
            dimension: 384,
        },
        reader: ReaderRole {
            name: "kubernaut_test_versions".into(),
            password: None,
        },
        partitions: PartitionWindow {
            months_back: 1,
            months_ahead: 2,
        },
    };
    let runs = [
        migrate(&connect, &options, Database::now()),
        migrate(&connect, &options, Database::now()),
    ];
    let [first, second] = runs;
    let (first, second) = tokio::join!(first, second);
    first.unwrap();
    second.unwrap();
    migrate(&connect, &options, Database::now()).await.unwrap();
    let store = WriteStore::connect(&connect).await.unwrap();
    store.require_compatible(&options.model).await.unwrap();
    let number: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer / 10000")
        .fetch_one(store.pool())
        .await
        .unwrap();
    // A server of the tester's own has the version it has.
    if std::env::var_os(devstack::TEST_DATABASE_VARIABLE).is_none() {
        assert_eq!(number, if major == Major::V16 { 16 } else { 18 });
    }
    let version: i32 = sqlx::query_scalar("SELECT contract_version FROM store_properties")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(version, CONTRACT_VERSION);
    let partitions = column(
        &store,
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'audit_events'::regclass ORDER BY 1",
    )
    .await;
    assert_eq!(
        partitions,
        [
            "audit_events_default",
            "audit_events_y2026m05",
            "audit_events_y2026m06",
            "audit_events_y2026m07",
            "audit_events_y2026m08"
        ]
    );
    let drop = format!(
        "DROP SCHEMA {} CASCADE; DROP SCHEMA {} CASCADE",
        schema.context(),
        schema.data()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
        .execute(store.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn postgresql_16_carries_the_schema() {
    migrates_on(Major::V16).await;
}

#[tokio::test]
async fn postgresql_18_carries_the_schema() {
    migrates_on(Major::V18).await;
}

#[tokio::test]
async fn every_table_view_column_and_function_says_what_it_is() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let silent = column(
        &store,
        "SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname <> '_sqlx_migrations' AND a.attnum > 0 AND NOT a.attisdropped
           AND col_description(c.oid, a.attnum) IS NULL
         UNION ALL
         SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace IN (current_schema()::regnamespace, (current_schema() || '_context')::regnamespace)
           AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND c.relname <> '_sqlx_migrations'
           AND obj_description(c.oid, 'pg_class') IS NULL",
    )
    .await;
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn every_constraint_of_ours_has_a_name_that_begins_with_its_table() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let unnamed = column(
        &store,
        "SELECT c.relname || ': ' || k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition AND k.contype IN ('c', 'u', 'f')
           AND c.relname <> '_sqlx_migrations'
           AND (NOT starts_with(k.conname, c.relname) OR k.conname LIKE '%\\_check' OR k.conname LIKE '%\\_key1')",
    )
    .await;
    assert_eq!(unnamed, Vec::<String>::new());
}
