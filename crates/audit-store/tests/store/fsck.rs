//! `fsck` finds what is wrong, and nothing else.

mod history;
mod ledger;
mod load;
mod rebuild;
mod schema;

use audit_store::fsck::{Options, Report, check};
use audit_store::{PartitionWindow, WriteStore};
use sqlx::AssertSqlSafe;
use testkit::Database;

/// As of the time the history ends at.
fn options() -> Options {
    Options {
        now: Database::now(),
        partitions: PartitionWindow {
            months_back: 1,
            months_ahead: 1,
        },
        examples: 10,
        force: false,
    }
}

async fn report(database: &Database) -> Report {
    check(&database.writer_options(), &options(), &mut |_| {})
        .await
        .unwrap()
}

/// Everything found, as `check: subject: detail`.
fn found(report: &Report) -> Vec<String> {
    report
        .findings()
        .flat_map(|outcome| {
            assert_eq!(
                outcome.count,
                outcome.examples.len() as u64,
                "too many: {outcome:?}"
            );
            outcome
                .examples
                .iter()
                .map(|example| format!("{}: {}: {}", outcome.check.name, example.subject, example.detail))
        })
        .collect()
}

async fn findings(database: &Database) -> Vec<String> {
    found(&report(database).await)
}

/// Runs statements as somebody who can do anything: no trigger and no foreign key is in the way.
async fn tamper(store: &WriteStore, statements: &str) {
    let mut transaction = store.pool().begin().await.unwrap();
    sqlx::query("SET LOCAL session_replication_role = replica")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut *transaction)
        .await
        .unwrap_or_else(|error| panic!("{statements}: {error}"));
    transaction.commit().await.unwrap();
}

/// A number that a query gives.
async fn number(store: &WriteStore, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
        .fetch_one(store.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_rich_history_is_clean() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    let events = history::write(&store, &database).await;
    let report = report(&database).await;
    assert_eq!(found(&report), Vec::<String>::new());
    assert_eq!((report.events, report.other_events), (events, 0));
    assert_eq!(report.checks.len(), 32);
}

#[tokio::test]
async fn an_empty_database_is_clean() {
    let database = Database::new("fsck").await;
    assert_eq!(findings(&database).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_schema_of_another_version_is_not_checked() {
    let database = Database::new("fsck").await;
    let store = database.store().await;
    tamper(
        &store,
        "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 7",
    )
    .await;
    let error = check(&database.writer_options(), &options(), &mut |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is at migration 9999"), "{error}");
}
