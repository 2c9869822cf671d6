//! What Data Storage must have stored, and how it must answer: lists in memory and the documented rules.
//!
//! Ids are the service's own business. The model takes them from the answers, and holds the service to them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use testkit::request::Answer;

use crate::draft::{Draft, PHASES};
use crate::history::{Form, Request};
use crate::tally::Tally;

/// How long an idempotency key names its request.
const KEYS_KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// Which version of a record is its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The one with the greatest (phase rank, ledger id), as documented.
    GreatestPhase,
    /// The one that came last: wrong, to show that it is noticed.
    LastArrival,
}

/// A recorded resource: namespace, name and time of creation. Two resources of one name are two instances.
pub(crate) type Instance = (String, String, DateTime<Utc>);

/// A version of a record, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    pub(crate) id: i64,
    pub(crate) kind: &'static str,
    pub(crate) body: Map<String, Value>,
    pub(crate) received_at: DateTime<Utc>,
}

impl Version {
    /// A text of the record.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    /// A time of the record.
    pub(crate) fn time(&self, field: &str) -> Option<DateTime<Utc>> {
        self.text(field).map(|text| text.parse().expect("a time"))
    }

    pub(crate) fn created(&self) -> DateTime<Utc> {
        self.time("createdAt").expect("every record has it")
    }

    pub(crate) fn phase(&self) -> &str {
        self.text("phase").expect("every record has it")
    }

    pub(crate) fn instance(&self) -> Instance {
        let text = |field| self.text(field).expect("every record has it").to_owned();
        (text("namespace"), text("name"), self.created())
    }

    /// Completed and Failed are equally final.
    fn rank(&self) -> usize {
        let place = PHASES.iter().position(|phase| *phase == self.phase());
        place.expect("a known phase").min(2)
    }
}

/// What is known to be stored.
#[derive(Debug)]
pub(crate) struct Model {
    rule: Rule,
    pub(crate) now: DateTime<Utc>,
    /// The ledger, by id.
    pub(crate) versions: Vec<Version>,
    /// The ids of the incidents.
    pub(crate) incidents: BTreeMap<Instance, i64>,
    /// Which request a key names, and until when.
    keys: BTreeMap<usize, (String, DateTime<Utc>)>,
    pub(crate) tally: Tally,
}

/// What a sender was told of one record.
struct Told<'a> {
    draft: &'a Draft,
    status: u64,
    body: &'a Value,
}

/// A sentence that says what is wrong.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Fails with a sentence unless it holds.
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)*) => {
        if !$holds {
            return Err(format!($($sentence)*));
        }
    };
}
pub(crate) use ensure;

impl Model {
    pub(crate) fn new(rule: Rule, now: DateTime<Utc>) -> Self {
        Self {
            rule,
            now,
            versions: Vec::new(),
            incidents: BTreeMap::new(),
            keys: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// The latest state of each instance of a kind.
    pub(crate) fn states(&self, kind: &str) -> BTreeMap<Instance, &Version> {
        let mut states: BTreeMap<Instance, &Version> = BTreeMap::new();
        for version in self.versions.iter().filter(|version| version.kind == kind) {
            let state = states.entry(version.instance()).or_insert(version);
            let wins = match self.rule {
                Rule::GreatestPhase => (version.rank(), version.id) > (state.rank(), state.id),
                Rule::LastArrival => version.id > state.id,
            };
            if wins {
                *state = version;
            }
        }
        states
    }

    /// The version that a record repeats.
    fn known(&self, draft: &Draft) -> Option<&Version> {
        let body = draft.canonical();
        self.versions
            .iter()
            .find(|version| version.kind == draft.kind() && version.body == body)
    }

    /// Checks the answer to a request, and remembers what it stored. Without a fault (`sure`), what is new must be told
    /// to be new; with one, the service may have stored it at a try whose end it did not hear.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Answer, sure: bool) -> Checked {
        let status = answer.status.as_u16();
        let valid: Vec<bool> = request
            .drafts
            .iter()
            .map(|draft| draft.is_valid(self.now))
            .collect();
        let all_or_none = request.form != Form::Each;
        if all_or_none && !valid.iter().all(|valid| *valid) {
            self.tally.refused += 1;
            ensure!(
                status == 400,
                "an invalid record was answered {status} {}, not 400",
                answer.body
            );
            return self.blamed(request, answer, &valid);
        }
        let text = format!("{} {}", request.path(), request.body());
        if let Some(key) = request.key.filter(|key| self.names_another(*key, &text)) {
            let all_valid = valid.iter().all(|valid| *valid);
            self.tally.keys_reused += 1;
            if all_or_none || all_valid {
                ensure!(
                    status == 422 && problem(&answer.body) == "idempotency-key-reused",
                    "the key {key} names another request, and the answer is {status} {}, not 422",
                    answer.body
                );
                return Ok(());
            }
            ensure!(
                status == 200,
                "a batch of which some is invalid was answered {status}, not 200"
            );
            for (told, valid) in results(request, &answer.body)?.iter().zip(valid) {
                let expected = if valid { 422 } else { 400 };
                ensure!(
                    told.status == expected,
                    "with a key of another request, a record was answered {} {}, not {expected}",
                    told.status,
                    told.body
                );
            }
            return Ok(());
        }
        let told = if request.form == Form::Single {
            vec![Told {
                draft: &request.drafts[0],
                status: u64::from(status),
                body: &answer.body,
            }]
        } else {
            results(request, &answer.body)?
        };
        let stored = self.stored(&told, sure, request.form == Form::Atomic)?;
        if request.form != Form::Single {
            let counts = |status: &[u64]| told.iter().filter(|told| status.contains(&told.status)).count();
            let expected = [counts(&[201]), counts(&[200]), counts(&[400])];
            let counted = ["created", "replayed", "refused"].map(|name| answer.body[name].as_u64());
            ensure!(
                counted == expected.map(|count| Some(count as u64)),
                "a batch counts {counted:?} created, replayed and refused records, not {expected:?}"
            );
            let whole = if request.form == Form::Atomic && expected[0] > 0 {
                201
            } else {
                200
            };
            ensure!(status == whole, "a batch was answered {status}, not {whole}");
        }
        if let Some(key) = request.key.filter(|_| stored) {
            let fresh = (text, self.now + KEYS_KEPT_FOR);
            let kept = self.keys.entry(key).or_insert_with(|| fresh.clone());
            if kept.1 <= self.now {
                self.tally.keys_expired += 1;
                *kept = fresh;
            }
        }
        Ok(())
    }

    /// Checks the answers to two records that were sent at once.
    pub(crate) fn both_answered(&mut self, drafts: [&Draft; 2], answers: [&Answer; 2]) -> Checked {
        let told: Vec<Told<'_>> = drafts
            .into_iter()
            .zip(answers)
            .map(|(draft, answer)| Told {
                draft,
                status: u64::from(answer.status.as_u16()),
                body: &answer.body,
            })
            .collect();
        self.tally.races += 1;
        self.stored(&told, true, false).map(drop)
    }

    fn names_another(&self, key: usize, text: &str) -> bool {
        self.keys
            .get(&key)
            .is_some_and(|(known, expires)| *expires > self.now && known != text)
    }

    /// A refusal of all names the records to blame, and no others.
    fn blamed(&self, request: &Request, answer: &Answer, valid: &[bool]) -> Checked {
        let pointers: Vec<String> = answer
            .violations()
            .into_iter()
            .map(|(pointer, _)| pointer)
            .collect();
        ensure!(!pointers.is_empty(), "a refusal names no field: {}", answer.body);
        if request.form == Form::Atomic {
            let place = |pointer: &String| pointer.split('/').nth(1).and_then(|place| place.parse().ok());
            let named: BTreeSet<Option<usize>> = pointers.iter().map(place).collect();
            let invalid: BTreeSet<Option<usize>> = (0..valid.len())
                .filter(|index| !valid[*index])
                .map(Some)
                .collect();
            ensure!(
                named == invalid,
                "the records {invalid:?} are invalid, and {named:?} are blamed"
            );
        }
        Ok(())
    }

    /// Checks what was told of records, and remembers the new ones. Tells whether anything is stored. Of equal records,
    /// one is new; which one is sure only where they are `in_order`.
    fn stored(&mut self, told: &[Told<'_>], sure: bool, in_order: bool) -> Checked<bool> {
        let newest = self.versions.last().map_or(0, |version| version.id);
        let mut fresh: Vec<Version> = Vec::new();
        let mut created: BTreeSet<i64> = BTreeSet::new();
        let mut any = false;
        for Told { draft, status, body } in told {
            if !draft.is_valid(self.now) {
                self.tally.refused += 1;
                ensure!(
                    *status == 400,
                    "an invalid record was answered {status} {body}, not 400"
                );
                continue;
            }
            any = true;
            ensure!(
                matches!(status, 200 | 201),
                "a valid record was answered {status} {body}"
            );
            let (Some(id), Some(replayed)) = (body["id"].as_i64(), body["replayed"].as_bool()) else {
                return Err(format!("an answer without id or replayed: {body}"));
            };
            ensure!(replayed == (*status == 200), "{status} says replayed: {replayed}");
            let version = Version {
                id,
                kind: draft.kind(),
                body: draft.canonical(),
                received_at: self.now,
            };
            let before = self.known(draft).cloned();
            let within = fresh
                .iter()
                .find(|other| other.kind == version.kind && other.body == version.body);
            let told_first = within.map(|other| other.id);
            if let Some(known) = &before {
                self.tally.replays += 1;
                ensure!(
                    *status == 200 && id == known.id,
                    "a replay of version {} was answered {status} with id {id}",
                    known.id
                );
            } else if let Some(first) = told_first {
                self.tally.replays += 1;
                ensure!(id == first, "one version got the ids {first} and {id}");
                ensure!(
                    *status == 200 || !in_order,
                    "a record that stands twice in a batch is new twice"
                );
            } else {
                ensure!(
                    id > newest,
                    "a new version got the id {id}, and {newest} was there before"
                );
                ensure!(
                    *status == 201 || !sure || !in_order && repeated(told, draft),
                    "a new version was answered {status} {body}"
                );
                self.tally.late += usize::from(self.is_late(&version));
            }
            if *status == 201 {
                ensure!(created.insert(id), "version {id} was created twice");
            }
            let received = before.map_or(self.now, |known| known.received_at);
            self.receipt(draft, &version, body, received)?;
            if told_first.is_none() && id > newest {
                fresh.push(version);
            }
        }
        for version in &fresh {
            ensure!(
                !sure || created.contains(&version.id),
                "version {} is new, and nobody was told so",
                version.id
            );
        }
        let ids: BTreeSet<i64> = fresh.iter().map(|version| version.id).collect();
        ensure!(ids.len() == fresh.len(), "two versions have one id");
        self.versions.extend(fresh);
        self.versions.sort_by_key(|version| version.id);
        Ok(any)
    }

    /// Checks the rest of a receipt.
    fn receipt(
        &mut self,
        draft: &Draft,
        version: &Version,
        body: &Value,
        received: DateTime<Utc>,
    ) -> Checked {
        let at: Option<DateTime<Utc>> = body["createdAt"].as_str().and_then(|text| text.parse().ok());
        ensure!(
            at == Some(received),
            "a version that was accepted at {received} is said to be of {}",
            body["createdAt"]
        );
        // Of an analysis nothing else can be searched; all other kinds have a name of what was done or seen.
        let searchable = draft.kind() != "aianalysis"
            || ["message", "rootCause", "recommendedAction"]
                .iter()
                .any(|field| version.body.contains_key(*field));
        let expected = if searchable { "stored" } else { "none" };
        ensure!(
            body["embeddingStatus"] == expected && body["embeddingId"].is_i64() == searchable,
            "the text of {} {body} is not {expected}",
            draft.kind()
        );
        if draft.kind() != "remediation" {
            ensure!(
                body.get("incidentId").is_none(),
                "{} got an incident id",
                draft.kind()
            );
            return Ok(());
        }
        let Some(id) = body["incidentId"].as_i64() else {
            return Err(format!("a remediation got no incident id: {body}"));
        };
        let instance = version.instance();
        let other = self
            .incidents
            .iter()
            .find(|(known, known_id)| (**known_id == id) != (**known == instance));
        ensure!(
            other.is_none(),
            "{instance:?} got the incident id {id}, and known is {other:?}"
        );
        self.incidents.insert(instance, id);
        Ok(())
    }

    /// Whether a version comes after one that it cannot replace.
    fn is_late(&self, version: &Version) -> bool {
        self.states(version.kind)
            .get(&version.instance())
            .is_some_and(|state| state.rank() > version.rank())
    }
}

/// Whether a record stands there more than once.
fn repeated(told: &[Told<'_>], draft: &Draft) -> bool {
    let same =
        |other: &&Told<'_>| other.draft.kind == draft.kind && other.draft.canonical() == draft.canonical();
    told.iter().filter(same).count() > 1
}

/// What a batch was told of each record.
fn results<'a>(request: &'a Request, body: &'a Value) -> Checked<Vec<Told<'a>>> {
    let results = body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(
        results.len() == request.drafts.len(),
        "{} records were answered {body}",
        request.drafts.len()
    );
    Ok(request
        .drafts
        .iter()
        .zip(results)
        .map(|(draft, result)| Told {
            draft,
            status: result["status"].as_u64().unwrap_or_default(),
            body: result.get("record").unwrap_or(&result["problem"]),
        })
        .collect())
}

/// The name of a problem.
fn problem(body: &Value) -> &str {
    let name = body["type"].as_str().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default()
}
