//! What can happen: requests of senders and readers, faults, restarts, time.

use std::fmt::{self, Display, Formatter};

use proptest::option::weighted;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::draft::{
    ACTIONS, ALERTS, CLUSTERS, CORRELATIONS, Draft, ENVIRONMENTS, FINGERPRINTS, NAMES, NAMESPACES, PHASES,
    SEVERITIES, WORKFLOWS, draft, family,
};

/// Replicas of Data Storage.
pub(crate) const REPLICAS: usize = 2;
/// How long an idempotency key names its request, in seconds.
const KEY_SECONDS: u64 = 24 * 3_600;

const STATUSES: [&str; 5] = ["pending", "executing", "completed", "failed", "rolled-back"];
/// Of two targets only the first is of this kind, so that a filter for it leaves something out.
const TARGET_KINDS: [&str; 2] = ["deployment", "Node"];
const TARGET_NAMES: [&str; 2] = ["checkout", "worker-3"];
const TARGET_NAMESPACES: [&str; 2] = ["shop", "payments"];
const SINCE: [&str; 3] = ["2026-06-15T11:00:00.000001Z", "24h", "2026-06-05T12:00:00Z"];
const UNTIL: [&str; 3] = ["2026-06-15T11:00:00.000001Z", "45m", "2026-06-12T12:00:00Z"];

/// How records are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One record.
    Single,
    /// A batch, each record by itself.
    Each,
    /// A batch, all or none.
    Atomic,
}

/// A request of a sender.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) form: Form,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) key: Option<usize>,
}

/// What goes wrong between Data Storage and its database, or its client, while a request is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connections that are open are broken before the request comes.
    Reset,
    /// A connection breaks after so many bytes that Data Storage sends.
    CutToServer(u64),
    /// A connection breaks after so many bytes that the database answers.
    CutToClient(u64),
    /// The database commits, and its answer is lost.
    CommitUnheard,
    /// The database is away for a moment.
    Away,
    /// The client hangs up after so many microseconds, and sends the request again, to the other replica.
    HangsUp(u64),
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A request to a replica.
    Write {
        request: Request,
        replica: usize,
        trouble: Option<Trouble>,
    },
    /// An earlier request again, `back` requests ago.
    Again {
        back: usize,
        replica: usize,
        trouble: Option<Trouble>,
    },
    /// Two records at the same time, one to each replica; the same one without `other`.
    Race {
        one: Box<Draft>,
        other: Option<Box<Draft>>,
    },
    /// One incident.
    Detail { which: usize },
    /// A page of the list.
    List {
        filter: Filter,
        ascending: bool,
        limit: usize,
        offset: usize,
    },
    /// The first page of a walk by cursor, which takes the place of the walk before.
    Walk {
        filter: Filter,
        ascending: bool,
        limit: usize,
    },
    /// The next page of the walk.
    Next,
    /// A recovery context.
    Recovery { name: usize, namespace: Option<usize> },
    /// Success rates.
    Rates {
        filter: Filter,
        keys: Vec<&'static str>,
        days: u64,
        min_samples: i64,
    },
    /// Time passes.
    Wait { seconds: u64 },
    /// A replica of Data Storage is killed, and started again.
    Restart { replica: usize },
}

/// Hard filters of the list, as places in lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter(Vec<(&'static str, &'static str)>);

impl Filter {
    /// The value of a filter.
    pub(crate) fn get(&self, name: &str) -> Option<&'static str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    /// The parameters, each with `&` before it.
    pub(crate) fn query(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("&{name}={}", value.replace('+', "%2B")))
            .collect()
    }
}

fn filter(with_times: bool) -> impl Strategy<Value = Filter> {
    let options = |name: &'static str, values: &[&'static str]| {
        let choices: Vec<(&'static str, &'static str)> = values.iter().map(|value| (name, *value)).collect();
        weighted(0.09, prop::sample::select(choices))
    };
    let place = (
        options("namespace", &TARGET_NAMESPACES),
        options("cluster", &CLUSTERS),
        options("environment", &ENVIRONMENTS),
        options("kind", &TARGET_KINDS),
        options("name", &TARGET_NAMES),
    );
    let what = (
        options("severity", &SEVERITIES),
        options("alertName", &ALERTS),
        options("fingerprint", &FINGERPRINTS),
        options("actionType", &ACTIONS),
        options("phase", &PHASES),
        weighted(
            0.2,
            prop::sample::select(STATUSES.map(|status| ("status", status)).to_vec()),
        ),
        options("workflow", &WORKFLOWS),
        options("correlationId", &CORRELATIONS),
    );
    let times = (options("since", &SINCE), options("until", &UNTIL));
    (place, what, times).prop_map(
        move |((a, b, c, d, e), (f, g, h, i, j, k, l, m), (since, until))| {
            let mut filters: Vec<_> = [a, b, c, d, e, f, g, h, i, j, k, l, m]
                .into_iter()
                .flatten()
                .collect();
            if with_times {
                // Together they might be refused for their order, which is no question of what is stored.
                filters.extend(since.or(until));
            }
            Filter(filters)
        },
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        2 => Just(Trouble::Reset),
        3 => Just(Trouble::CommitUnheard),
        2 => (0u64..6_000).prop_map(Trouble::CutToServer),
        2 => (0u64..2_000).prop_map(Trouble::CutToClient),
        3 => Just(Trouble::Away),
        2 => (0u64..4_000).prop_map(Trouble::HangsUp),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let key = || weighted(0.25, 0usize..3);
    let single = (draft(), key()).prop_map(|(draft, key)| Request {
        form: Form::Single,
        drafts: vec![draft],
        key,
    });
    let form = prop_oneof![Just(Form::Each), Just(Form::Atomic)];
    let drafts = prop_oneof![prop::collection::vec(draft(), 1..6), family()];
    let batch = (form, drafts, key()).prop_map(|(form, drafts, key)| Request { form, drafts, key });
    prop_oneof![4 => single, 1 => batch]
}

/// One step of a history.
pub(crate) fn step() -> BoxedStrategy<Step> {
    let replica = || 0..REPLICAS;
    let trouble = || weighted(0.15, trouble());
    let write = (request(), replica(), trouble()).prop_map(|(request, replica, trouble)| Step::Write {
        request,
        replica,
        trouble,
    });
    let again = (0usize..4, replica(), trouble()).prop_map(|(back, replica, trouble)| Step::Again {
        back,
        replica,
        trouble,
    });
    let race = (draft(), weighted(0.5, draft())).prop_map(|(one, other)| Step::Race {
        one: Box::new(one),
        other: other.map(Box::new),
    });
    let list = (
        filter(true),
        any::<bool>(),
        1usize..6,
        prop_oneof![3 => Just(0usize), 1 => 0usize..5],
    )
        .prop_map(|(filter, ascending, limit, offset)| Step::List {
            filter,
            ascending,
            limit,
            offset,
        });
    let few = prop_oneof![2 => Just(Filter::default()), 1 => filter(true)];
    let walk = (few, any::<bool>(), 1usize..3).prop_map(|(filter, ascending, limit)| Step::Walk {
        filter,
        ascending,
        limit,
    });
    let recovery = (0..NAMES, weighted(0.5, 0..NAMESPACES.len()))
        .prop_map(|(name, namespace)| Step::Recovery { name, namespace });
    let keys = prop::sample::subsequence(vec!["workflow", "action", "alert", "environment"], 1..=4);
    let days = prop::sample::select(vec![1u64, 7, 15]);
    let rates =
        (filter(false), keys, days, 1i64..4).prop_map(|(filter, keys, days, min_samples)| Step::Rates {
            filter,
            keys,
            days,
            min_samples,
        });
    let wait = prop_oneof![3 => 1u64..600, 1 => KEY_SECONDS - 1..KEY_SECONDS + 2];
    prop_oneof![
        44 => write,
        12 => again,
        4 => race,
        5 => (0usize..8).prop_map(|which| Step::Detail { which }),
        8 => list,
        5 => walk,
        10 => Just(Step::Next),
        3 => recovery,
        3 => rates,
        4 => wait.prop_map(|seconds| Step::Wait { seconds }),
        1 => replica().prop_map(|replica| Step::Restart { replica }),
    ]
    .boxed()
}

impl Request {
    /// Where it is posted to.
    pub(crate) fn path(&self) -> String {
        match self.form {
            Form::Single => format!("/api/v1/audit/{}", self.drafts[0].kind()),
            Form::Each => "/api/v1/audit/batch".to_owned(),
            Form::Atomic => "/api/v1/audit/batch?atomic=true".to_owned(),
        }
    }

    pub(crate) fn body(&self) -> Value {
        if self.form == Form::Single {
            return self.drafts[0].body();
        }
        self.drafts
            .iter()
            .map(|draft| json!({"kind": draft.kind(), "record": draft.body()}))
            .collect()
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "POST {}", self.path())?;
        if let Some(key) = self.key {
            write!(f, " with the key {key}")?;
        }
        write!(f, " {}", self.body())
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => write!(f, "its connections to the database were broken before"),
            Self::CutToServer(bytes) => {
                write!(f, "its connection breaks after {bytes} bytes to the database")
            }
            Self::CutToClient(bytes) => {
                write!(f, "its connection breaks after {bytes} bytes from the database")
            }
            Self::CommitUnheard => write!(f, "the answer to its COMMIT is lost"),
            Self::Away => write!(f, "the database is away for a moment"),
            Self::HangsUp(micros) => write!(
                f,
                "the client hangs up after {micros} µs and asks the other replica"
            ),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let troubled = |f: &mut Formatter<'_>, replica: &usize, trouble: &Option<Trouble>| {
            write!(f, " → replica {replica}")?;
            trouble.map_or(Ok(()), |trouble| write!(f, "; {trouble}"))
        };
        let order = |ascending: &bool| if *ascending { "asc" } else { "desc" };
        match self {
            Self::Write {
                request,
                replica,
                trouble,
            } => {
                write!(f, "{request}")?;
                troubled(f, replica, trouble)
            }
            Self::Again {
                back,
                replica,
                trouble,
            } => {
                write!(f, "the request of {} requests before, again", back + 1)?;
                troubled(f, replica, trouble)
            }
            Self::Race { one, other } => {
                write!(f, "at once: POST {} {} → replica 0", one.kind(), one.body())?;
                match other {
                    Some(other) => write!(f, ", POST {} {} → replica 1", other.kind(), other.body()),
                    None => write!(f, ", and the same → replica 1"),
                }
            }
            Self::Detail { which } => write!(f, "GET one of the incidents (number {which})"),
            Self::List {
                filter,
                ascending,
                limit,
                offset,
            } => write!(
                f,
                "GET incidents?order={}&limit={limit}&offset={offset}{}",
                order(ascending),
                filter.query()
            ),
            Self::Walk {
                filter,
                ascending,
                limit,
            } => write!(
                f,
                "GET incidents?order={}&limit={limit}{}, to be walked on",
                order(ascending),
                filter.query()
            ),
            Self::Next => write!(f, "GET the next page of the walk"),
            Self::Recovery { name, namespace } => {
                write!(f, "GET the recovery context of rr-{name}")?;
                namespace.map_or(Ok(()), |namespace| write!(f, " in {}", NAMESPACES[namespace]))
            }
            Self::Rates {
                filter,
                keys,
                days,
                min_samples,
            } => write!(
                f,
                "GET success rates by {} of {days} days, minSamples={min_samples}{}",
                keys.join(","),
                filter.query()
            ),
            Self::Wait { seconds } => write!(f, "{seconds} s pass"),
            Self::Restart { replica } => write!(f, "replica {replica} is killed and started again"),
        }
    }
}
