//! Partitions are made beside running traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use audit_store::writer::write_batch;
use audit_store::{
    ConnectOptions, DEFAULT_ROWS_SCANNED, PartitionRound, PartitionWindow, WhyMissing, WriteStore,
    ensure_partitions, partition_status,
};
use chrono::{DateTime, TimeZone, Utc};
use sqlx::AssertSqlSafe;
use testkit::Database;

use crate::records::workflow;

const AROUND: PartitionWindow = PartitionWindow {
    months_back: 1,
    months_ahead: 1,
};

fn day(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap()
}

fn missing(round: &PartitionRound) -> Vec<(&'static str, String, WhyMissing)> {
    round
        .missing
        .iter()
        .map(|missing| (missing.table, missing.month.to_string(), missing.why))
        .collect()
}

async fn execute(store: &WriteStore, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(store.pool())
        .await
        .unwrap();
}

async fn strings(store: &WriteStore, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(store.pool()).await.unwrap()
}

/// Ledger rows of a time, past the writer.
async fn events(store: &WriteStore, time: &str, count: i64) {
    execute(
        store,
        &format!(
            "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                 payload_sha256, redaction_policy, received_at)
             SELECT 'workflow', 'n', 'w' || i, '{time}', 'Pending', 'c', 'a', '{{}}', sha256(''), 0, now()
             FROM generate_series(1, {count}) i"
        ),
    )
    .await;
}

/// What a partition has beside its rows: kinds of columns, indexes, constraints, triggers, comments.
async fn shape(store: &WriteStore, partition: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT replace(line, $1, 'P') FROM (
             SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || attidentity::text
                    || ' ' || attgenerated::text || ' ' || attislocal || ' ' || attinhcount AS line
             FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0
             UNION ALL
             SELECT 'index ' || regexp_replace(pg_get_indexdef(i.indexrelid), '^(CREATE.*INDEX) \\S+ ON \\S+', '\\1') || ' of '
                    || coalesce((SELECT p.inhparent::regclass::text FROM pg_inherits p WHERE p.inhrelid = i.indexrelid), 'nothing')
             FROM pg_index i WHERE i.indrelid = $1::regclass
             UNION ALL
             SELECT 'constraint ' || contype::text || ' ' || pg_get_constraintdef(oid) || ' ' || conislocal || ' ' || coninhcount
             FROM pg_constraint WHERE conrelid = $1::regclass
             UNION ALL
             SELECT 'trigger ' || tgname || ' ' || tgtype FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal
         ) s ORDER BY 1",
    )
    .bind(partition)
    .fetch_all(store.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn partitions_are_made_once_and_a_month_with_rows_in_default_is_left_alone_and_told() {
    let database = Database::new("store").await;
    let store = database.store().await;
    // The migration made those around June.
    assert_eq!(
        ensure_partitions(&store, Database::now(), AROUND).await.unwrap(),
        PartitionRound::default()
    );
    events(&store, "2026-09-10T00:00:00Z", 1).await;
    let september = day(2026, 9, 30);
    let round = ensure_partitions(&store, september, AROUND).await.unwrap();
    assert_eq!(
        round.made,
        [
            "audit_events_y2026m08",
            "audit_events_y2026m10",
            "resource_action_traces_y2026m08",
            "resource_action_traces_y2026m09",
            "resource_action_traces_y2026m10"
        ]
    );
    assert_eq!(
        missing(&round),
        [("audit_events", "2026-09-01".to_owned(), WhyMissing::RowsInDefault)]
    );
    assert!(!round.elsewhere);
    let status = partition_status(&store, september).await.unwrap();
    assert_eq!(
        status.map(|s| (s.table, s.months_ahead, s.default_rows)),
        [("audit_events", 1, 1), ("resource_action_traces", 1, 0)]
    );
    // Up to the first gap: from June, July and August are there and September is not.
    let status = partition_status(&store, Database::now()).await.unwrap();
    assert_eq!(status.map(|s| s.months_ahead), [2, 4]);
}

#[tokio::test]
async fn on_the_31st_of_january_february_is_the_next_month() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let round = ensure_partitions(
        &store,
        Utc.with_ymd_and_hms(2027, 1, 31, 23, 59, 59).unwrap(),
        AROUND,
    )
    .await
    .unwrap();
    assert_eq!(
        round.made[..3],
        [
            "audit_events_y2026m12",
            "audit_events_y2027m01",
            "audit_events_y2027m02"
        ]
    );
    assert_eq!(
        strings(
            &store,
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'audit_events_y2027m02'::regclass"
        )
        .await,
        ["FOR VALUES FROM ('2027-02-01 00:00:00+00') TO ('2027-03-01 00:00:00+00')"]
    );
}

#[tokio::test]
async fn an_attached_partition_is_what_postgresql_itself_would_have_made() {
    let database = Database::new("store").await;
    let store = database.store().await;
    execute(
        &store,
        "CREATE TABLE audit_events_reference PARTITION OF audit_events
             FOR VALUES FROM ('2030-01-01 00:00:00+00') TO ('2030-02-01 00:00:00+00');
         CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events_reference
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
         CREATE TABLE resource_action_traces_reference PARTITION OF resource_action_traces
             FOR VALUES FROM ('2030-01-01 00:00:00+00') TO ('2030-02-01 00:00:00+00')",
    )
    .await;
    for table in ["audit_events", "resource_action_traces"] {
        let made = shape(&store, &format!("{table}_y2026m07")).await;
        assert_eq!(made, shape(&store, &format!("{table}_reference")).await);
        assert!(
            made.iter()
                .any(|line| line.starts_with("index CREATE UNIQUE INDEX")),
            "{made:?}"
        );
    }
    let commented = strings(
        &store,
        "SELECT col_description('audit_events_y2026m07'::regclass, a.attnum) FROM pg_attribute a
         WHERE a.attrelid = 'audit_events_y2026m07'::regclass AND a.attname = 'actor'
         UNION ALL SELECT obj_description('audit_events_y2026m07'::regclass)",
    )
    .await;
    assert_eq!(
        commented,
        [
            "Identity of the writer, as authenticated by the service.",
            "Rows of audit_events from 2026-07-01 to 2026-08-01, the end excluded."
        ]
    );
}

#[tokio::test]
async fn a_new_partition_of_the_ledger_refuses_every_change() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let later = day(2026, 9, 15);
    ensure_partitions(&store, later, AROUND).await.unwrap();
    events(&store, "2026-09-10T00:00:00Z", 1).await;
    for statement in [
        "UPDATE audit_events_y2026m09 SET actor = 'somebody else'",
        "DELETE FROM audit_events_y2026m09",
        "TRUNCATE audit_events_y2026m09",
    ] {
        let error = sqlx::query(statement).execute(store.pool()).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "23001", "{statement}: {error}");
    }
    assert_eq!(
        strings(&store, "SELECT count(*)::text FROM audit_events_y2026m09").await,
        ["1"]
    );
}

#[tokio::test]
async fn beside_a_large_default_partition_a_month_to_come_gets_its_partition_and_one_in_use_does_not() {
    let database = Database::new("store").await;
    let store = database.store().await;
    events(&store, "2020-01-10T00:00:00Z", DEFAULT_ROWS_SCANNED + 1).await;
    let round = ensure_partitions(
        &store,
        Database::now(),
        PartitionWindow {
            months_back: 2,
            months_ahead: 2,
        },
    )
    .await
    .unwrap();
    assert_eq!(
        round.made,
        [
            "audit_events_y2026m08",
            "resource_action_traces_y2026m04",
            "resource_action_traces_y2026m08"
        ]
    );
    assert_eq!(
        missing(&round),
        [("audit_events", "2026-04-01".to_owned(), WhyMissing::LargeDefault)]
    );
    let left = "SELECT conname::text FROM pg_constraint
                WHERE conrelid = 'audit_events_default'::regclass AND conname LIKE '%fence'";
    assert_eq!(strings(&store, left).await, [""; 0]);

    // A fence that a round cut off long ago left behind comes down before it keeps records out.
    execute(
        &store,
        "ALTER TABLE audit_events_default ADD CONSTRAINT audit_events_y2026m09_fence
             CHECK (event_time < '2026-09-01 00:00:00+00' OR event_time >= '2026-10-01 00:00:00+00') NOT VALID",
    )
    .await;
    ensure_partitions(&store, Database::now(), AROUND).await.unwrap();
    assert_eq!(strings(&store, left).await, ["audit_events_y2026m09_fence"]);
    ensure_partitions(&store, day(2026, 9, 1), AROUND).await.unwrap();
    assert_eq!(strings(&store, left).await, [""; 0]);
    events(&store, "2026-09-10T00:00:00Z", 1).await;
}

#[tokio::test]
async fn postgresql_does_not_read_the_default_partition_behind_a_fence() {
    let database = Database::new("store").await;
    let store = database.store().await;
    events(&store, "2020-01-10T00:00:00Z", DEFAULT_ROWS_SCANNED + 1).await;
    let scans =
        "SELECT seq_scan::text FROM pg_stat_xact_all_tables WHERE relid = 'audit_events_default'::regclass";
    let mut reads = Vec::new();
    for fence in [
        "",
        "ALTER TABLE audit_events_default ADD CONSTRAINT audit_events_y2026m08_fence
             CHECK (event_time < '2026-08-01 00:00:00+00' OR event_time >= '2026-09-01 00:00:00+00');",
    ] {
        // As the code does it, in a transaction that is rolled back.
        let mut transaction = store.pool().begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!(
            "{fence} CREATE TABLE audit_events_y2026m08 (LIKE audit_events INCLUDING ALL EXCLUDING IDENTITY)"
        )))
        .execute(&mut *transaction)
        .await
        .unwrap();
        let before: String = sqlx::query_scalar(scans)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        sqlx::raw_sql(
            "ALTER TABLE audit_events ATTACH PARTITION audit_events_y2026m08
                 FOR VALUES FROM ('2026-08-01 00:00:00+00') TO ('2026-09-01 00:00:00+00')",
        )
        .execute(&mut *transaction)
        .await
        .unwrap();
        let after: String = sqlx::query_scalar(scans)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        transaction.rollback().await.unwrap();
        reads.push(after.parse::<i64>().unwrap() - before.parse::<i64>().unwrap());
    }
    assert_eq!(reads, [1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_under_a_write_load_and_a_long_reader_fails_no_write_and_gives_up_in_time() {
    let database = Database::new("store").await;
    let store = database.store().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..2)
        .map(|writer| {
            let (store, model, stop) = (store.clone(), database.model().clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut written, mut slowest) = (0_u32, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    write_batch(&store, &model, &[workflow(&format!("wf-{writer}-{written}"))])
                        .await
                        .unwrap();
                    slowest = slowest.max(started.elapsed());
                    written += 1;
                }
                (written, slowest)
            })
        })
        .collect();
    // A reader of everything: it locks every partition until it ends.
    let elsewhere = WriteStore::connect(&ConnectOptions {
        max_connections: 1,
        ..database.writer_options()
    })
    .await
    .unwrap();
    let mut reader = elsewhere.pool().begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM audit_events, resource_action_traces")
        .execute(&mut *reader)
        .await
        .unwrap();

    let september = day(2026, 9, 15);
    let started = Instant::now();
    let round = ensure_partitions(&store, september, AROUND).await.unwrap();
    let took = started.elapsed();
    assert_eq!(round.made, [""; 0]);
    assert_eq!(
        round
            .missing
            .iter()
            .map(|missing| missing.why)
            .collect::<Vec<_>>(),
        [WhyMissing::Busy; 6]
    );
    // Six tries of 200 ms; the rest is what a busy machine adds.
    assert!(
        took >= Duration::from_millis(1_200) && took < Duration::from_secs(10),
        "{took:?}"
    );

    reader.rollback().await.unwrap();
    let mut made = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    while made < 6 {
        assert!(Instant::now() < deadline, "only {made} partitions were made");
        made += ensure_partitions(&store, september, AROUND)
            .await
            .unwrap()
            .made
            .len();
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for writer in load {
        let (written, slowest) = writer.await.unwrap();
        // Far below the statement timeout, which is when a write would fail.
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        total += i64::from(written);
    }
    assert_eq!(
        strings(&store, "SELECT count(*)::text FROM audit_events").await,
        [total.to_string()]
    );
}

#[tokio::test]
async fn a_replica_leaves_the_work_to_one_that_has_begun() {
    let database = Database::new("store").await;
    let (store, other) = (database.store().await, database.store().await);
    let mut transaction = other.pool().begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('kubernaut maintenance ' || $1, 0))")
        .bind(database.schema().data())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let september = day(2026, 9, 15);
    let round = ensure_partitions(&store, september, AROUND).await.unwrap();
    assert_eq!(
        round,
        PartitionRound {
            elsewhere: true,
            ..PartitionRound::default()
        }
    );
    transaction.rollback().await.unwrap();
    let (first, second) = tokio::join!(
        ensure_partitions(&store, september, AROUND),
        ensure_partitions(&other, september, AROUND)
    );
    let mut made = [first.unwrap().made, second.unwrap().made].concat();
    // One that left early left nothing undone once the other is through.
    made.extend(ensure_partitions(&store, september, AROUND).await.unwrap().made);
    made.sort();
    assert_eq!(
        made,
        [
            "audit_events_y2026m08",
            "audit_events_y2026m09",
            "audit_events_y2026m10",
            "resource_action_traces_y2026m08",
            "resource_action_traces_y2026m09",
            "resource_action_traces_y2026m10"
        ]
    );
}
