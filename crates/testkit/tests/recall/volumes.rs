//! Databases with a realistic volume of incidents, made once for all tests of this binary.
//!
//! Incident n is the n-th newest and has the id n; what it is follows from n alone, so that the first page of any
//! filter has the same incidents whatever the volume, and what it costs can be compared.

use audit_store::migrate::{MigrateOptions, migrate};
use audit_store::{ConnectOptions, PartitionWindow, Reader};
use chrono::{DateTime, TimeDelta, Utc};
use testkit::Database;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The incidents of every volume lie within so many days before [`newest`], in [`MONTHS`] monthly partitions.
const DAYS: i64 = 400;
/// May 2025 to June 2026.
pub(crate) const MONTHS: usize = 14;
/// Of so many incidents, one has what is called rare here.
pub(crate) const RARE: i64 = 400;

/// A database with so many incidents.
pub(crate) struct Volume {
    pub(crate) database: Database,
    pub(crate) incidents: i64,
}

/// 5 000 incidents.
pub(crate) async fn small() -> &'static Volume {
    static VOLUME: OnceCell<Volume> = OnceCell::const_new();
    VOLUME.get_or_init(|| Volume::of(5_000)).await
}

/// 20 000 incidents in the same months.
pub(crate) async fn large() -> &'static Volume {
    static VOLUME: OnceCell<Volume> = OnceCell::const_new();
    VOLUME.get_or_init(|| Volume::of(20_000)).await
}

/// Nobody else uses the volumes meanwhile, so that what is read of them can be counted.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static USERS: Mutex<()> = Mutex::const_new(());
    USERS.lock().await
}

fn newest() -> DateTime<Utc> {
    Database::now() - TimeDelta::hours(12)
}

impl Volume {
    async fn of(incidents: i64) -> Self {
        let database = Database::new("volume").await;
        let options = MigrateOptions {
            partitions: PartitionWindow {
                months_back: 13,
                months_ahead: 1,
            },
            ..database.migrate_options()
        };
        migrate(&database.writer_options(), &options, Database::now())
            .await
            .expect("partitions");
        let volume = Self { database, incidents };
        let store = volume.database.store().await;
        for insert in INSERTS {
            sqlx::query(insert)
                .bind(incidents)
                .bind(newest())
                .bind(volume.step().num_microseconds())
                .execute(store.pool())
                .await
                .expect("many rows");
        }
        store.close().await;
        volume.database.analyze().await;
        volume
    }

    /// From one incident to the next.
    fn step(&self) -> TimeDelta {
        TimeDelta::seconds(DAYS * 86_400 / self.incidents)
    }

    /// When incident n was created.
    pub(crate) fn created_at(&self, n: i64) -> DateTime<Utc> {
        let steps = i32::try_from(n).expect("a number of an incident");
        newest() - self.step() * steps
    }

    /// A reader with one connection, so that the session that ran a statement can be asked about it.
    pub(crate) async fn reader(&self) -> Reader {
        let options = ConnectOptions {
            max_connections: 1,
            ..self.database.reader_options()
        };
        Reader::connect(&options).await.expect("a connection")
    }
}

/// What makes a volume: `$1` incidents, `$2` the newest time, `$3` microseconds between two.
///
/// 500 resources, a quarter of them in the namespace `shop`, the others in 50 namespaces; each has two histories. Every
/// incident has an analysis, a workflow and an execution. Every third incident failed, and of these every third was
/// rolled back.
const INSERTS: [&str; 9] = [
    "INSERT INTO remediation_requests (namespace, name, created_at)
     SELECT 'kubernaut-system', 'rr-' || n, $2 - n * $3 * interval '1 microsecond'
     FROM generate_series(1, $1) n ORDER BY n",
    "INSERT INTO resource_references (cluster_name, namespace, kind, name)
     SELECT 'prod-1', CASE WHEN r % 4 = 0 THEN 'shop' ELSE 'team-' || r % 50 END,
            CASE WHEN r % 10 = 0 THEN 'StatefulSet' ELSE 'Deployment' END, 'api-' || r
     FROM generate_series(0, least($1, 500) - 1) r WHERE ($2, $3) IS NOT NULL ORDER BY r",
    "INSERT INTO action_histories (resource_id, workflow_id, action_type, status, status_time, status_instance,
         status_event_id)
     SELECT r.id, NULL, CASE h WHEN 0 THEN 'restart_pod' ELSE 'drain_node' END, 'Completed', $2, '', 1
     FROM generate_series(0, 1) h, resource_references r WHERE ($1, $3) IS NOT NULL ORDER BY h, r.id",
    "INSERT INTO resource_action_traces (id, action_history_id, action_timestamp, remediation_namespace,
         remediation_name, signal_type, alert_name, alert_severity, alert_fingerprint, cluster_name, environment,
         action_type, phase, correlation_id, last_event_id, recorded_by, updated_at)
     SELECT k.id, h.id, k.created_at, k.namespace, k.name, 'prometheus',
            CASE k.id % 400 WHEN 1 THEN 'RareAlert' ELSE 'Alert' || k.id % 20 END,
            CASE k.id % 400 WHEN 2 THEN 'critical' ELSE 'warning' END,
            md5((k.id % 400)::text),
            CASE k.id % 400 WHEN 3 THEN 'edge-1' ELSE 'prod-1' END,
            CASE k.id % 400 WHEN 4 THEN 'test' ELSE 'production' END,
            CASE k.id % 400 WHEN 5 THEN 'drain_node' ELSE 'restart_pod' END,
            CASE k.id % 400 WHEN 7 THEN 'Pending' WHEN 8 THEN 'Processing'
                            ELSE CASE k.id % 3 WHEN 0 THEN 'Failed' ELSE 'Completed' END END,
            'corr-' || k.id / 4, k.id, 'test', k.created_at
     FROM remediation_requests k
     JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM action_histories) h
       ON h.place = k.id % 1000
     WHERE ($1, $2, $3) IS NOT NULL",
    "INSERT INTO ai_analyses (namespace, name, record_created_at, remediation_request_ref, root_cause, phase,
         correlation_id, last_event_id, recorded_by, updated_at)
     SELECT namespace, 'ai-' || id, created_at + interval '1 second', name, 'cause ' || id % 7, 'Completed', 'c', id,
            'test', created_at
     FROM remediation_requests WHERE ($1, $2, $3) IS NOT NULL ORDER BY id",
    "INSERT INTO workflow_executions (namespace, name, record_created_at, remediation_request_ref, workflow_name, phase,
         correlation_id, last_event_id, recorded_by, updated_at)
     SELECT namespace, 'wf-' || id, created_at + interval '2 seconds', name,
            CASE id % 400 WHEN 6 THEN 'rare-workflow' ELSE 'workflow-' || id % 5 END,
            CASE id % 3 WHEN 0 THEN 'Failed' ELSE 'Completed' END, 'c', id, 'test', created_at
     FROM remediation_requests WHERE ($1, $2, $3) IS NOT NULL ORDER BY id",
    "INSERT INTO action_executions (namespace, name, record_created_at, action_history_id, workflow_execution_ref,
         action_type, is_rolled_back, phase, correlation_id, last_event_id, recorded_by, updated_at)
     SELECT k.namespace, 'ex-' || k.id, k.created_at + interval '3 seconds', t.action_history_id, 'wf-' || k.id,
            'restart_pod', k.id % 9 = 0, CASE k.id % 3 WHEN 0 THEN 'Failed' ELSE 'Completed' END, 'c', k.id, 'test',
            k.created_at
     FROM remediation_requests k JOIN resource_action_traces t ON t.id = k.id
     WHERE ($1, $2, $3) IS NOT NULL ORDER BY k.id",
    "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
         payload_sha256, redaction_policy, received_at)
     SELECT 'remediation', namespace, name, created_at, 'Completed', 'c', 'test', '{}', sha256('x'), 1, created_at
     FROM remediation_requests WHERE ($1, $2, $3) IS NOT NULL",
    "INSERT INTO audit_events (record_kind, namespace, name, event_time, phase, correlation_id, actor, payload,
         payload_sha256, redaction_policy, received_at)
     SELECT 'workflow', namespace, name, record_created_at, phase, 'c', 'test', '{}', sha256('x'), 1, created_at
     FROM workflow_executions WHERE ($1, $2, $3) IS NOT NULL",
];
