//! Reads and searches: against a handler that has the answers, and against plain SQL.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context;
use embedding::{Model, canonical_query};

use super::bench::{Bench, RECENT};
use super::{Workload, model, progress};
use crate::baseline::Baseline;
use crate::baseline::bare::Bare;
use crate::baseline::sql::{Plain, Question};
use crate::client::Client;
use crate::histogram::Quantiles;
use crate::load::{self, Times};
use crate::questions::Questions;
use crate::report::{Figure, Point};
use crate::request::Request;

/// Questions that are made ahead; after the last, the first comes again.
const AHEAD: usize = 20_000;
/// Incidents that plain SQL is asked about, one after the other.
const ASKED_ABOUT: usize = 1_000;
/// Vectors that the plain query is asked with.
const VECTORS: usize = 64;
/// What the figures are compared with.
const BARE: &str = "a bare axum handler with the same answers";

/// Questions, and the order in which they are asked.
struct Asked {
    requests: Arc<Vec<Request>>,
    order: Option<Arc<Vec<usize>>>,
}

impl Asked {
    fn index(&self) -> impl Fn(u64) -> usize + Clone + Send + 'static {
        let (count, order) = (self.requests.len().max(1), self.order.clone());
        move |number| match &order {
            Some(order) => order[number as usize % order.len()],
            None => number as usize % count,
        }
    }
}

impl Bench {
    pub(super) async fn reads(&mut self) -> anyhow::Result<()> {
        let wanted = [Workload::CachedReads, Workload::UncachedReads, Workload::Search];
        if !wanted.iter().any(|workload| self.options.wants(*workload)) {
            return Ok(());
        }
        let client = self.context_api.clone().context("reads need Context API")?;
        let mut questions = Questions::about(&client, self.options.seed).await?;
        if self.options.wants(Workload::CachedReads) {
            self.cached(&client, &mut questions).await?;
        }
        if self.options.wants(Workload::UncachedReads) {
            self.uncached(&client, &mut questions).await?;
        }
        if self.options.wants(Workload::Search) {
            self.search(&client, &mut questions).await?;
        }
        Ok(())
    }

    async fn cached(&mut self, client: &Arc<Client>, questions: &mut Questions) -> anyhow::Result<()> {
        let hot = questions.hot();
        let bare = Bare::copy(client, &hot).await?;
        let order = questions.order(hot.len(), AHEAD);
        let asked = Asked {
            requests: Arc::new(hot),
            order: Some(Arc::new(order)),
        };
        let ours = self
            .both_loops("cached reads", client, &asked, self.options.times())
            .await?;
        let bare_client = Arc::new(Client::new(&[&bare.url], self.options.timeout)?);
        let time = self.options.baseline_time();
        let times = Times {
            warm_up: time / 5,
            duration: time,
        };
        let bares = self.both_loops(BARE, &bare_client, &asked, times).await?;
        for (mut our, bare) in ours.into_iter().zip(bares) {
            if our.name.contains("closed") {
                our.compare(
                    format!("answers/s ÷ those of {BARE}"),
                    our.per_second,
                    bare.per_second,
                );
            }
            our.compare(format!("p50 ÷ that of {BARE}"), our.latency.p50, bare.latency.p50);
            our.compare(format!("p99 ÷ that of {BARE}"), our.latency.p99, bare.latency.p99);
            self.figures.push(our);
            self.baselines.push(Baseline {
                name: bare.name,
                per_second: bare.per_second,
                unit: "answers",
                latency: bare.latency,
                notes: std::collections::BTreeMap::new(),
            });
        }
        Ok(())
    }

    async fn uncached(&mut self, client: &Arc<Client>, questions: &mut Questions) -> anyhow::Result<()> {
        let asked = Asked {
            requests: Arc::new(questions.uncached(AHEAD)),
            order: None,
        };
        let mut figures = self
            .both_loops("uncached reads", client, &asked, self.options.times())
            .await?;
        if let Some(database) = &self.database {
            let plain = Plain::connect(database.reads(), &database.schema).await?;
            let asked: Arc<Vec<_>> = Arc::new(questions.incidents(ASKED_ABOUT));
            let time = self.options.baseline_time();
            for question in Question::ALL {
                progress(question.name());
                let alone = plain.ask(question, &asked, 1, time).await;
                let busy = plain.ask(question, &asked, self.options.callers, time).await;
                for figure in &mut figures {
                    let operation = question.operation();
                    let ours = figure.operations.get(operation).copied().unwrap_or_default();
                    compare_latency(figure, operation, ours, &alone, &busy);
                }
                self.baselines.extend([alone, busy]);
            }
            plain.close().await;
        }
        self.figures.extend(figures);
        Ok(())
    }

    async fn search(&mut self, client: &Arc<Client>, questions: &mut Questions) -> anyhow::Result<()> {
        let messages = self.traffic(RECENT, self.options.first_share()).messages();
        let asked = Asked {
            requests: Arc::new(questions.searches(&messages, self.options.first_share(), AHEAD)),
            order: None,
        };
        let mut figures = self
            .both_loops("search", client, &asked, self.options.times())
            .await?;
        if let Some(database) = &self.database {
            progress("the vector query by plain SQL");
            let texts: HashSet<String> = messages.iter().filter_map(|text| canonical_query(text)).collect();
            let mut texts: Vec<String> = texts.into_iter().collect();
            texts.sort();
            texts.truncate(VECTORS);
            let precision = self.options.precision;
            let vectors = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<Vec<f32>>> {
                Ok(model(precision)?.embed(&texts)?)
            })
            .await??;
            let plain = Plain::connect(database.reads(), &database.schema).await?;
            let time = self.options.baseline_time();
            let alone = plain.nearest(vectors.clone(), 1, time).await;
            let busy = plain.nearest(vectors, self.options.callers, time).await;
            plain.close().await;
            for figure in &mut figures {
                let latency = figure.latency;
                compare_latency(figure, "search", latency, &alone, &busy);
                if figure.name.contains("closed") {
                    let rate = figure.per_second;
                    figure.compare(
                        format!("answers/s ÷ those of {}", busy.name),
                        rate,
                        busy.per_second,
                    );
                }
            }
            self.baselines.extend([alone, busy]);
        }
        self.figures.extend(figures);
        Ok(())
    }

    /// The open loop and the closed one, as far as they are wanted.
    async fn both_loops(
        &self,
        name: &str,
        client: &Arc<Client>,
        asked: &Asked,
        times: Times,
    ) -> anyhow::Result<Vec<Figure>> {
        let options = &self.options;
        // The bare handler is always one.
        let told = |load: String| if name == BARE { load } else { self.named(&load) };
        let mut figures = Vec::new();
        for rate in options.rates.iter().copied() {
            let series = told(format!("{name}, open loop"));
            let name = told(format!("{name}, open loop, {rate} /s"));
            progress(&name);
            let (before, in_flight) = (self.begin().await?, options.in_flight);
            let loaded = load::open(client, &asked.requests, asked.index(), times, rate, in_flight).await?;
            let mut figure = Figure::new(name, &loaded.run, times.duration.as_secs_f64(), loaded.until);
            figure.point = Some(Point { series, rate });
            self.ended(&mut figure, before).await?;
            figures.push(figure);
        }
        if options.callers > 0 {
            let name = told(format!("{name}, closed loop, {} callers", options.callers));
            progress(&name);
            let before = self.begin().await?;
            let index = asked.index();
            let order = move |number| Some(index(number));
            let loaded = load::closed(client, &asked.requests, order, times, options.callers).await;
            let mut figure = Figure::new(name, &loaded.run, times.duration.as_secs_f64(), loaded.until);
            self.ended(&mut figure, before).await?;
            figures.push(figure);
        }
        Ok(figures)
    }
}

/// The open loop beside a single caller, the closed one beside as many.
fn compare_latency(figure: &mut Figure, what: &str, ours: Quantiles, alone: &Baseline, busy: &Baseline) {
    let baseline = if figure.name.contains("closed") {
        busy
    } else {
        alone
    };
    let connections = match baseline.notes.get("connections").map(String::as_str) {
        Some("1") | None => "1 connection".to_owned(),
        Some(connections) => format!("{connections} connections"),
    };
    figure.compare(
        format!("p50 of {what} ÷ that of {}, over {connections}", baseline.name),
        ours.p50,
        baseline.latency.p50,
    );
}
