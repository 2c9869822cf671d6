//! Writes: against the same rows by plain SQL, and against services without some of their ideas.

use std::sync::Arc;

use anyhow::Context;

use super::bench::{Before, Bench, RECENT};
use super::progress;
use crate::baseline::rows;
use crate::load::{self, Loaded, Times};
use crate::report::{Figure, Point, Report};
use crate::request::Request;
use crate::schema;
use crate::traffic::Traffic;

/// The name of the closed loop's figure, which others are compared with.
const CLOSED: &str = "writes, closed loop";
/// Records that are made ahead for a second of the closed loop, and for all of them: no service here takes more.
const AHEAD_PER_SECOND: usize = 4_000;
const AHEAD: usize = 400_000;
/// Connections that insert the rows again: as many as the service has writer tasks by default.
const WRITERS: usize = 2;
/// Transactions that the naive service has open at most: it has a connection for each.
const NAIVE_TASKS: usize = 32;

/// A service without some of its ideas.
#[derive(Debug)]
pub(super) struct Naive {
    /// Of Data Storage.
    pub(super) settings: Vec<(&'static str, String)>,
    /// The share of texts that are treated as new; `None` for that of the run.
    pub(super) fresh_texts: Option<f64>,
}

/// What each idea is worth, and both: each is taken away from the same service.
pub(super) fn naive(callers: usize) -> Vec<(&'static str, Naive)> {
    let tasks = callers.clamp(1, NAIVE_TASKS);
    // One transaction for each record, as many at once as there are callers.
    let alone = || {
        vec![
            ("WRITER__MAX_BATCH", "1".to_owned()),
            ("WRITER__TASKS", tasks.to_string()),
            ("DATABASE__MAX_CONNECTIONS", (tasks + 5).to_string()),
        ]
    };
    // Every text is another one, so each is embedded and stored anew, while its request waits for the vector.
    let waiting = || ("EMBEDDING__BUDGET", "10s".to_owned());
    vec![
        (
            "writes, closed loop, a transaction for each record",
            Naive {
                settings: alone(),
                fresh_texts: None,
            },
        ),
        (
            "writes, closed loop, a vector for each record",
            Naive {
                settings: vec![waiting()],
                fresh_texts: Some(1.0),
            },
        ),
        (
            "writes, closed loop, naive: both for each record",
            Naive {
                settings: alone().into_iter().chain([waiting()]).collect(),
                fresh_texts: Some(1.0),
            },
        ),
    ]
}

/// Puts the naive services beside the service.
pub(super) fn compare_naive(report: &mut Report) {
    let find = |figure: &&Figure| figure.name.starts_with(CLOSED) && figure.ledger_rows.is_some();
    let Some(ours) = report.figures.iter().find(find).map(|figure| figure.per_second) else {
        return;
    };
    for figure in &mut report.figures {
        if figure.name.starts_with(CLOSED) && figure.ledger_rows.is_none() {
            let rate = figure.per_second;
            figure.compare("records/s ÷ those of the service as it is".to_owned(), rate, ours);
        }
    }
}

impl Bench {
    pub(super) async fn writes(&mut self) -> anyhow::Result<()> {
        let options = self.options.clone();
        let several = options.fresh_texts.len() > 1;
        for share in options.fresh_texts {
            let texts = match several {
                true => format!(", {} % fresh texts", (share * 1_000.0).round() / 10.0),
                false => String::new(),
            };
            for rate in &options.rates {
                self.open_writes(&format!("writes, open loop{texts}"), *rate, share)
                    .await?;
            }
            if options.callers > 0 {
                let name = self.named(&format!("{CLOSED}, {} callers{texts}", options.callers));
                self.closed_and_compared(&name, share).await?;
            }
        }
        Ok(())
    }

    /// The closed loop, beside the same rows by plain SQL.
    async fn closed_and_compared(&mut self, name: &str, share: f64) -> anyhow::Result<()> {
        let mark = match &self.database {
            Some(database) => {
                let mut connection = rows::connect(&database.url, &database.schema).await?;
                Some(rows::mark(&mut connection).await?)
            }
            None => None,
        };
        self.closed_writes(name, share).await?;
        match mark {
            Some(mark) => self.same_rows(mark).await?,
            None => self
                .notes
                .push("Without --database-url there is no plain SQL to compare with.".to_owned()),
        }
        Ok(())
    }

    async fn open_writes(&mut self, series: &str, rate: f64, share: f64) -> anyhow::Result<()> {
        let name = self.named(&format!("{series}, {rate} /s"));
        let series = self.named(series);
        progress(&name);
        let (times, in_flight) = (self.options.times(), self.options.in_flight);
        let requests = prepared(self.traffic(RECENT, share), times.count_at(rate) + 1).await?;
        let client = self.data_storage()?;
        let before = self.before().await?;
        let loaded = load::open(
            &client,
            &requests,
            |number| number as usize,
            times,
            rate,
            in_flight,
        )
        .await?;
        self.keep(&name, &loaded, times, before).await?;
        let syncs = self
            .baseline("8 kB written and synced")
            .map(|sync| sync.latency.p50);
        if let (Some(figure), Some(sync)) = (self.figures.last_mut(), syncs) {
            let p50 = figure.latency.p50;
            figure.compare("p50 ÷ p50 of one sync of the disk".to_owned(), p50, sync);
        }
        if let Some(figure) = self.figures.last_mut() {
            figure.point = Some(Point { series, rate });
        }
        Ok(())
    }

    pub(super) async fn closed_writes(&mut self, name: &str, share: f64) -> anyhow::Result<()> {
        progress(name);
        let (times, callers) = (self.options.times(), self.options.callers.max(1));
        let count = times.count_at(AHEAD_PER_SECOND as f64).min(AHEAD);
        let requests = prepared(self.traffic(RECENT, share), count).await?;
        let client = self.data_storage()?;
        let before = self.before().await?;
        let order = move |number: u64| (number < count as u64).then_some(number as usize);
        let loaded = load::closed(&client, &requests, order, times, callers).await;
        let counts = (loaded.run.warm_up.due, loaded.run.measured.due);
        if counts.0 + counts.1 >= count as u64 {
            self.notes.push(format!(
                "{name}: all {count} records that were made ahead were sent before the time was over."
            ));
        }
        self.keep(name, &loaded, times, before).await
    }

    /// Inserts the rows of a load again, by plain SQL.
    async fn same_rows(&mut self, mark: rows::Mark) -> anyhow::Result<()> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        progress("the same rows by plain SQL");
        let (url, own, scratch) = (&database.url, &database.schema, &self.schemas.rows);
        schema::migrate_like(url, own, scratch, self.clock.now()).await?;
        let mut from = rows::connect(url, own).await?;
        let mut to = rows::connect(url, scratch.data()).await?;
        let recorded = rows::Recorded::read(&mut from, &mut to, mark).await?;
        let baseline = recorded.insert(url, scratch.data(), WRITERS).await?;
        schema::drop(url, scratch).await?;
        if let Some(figure) = self.figures.last_mut() {
            // Replays are answered and insert nothing: what is compared is records that became rows.
            let new = figure.measured.status("201") as f64 / figure.measured.ended.max(1) as f64;
            let rate = figure.per_second * new;
            figure.compare(
                "new records/s ÷ those of plain SQL".to_owned(),
                rate,
                baseline.per_second,
            );
        }
        self.baselines.push(baseline);
        Ok(())
    }

    fn data_storage(&self) -> anyhow::Result<Arc<crate::client::Client>> {
        self.data_storage.clone().context("writes need Data Storage")
    }

    /// What there is before a load, and the rows of the ledger.
    async fn before(&self) -> anyhow::Result<(Option<i64>, Before)> {
        Ok((self.ledger_rows().await?, self.begin().await?))
    }

    async fn ledger_rows(&self) -> anyhow::Result<Option<i64>> {
        match &self.database {
            Some(database) => {
                let mut connection = rows::connect(&database.url, &database.schema).await?;
                Ok(Some(rows::ledger_rows(&mut connection).await?))
            }
            None => Ok(None),
        }
    }

    async fn keep(
        &mut self,
        name: &str,
        loaded: &Loaded,
        times: Times,
        (rows, before): (Option<i64>, Before),
    ) -> anyhow::Result<()> {
        let mut figure = Figure::new(
            name.to_owned(),
            &loaded.run,
            times.duration.as_secs_f64(),
            loaded.until,
        );
        self.ended(&mut figure, before).await?;
        figure.ledger_rows = self
            .ledger_rows()
            .await?
            .zip(rows)
            .map(|(after, before)| after - before);
        // Last: it waits for the model.
        figure.draining = self.settled().await?;
        self.figures.push(figure);
        Ok(())
    }
}

/// Requests, made before they are needed and off the runtime.
async fn prepared(traffic: Traffic, count: usize) -> anyhow::Result<Arc<Vec<Request>>> {
    let made = tokio::task::spawn_blocking(move || {
        let requests = traffic.take(count).map(|sent| sent.request()).collect();
        Arc::new(requests)
    });
    made.await.context("the traffic was not made")
}
