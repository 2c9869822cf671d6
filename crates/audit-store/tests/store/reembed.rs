//! Moving a database to another model, step by step.

use std::time::Duration;

use audit_store::WriteStore;
use audit_store::compatibility::ModelIdentity;
use audit_store::pending::{self, PendingText};
use audit_store::reembed::{ReembedError, Reembedding, State, abort, status};
use audit_store::writer::{EmbeddingStatus, NewRecord, RecordText, write_batch};
use chrono::TimeDelta;
use testkit::Database;

use crate::records::workflow;

const LEASE: Duration = Duration::from_secs(60);

fn model(name: &str, version: &str, dimension: usize) -> ModelIdentity {
    ModelIdentity {
        name: name.into(),
        version: version.into(),
        dimension,
    }
}

fn other() -> ModelIdentity {
    model("other", "2", 32)
}

/// Workflow `number` with a text of its own, embedded as a model would.
fn record(number: u32, model: &ModelIdentity) -> NewRecord {
    let mut record = workflow(&format!("wf-{number}"));
    let mut sha256 = [0; 32];
    sha256[..4].copy_from_slice(&number.to_be_bytes());
    let text = format!("text {number}");
    record.text = Some(RecordText {
        vector: Some(vector(&text, model)),
        text,
        sha256,
    });
    record
}

/// What a model gives for `text <number>`: a vector that neither another text nor another model has.
fn vector(text: &str, model: &ModelIdentity) -> Vec<f32> {
    let number: u16 = text.strip_prefix("text ").unwrap().parse().unwrap();
    let mut vector = vec![f32::from(number); model.dimension];
    vector[0] = f32::from(u8::try_from(model.name.len() + model.version.len()).unwrap());
    vector
}

async fn write(store: &WriteStore, model: &ModelIdentity, numbers: impl IntoIterator<Item = u32>) {
    let records: Vec<NewRecord> = numbers.into_iter().map(|number| record(number, model)).collect();
    write_batch(store, model, &records).await.unwrap();
}

/// A database with texts 1 to `count`.
async fn database(count: u32) -> (Database, WriteStore) {
    let database = Database::new("store").await;
    let store = database.store().await;
    write(&store, database.model(), 1..=count).await;
    (database, store)
}

/// Embeds what is due, up to a number of texts; which they were.
async fn embed(reembedding: &Reembedding, limit: i64, minutes_later: i64) -> Vec<PendingText> {
    let now = Database::now() + TimeDelta::minutes(minutes_later);
    let (store, target) = (reembedding.store(), reembedding.target());
    let texts = pending::claim(store, target, limit, now, LEASE).await.unwrap();
    let vectors = texts
        .iter()
        .map(|text| (text.id, vector(&text.text, target)))
        .collect();
    pending::fill(store, target, vectors).await.unwrap();
    texts
}

/// Moves a database from the first step to the last.
async fn moved(database: &Database, target: &ModelIdentity) -> u32 {
    let reembedding = Reembedding::begin(&database.writer_options(), target)
        .await
        .unwrap();
    reembedding.copy_texts().await.unwrap();
    while !embed(&reembedding, 100, 0).await.is_empty() {}
    reembedding.build_indexes().await.unwrap();
    let switched = reembedding.switch().await.unwrap();
    assert_eq!(switched.pending, 0);
    assert_eq!(reembedding.state().await.unwrap(), State::Switched);
    switched.tries
}

async fn ids_and_vectors(store: &WriteStore) -> Vec<(i64, String, Option<Vec<f32>>)> {
    let rows: Vec<(i64, String, Option<String>)> =
        sqlx::query_as("SELECT id, text, embedding::text FROM incident_embeddings ORDER BY id")
            .fetch_all(store.pool())
            .await
            .unwrap();
    rows.into_iter()
        .map(|(id, text, vector)| {
            let vector = vector.map(|vector| {
                vector
                    .trim_matches(['[', ']'])
                    .split(',')
                    .map(|component| component.parse().unwrap())
                    .collect()
            });
            (id, text, vector)
        })
        .collect()
}

/// Everything the catalog says of the schemas of a database, with the name of the data schema taken out.
async fn catalog(database: &Database) -> Vec<String> {
    let data = database.schema().data();
    let statement = format!(
        "SELECT line FROM (
             SELECT 'schema ' || nspname AS line FROM pg_namespace WHERE nspname LIKE '{data}%'
             UNION ALL
             SELECT concat_ws(' ', 'column', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                    a.attidentity, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
             WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE '{data}%')
               AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
             UNION ALL
             SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
             WHERE connamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE '{data}%')
             UNION ALL
             SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
             WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE '{data}%')
             UNION ALL
             SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), c.reloptions,
                    obj_description(c.oid, 'pg_class'), (SELECT string_agg(g::text, ' ' ORDER BY g::text) FROM unnest(c.relacl) g),
                    CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END)
             FROM pg_class c WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE '{data}%')
               AND c.relkind IN ('r', 'p', 'v', 'S')
         ) lines ORDER BY line COLLATE \"C\""
    );
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .fetch_all(database.store().await.pool())
        .await
        .unwrap();
    let mut lines: Vec<String> = lines.iter().map(|line| line.replace(data, "SCHEMA")).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_moved_database_is_what_a_new_one_of_that_model_is() {
    let (database, store) = database(20).await;
    let before = ids_and_vectors(&store).await;
    let fresh = Database::with_model("store", other()).await;
    assert_eq!(moved(&database, &other()).await, 1);
    assert_eq!(catalog(&database).await, catalog(&fresh).await);
    assert_eq!(store.model().await.unwrap(), other());
    store.require_compatible(&other()).await.unwrap();
    let reader = database.reader().await;
    reader.require_compatible(&other()).await.unwrap();

    let expected: Vec<_> = before
        .into_iter()
        .map(|(id, text, _)| {
            let vector = vector(&text, &other());
            (id, text, Some(vector))
        })
        .collect();
    assert_eq!(expected.len(), 20);
    assert_eq!(ids_and_vectors(&store).await, expected);
    // The views show the new vectors to the reader, and the tables give new ids.
    let seen: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM texts WHERE model = 'other' AND vector_dims(embedding) = 32",
    )
    .fetch_one(reader.pool())
    .await
    .unwrap();
    assert_eq!(seen, 20);
    write(&store, &other(), 21..=21).await;
    let newest = ids_and_vectors(&store).await.pop().unwrap();
    assert_eq!(
        (newest.0 > expected[19].0, newest.2),
        (true, Some(vector("text 21", &other())))
    );
    // And on to a third model, and back.
    for target in [model("other", "3", 32), database.model().clone()] {
        moved(&database, &target).await;
        let vectors = ids_and_vectors(&store).await;
        assert_eq!(vectors.len(), 21);
        for (_, text, stored) in vectors {
            assert_eq!(stored, Some(vector(&text, &target)), "{text}");
        }
    }
}

#[tokio::test]
async fn an_abort_leaves_the_schema_and_the_vectors_as_they_were() {
    let (database, store) = database(10).await;
    let before = (catalog(&database).await, ids_and_vectors(&store).await);
    let connect = database.writer_options();
    assert_eq!(abort(&connect).await.unwrap(), None);
    let reembedding = Reembedding::begin(&connect, &other()).await.unwrap();
    reembedding.copy_texts().await.unwrap();
    embed(&reembedding, 5, 0).await;
    reembedding.build_indexes().await.unwrap();
    assert_ne!(catalog(&database).await, before.0);
    assert_eq!(abort(&connect).await.unwrap(), Some(other()));
    assert_eq!((catalog(&database).await, ids_and_vectors(&store).await), before);
    // Whoever still takes part learns it, and touches nothing.
    assert_eq!(reembedding.state().await.unwrap(), State::Aborted);
    assert_eq!(embed(&reembedding, 5, 10).await, []);
    assert!(matches!(
        reembedding.copy_texts().await.unwrap_err(),
        ReembedError::Aborted
    ));
    assert!(matches!(
        reembedding.switch().await.unwrap_err(),
        ReembedError::Aborted
    ));
    assert_eq!(ids_and_vectors(&store).await, before.1);
}

#[tokio::test]
async fn one_target_at_a_time_and_any_number_of_processes_for_it() {
    let (database, _store) = database(10).await;
    let connect = database.writer_options();
    let error = Reembedding::begin(&connect, database.model()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database holds vectors of hashed version 1 (64 dimensions) already"
    );
    let first = Reembedding::begin(&connect, &other()).await.unwrap();
    let second = Reembedding::begin(&connect, &other()).await.unwrap();
    for wrong in [
        model("other", "3", 32),
        model("third", "2", 32),
        model("other", "2", 31),
    ] {
        let error = Reembedding::begin(&connect, &wrong).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "a re-embedding to other version 2 (32 dimensions) is under way, not to {wrong}: finish that one, or end it with `kubernaut reembed --abort`"
            )
        );
    }
    first.copy_texts().await.unwrap();
    assert_eq!(second.copy_texts().await.unwrap(), 0);
    let texts = [embed(&first, 4, 0).await, embed(&second, 10, 0).await].concat();
    let mut ids: Vec<i64> = texts.iter().map(|text| text.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((texts.len(), ids.len()), (10, 10));
    first.build_indexes().await.unwrap();
    second.build_indexes().await.unwrap();
    assert_eq!(first.switch().await.unwrap().pending, 0);
    // The other one finds the work done.
    second.build_indexes().await.unwrap();
    assert_eq!(second.switch().await.unwrap().pending, 0);
}

#[tokio::test]
async fn a_schema_of_that_name_that_is_not_ours_is_left_alone() {
    let (database, store) = database(1).await;
    let name = format!("{}_reembed", database.schema());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}")))
        .execute(store.pool())
        .await
        .unwrap();
    let connect = database.writer_options();
    let expected =
        format!("the schema {name} exists and was not made by a re-embedding: it is left alone, and needed");
    assert_eq!(
        Reembedding::begin(&connect, &other())
            .await
            .unwrap_err()
            .to_string(),
        expected
    );
    assert_eq!(abort(&connect).await.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn the_next_process_embeds_only_what_the_last_one_left() {
    let (database, _store) = database(10).await;
    let connect = database.writer_options();
    let first = Reembedding::begin(&connect, &other()).await.unwrap();
    first.copy_texts().await.unwrap();
    let done = embed(&first, 6, 0).await;
    // Claimed, and then killed.
    let lost = pending::claim(first.store(), first.target(), 2, Database::now(), LEASE)
        .await
        .unwrap();
    drop(first);
    let under_way = status(&connect).await.unwrap().under_way.unwrap();
    assert_eq!(
        (
            under_way.target,
            under_way.texts,
            under_way.embedded,
            under_way.poisoned,
            under_way.missing_indexes
        ),
        (other(), 10, 6, 0, 1)
    );

    let second = Reembedding::begin(&connect, &other()).await.unwrap();
    assert_eq!(second.copy_texts().await.unwrap(), 0);
    let now = embed(&second, 100, 0).await;
    let later = embed(&second, 100, 1).await;
    assert_eq!((done.len(), lost.len(), now.len(), later.len()), (6, 2, 2, 2));
    let mut ids: Vec<i64> = [done, now, later].concat().iter().map(|text| text.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[tokio::test]
async fn what_arrives_or_goes_meanwhile_is_in_step_after_the_switch() {
    let (database, store) = database(10).await;
    let old = database.model().clone();
    let reembedding = Reembedding::begin(&database.writer_options(), &other())
        .await
        .unwrap();
    assert_eq!(reembedding.copy_texts().await.unwrap(), 10);
    while !embed(&reembedding, 100, 0).await.is_empty() {}
    // The services go on with the old model.
    write(&store, &old, 11..=12).await;
    sqlx::query("DELETE FROM incident_embeddings WHERE text IN ('text 3', 'text 12')")
        .execute(store.pool())
        .await
        .unwrap();
    // The index is not built while everybody waits.
    assert!(matches!(
        reembedding.switch().await.unwrap_err(),
        ReembedError::IndexesMissing
    ));
    reembedding.build_indexes().await.unwrap();
    let index = |schema: String| {
        let pool = store.pool().clone();
        async move {
            sqlx::query_scalar::<_, i64>("SELECT to_regclass($1)::oid::bigint")
                .bind(format!("{schema}.incident_embeddings_nearest"))
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    let built = index(format!("{}_reembed", database.schema())).await;
    assert_eq!(
        status(&database.writer_options())
            .await
            .unwrap()
            .under_way
            .unwrap()
            .missing_indexes,
        0
    );
    assert_eq!(reembedding.switch().await.unwrap().pending, 1);
    // The index in use is the one that was built before the switch.
    assert_eq!(index(database.schema().data().to_owned()).await, built);
    let after = ids_and_vectors(&store).await;
    let texts: Vec<&str> = after.iter().map(|(_, text, _)| text.as_str()).collect();
    let expected: Vec<String> = (1..=11)
        .filter(|number| *number != 3)
        .map(|number| format!("text {number}"))
        .collect();
    assert_eq!(texts, expected);
    assert_eq!(after.last().unwrap().2, None);

    // A writer of the old model goes on: its records are stored, and wait for vectors of the new one.
    let receipts = write_batch(&store, &old, &[record(13, &old)]).await.unwrap();
    assert_eq!(receipts[0].embedding_status, EmbeddingStatus::Pending);
    assert!(receipts[0].embedding_id > after.last().map(|(id, _, _)| *id));
    // A text that is there already is found, with its new vector.
    let receipts = write_batch(&store, &old, &[record(1, &old)]).await.unwrap();
    assert_eq!(
        (receipts[0].embedding_status, receipts[0].replayed),
        (EmbeddingStatus::Stored, true)
    );
    let late = pending::claim(&store, &other(), 10, Database::now(), LEASE)
        .await
        .unwrap();
    let mut late: Vec<&str> = late.iter().map(|text| text.text.as_str()).collect();
    late.sort_unstable();
    assert_eq!(late, ["text 11", "text 13"]);
}

#[tokio::test]
async fn a_switch_waits_for_a_writer_and_for_a_reader_without_holding_up_others_for_long() {
    let (database, store) = database(3).await;
    let reembedding = Reembedding::begin(&database.writer_options(), &other())
        .await
        .unwrap();
    reembedding.copy_texts().await.unwrap();
    while !embed(&reembedding, 100, 0).await.is_empty() {}
    reembedding.build_indexes().await.unwrap();
    let reader = database.reader().await;
    let mut reading = reader.pool().begin().await.unwrap();
    sqlx::query("SELECT id FROM texts")
        .execute(&mut *reading)
        .await
        .unwrap();
    let switch = reembedding.switch();
    let others = async {
        // Longer than the first try lasts.
        tokio::time::sleep(Duration::from_millis(700)).await;
        // The switch has given its locks back, and what the reader wants next is free.
        sqlx::query("SELECT id FROM incidents")
            .execute(&mut *reading)
            .await
            .unwrap();
        write(&store, database.model(), 4..=4).await;
        reading.commit().await.unwrap();
    };
    let (switched, ()) = tokio::join!(switch, others);
    let switched = switched.unwrap();
    assert_eq!((switched.pending, switched.tries), (1, 2));
}

#[tokio::test]
async fn a_table_that_was_migrated_meanwhile_is_not_replaced() {
    let (database, store) = database(3).await;
    let connect = database.writer_options();
    let reembedding = Reembedding::begin(&connect, &other()).await.unwrap();
    reembedding.copy_texts().await.unwrap();
    reembedding.build_indexes().await.unwrap();
    sqlx::query("ALTER TABLE incident_embeddings ADD COLUMN news integer")
        .execute(store.pool())
        .await
        .unwrap();
    assert!(matches!(
        reembedding.switch().await.unwrap_err(),
        ReembedError::SchemaChanged
    ));
    assert!(matches!(
        Reembedding::begin(&connect, &other()).await.unwrap_err(),
        ReembedError::SchemaChanged
    ));
    assert_eq!(store.model().await.unwrap(), *database.model());
}
