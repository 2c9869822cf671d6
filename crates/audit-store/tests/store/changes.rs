//! What a look sees, whatever order transactions commit in.

use std::time::Duration;

use audit_store::reader::{ChangeFeed, Changed};
use audit_store::writer::{NewRecord, write_batch};
use audit_store::{ConnectOptions, Reader, WriteStore};
use sqlx::{PgConnection, PgPool};
use testkit::chaos_proxy::Direction;
use testkit::{ChaosProxy, Database};

use crate::history::{analysis, execution, head, remediation, workflow};

const TIME: &str = "2026-06-01T00:00:00Z";
const LATER: &str = "2026-06-02T00:00:00Z";
const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    database: Database,
    store: WriteStore,
    feed: ChangeFeed,
}

impl Fixture {
    async fn new() -> Self {
        let database = Database::new("store").await;
        let (store, reader) = (database.store().await, database.reader().await);
        let mut feed = ChangeFeed::of(&reader, DEADLINE);
        assert_eq!(feed.look().await.unwrap().changed, Changed::Anything);
        Self {
            database,
            store,
            feed,
        }
    }

    async fn changed(&mut self) -> Changed {
        self.feed.look().await.unwrap().changed
    }

    /// Stores a record, and gives the id of its incident if it has one itself.
    async fn write(&self, record: NewRecord) -> Option<i64> {
        let receipts = write_batch(&self.store, self.database.model(), &[record]).await;
        receipts.unwrap()[0].incident_id
    }

    async fn incident(&self, name: &str, time: &str) -> i64 {
        let record = remediation(head(name, time, "c"), "checkout", None, None);
        self.write(record).await.unwrap()
    }
}

fn incidents(ids: &[i64]) -> Changed {
    let mut incidents = ids.to_vec();
    incidents.sort_unstable();
    Changed::Records { incidents }
}

/// A row of the ledger, as the transaction at hand inserts it.
async fn insert(connection: &mut PgConnection, kind: &str, name: &str, rows: i64) {
    sqlx::query(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                                   payload_sha256, redaction_policy, received_at)
         SELECT $1, 'kubernaut-system', $2 || n, now(), 'Pending', 'c', 'w', '{}', sha256($2::bytea), 0, now()
         FROM generate_series(1, $3) n",
    )
    .bind(kind)
    .bind(name)
    .bind(rows)
    .execute(connection)
    .await
    .unwrap();
}

async fn number(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint")
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_change_is_told_once_and_nothing_is_nothing() {
    let mut fixture = Fixture::new().await;
    assert_eq!(fixture.changed().await, Changed::Nothing);
    let id = fixture.incident("rr-1", TIME).await;
    assert_eq!(fixture.changed().await, incidents(&[id]));
    assert_eq!(fixture.changed().await, Changed::Nothing);
    // A replay changes nothing.
    fixture.incident("rr-1", TIME).await;
    assert_eq!(fixture.changed().await, Changed::Nothing);
}

#[tokio::test]
async fn an_older_transaction_that_commits_later_is_not_missed() {
    let mut fixture = Fixture::new().await;
    let pool: PgPool = fixture.store.pool().clone();
    let mut older = pool.begin().await.unwrap();
    insert(&mut older, "remediation", "older", 1).await;
    let mut undone = pool.begin().await.unwrap();
    insert(&mut undone, "remediation", "undone", 1).await;
    let mut newer = pool.begin().await.unwrap();
    insert(&mut newer, "remediation", "newer", 1).await;
    assert!(number(&mut older).await < number(&mut newer).await);
    assert_eq!(fixture.changed().await, Changed::Nothing);

    newer.commit().await.unwrap();
    assert_eq!(fixture.changed().await, incidents(&[]));
    // While the older one runs, what was told is not told again.
    for _ in 0..3 {
        assert_eq!(fixture.changed().await, Changed::Nothing);
    }
    undone.rollback().await.unwrap();
    assert_eq!(fixture.changed().await, Changed::Nothing);
    older.commit().await.unwrap();
    assert_eq!(fixture.changed().await, incidents(&[]));
    assert_eq!(fixture.changed().await, Changed::Nothing);
}

#[tokio::test]
async fn a_record_concerns_every_incident_that_shows_or_showed_it() {
    let mut fixture = Fixture::new().await;
    let one = fixture.incident("rr-1", TIME).await;
    let other = fixture.incident("rr-2", TIME).await;
    assert_eq!(fixture.changed().await, incidents(&[one, other]));

    fixture.write(analysis(head("a", LATER, "c"), "rr-1", None)).await;
    assert_eq!(fixture.changed().await, incidents(&[one]));
    // It names another remediation request now, and is gone from the first.
    fixture
        .write(analysis(head("a", LATER, "other"), "rr-2", None))
        .await;
    assert_eq!(fixture.changed().await, incidents(&[one, other]));
    // An execution whose workflow is not known yet, and its workflow.
    fixture
        .write(execution(head("x", LATER, "c"), "w", "checkout", None))
        .await;
    assert_eq!(fixture.changed().await, incidents(&[]));
    fixture.write(workflow(head("w", TIME, "c"), "rr-1")).await;
    assert_eq!(fixture.changed().await, incidents(&[one]));
    // A workflow of the same name takes the execution away.
    fixture.write(workflow(head("w", LATER, "c"), "rr-2")).await;
    assert_eq!(fixture.changed().await, incidents(&[one, other]));
    fixture
        .write(execution(head("x", LATER, "other"), "w", "checkout", None))
        .await;
    assert_eq!(fixture.changed().await, incidents(&[one, other]));
    // So does a remediation request of the same name.
    let namesake = fixture.incident("rr-1", LATER).await;
    assert_eq!(fixture.changed().await, incidents(&[one, namesake]));
}

#[tokio::test]
async fn a_month_that_was_dropped_or_more_rows_than_are_told_apart_may_be_anything() {
    let mut fixture = Fixture::new().await;
    let pool: PgPool = fixture.store.pool().clone();
    let mut connection = pool.acquire().await.unwrap();
    insert(&mut connection, "hold", "h", 1).await;
    assert_eq!(fixture.changed().await, Changed::Nothing);
    insert(&mut connection, "retention", "month", 1).await;
    assert_eq!(fixture.changed().await, Changed::Anything);
    insert(&mut connection, "remediation", "few", 10_000).await;
    assert_eq!(fixture.changed().await, incidents(&[]));
    insert(&mut connection, "remediation", "many", 10_001).await;
    assert_eq!(fixture.changed().await, Changed::Anything);
    // The rows beyond the bound may come now, and then there is an end.
    fixture.changed().await;
    assert_eq!(fixture.changed().await, Changed::Nothing);
}

#[tokio::test]
async fn numbers_of_a_restored_dump_are_not_taken_for_changes() {
    let mut fixture = Fixture::new().await;
    let pool: PgPool = fixture.store.pool().clone();
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
                                   payload_sha256, redaction_policy, received_at, transaction_id)
         VALUES ('remediation', 'n', 'r', now(), 'Pending', 'c', 'w', '{}', sha256(''), 0, now(), '1000000000000')",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    assert_eq!(fixture.changed().await, Changed::Nothing);
}

#[tokio::test]
async fn after_a_lost_or_silent_connection_the_next_look_begins_anew() {
    let database = Database::new("store").await;
    let options = database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = ConnectOptions {
        url: proxy.url(&options.url),
        ..options
    };
    let reader = Reader::connect(&options).await.unwrap();
    let mut feed = ChangeFeed::of(&reader, Duration::from_millis(500));
    let begin_anew = [Changed::Anything, Changed::Nothing];
    for expected in begin_anew.clone() {
        assert_eq!(feed.look().await.unwrap().changed, expected);
    }
    proxy.reset();
    assert!(feed.look().await.unwrap_err().is_retryable());
    for expected in begin_anew.clone() {
        assert_eq!(feed.look().await.unwrap().changed, expected);
    }
    proxy.delay(Direction::ToClient, Duration::from_secs(60));
    assert!(feed.look().await.unwrap_err().is_retryable());
    proxy.pass();
    for expected in begin_anew {
        assert_eq!(feed.look().await.unwrap().changed, expected);
    }
}
