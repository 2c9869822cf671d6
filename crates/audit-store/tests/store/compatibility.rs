//! A database that cannot be served is refused in words that say what to do.

use audit_store::compatibility::ModelIdentity;
use audit_store::migrate::MIGRATOR;
use testkit::Database;

/// The newest migration that this version has.
fn latest_migration() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap()
}

#[tokio::test]
async fn a_schema_that_was_never_migrated_is_refused_by_both_sides() {
    let migrated = Database::new("store").await;
    let database = Database::unmigrated("store", migrated.model().clone());
    let error = database
        .store()
        .await
        .require_compatible(database.model())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "schema {} is at migration 0, this version needs {}: run `kubernaut migrate`",
            database.schema(),
            latest_migration()
        )
    );
    let error = database
        .reader()
        .await
        .require_compatible(database.model())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the context schema {} does not exist or this role may not read it: run `kubernaut migrate`, and log in as the reader role it grants",
            database.schema().context()
        )
    );
}

#[tokio::test]
async fn a_model_of_another_dimension_is_refused_by_both_sides_and_by_the_migration() {
    let database = Database::new("store").await;
    let model = ModelIdentity {
        dimension: 384,
        ..database.model().clone()
    };
    refused(&database, model, "hashed version 1 (384 dimensions)").await;
}

#[tokio::test]
async fn another_version_of_the_model_is_refused_by_both_sides_and_by_the_migration() {
    let database = Database::new("store").await;
    let model = ModelIdentity {
        version: "2".into(),
        ..database.model().clone()
    };
    refused(&database, model, "hashed version 2 (64 dimensions)").await;
}

async fn refused(database: &Database, model: ModelIdentity, described: &str) {
    let expected = format!(
        "the database holds vectors of hashed version 1 (64 dimensions), but the configured model is {described}: configure that model, or move the database with `kubernaut reembed`"
    );
    assert_eq!(
        database
            .store()
            .await
            .require_compatible(&model)
            .await
            .unwrap_err()
            .to_string(),
        expected
    );
    assert_eq!(
        database
            .reader()
            .await
            .require_compatible(&model)
            .await
            .unwrap_err()
            .to_string(),
        expected
    );
    let options = audit_store::migrate::MigrateOptions {
        model,
        ..database.migrate_options()
    };
    let error = audit_store::migrate::migrate(&database.writer_options(), &options, Database::now())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_contract_of_the_future_and_a_schema_of_the_future_are_refused() {
    let database = Database::new("store").await;
    let store = database.store().await;
    sqlx::query("UPDATE store_properties SET contract_version = 99")
        .execute(store.pool())
        .await
        .unwrap();
    let expected = "the context schema keeps contract version 99, this version knows 3: run the same version of all services, Data Storage's migration first";
    assert_eq!(
        database
            .reader()
            .await
            .require_compatible(database.model())
            .await
            .unwrap_err()
            .to_string(),
        expected
    );
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = $1")
        .bind(latest_migration())
        .execute(store.pool())
        .await
        .unwrap();
    assert_eq!(
        store
            .require_compatible(database.model())
            .await
            .unwrap_err()
            .to_string(),
        format!(
            "schema {} is at migration 9999, newer than the {} this version knows: upgrade this service",
            database.schema(),
            latest_migration()
        )
    );
}
