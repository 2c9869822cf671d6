//! What readers ask: lists, details and recovery contexts of incidents that exist, and searches.

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::client::Client;
use crate::request::Request;
use crate::traffic::{Zipf, words};

/// Incidents that are asked about, as many as a list may have. A few of them are asked about most.
const INCIDENTS: usize = 100;
/// Questions that are asked again and again while they are kept.
const HOT: usize = 32;
/// Incidents in a list, and in the answer to a search.
const LISTED: usize = 20;
const FOUND: usize = 5;
/// Filters of lists.
const FILTERS: [&str; 6] = [
    "",
    "&severity=critical",
    "&environment=production",
    "&phase=Failed",
    "&environment=production&phase=Failed",
    "&since=7d",
];
/// How many words of a message a searcher remembers.
const REMEMBERED: usize = 12;

/// Makes questions.
#[derive(Debug)]
pub(crate) struct Questions {
    rng: StdRng,
    incidents: Vec<(i64, String, String)>,
    zipf: Zipf,
}

impl Questions {
    /// Asks Context API for incidents to ask about.
    ///
    /// # Errors
    /// Where there are none, or Context API does not answer.
    pub(crate) async fn about(context_api: &Client, seed: u64) -> anyhow::Result<Self> {
        let list = Request::get("list", format!("/api/v1/incidents?limit={INCIDENTS}")).uncached();
        let answer = context_api.fetch(&list).await?;
        anyhow::ensure!(
            answer.status == 200,
            "the list of incidents answers {}",
            answer.status
        );
        let page: Value = serde_json::from_slice(&answer.body)?;
        let incidents: Vec<_> = page["incidents"]
            .as_array()
            .context("the list of incidents has no incidents")?
            .iter()
            .filter_map(|incident| {
                Some((
                    incident["id"].as_i64()?,
                    incident["remediationName"].as_str()?.to_owned(),
                    incident["remediationNamespace"].as_str()?.to_owned(),
                ))
            })
            .collect();
        anyhow::ensure!(
            !incidents.is_empty(),
            "there are no incidents to ask about; --incidents loads some"
        );
        Ok(Self {
            rng: StdRng::seed_from_u64(seed),
            zipf: Zipf::new(incidents.len()),
            incidents,
        })
    }

    /// A read: half of them lists, every other of which leaves out how many there are, three in ten details, the others
    /// recovery contexts.
    fn read(&mut self) -> Request {
        let (id, name, namespace) = &self.incidents[self.zipf.draw(&mut self.rng)];
        match self.rng.random_range(0..10) {
            0..5 => {
                let filter = FILTERS[self.rng.random_range(0..FILTERS.len())];
                let list = format!("/api/v1/incidents?limit={LISTED}{filter}");
                if self.rng.random() {
                    Request::get("list", list)
                } else {
                    Request::get("page", format!("{list}&includeTotal=false"))
                }
            }
            5..8 => Request::get("detail", format!("/api/v1/incidents/{id}")),
            _ => Request::get(
                "recovery",
                format!("/api/v1/context/remediation/{name}?namespace={namespace}"),
            ),
        }
    }

    /// Reads that the database answers, each by itself.
    pub(crate) fn uncached(&mut self, count: usize) -> Vec<Request> {
        (0..count).map(|_| self.read().uncached()).collect()
    }

    /// A few reads.
    pub(crate) fn hot(&mut self) -> Vec<Request> {
        let mut hot: Vec<Request> = Vec::new();
        // Each kind has enough different questions, so this ends.
        while hot.len() < HOT {
            let read = self.read();
            let of_kind = hot.iter().filter(|kept| kept.operation == read.operation).count();
            let is_list = matches!(read.operation, "list" | "page");
            if !hot.contains(&read) && (!is_list || of_kind < FILTERS.len()) {
                hot.push(read);
            }
            if self.incidents.len() * 2 + FILTERS.len() * 2 <= hot.len() {
                break;
            }
        }
        hot
    }

    /// Searches: the beginning of a message, half of them in production only. So many of them, by the share, are in words
    /// that nobody used before, and their vector is not kept anywhere.
    pub(crate) fn searches(&mut self, messages: &[String], fresh: f64, count: usize) -> Vec<Request> {
        let mut owed = 0.0;
        (0..count)
            .map(|number| {
                let message = &messages[self.rng.random_range(0..messages.len())];
                let mut description = message
                    .split_whitespace()
                    .take(REMEMBERED)
                    .collect::<Vec<_>>()
                    .join(" ");
                owed += fresh;
                if owed >= 1.0 {
                    owed -= 1.0;
                    description = format!("{} {description}", words(self.rng.random(), number as u64));
                }
                let mut body = json!({"description": description, "maxResults": FOUND});
                if self.rng.random() {
                    body["environment"] = "production".into();
                }
                Request::post("match", "/api/v1/context/match", body.to_string())
            })
            .collect()
    }

    /// Incidents that reads are about, as often as each of them is: id, name and namespace.
    pub(crate) fn incidents(&mut self, count: usize) -> Vec<(i64, String, String)> {
        (0..count)
            .map(|_| self.incidents[self.zipf.draw(&mut self.rng)].clone())
            .collect()
    }

    /// How often each of some questions is asked: the order in which they come, as indexes.
    pub(crate) fn order(&mut self, questions: usize, count: usize) -> Vec<usize> {
        let zipf = Zipf::new(questions);
        (0..count).map(|_| zipf.draw(&mut self.rng)).collect()
    }
}
