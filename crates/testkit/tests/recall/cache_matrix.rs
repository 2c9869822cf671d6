//! Every state of the memory, of Redis and of the database, together: who answers, and with what.

use std::time::Duration;

use audit_store::ConnectOptions;
use devstack::Redis;
use futures::future::join_all;
use redis::AsyncTypedCommands;
use testkit::chaos_proxy::Direction;
use testkit::request::Answer;
use testkit::{ChaosProxy, records};

use crate::both::Both;
use crate::cached::{Replica, TTL, how};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Memory {
    Empty,
    Fresh,
    /// Its time is over; it may be told only while the database is away.
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shared {
    /// None is configured.
    Off,
    Empty,
    Holding,
    /// Holding a value with a bit flipped.
    Damaged,
    /// Holding a value of an older format.
    Older,
    /// Holding something that none of us wrote.
    Foreign,
    /// Holding, and slower than its limit.
    Slow,
    /// Holding, and silent.
    Hanging,
    /// Holding, and refusing connections.
    Away,
}

const MEMORY: [Memory; 3] = [Memory::Empty, Memory::Fresh, Memory::Expired];
const SHARED: [Shared; 9] = [
    Shared::Off,
    Shared::Empty,
    Shared::Holding,
    Shared::Damaged,
    Shared::Older,
    Shared::Foreign,
    Shared::Slow,
    Shared::Hanging,
    Shared::Away,
];

/// How long Redis may take: long enough for a busy machine.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);

/// One combination, with a replica and a question of its own.
struct Cell {
    memory: Memory,
    shared: Shared,
    database_away: bool,
    path: String,
    replica: Replica,
    to_redis: ChaosProxy,
}

/// The way to the database that stays, and the one that will be cut. Answers are kept for the database by its address,
/// so that each has a replica to write into Redis.
struct Way {
    proxy: ChaosProxy,
    options: ConnectOptions,
    writer: Replica,
}

impl Way {
    async fn new(both: &Both, redis: &Redis) -> Self {
        let options = both.database.reader_options();
        let proxy = ChaosProxy::in_front_of(&options.url).await;
        let options = ConnectOptions {
            url: proxy.url(&options.url),
            max_connections: 1,
            acquire_timeout: Duration::from_secs(1),
            ..options
        };
        let writer = Replica::waiting(both, &options, &redis.url(), REDIS_TIMEOUT).await;
        writer.until("redis_connected", 1).await;
        Self {
            proxy,
            options,
            writer,
        }
    }

    /// Has the answers to questions written into Redis.
    async fn write(&self, paths: impl Iterator<Item = &str>) {
        let mut written = 0;
        for path in paths {
            self.writer.get(path).await;
            written += 1;
        }
        self.writer.until("redis_written_total", written).await;
    }
}

impl Cell {
    fn expected(&self) -> (u16, &'static str) {
        match (self.memory, self.shared, self.database_away) {
            (Memory::Fresh, _, _) => (200, "hit; detail=memory"),
            (_, Shared::Holding, _) => (200, "hit; detail=redis"),
            (_, _, false) => (200, "fwd=miss; stored"),
            (Memory::Expired, _, true) => (200, "hit; detail=stale"),
            (Memory::Empty, _, true) => (503, "fwd=miss"),
        }
    }

    fn is_slow(&self) -> bool {
        [Shared::Slow, Shared::Hanging].contains(&self.shared)
    }

    /// Whether its answer has to wait until Redis or the database is given up.
    fn waits(&self) -> bool {
        let without_redis = self.shared != Shared::Holding;
        self.memory != Memory::Fresh && (self.is_slow() || (self.database_away && without_redis))
    }

    /// What became of its looks into Redis.
    fn looked(&self, result: &str) -> u64 {
        let name = format!("lookups_total{{tier=\"redis\",result=\"{result}\"}}");
        self.replica.metric(&name)
    }

    fn check(&self, answer: &Answer) {
        assert_eq!(
            (answer.status.as_u16(), how(answer).as_str()),
            self.expected(),
            "{}",
            self.name()
        );
        if answer.status == 200 {
            assert_eq!(answer.body["total"], 1, "{}", self.name());
        } else {
            assert_eq!(answer.headers["retry-after"], "1", "{}", self.name());
        }
    }

    fn name(&self) -> String {
        let database = if self.database_away { "away" } else { "there" };
        format!(
            "memory {:?}, Redis {:?}, database {database}",
            self.memory, self.shared
        )
    }
}

async fn cells(both: &Both, redis: &Redis, ways: &[Way; 2]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for memory in MEMORY {
        for shared in SHARED {
            for database_away in [false, true] {
                let to_redis = ChaosProxy::in_front_of(&redis.url()).await;
                let url = if shared == Shared::Off {
                    String::new()
                } else {
                    to_redis.url(&redis.url())
                };
                let replica = Replica::waiting(
                    both,
                    &ways[usize::from(database_away)].options,
                    &url,
                    REDIS_TIMEOUT,
                )
                .await;
                let path = format!("/api/v1/incidents?limit={}", cells.len() + 1);
                cells.push(Cell {
                    memory,
                    shared,
                    database_away,
                    path,
                    replica,
                    to_redis,
                });
            }
        }
    }
    for cell in cells.iter().filter(|cell| cell.shared != Shared::Off) {
        cell.replica.until("redis_connected", 1).await;
    }
    cells
}

/// Has the replicas with this memory ask, and waits until Redis has their answers too, where there is one.
async fn load(cells: &[Cell], memory: Memory) {
    let mine = || cells.iter().filter(|cell| cell.memory == memory);
    for cell in mine() {
        assert_eq!(
            cell.replica.how(&cell.path).await,
            "fwd=miss; stored",
            "{}",
            cell.name()
        );
    }
    for cell in mine().filter(|cell| cell.shared != Shared::Off) {
        cell.replica.until("redis_written_total", 1).await;
    }
}

#[tokio::test]
async fn whoever_has_a_fresh_answer_gives_it_and_a_stale_one_is_better_than_none() {
    let both = Both::new().await;
    both.incident(&records::remediation("rr-1")).await;
    let redis = tokio::task::spawn_blocking(|| Redis::start().expect("a Redis"))
        .await
        .expect("a Redis");
    let ways = [Way::new(&both, &redis).await, Way::new(&both, &redis).await];
    let cells = cells(&both, &redis, &ways).await;
    assert_eq!(cells.len(), 54);

    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut client = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    load(&cells, Memory::Expired).await;
    both.clock.advance(TTL);
    load(&cells, Memory::Fresh).await;
    client.flushall().await.expect("an empty Redis");
    for (away, way) in [false, true].into_iter().zip(&ways) {
        let mine = cells.iter().filter(|cell| cell.database_away == away);
        way.write(mine.map(|cell| cell.path.as_str())).await;
    }

    let mut values = Vec::new();
    for name in client.keys("*").await.expect("names") {
        let value: Vec<u8> = redis::cmd("GET")
            .arg(&name)
            .query_async(&mut client)
            .await
            .expect("a value");
        values.push((name, value));
    }
    assert_eq!(values.len(), cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let limit = format!("\"limit\":{},", index + 1);
        let (name, sound) = values
            .iter()
            .find(|(_, value)| value.windows(limit.len()).any(|part| part == limit.as_bytes()))
            .expect("the answer to the question");
        let mut other = sound.clone();
        match cell.shared {
            Shared::Empty => other.clear(),
            Shared::Damaged => other[40] ^= 1,
            Shared::Older => other[4] = 0,
            Shared::Foreign => other = b"{\"incidents\":[]}".to_vec(),
            Shared::Off | Shared::Holding | Shared::Slow | Shared::Hanging | Shared::Away => {}
        }
        if other.is_empty() {
            client.del(name).await.expect("a deletion");
        } else if other != *sound {
            let () = redis::cmd("SET")
                .arg(name)
                .arg(&other)
                .query_async(&mut client)
                .await
                .expect("a write");
        }
        match cell.shared {
            Shared::Slow => cell.to_redis.delay(Direction::ToClient, REDIS_TIMEOUT * 3 / 2),
            Shared::Hanging => cell.to_redis.black_hole(),
            Shared::Away => {
                cell.to_redis.refuse();
                cell.to_redis.reset();
            }
            _ => {}
        }
    }
    ways[1].proxy.refuse();
    ways[1].proxy.reset();

    // Those that wait for something that does not come wait together; the others come first, one after the other.
    let (waiting, others): (Vec<&Cell>, Vec<&Cell>) = cells.iter().partition(|cell| cell.waits());
    assert_eq!((waiting.len(), others.len()), (20, 34));
    for cell in others {
        let answer = cell.replica.get(&cell.path).await;
        cell.check(&answer);
        // An unusable value is found for what it is.
        let invalid = [Shared::Damaged, Shared::Older, Shared::Foreign].contains(&cell.shared);
        let asked = cell.memory != Memory::Fresh;
        assert_eq!(
            cell.looked("invalid"),
            u64::from(invalid && asked),
            "{}",
            cell.name()
        );
    }
    let answers = join_all(waiting.iter().map(|cell| cell.replica.get(&cell.path))).await;
    for (cell, answer) in waiting.iter().zip(&answers) {
        cell.check(answer);
        assert!(!cell.is_slow() || cell.looked("timeout") > 0, "{}", cell.name());
    }
}
