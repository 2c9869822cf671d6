//! `kubernaut reembed` with the real model.

use audit_store::compatibility::ModelIdentity;
use serde_json::{Value, json};
use testkit::Database;

use crate::model::minilm;
use crate::process::kubernaut;

/// Runs it on a schema; what it prints.
fn reembed(database: &Database, arguments: &[&str]) -> Result<String, String> {
    let output = kubernaut(&["reembed"])
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("DATA_STORAGE__DATABASE__SCHEMA", database.schema().data())
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

fn status(database: &Database) -> Value {
    serde_json::from_str(&reembed(database, &["--status"]).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_model_moves_to_the_one_of_the_binary() {
    let old = ModelIdentity {
        name: "old".into(),
        version: "1".into(),
        dimension: 16,
    };
    let database = Database::with_model("binary", old).await;
    let store = database.store().await;
    sqlx::query(
        "INSERT INTO incident_embeddings (model, text_sha256, text, created_at, embedding, embedded_at)
         SELECT 'old', sha256(t::bytea), t, now(), array_fill(1, ARRAY[16])::vector, now()
         FROM unnest(ARRAY['out of memory', 'disk full', 'certificate expired']) AS t",
    )
    .execute(store.pool())
    .await
    .unwrap();
    assert_eq!(
        status(&database),
        json!({"model": {"name": "old", "version": "1", "dimension": 16}, "underWay": null})
    );
    assert_eq!(
        reembed(&database, &["--abort"]).unwrap(),
        "no re-embedding is under way\n"
    );

    let said = reembed(&database, &["--texts-per-second", "100"]).unwrap();
    let model = minilm();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        format!("moving schema {} to {model}", database.schema())
    );
    assert!(said.contains("3 of 3 texts embedded, 0 poisoned, "), "{said}");
    assert_eq!(
        lines.last(),
        Some(&format!("schema {} holds vectors of {model}; 0 texts wait for theirs. Restart Data Storage and Context API with this model", database.schema()).as_str())
    );
    assert_eq!(
        status(&database),
        json!({
            "model": {"name": model.name, "version": model.version, "dimension": model.dimension},
            "underWay": null
        })
    );
    let vectors: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT embedding) FROM incident_embeddings WHERE vector_dims(embedding) = 384",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    assert_eq!(vectors, 3);
    let error = reembed(&database, &[]).unwrap_err();
    assert!(
        error.contains(&format!("error: the database holds vectors of {model} already")),
        "{error}"
    );
}
