//! One client: what it sends next, and what it makes of the answer.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::header;
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use testkit::request::Answer;
use testkit::wire::Wire;
use tokio::sync::watch;

use super::counts::Counts;
use super::request::{KINDS, PHASES, Post, Version, body, instance};
use super::{Mix, Promise, Unknown};

/// How long a client waits after a refusal or a broken connection; far less than `Retry-After` says, to press.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it waits for an answer; the service's own deadline is 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// Instances at most whose next version is yet to come.
const OPEN: usize = 64;

/// One of the clients of a load.
pub(super) struct Client {
    /// What its names have in common.
    series: String,
    begin: DateTime<Utc>,
    mix: Mix,
    rng: StdRng,
    /// Instances made so far.
    made: usize,
    /// Requests with a key made so far.
    keys: usize,
    /// Instances that have a next version: kind, number, next phase.
    open: VecDeque<(&'static str, usize, usize)>,
    unacknowledged: Option<Post>,
    acknowledged: Vec<Promise>,
    /// Where in `acknowledged` a version is.
    places: HashMap<(usize, usize), usize>,
    counts: Arc<Counts>,
}

impl Client {
    pub(super) fn new(number: usize, begin: DateTime<Utc>, mix: Mix, seed: u64, counts: Arc<Counts>) -> Self {
        Self {
            series: format!("{seed}-{number}"),
            begin,
            mix,
            rng: StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number as u64)),
            made: 0,
            keys: 0,
            open: VecDeque::new(),
            unacknowledged: None,
            acknowledged: Vec::new(),
            places: HashMap::new(),
            counts,
        }
    }

    pub(super) fn acknowledged(&self) -> &[Promise] {
        &self.acknowledged
    }

    pub(super) fn undecided(&self) -> Option<Vec<Unknown>> {
        let post = self.unacknowledged.as_ref().filter(|post| post.atomic)?;
        let unknown = |version: &Version| Unknown {
            kind: version.kind,
            name: instance(&self.series, self.begin, version.kind, version.made).0,
            phase: PHASES[version.phase],
        };
        let new = post.versions.iter().filter(|version| version.known.is_none());
        Some(new.map(unknown).collect())
    }

    pub(super) async fn record(
        &mut self,
        mut target: watch::Receiver<SocketAddr>,
        stop: &AtomicBool,
        until_broken: bool,
    ) {
        let mut wire = Wire::new(*target.borrow_and_update());
        while !stop.load(Ordering::SeqCst) {
            let post = match self.unacknowledged.take() {
                Some(post) => post,
                None => self.next(),
            };
            if target.has_changed().unwrap_or(false) {
                wire = Wire::new(*target.borrow_and_update());
            }
            self.counts.note_sent();
            let began = Instant::now();
            let sent = wire.post_text(&post.path, post.key.as_deref(), &post.body);
            let answer = tokio::time::timeout(PATIENCE, sent).await;
            self.counts.note_ended(began.elapsed());
            let settled = match answer {
                Ok(Ok(answer)) => self.understand(&post, &answer),
                Ok(Err(error)) => {
                    wire = Wire::new(*target.borrow());
                    if error.kind() == ErrorKind::ConnectionRefused {
                        self.counts.note_unreachable();
                    } else {
                        self.counts.note_failed();
                    }
                    if until_broken {
                        self.unacknowledged = Some(post);
                        return;
                    }
                    false
                }
                Err(_) => {
                    wire = Wire::new(*target.borrow());
                    self.counts
                        .note_wrong(format!("{}: no answer within {PATIENCE:?}", post.path));
                    false
                }
            };
            if !settled {
                self.unacknowledged = Some(post);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn next(&mut self) -> Post {
        let Mix::Everything { batch } = self.mix else {
            let version = self.new_instance();
            return self.alone(version, false);
        };
        match self.rng.random_range(0..100) {
            0..40 => {
                let version = self.new_instance();
                let keyed = self.rng.random_bool(0.25);
                self.alone(version, keyed)
            }
            40..55 => {
                let version = self.next_version();
                let keyed = self.rng.random_bool(0.25);
                self.alone(version, keyed)
            }
            55..62 => {
                let version = self.replay();
                self.alone(version, false)
            }
            _ => {
                let records = self.rng.random_range(2..=batch.max(2));
                self.batch(records)
            }
        }
    }

    /// An instance that nobody recorded before: each kind in turn.
    fn new_instance(&mut self) -> Version {
        let made = self.made;
        self.made += 1;
        let kind = KINDS[made % KINDS.len()];
        if matches!(self.mix, Mix::Everything { .. }) && self.rng.random_bool(0.4) {
            self.open.push_back((kind, made, 1));
            if self.open.len() > OPEN {
                self.open.pop_front();
            }
        }
        // Alone it is finished at once.
        let phase = if matches!(self.mix, Mix::Single) { 2 } else { 0 };
        Version {
            kind,
            made,
            phase,
            known: None,
        }
    }

    /// The next version of an instance, or a new instance if there is none with a next version.
    fn next_version(&mut self) -> Version {
        let Some((kind, made, phase)) = self.open.pop_front() else {
            return self.new_instance();
        };
        if phase + 1 < PHASES.len() {
            self.open.push_back((kind, made, phase + 1));
        }
        Version {
            kind,
            made,
            phase,
            known: None,
        }
    }

    /// Something that was acknowledged before, or a new instance if nothing was.
    fn replay(&mut self) -> Version {
        if self.acknowledged.is_empty() {
            return self.new_instance();
        }
        let index = self.rng.random_range(0..self.acknowledged.len());
        let promise = &self.acknowledged[index];
        let made = promise.name.rsplit('-').next().and_then(|made| made.parse().ok());
        let phase = PHASES.iter().position(|phase| *phase == promise.phase);
        Version {
            kind: promise.kind,
            made: made.unwrap_or(0),
            phase: phase.unwrap_or(0),
            known: Some(promise.id),
        }
    }

    fn alone(&mut self, version: Version, keyed: bool) -> Post {
        let record = self.body(&version);
        Post {
            path: format!("/api/v1/audit/{}", version.kind),
            key: keyed.then(|| self.key()),
            body: record.to_string(),
            versions: vec![version],
            batch: false,
            atomic: false,
        }
    }

    fn batch(&mut self, records: usize) -> Post {
        let mut versions: Vec<Version> = Vec::with_capacity(records);
        while versions.len() < records {
            let version = match self.rng.random_range(0..100) {
                0..70 => self.new_instance(),
                70..95 => self.next_version(),
                _ => self.replay(),
            };
            // One version twice in a batch would be its own replay.
            if !versions
                .iter()
                .any(|other| (other.made, other.phase) == (version.made, version.phase))
            {
                versions.push(version);
            }
        }
        let entries: Vec<Value> = versions
            .iter()
            .map(|version| json!({"kind": version.kind, "record": self.body(version)}))
            .collect();
        let atomic = self.rng.random_bool(0.5);
        let keyed = self.rng.random_bool(0.3);
        Post {
            path: format!("/api/v1/audit/batch?atomic={atomic}"),
            key: keyed.then(|| self.key()),
            body: Value::Array(entries).to_string(),
            versions,
            batch: true,
            atomic,
        }
    }

    fn body(&self, version: &Version) -> Value {
        body(
            &self.series,
            self.begin,
            version.kind,
            version.made,
            version.phase,
        )
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("campaign-{}-{}", self.series, self.keys)
    }

    /// Whether all of a request is acknowledged, or none of it ever will be.
    fn understand(&mut self, post: &Post, answer: &Answer) -> bool {
        let status = answer.status.as_u16();
        if matches!(status, 429 | 503) && answer.headers.contains_key(header::RETRY_AFTER) {
            let problem = answer.body["type"].as_str().unwrap_or("unnamed");
            self.counts.note_refused(problem);
            return false;
        }
        if !matches!(status, 200 | 201) {
            self.counts
                .note_wrong(format!("{}: {status} {}", post.path, answer.body));
            // It would be told the same again.
            return true;
        }
        if !post.batch {
            let replayed = status == 200;
            if answer.body["replayed"].as_bool() != Some(replayed) {
                self.counts
                    .note_wrong(format!("{}: {status} {}", post.path, answer.body));
            }
            return self.acknowledge(post.versions[0], &answer.body);
        }
        let results = answer.body["results"].as_array().map_or(&[][..], Vec::as_slice);
        if results.len() != post.versions.len() {
            self.counts
                .note_wrong(format!("{}: {} results", post.path, results.len()));
            return true;
        }
        let mut complete = true;
        for (version, result) in post.versions.iter().zip(results) {
            match result["status"].as_u64() {
                Some(200 | 201) => complete &= self.acknowledge(*version, &result["record"]),
                Some(429 | 503) if !post.atomic => {
                    let problem = result["problem"]["type"].as_str().unwrap_or("unnamed");
                    self.counts.note_refused(problem);
                    complete = false;
                }
                _ => self.counts.note_wrong(format!("{}: {result}", post.path)),
            }
        }
        complete
    }

    fn acknowledge(&mut self, version: Version, answer: &Value) -> bool {
        let (Some(id), Some(replayed)) = (answer["id"].as_i64(), answer["replayed"].as_bool()) else {
            self.counts.note_wrong(format!("no receipt: {answer}"));
            return true;
        };
        let place = (version.made, version.phase);
        let known = self.places.get(&place).map(|at| self.acknowledged[*at].id);
        if replayed {
            self.counts.note_replayed(known.is_none());
        }
        if let Some(known) = known {
            if (known, replayed) != (id, true) {
                self.counts.note_wrong(format!(
                    "{version:?} was acknowledged as {known} and then: {answer}"
                ));
            }
            return true;
        }
        let (name, created_at) = instance(&self.series, self.begin, version.kind, version.made);
        self.places.insert(place, self.acknowledged.len());
        self.acknowledged.push(Promise {
            kind: version.kind,
            name,
            created_at,
            phase: PHASES[version.phase],
            id,
            incident: answer["incidentId"].as_i64(),
        });
        self.counts.note_acknowledged();
        true
    }
}
