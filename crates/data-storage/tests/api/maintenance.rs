//! What time brings, by an injected clock.

use std::time::{Duration, Instant};

use audit_store::hold::{self, Scope};
use audit_store::{PartitionWindow, WriteStore, ensure_partitions};
use chrono::{DateTime, Utc};
use data_storage::{Config, Maintenance, Metrics};
use service_kit::Clock;
use service_kit::metrics::{Registry, registry, render};
use testkit::Database;

/// How long a round may take to show.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maintenance of a schema, with partitions from March to July and its clock in the middle of June.
struct Running {
    store: WriteStore,
    clock: Clock,
    registry: Registry,
    task: tokio::task::JoinHandle<()>,
    _database: Database,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_hold(None, change).await
    }

    async fn with_hold(hold: Option<Scope>, change: impl FnOnce(&mut Config)) -> Self {
        let database = Database::new("datastorage").await;
        let store = database.store().await;
        let window = PartitionWindow {
            months_back: 3,
            months_ahead: 1,
        };
        ensure_partitions(&store, Database::now(), window).await.unwrap();
        if let Some(scope) = hold {
            hold::place(
                &store,
                scope,
                "case 7",
                "counsel",
                "2026-03-20T00:00:00Z".parse().unwrap(),
            )
            .await
            .unwrap();
        }
        let mut config = Config::load(None, []).unwrap();
        config.partitions.interval = Duration::from_millis(50);
        config.retention.interval = Duration::from_millis(50);
        change(&mut config);
        let mut registry = registry("datastorage");
        let metrics = Metrics::register(&mut registry);
        let clock = Clock::manual(Database::now());
        let maintenance = Maintenance::new(
            store.clone(),
            clock.clone(),
            config.partitions,
            config.retention,
            metrics,
        );
        Self {
            task: tokio::spawn(maintenance.run()),
            store,
            clock,
            registry,
            _database: database,
        }
    }

    /// Waits until the metrics hold these lines.
    async fn shows(&self, lines: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = render(&self.registry).unwrap();
            if lines.iter().all(|line| text.lines().any(|l| l == *line)) {
                return;
            }
            assert!(Instant::now() < deadline, "no {lines:?} in\n{text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The months that have a partition of the ledger.
    async fn months(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'audit_events'::regclass AND c.relname <> 'audit_events_default' ORDER BY 1",
        )
        .fetch_all(self.store.pool())
        .await
        .unwrap()
    }
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

#[tokio::test]
async fn by_default_partitions_are_made_as_time_passes_and_nothing_is_ever_dropped() {
    let running = Running::start(|_| {}).await;
    running.shows(&["datastorage_partitions_ahead 3"]).await;
    running.clock.set(at("2027-01-31T23:59:59Z"));
    // From October to April, and all that were there before.
    running
        .shows(&[
            "datastorage_partitions_ahead 3",
            "datastorage_partitions_missing 0",
            "datastorage_default_partition_rows{table=\"audit_events\"} 0",
            "datastorage_default_partition_rows{table=\"resource_action_traces\"} 0",
            "datastorage_retention_dropped_partitions_total 0",
        ])
        .await;
    let deadline = Instant::now() + PATIENCE;
    while running.months().await.last().unwrap() != "y2027m04" {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Several rounds more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        running.months().await,
        [
            "y2026m03", "y2026m04", "y2026m05", "y2026m06", "y2026m07", "y2026m08", "y2026m09", "y2026m10",
            "y2026m11", "y2026m12", "y2027m01", "y2027m02", "y2027m03", "y2027m04"
        ]
    );
}

#[tokio::test]
async fn with_a_policy_old_months_are_dropped_once_and_counted() {
    let running = Running::start(|config| config.retention.keep_months = 1).await;
    // In the middle of June one month reaches back to the middle of May.
    running
        .shows(&[
            "datastorage_retention_dropped_partitions_total 4",
            "datastorage_retention_held_months 0",
            "datastorage_partitions_ahead 3",
        ])
        .await;
    let months = ["y2026m05", "y2026m06", "y2026m07", "y2026m08", "y2026m09"];
    assert_eq!(running.months().await, months);
    // What was dropped is not made again: the window ends where the policy does.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.months().await, months);
    running
        .shows(&["datastorage_retention_dropped_partitions_total 4"])
        .await;
}

#[tokio::test]
async fn a_held_month_and_a_month_with_rows_in_default_show_in_the_metrics() {
    let everything_in_march = Scope {
        until: Some(at("2026-04-01T00:00:00Z")),
        ..Scope::default()
    };
    let running = Running::with_hold(Some(everything_in_march), |config| {
        config.retention.keep_months = 1;
    })
    .await;
    // March has one row: the event of the hold itself.
    running
        .shows(&[
            "datastorage_retention_dropped_partitions_total 2",
            "datastorage_retention_held_months 1",
        ])
        .await;
    sqlx::query(
        "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
             payload_sha256, redaction_policy, received_at)
         VALUES ('workflow', 'n', 'w', '2026-11-10T00:00:00Z', 'Pending', 'c', 'a', '{}', sha256(''), 0, now())",
    )
    .execute(running.store.pool())
    .await
    .unwrap();
    running.clock.set(at("2026-09-15T00:00:00Z"));
    running
        .shows(&[
            "datastorage_partitions_ahead 1",
            "datastorage_partitions_missing 1",
            "datastorage_default_partition_rows{table=\"audit_events\"} 1",
        ])
        .await;
}

#[tokio::test]
async fn a_dry_run_drops_nothing() {
    let running = Running::start(|config| {
        config.retention.keep_months = 1;
        config.retention.dry_run = true;
    })
    .await;
    running.shows(&["datastorage_partitions_ahead 3"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(running.months().await[..2], ["y2026m03", "y2026m04"]);
    running
        .shows(&["datastorage_retention_dropped_partitions_total 0"])
        .await;
}

#[tokio::test]
async fn a_round_that_fails_is_counted_and_the_next_one_goes_on() {
    let running = Running::start(|config| config.retention.keep_months = 1).await;
    running
        .shows(&["datastorage_retention_dropped_partitions_total 4"])
        .await;
    sqlx::query("ALTER TABLE legal_holds RENAME TO lost")
        .execute(running.store.pool())
        .await
        .unwrap();
    running.clock.set(at("2026-07-15T00:00:00Z"));
    let deadline = Instant::now() + PATIENCE;
    while !render(&running.registry)
        .unwrap()
        .contains("datastorage_maintenance_failures_total{task=\"retention\"}")
    {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sqlx::query("ALTER TABLE lost RENAME TO legal_holds")
        .execute(running.store.pool())
        .await
        .unwrap();
    running
        .shows(&["datastorage_retention_dropped_partitions_total 6"])
        .await;
}
