//! The real services: two replicas of Data Storage, each behind a proxy of its own before the database, and Context API.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use audit_store::fsck::{self, Report};
use audit_store::{ConnectOptions, WriteStore};
use axum::Router;
use data_storage::{Config, Guards, Ingest, Metrics, Writers, router, vectors};
use embedding::{CacheOptions, Embedder, EmbeddingCache};
use service_kit::Clock;
use service_kit::auth::Authenticator;
use service_kit::boundary::{Boundary, RequestIds, RequestsConfig};
use service_kit::metrics::{HttpMetrics, registry};
use service_kit::rate_limit::{RateLimitConfig, RateLimiter, SteadyClock};
use sqlx::AssertSqlSafe;
use testkit::chaos_proxy::Direction;
use testkit::request::{self, Answer};
use testkit::{ChaosProxy, Database};

use crate::history::{REPLICAS, Request, Trouble};
use crate::model::Checked;

/// What a database is left with between two histories: its schema.
const TABLES: [&str; 10] = [
    "action_executions",
    "workflow_executions",
    "ai_analyses",
    "resource_action_traces",
    "remediation_requests",
    "action_histories",
    "resource_references",
    "audit_events",
    "incident_embeddings",
    "idempotency_keys",
];

/// However much a history asks: limits are tested elsewhere.
const UNLIMITED: RateLimitConfig = RateLimitConfig {
    per_second: NonZeroU32::MAX,
    burst: NonZeroU32::MAX,
    caller_per_second: NonZeroU32::MAX,
    caller_burst: NonZeroU32::MAX,
};

/// How long a client asks again for.
const PATIENCE: Duration = Duration::from_secs(20);
/// For each replica: how long it gets for a connection, how long it tries for, and how long its database is away. The
/// first gets over it, the second answers 503.
const TIMES: [[Duration; 3]; REPLICAS] = [
    [
        Duration::from_secs(5),
        Duration::from_secs(15),
        Duration::from_millis(60),
    ],
    [
        Duration::from_millis(700),
        Duration::from_secs(1),
        Duration::from_millis(1_600),
    ],
];

/// Both services on one schema, which they keep from history to history.
pub(crate) struct Services {
    pub(crate) database: Database,
    /// The owner of the schema, not by way of a proxy.
    pub(crate) owner: WriteStore,
    pub(crate) clock: Clock,
    pub(crate) context_api: Router,
    embedder: Embedder,
    proxies: Vec<ChaosProxy>,
    replicas: Vec<Replica>,
}

/// One process of Data Storage.
struct Replica {
    router: Router,
    store: WriteStore,
    writers: Writers,
}

impl Replica {
    /// Ends it in the middle of what it does.
    async fn die(self) {
        let Self {
            router,
            store,
            writers,
        } = self;
        drop((router, writers));
        store.close().await;
    }
}

/// An answer, and what it took to get it.
pub(crate) struct Asked {
    pub(crate) answer: Answer,
    /// How often the answer was 503 before.
    pub(crate) unavailable: usize,
    pub(crate) hung_up: bool,
    /// Connections that were broken meanwhile.
    pub(crate) broken: u64,
}

impl Services {
    pub(crate) async fn start() -> Self {
        let database = Database::new("simulation").await;
        let clock = Clock::manual(Database::now());
        let embedder = Database::embedder();
        let mut proxies = Vec::new();
        for _ in 0..REPLICAS {
            proxies.push(ChaosProxy::in_front_of(&database.url()).await);
        }
        let reader = database.reader().await;
        let cache = EmbeddingCache::new(embedder.clone(), CacheOptions::default());
        let state = context_api::State::new(reader, cache, clock.clone(), context_api::Options::default());
        let mut metrics = registry("contextapi");
        let boundary = Boundary {
            limits: RequestsConfig::default(),
            request_ids: RequestIds::seeded(2),
            metrics: HttpMetrics::register(&mut metrics),
        };
        let guards = context_api::Guards {
            authenticator: Authenticator::disabled(),
            limiter: RateLimiter::new(UNLIMITED, SteadyClock::system(), &mut metrics),
        };
        let context_api = context_api::router(state, &guards, boundary);
        Self {
            owner: database.store().await,
            database,
            clock,
            context_api,
            embedder,
            proxies,
            replicas: Vec::new(),
        }
    }

    /// An empty database, new replicas, and the clock where it began.
    pub(crate) async fn begin(&mut self) {
        self.end().await;
        self.clock.set(Database::now());
        let deletions = TABLES.map(|table| format!("DELETE FROM {table};")).concat();
        self.tamper(&deletions).await;
        for index in 0..REPLICAS {
            let replica = self.replica(index).await;
            self.replicas.push(replica);
        }
    }

    /// Ends the replicas and their sessions, in which what they had sent may still be at work.
    pub(crate) async fn end(&mut self) {
        for proxy in &self.proxies {
            proxy.pass();
        }
        for replica in self.replicas.drain(..) {
            replica.die().await;
        }
        let began = Instant::now();
        loop {
            let sessions: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1",
            )
            .bind(self.application_name())
            .fetch_one(self.owner.pool())
            .await
            .expect("a count");
            if sessions == 0 {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{sessions} sessions of replicas do not end"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn application_name(&self) -> String {
        format!("replica of {}", self.database.schema().data())
    }

    async fn replica(&self, index: usize) -> Replica {
        let [acquire_timeout, retry_for, _] = TIMES[index];
        let options = ConnectOptions {
            max_connections: 3,
            acquire_timeout,
            ..ConnectOptions::new(
                self.proxies[index].url(&self.database.url()),
                self.database.schema().clone(),
                self.application_name(),
            )
        };
        let began = Instant::now();
        let store = loop {
            match WriteStore::connect(&options).await {
                Ok(store) => break store,
                // On a busy machine a replica that gets little time for a connection is one that starts again.
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
        };
        let mut config = Config::load(None, []).expect("the default configuration");
        config.writer.retry_for = retry_for;
        // However busy the machine is: late vectors are tested elsewhere.
        config.embedding.budget = Duration::from_secs(30);
        config.embedding.backfill_interval = Duration::from_secs(3_600);
        config.rate_limit.per_second = NonZeroU32::MAX;
        config.rate_limit.burst = NonZeroU32::MAX;
        let mut metrics = registry("datastorage");
        let own = Metrics::register(&mut metrics);
        let boundary = Boundary {
            limits: RequestsConfig::default(),
            request_ids: RequestIds::seeded(1),
            metrics: HttpMetrics::register(&mut metrics),
        };
        let (ingest, writers) = Ingest::start(
            store.clone(),
            vectors(&store, self.embedder.clone(), &config.embedding),
            &config,
            self.clock.clone(),
            own.clone(),
        );
        let guards = Guards {
            authenticator: Authenticator::disabled(),
            limiter: RateLimiter::new(config.rate_limit, SteadyClock::system(), &mut metrics),
        };
        let state = data_storage::State::new(ingest, self.clock.clone(), &config, own);
        Replica {
            router: router(state, guards, boundary),
            store,
            writers,
        }
    }

    /// Kills a replica, with whatever it was about to do, and starts another in its place.
    pub(crate) async fn restart(&mut self, index: usize) {
        let replica = self.replica(index).await;
        std::mem::replace(&mut self.replicas[index], replica).die().await;
    }

    /// Sends a request until it is answered with anything but 503.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        replica: usize,
        trouble: Option<Trouble>,
    ) -> Checked<Asked> {
        let proxy = &self.proxies[replica];
        let broken = || {
            let counts = proxy.counts();
            counts.reset + counts.cut
        };
        let before = broken();
        let mut asked = replica;
        let mut hung_up = false;
        match trouble {
            Some(Trouble::Reset) => proxy.reset(),
            Some(Trouble::CutToServer(bytes)) => proxy.cut_after(Direction::ToServer, bytes),
            Some(Trouble::CutToClient(bytes)) => proxy.cut_after(Direction::ToClient, bytes),
            // The end of the statement is part of its message.
            Some(Trouble::CommitUnheard) => proxy.lose_answer_to("COMMIT\0"),
            Some(Trouble::Away) => {
                proxy.refuse();
                proxy.reset();
            }
            Some(Trouble::HangsUp(micros)) => {
                let patience = Duration::from_micros(micros);
                hung_up = tokio::time::timeout(patience, self.post(request, asked))
                    .await
                    .is_err();
                asked = (replica + 1) % REPLICAS;
            }
            None => {}
        }
        let [_, _, away] = TIMES[replica];
        let back = async {
            if trouble == Some(Trouble::Away) {
                tokio::time::sleep(away).await;
                proxy.pass();
            }
        };
        let began = Instant::now();
        let mut unavailable = 0;
        let asking = async {
            loop {
                let answer = self.post(request, asked).await;
                let failed = |answer: &Answer| {
                    let results = answer.body["results"].as_array();
                    answer.status == 503
                        || results.is_some_and(|results| results.iter().any(|result| result["status"] == 503))
                };
                if !failed(&answer) || began.elapsed() > PATIENCE {
                    return answer;
                }
                unavailable += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (answer, ()) = tokio::join!(asking, back);
        let broken = broken() - before;
        // A trap that nothing fell into is none for the next request.
        proxy.pass();
        Ok(Asked {
            answer,
            unavailable,
            hung_up,
            broken,
        })
    }

    /// Sends a request once.
    pub(crate) async fn post(&self, request: &Request, replica: usize) -> Answer {
        let router = &self.replicas[replica].router;
        match request.key {
            Some(key) => {
                request::post_with_key(router, &request.path(), &format!("key-{key}"), &request.body()).await
            }
            None => request::post(router, &request.path(), &request.body()).await,
        }
    }

    /// Sends two requests at once, one to each replica.
    pub(crate) async fn race(&self, one: &Request, other: &Request) -> (Answer, Answer) {
        tokio::join!(self.post(one, 0), self.post(other, 1))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request::get(&self.context_api, path).await
    }

    /// Runs statements as somebody who can do anything: no trigger and no foreign key is in the way.
    pub(crate) async fn tamper(&self, statements: &str) {
        let mut transaction = self.owner.pool().begin().await.expect("a transaction");
        sqlx::query("SET LOCAL session_replication_role = replica")
            .execute(&mut *transaction)
            .await
            .expect("a superuser");
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut *transaction)
            .await
            .expect("statements");
        transaction.commit().await.expect("a commit");
    }

    fn fsck_options(&self) -> fsck::Options {
        fsck::Options {
            now: self.clock.now(),
            partitions: self.database.migrate_options().partitions,
            examples: 5,
            force: false,
        }
    }

    pub(crate) async fn fsck(&self) -> Report {
        fsck::check(&self.database.writer_options(), &self.fsck_options(), &mut |_| {})
            .await
            .expect("a report")
    }

    /// Makes the read model again, and tells how many rows that changed.
    pub(crate) async fn rebuild(&self) -> Checked<u64> {
        let rebuilt = fsck::rebuild(&self.database.writer_options(), &self.fsck_options(), &mut |_| {})
            .await
            .map_err(|error| format!("the read model cannot be made again: {error}"))?;
        Ok(rebuilt
            .tables
            .iter()
            .map(|table| table.written + table.removed)
            .sum())
    }
}
