//! More records in a second than can be stored: each is stored or refused, and its client is told which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use testkit::request::Answer;
use testkit::wire::Wire;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::load::{KINDS, PHASES, Promise, body};
use crate::process::wait_until;
use crate::stack::Stack;
use crate::{Context, Outcome, now};

/// Records of a batch.
const BATCH: usize = 100;
/// One record in so many is sent alone.
const ALONE: usize = 50;
/// In this time all must be sent: a second, and half of one because the clients share the machine with the service.
const OFFERED_WITHIN: Duration = Duration::from_millis(1_500);
/// In this time all must be answered; the service's own deadline for a request is 30 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(35);

/// Records `from..to` of the series, in one request.
#[derive(Debug, Clone, Copy)]
struct Share {
    from: usize,
    to: usize,
}

/// What became of the records of a request.
#[derive(Default)]
struct Fate {
    stored: Vec<Promise>,
    /// By reason.
    refused: BTreeMap<String, u64>,
    wrong: Vec<String>,
    /// From the start of the burst.
    sent_after: Duration,
    answered_after: Duration,
}

pub(crate) async fn run(context: &Context) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stack = Stack::new(&context.program, &[]).await;
    stack.start_service().await;
    let (series, begin) = (format!("burst-{}", context.seed), now() - TimeDelta::days(3));
    let records = context.scale.burst;
    let shares = shares(records);
    let together = if context.harmless { 1 } else { shares.len() };
    let everybody = Arc::new(Barrier::new(together));
    let (mut requests, mut fates) = (JoinSet::new(), Vec::new());
    for share in shares {
        let wire = Wire::new(stack.api());
        let (series, everybody) = (series.clone(), Arc::clone(&everybody));
        requests.spawn(async move { offer(wire, &series, begin, share, &everybody).await });
        if context.harmless {
            // One after the other, all of which find room.
            fates.extend(requests.join_next().await.transpose().unwrap());
        }
    }
    fates.extend(requests.join_all().await);
    let ended = Instant::now();
    let mut afterwards = Wire::new(stack.api());
    let one_more = body(&series, begin, KINDS[0], records.next_multiple_of(4), 0).to_string();
    let mut answer = None;
    wait_until("a record after the burst", async || {
        answer = afterwards
            .post_text("/api/v1/audit/remediation", None, &one_more)
            .await
            .ok()
            .filter(|answer| answer.status == 201);
        answer.is_some()
    })
    .await;
    outcome.recoveries.push(ended.elapsed());

    outcome.times = 1;
    let mut promises = Vec::new();
    let (mut refused, mut ambiguous) = (0, 0);
    let (mut sent, mut answered) = (Duration::ZERO, Duration::ZERO);
    for fate in fates {
        promises.extend(fate.stored);
        outcome.wrong.extend(fate.wrong);
        for (reason, count) in fate.refused {
            refused += count;
            // What was tried in vain may have been stored after all; what found no room was not.
            ambiguous += if reason == "unavailable" { count } else { 0 };
            outcome.met(&format!("refused: {reason}"), count);
        }
        sent = sent.max(fate.sent_after);
        answered = answered.max(fate.answered_after);
    }
    let stored = promises.len();
    outcome.acknowledged = stored + 1;
    outcome.refused = usize::try_from(refused).unwrap_or(usize::MAX);
    outcome.must_meet("records offered", (stored as u64) + refused, records as u64);
    outcome.must_meet("records refused", refused, 1);
    outcome.must_meet("records stored", stored as u64, 1);
    outcome.met("ms until all was sent", millis(sent));
    outcome.met("ms until all was answered", millis(answered));
    if sent > OFFERED_WITHIN {
        outcome.unmet.push(format!("the burst took {sent:?}"));
    }
    if answered > ANSWERED_WITHIN {
        outcome.wrong(format!("the last answer took {answered:?}"));
    }
    if let Some(answer) = answer {
        promises.push(promise(&series, begin, records.next_multiple_of(4), &answer.body));
    }
    stack.stop_service().await;
    outcome.findings = context.check_promises(&stack, promises, &[], now()).await;
    let versions = outcome.findings.versions;
    if ambiguous == 0 && context.sabotage.is_none() && versions != stored + 1 {
        outcome.wrong(format!("{versions} are stored, and {} were told so", stored + 1));
    }
    stack.stop().await;
    outcome
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn shares(records: usize) -> Vec<Share> {
    let alone = records / ALONE;
    let single = (0..alone).map(|from| Share { from, to: from + 1 });
    let batches = (alone..records).step_by(BATCH).map(|from| Share {
        from,
        to: records.min(from + BATCH),
    });
    single.chain(batches).collect()
}

fn promise(series: &str, begin: DateTime<Utc>, made: usize, receipt: &Value) -> Promise {
    let kind = KINDS[made % KINDS.len()];
    let record = body(series, begin, kind, made, 0);
    Promise {
        kind,
        name: record["name"].as_str().unwrap().to_owned(),
        created_at: serde_json::from_value(record["createdAt"].clone()).unwrap(),
        phase: PHASES[0],
        id: receipt["id"].as_i64().unwrap(),
        incident: receipt["incidentId"].as_i64(),
    }
}

async fn offer(
    mut wire: Wire,
    series: &str,
    begin: DateTime<Utc>,
    share: Share,
    everybody: &Barrier,
) -> Fate {
    let record = |made: usize| body(series, begin, KINDS[made % KINDS.len()], made, 0);
    let alone = share.to - share.from == 1;
    let (path, text) = if alone {
        let kind = KINDS[share.from % KINDS.len()];
        (format!("/api/v1/audit/{kind}"), record(share.from).to_string())
    } else {
        let entries = (share.from..share.to)
            .map(|made| json!({"kind": KINDS[made % KINDS.len()], "record": record(made)}));
        (
            "/api/v1/audit/batch".to_owned(),
            entries.collect::<Value>().to_string(),
        )
    };
    everybody.wait().await;
    let began = Instant::now();
    let mut fate = Fate::default();
    let sent = wire.begin_post(&path, None, &text).await;
    fate.sent_after = began.elapsed();
    let answer = match sent {
        Ok(()) => tokio::time::timeout(2 * ANSWERED_WITHIN, wire.answer()).await,
        Err(error) => Ok(Err(error)),
    };
    fate.answered_after = began.elapsed();
    match answer {
        Ok(Ok(answer)) => understand(series, begin, share, &answer, &mut fate),
        other => fate.wrong.push(format!("{share:?}: no answer: {other:?}")),
    }
    fate
}

fn understand(series: &str, begin: DateTime<Utc>, share: Share, answer: &Answer, fate: &mut Fate) {
    let status = answer.status.as_u16();
    let mut refuse = |problem: &Value, count: usize| {
        let kind = problem["type"].as_str().unwrap_or("unnamed");
        let reason = kind.rsplit('/').next().unwrap_or(kind).to_owned();
        *fate.refused.entry(reason).or_default() += count as u64;
    };
    if matches!(status, 429 | 503) && answer.headers.contains_key("retry-after") {
        refuse(&answer.body, share.to - share.from);
        return;
    }
    if status == 201 {
        fate.stored.push(promise(series, begin, share.from, &answer.body));
        return;
    }
    let results = answer.body["results"].as_array().map_or(&[][..], Vec::as_slice);
    if status != 200 || results.len() != share.to - share.from {
        fate.wrong.push(format!("{share:?}: {status} {}", answer.body));
        return;
    }
    for (made, result) in (share.from..).zip(results) {
        match result["status"].as_u64() {
            Some(201) => fate.stored.push(promise(series, begin, made, &result["record"])),
            Some(429 | 503) => refuse(&result["problem"], 1),
            _ => fate.wrong.push(format!("{made}: {result}")),
        }
    }
}
