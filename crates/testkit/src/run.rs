//! This test process towards the shared server.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use devstack::{Major, SharedServer, TEST_DATABASE_VARIABLE};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::{mpsc, oneshot};

/// The role all test schemas are granted to: roles belong to the server, so one serves all.
pub(crate) const READER_ROLE: &str = "kubernaut_test_reader";
/// Its password.
pub(crate) const READER_PASSWORD: &str = "kubernaut_test_reader";

/// This process: the server it holds, and the name its schemas carry.
pub(crate) struct Run {
    server: SharedServer,
    /// Seconds since the epoch and process id: unique among the runs on a server.
    id: String,
    schemas: AtomicU32,
    /// Whether the server goes on after the tests, so that schemas must be dropped.
    lasting: bool,
    drops: mpsc::UnboundedSender<(String, oneshot::Sender<()>)>,
}

/// The run of this process; the first call starts the server or finds it running.
pub(crate) fn run() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let started = Instant::now();
        let server = SharedServer::acquire(Major::default()).expect("a PostgreSQL for tests");
        #[expect(
            clippy::disallowed_methods,
            reason = "a name that is unique among runs, not a time that is tested"
        )]
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        let id = format!("{seconds}_{}", std::process::id());
        let (drops, requests) = mpsc::unbounded_channel();
        let (ready, wait) = std::sync::mpsc::channel();
        let (url, lock) = (server.url().to_owned(), id.clone());
        std::thread::Builder::new()
            .name("testkit".to_owned())
            .spawn(move || keep(&url, &lock, requests, &ready))
            .expect("a thread");
        wait.recv().expect("a connection to the PostgreSQL for tests");
        let seconds = started.elapsed().as_secs_f64();
        // Straight to the stream: what a macro prints is shown of failed tests only.
        let _ = writeln!(
            std::io::stderr(),
            "testkit: PostgreSQL ready after {seconds:.2} s"
        );
        let lasting = std::env::var_os(TEST_DATABASE_VARIABLE).is_some();
        Run {
            server,
            id,
            schemas: AtomicU32::new(0),
            lasting,
            drops,
        }
    })
}

impl Run {
    /// URL of the server's superuser.
    pub(crate) fn url(&self) -> &str {
        self.server.url()
    }

    /// A schema name that nobody else uses: `<service>_test_<timestamp>_<process>_<n>`.
    pub(crate) fn schema_name(&self, service: &str) -> String {
        format!(
            "{service}_test_{}_{}",
            self.id,
            self.schemas.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Drops a schema and its context schema, unless the server goes away with the tests anyway.
    pub(crate) fn drop_schema(&self, schema: String) {
        if !self.lasting {
            return;
        }
        let (done, wait) = oneshot::channel();
        if self.drops.send((schema, done)).is_ok() {
            // A blocking wait inside a runtime is refused, so it happens on a thread of its own.
            drop(std::thread::spawn(move || drop(wait.blocking_recv())).join());
        }
    }
}

/// Holds a lock on the run's id for as long as the process lives, sweeps what dead runs left, and drops schemas.
///
/// It has a runtime of its own, because the runtime of a test ends with the test.
fn keep(
    url: &str,
    id: &str,
    mut requests: mpsc::UnboundedReceiver<(String, oneshot::Sender<()>)>,
    ready: &std::sync::mpsc::Sender<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.expect("a connection");
        sqlx::query("SELECT pg_advisory_lock(hashtextextended('kubernaut test run ' || $1, 0))")
            .bind(id)
            .execute(&mut connection)
            .await
            .expect("the lock of this run");
        sweep(&mut connection).await;
        let _ = ready.send(());
        while let Some((schema, done)) = requests.recv().await {
            drop_schemas(&mut connection, &schema).await;
            let _ = done.send(());
        }
    });
}

/// Drops the schemas of runs whose lock nobody holds: their processes were killed.
async fn sweep(connection: &mut PgConnection) {
    let abandoned: Vec<String> = sqlx::query_scalar(
        "SELECT nspname::text FROM pg_namespace
         WHERE nspname ~ '_test_[0-9]+_[0-9]+_[0-9]+$'
           AND pg_try_advisory_xact_lock(hashtextextended(
                   'kubernaut test run ' || substring(nspname FROM '_test_([0-9]+_[0-9]+)_[0-9]+$'), 0))",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("the schemas of earlier runs");
    for schema in abandoned {
        drop_schemas(connection, &schema).await;
    }
}

async fn drop_schemas(connection: &mut PgConnection, schema: &str) {
    let statement = ["_context", "_reembed", ""]
        .map(|suffix| format!("DROP SCHEMA IF EXISTS {schema}{suffix} CASCADE"))
        .join("; ");
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await {
        eprintln!("testkit: schema {schema} could not be dropped: {error}");
    }
}
