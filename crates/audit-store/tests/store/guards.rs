//! What the database itself refuses, whatever the code does.

use audit_store::writer::write_batch;
use testkit::Database;

use crate::records::workflow;

async fn one_event(database: &Database) -> audit_store::WriteStore {
    let store = database.store().await;
    write_batch(&store, database.model(), &[workflow("wf-1")])
        .await
        .unwrap();
    store
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn a_ledger_row_is_neither_changed_nor_deleted() {
    let database = Database::new("store").await;
    let store = one_event(&database).await;
    for statement in [
        "UPDATE audit_events SET phase = 'Completed'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_events_y2026m06 SET actor = 'somebody else'",
        "DELETE FROM audit_events_y2026m06",
        "TRUNCATE audit_events_y2026m06",
        "TRUNCATE audit_events_default",
    ] {
        let error = sqlx::query(statement).execute(store.pool()).await.unwrap_err();
        // restrict_violation, raised by the trigger
        assert_eq!(code(&error), "23001", "{statement}: {error}");
        assert!(
            error.to_string().contains("audit_events is append-only"),
            "{error}"
        );
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn the_reader_role_can_read_the_context_schema_and_do_nothing_else() {
    let database = Database::new("store").await;
    let _store = one_event(&database).await;
    let reader = database.reader().await;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(reader.pool())
        .await
        .unwrap();
    assert_eq!(seen, 1);

    let data = database.schema().data().to_owned();
    let context = database.schema().context();
    // Not even in a transaction that was made writable: the role holds no privilege to write.
    for statement in [
        format!("INSERT INTO {data}.store_properties (contract_version) VALUES (2)"),
        format!("UPDATE {data}.resource_action_traces SET phase = 'Failed'"),
        format!("DELETE FROM {data}.audit_events"),
        format!("SELECT * FROM {data}.audit_events"),
        format!("DELETE FROM {context}.texts"),
        format!("CREATE TABLE {context}.mine (id int)"),
        format!("DROP VIEW {context}.incidents"),
    ] {
        let mut transaction = reader.pool().begin().await.unwrap();
        sqlx::query("SET TRANSACTION READ WRITE")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let error = sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .execute(&mut *transaction)
            .await
            .unwrap_err();
        // insufficient_privilege
        assert_eq!(code(&error), "42501", "{statement}: {error}");
    }
    // And by default every transaction is read-only: a role with the privilege would be refused as well.
    let error = sqlx::query("CREATE TEMPORARY TABLE t (id int)")
        .execute(reader.pool())
        .await
        .unwrap_err();
    // read_only_sql_transaction
    assert_eq!(code(&error), "25006", "{error}");
    let setting: String = sqlx::query_scalar("SELECT current_setting('default_transaction_read_only')")
        .fetch_one(reader.pool())
        .await
        .unwrap();
    assert_eq!(setting, "on");
}

#[tokio::test]
async fn a_write_through_the_readers_connection_settings_fails_even_for_the_owner() {
    let database = Database::new("store").await;
    let _store = one_event(&database).await;
    let options = audit_store::ConnectOptions {
        url: database.url(),
        ..database.reader_options()
    };
    let reader = audit_store::Reader::connect(&options).await.unwrap();
    let statement = format!(
        "INSERT INTO {}.resource_references (cluster_name, kind, name) VALUES ('c', 'K', 'n')",
        database.schema()
    );
    let error = sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(reader.pool())
        .await
        .unwrap_err();
    // read_only_sql_transaction
    assert_eq!(code(&error), "25006", "{error}");
}
