//! A history, step by step: the services do it, the model says what they must answer.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::types::Json;
use testkit::Database;
use testkit::request::Answer;

use crate::compare::same;
use crate::draft::{Draft, NAMESPACES};
use crate::figures::{self, Asked};
use crate::history::{Filter, Form, Request, Step, Trouble};
use crate::model::{Checked, Model, Rule, ensure};
use crate::picture::{Incident, Picture};
use crate::services::Services;
use crate::tally::Tally;

/// How far the clock may go: not so far that a partition is missing.
const LONGEST: TimeDelta = TimeDelta::days(10);
/// Incidents on a page at most.
const MAX_LIMIT: usize = 100;

/// A history under way.
pub(crate) struct Run<'a> {
    services: &'a mut Services,
    pub(crate) model: Model,
    /// What was sent so far.
    sent: Vec<Request>,
    walk: Option<Walk>,
}

/// A list that is walked by cursor.
#[derive(Clone)]
struct Walk {
    filter: Filter,
    ascending: bool,
    limit: usize,
    /// Durations count back from here.
    began: DateTime<Utc>,
    /// The cursor of the next page, and the place that it must stand for.
    next: Option<(String, (DateTime<Utc>, i64))>,
}

/// Where the services and the model differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The step, from 0; `None` for the comparison at the end.
    pub(crate) step: Option<usize>,
    pub(crate) problem: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {}: {}", step + 1, self.problem),
            None => write!(f, "at the end: {}", self.problem),
        }
    }
}

/// Runs a history from an empty database to its end, and compares everything.
pub(crate) async fn run(services: &mut Services, history: &[Step], rule: Rule) -> Result<Tally, Difference> {
    let mut run = Run::begin(services, rule).await;
    for (index, step) in history.iter().enumerate() {
        run.step(step).await.map_err(|problem| Difference {
            step: Some(index),
            problem,
        })?;
    }
    let concluded = run.conclude().await;
    concluded.map_err(|problem| Difference { step: None, problem })?;
    Ok(run.model.tally)
}

impl<'a> Run<'a> {
    pub(crate) async fn begin(services: &'a mut Services, rule: Rule) -> Self {
        services.begin().await;
        Self {
            services,
            model: Model::new(rule, Database::now()),
            sent: Vec::new(),
            walk: None,
        }
    }

    pub(crate) async fn step(&mut self, step: &Step) -> Checked {
        self.model.tally.steps += 1;
        match step {
            Step::Write {
                request,
                replica,
                trouble,
            } => {
                self.sent.push(request.clone());
                self.write(&request.clone(), *replica, *trouble).await
            }
            Step::Again {
                back,
                replica,
                trouble,
            } => {
                let Some(place) = self.sent.len().checked_sub(back + 1) else {
                    return Ok(());
                };
                let request = self.sent[place].clone();
                self.write(&request, *replica, *trouble).await
            }
            Step::Race { one, other } => {
                let other = other.as_ref().unwrap_or(one);
                let request = |draft: &Draft| Request {
                    form: Form::Single,
                    drafts: vec![draft.clone()],
                    key: None,
                };
                let (first, second) = self.services.race(&request(one), &request(other)).await;
                self.model.both_answered([one, other], [&first, &second])
            }
            Step::Detail { which } => {
                let picture = Picture::of(&self.model);
                match picture.incidents.len() {
                    0 => self.unknown(1).await,
                    count => self.detail(&picture.incidents[which % count]).await,
                }
            }
            Step::List {
                filter,
                ascending,
                limit,
                offset,
            } => self.page(filter, *ascending, *limit, *offset).await,
            Step::Walk {
                filter,
                ascending,
                limit,
            } => {
                self.walk = None;
                let walk = Walk {
                    filter: filter.clone(),
                    ascending: *ascending,
                    limit: *limit,
                    began: self.model.now,
                    next: None,
                };
                self.walk = self.walked(walk).await?;
                Ok(())
            }
            Step::Next => {
                if let Some(walk) = self.walk.take() {
                    self.model.tally.further_pages += 1;
                    self.walk = self.walked(walk).await?;
                }
                Ok(())
            }
            Step::Recovery { name, namespace } => {
                self.recovery(
                    &format!("rr-{name}"),
                    namespace.map(|namespace| NAMESPACES[namespace]),
                )
                .await
            }
            Step::Rates {
                filter,
                keys,
                days,
                min_samples,
            } => {
                let asked = Asked {
                    filter,
                    keys,
                    days: *days,
                    min_samples: *min_samples,
                };
                self.rates(&asked).await
            }
            Step::Wait { seconds } => {
                let then =
                    self.model.now + TimeDelta::seconds(i64::try_from(*seconds).expect("a small number"));
                if then <= Database::now() + LONGEST {
                    self.model.now = then;
                    self.services.clock.set(then);
                }
                Ok(())
            }
            Step::Restart { replica } => {
                self.model.tally.restarts += 1;
                self.services.restart(*replica).await;
                Ok(())
            }
        }
    }

    /// Damages the database.
    pub(crate) async fn tamper(&self, statements: &str) {
        self.services.tamper(statements).await;
    }

    async fn write(&mut self, request: &Request, replica: usize, trouble: Option<Trouble>) -> Checked {
        let asked = self.services.ask(request, replica, trouble).await?;
        let sure = trouble.is_none() && asked.unavailable == 0;
        let tally = &mut self.model.tally;
        tally.broken += usize::try_from(asked.broken).expect("a small number");
        tally.hung_up += usize::from(asked.hung_up);
        tally.unavailable += asked.unavailable;
        self.model.answered(request, &asked.answer, sure)
    }

    async fn detail(&mut self, incident: &Incident) -> Checked {
        self.model.tally.details += 1;
        let mut answer = self.get(&format!("/api/v1/incidents/{}", incident.id)).await?;
        for list in ["analyses", "workflows", "executions"] {
            for child in answer[list].as_array_mut().into_iter().flatten() {
                let id = child.as_object_mut().and_then(|child| child.remove("id"));
                ensure!(id.is_some_and(|id| id.is_i64()), "{list} without ids: {child}");
            }
        }
        same(&answer, &incident.detail())
    }

    async fn unknown(&self, id: i64) -> Checked {
        let answer = self.services.get(&format!("/api/v1/incidents/{id}")).await;
        ensure!(
            answer.status == 404,
            "incident {id} is unknown, and the answer is {}",
            answer.status
        );
        Ok(())
    }

    async fn page(&mut self, filter: &Filter, ascending: bool, limit: usize, offset: usize) -> Checked {
        self.model.tally.pages += 1;
        let order = order(ascending);
        let path = format!(
            "/api/v1/incidents?order={order}&limit={limit}&offset={offset}{}",
            filter.query()
        );
        let answer = self.get(&path).await?;
        let picture = Picture::of(&self.model);
        let list = picture.list(filter, ascending, self.model.now);
        let rest = list.get(offset..).unwrap_or_default();
        listed(&answer, rest, limit, list.len())?;
        ensure!(
            answer["offset"] == offset,
            "the page begins at {}, not {offset}",
            answer["offset"]
        );
        Ok(())
    }

    /// Gets a page of a walk. Gives what is left to be walked.
    async fn walked(&mut self, mut walk: Walk) -> Checked<Option<Walk>> {
        self.model.tally.pages += 1;
        let order = order(walk.ascending);
        let mut path = format!(
            "/api/v1/incidents?order={order}&limit={}{}",
            walk.limit,
            walk.filter.query()
        );
        if let Some((cursor, _)) = &walk.next {
            path = format!("{path}&cursor={cursor}");
        }
        let answer = self.get(&path).await?;
        let picture = Picture::of(&self.model);
        let list = picture.list(&walk.filter, walk.ascending, walk.began);
        let behind = |incident: &&&Incident| {
            let place = (incident.created(), incident.id);
            let after = walk.next.as_ref().map(|(_, after)| *after);
            after.is_none_or(|after| {
                if walk.ascending {
                    place > after
                } else {
                    place < after
                }
            })
        };
        let rest: Vec<&Incident> = list.iter().filter(behind).copied().collect();
        listed(&answer, &rest, walk.limit, list.len())?;
        let last = rest.iter().take(walk.limit).next_back();
        let cursor = answer["nextCursor"].as_str();
        walk.next = cursor
            .zip(last)
            .map(|(cursor, last)| (cursor.to_owned(), (last.created(), last.id)));
        Ok(walk.next.is_some().then_some(walk))
    }

    async fn recovery(&mut self, name: &str, namespace: Option<&str>) -> Checked {
        self.model.tally.recoveries += 1;
        let query = namespace.map_or_else(String::new, |namespace| format!("?namespace={namespace}"));
        let answer = self
            .services
            .get(&format!("/api/v1/context/remediation/{name}{query}"))
            .await;
        let expected = match figures::recovery(&Picture::of(&self.model), name, namespace, self.model.now) {
            Ok(expected) => expected,
            Err(status) => {
                ensure!(
                    answer.status == status,
                    "{name} was answered {} and not {status}",
                    answer.status
                );
                return Ok(());
            }
        };
        let mut told = found(answer)?;
        let patterns = told["historicalPatterns"].as_array().into_iter().flatten();
        let occurrences: i64 = patterns
            .filter_map(|pattern| pattern["occurrences"].as_i64())
            .sum();
        told["occurrences"] = occurrences.into();
        let told_failures = told["previousFailures"].as_array_mut();
        for failure in told_failures.into_iter().flatten() {
            keep(
                failure,
                &[
                    "scope",
                    "incidentId",
                    "workflowRef",
                    "workflowName",
                    "attemptNumber",
                    "action",
                    "durationSeconds",
                    "timestamp",
                ],
            );
        }
        let known: Vec<&str> = expected
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        keep(&mut told, &known);
        same(&told, &expected)
    }

    async fn rates(&mut self, asked: &Asked<'_>) -> Checked {
        self.model.tally.rates += 1;
        let path = format!(
            "/api/v1/context/success-rates?groupBy={}&timeRange={}d&minSamples={}{}",
            asked.keys.join(","),
            asked.days,
            asked.min_samples,
            asked.filter.query()
        );
        let answer = self.get(&path).await?;
        same(
            &answer,
            &figures::rates(&Picture::of(&self.model), asked, self.model.now),
        )
    }

    async fn get(&self, path: &str) -> Checked<Value> {
        found(self.services.get(path).await).map_err(|problem| format!("{path}: {problem}"))
    }

    /// Compares everything that is known, then the ledger itself.
    pub(crate) async fn conclude(&mut self) -> Checked {
        self.everything().await?;
        self.ledger().await?;
        let report = self.services.fsck().await;
        let findings: Vec<_> = report.findings().collect();
        ensure!(findings.is_empty(), "fsck finds {findings:?}");
        let changed = self.services.rebuild().await?;
        ensure!(changed == 0, "fsck --rebuild changed {changed} rows");
        self.tell();
        Ok(())
    }

    async fn everything(&mut self) -> Checked {
        let picture = Picture::of(&self.model);
        for incident in &picture.incidents {
            self.detail(incident).await?;
        }
        self.unknown(
            picture
                .incidents
                .iter()
                .map(|incident| incident.id)
                .max()
                .unwrap_or(0)
                + 1,
        )
        .await?;
        let all = Filter::default();
        for ascending in [true, false] {
            for offset in (0..=picture.incidents.len()).step_by(MAX_LIMIT) {
                self.page(&all, ascending, MAX_LIMIT, offset).await?;
            }
            let mut walk = Some(Walk {
                filter: all.clone(),
                ascending,
                limit: 4,
                began: self.model.now,
                next: None,
            });
            while let Some(under_way) = walk {
                walk = self.walked(under_way).await?;
            }
        }
        let keys = ["workflow", "action", "alert", "environment"];
        let asked = Asked {
            filter: &all,
            keys: &keys,
            days: 15,
            min_samples: 1,
        };
        self.rates(&asked).await
    }

    /// The ledger holds what the model does: nothing lost, doubled or half-written.
    async fn ledger(&self) -> Checked {
        let rows: Vec<(i64, String, Json<Value>, DateTime<Utc>)> =
            sqlx::query_as("SELECT id, record_kind, payload, received_at FROM audit_events ORDER BY id")
                .fetch_all(self.services.owner.pool())
                .await
                .expect("the ledger");
        let kept: BTreeMap<i64, _> = rows
            .into_iter()
            .map(|(id, kind, Json(payload), received_at)| (id, (kind, payload, received_at)))
            .collect();
        let known: BTreeMap<i64, _> = self
            .model
            .versions
            .iter()
            .map(|version| {
                let payload = Value::Object(version.body.clone());
                (
                    version.id,
                    (version.kind.to_owned(), payload, version.received_at),
                )
            })
            .collect();
        ensure!(
            kept.keys().eq(known.keys()),
            "the ledger holds the versions {:?}, not {:?}",
            kept.keys(),
            known.keys()
        );
        for (id, version) in &kept {
            ensure!(
                version == &known[id],
                "version {id} is {version:?}, not {:?}",
                known[id]
            );
        }
        Ok(())
    }

    fn tell(&mut self) {
        let picture = Picture::of(&self.model);
        let tally = &mut self.model.tally;
        tally.versions = self.model.versions.len();
        tally.adopted = picture.adopted;
        for incident in &picture.incidents {
            let same_time = |other: &&Incident| other.created() == incident.created();
            tally.rolled_back += usize::from(incident.status == "rolled-back");
            tally.of_one_time += usize::from(picture.incidents.iter().filter(same_time).count() > 1);
        }
    }
}

fn order(ascending: bool) -> &'static str {
    if ascending { "asc" } else { "desc" }
}

/// A page tells the first of the rest, whether there are more, and the total.
fn listed(answer: &Value, rest: &[&Incident], limit: usize, total: usize) -> Checked {
    let expected: Value = rest.iter().take(limit).map(|incident| incident.told()).collect();
    same(&answer["incidents"], &expected)?;
    ensure!(
        answer["total"] == total,
        "the total is {}, not {total}",
        answer["total"]
    );
    let more = rest.len() > limit;
    ensure!(
        answer["nextCursor"].is_string() == more,
        "there are more: {more}, and the next cursor is {}",
        answer["nextCursor"]
    );
    Ok(())
}

fn found(answer: Answer) -> Checked<Value> {
    ensure!(
        answer.status == 200,
        "the answer is {} {}",
        answer.status,
        answer.body
    );
    Ok(answer.body)
}

/// Leaves only these fields of an object.
fn keep(value: &mut Value, names: &[&str]) {
    if let Value::Object(fields) = value {
        fields.retain(|name, _| names.contains(&name.as_str()));
    }
}
