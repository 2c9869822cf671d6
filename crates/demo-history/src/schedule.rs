//! When what happens: the calendar of the history.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Duration, SubsecRound, Utc, Weekday};

use super::chain::{Occasion, Played, play};
use super::rng::Rng;
use super::storm::STORMS;
use super::trouble::{Spot, spots};
use super::{DemoRecord, HistoryOptions};

/// No incident but the open ones begins later than this before the end, so that all of them are over by then.
const SETTLED: Duration = Duration::hours(6);
/// How many incidents are still open at the end.
const OPEN: usize = 14;
/// How often even the rarest alert fires.
const RARE: usize = 3;
/// How busy each hour of the day (UTC) is: releases cause most trouble, batch windows the rest.
const HOURS: [f64; 24] = [
    0.5, 0.7, 1.1, 0.9, 0.5, 0.4, 0.6, 1.0, 1.6, 2.2, 2.4, 2.0, 1.4, 1.9, 2.3, 2.1, 1.7, 1.2, 1.1, 1.3, 1.2,
    0.9, 0.7, 0.6,
];

/// From when to when.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// What fills the history, until it has as many incidents as were asked for.
struct Calendar {
    start: DateTime<Utc>,
    latest: DateTime<Utc>,
    end: DateTime<Utc>,
    /// How busy each day is.
    days: Vec<f64>,
    /// When each fingerprint was being dealt with: a gateway opens no second request for it meanwhile.
    busy: BTreeMap<String, Vec<Span>>,
    records: Vec<DemoRecord>,
    /// How many incidents may still be added.
    left: usize,
    /// How often a spot that is busy is still passed over. A history asked to hold more than its days can is given
    /// overlapping incidents in the end, and not an endless search.
    patience: usize,
}

/// All records of the history, not yet in order.
pub(super) fn incidents(options: &HistoryOptions) -> Vec<DemoRecord> {
    let mut rng = Rng::new(options.seed);
    let spots = spots(&mut rng);
    let mut calendar = Calendar::new(options, &mut rng);
    let open = OPEN.min(options.incidents / 10);
    calendar.left = options.incidents - open;
    calendar.storms(options.incidents / 100, &mut rng);
    calendar.every_alert(&spots, &mut rng);
    calendar.everyday(&spots, &mut rng);
    calendar.left = open;
    calendar.still_open(&spots, &mut rng);
    calendar.records
}

impl Calendar {
    fn new(options: &HistoryOptions, rng: &mut Rng) -> Self {
        let end = options.end.trunc_subsecs(0);
        let days = options.days.max(1);
        let start = end - Duration::days(i64::from(days));
        let days = (0..days)
            .map(|day| {
                let usual = match (start + Duration::days(i64::from(day))).weekday() {
                    Weekday::Sat | Weekday::Sun => 0.45,
                    Weekday::Tue | Weekday::Thu => 1.2,
                    _ => 1.0,
                };
                if rng.chance(0.07) { usual * 2.3 } else { usual }
            })
            .collect();
        Self {
            start,
            latest: end - SETTLED,
            end,
            days,
            busy: BTreeMap::new(),
            records: Vec::new(),
            left: 0,
            patience: 1_000 + 10 * options.incidents,
        }
    }

    /// The moment that is `share` of the history after its start.
    fn at(&self, share: f64) -> DateTime<Utc> {
        let seconds = (self.latest - self.start).num_seconds() as f64 * share;
        self.start + Duration::seconds(seconds as i64)
    }

    /// How much of the history is over at `moment`.
    fn share(&self, moment: DateTime<Utc>) -> f64 {
        (moment - self.start).num_seconds() as f64 / (self.latest - self.start).num_seconds() as f64
    }

    /// Some moment, likelier on busy days and in busy hours.
    fn moment(&self, rng: &mut Rng) -> DateTime<Utc> {
        loop {
            let day = rng.weighted(self.days.iter().copied()) as i64;
            let hour = rng.weighted(HOURS.iter().copied()) as i64;
            let midnight = (self.start + Duration::days(day))
                .date_naive()
                .and_time(chrono::NaiveTime::MIN)
                .and_utc();
            let moment = midnight + Duration::hours(hour) + Duration::seconds(rng.int(0, 3_599));
            if moment >= self.start && moment <= self.latest {
                return moment;
            }
        }
    }

    /// Lets `spot` fire at `created`. `None` if it is being dealt with at that time, else when it is over.
    fn fire(&mut self, spot: &Spot, occasion: &Occasion, rng: &mut Rng) -> Option<DateTime<Utc>> {
        let mut rng = rng.fork();
        let Played {
            mut records,
            incidents,
            over,
        } = play(spot, occasion, &mut rng);
        let busy = self.busy.entry(spot.fingerprint.clone()).or_default();
        let overlaps = busy
            .iter()
            .any(|(from, to)| occasion.created <= *to && over >= *from);
        if overlaps && self.patience > 0 {
            self.patience -= 1;
            return None;
        }
        busy.push((occasion.created, over));
        self.left -= incidents;
        self.records.append(&mut records);
        Some(over)
    }

    /// An ordinary occasion: a little less luck at night, and a little more as time goes by and people learn.
    fn occasion(&self, created: DateTime<Utc>) -> Occasion {
        let hour = chrono::Timelike::hour(&created);
        let night = if (6..21).contains(&hour) { 1.0 } else { 0.92 };
        Occasion {
            created,
            luck: night * (0.93 + 0.12 * self.share(created)),
            storm: None,
            may_retry: self.left > 1,
            watched: false,
        }
    }

    fn storms(&mut self, size: usize, rng: &mut Rng) {
        for storm in STORMS {
            let begins = self.at(storm.when);
            for spot in storm.spots(size, rng) {
                let created = begins + Duration::seconds(rng.skewed(0, storm.minutes * 60));
                if self.left > 0 && created <= self.latest {
                    let usual = self.occasion(created);
                    let occasion = Occasion {
                        luck: storm.luck,
                        storm: Some(storm.name),
                        ..usual
                    };
                    self.fire(&spot, &occasion, rng);
                }
            }
        }
    }

    /// So that even a rare alert has a past in every history.
    fn every_alert(&mut self, spots: &[Spot], rng: &mut Rng) {
        let mut last = "";
        for spot in spots {
            if spot.alert.name != last {
                last = spot.alert.name;
                for _ in 0..RARE.min(self.left) {
                    let occasion = self.occasion(self.moment(rng));
                    self.fire(spot, &occasion, rng);
                }
            }
        }
    }

    fn everyday(&mut self, spots: &[Spot], rng: &mut Rng) {
        while self.left > 0 {
            let spot = &spots[rng.weighted(spots.iter().map(|spot| spot.weight))];
            let mut created = self.moment(rng);
            let share = self.share(created);
            if share < spot.active.0 || share > spot.active.1 {
                continue;
            }
            while self.left > 0 && created <= self.latest {
                let occasion = self.occasion(created);
                let Some(over) = self.fire(spot, &occasion, rng) else {
                    break;
                };
                if !rng.chance(spot.flap) {
                    break;
                }
                created = over + Duration::seconds(rng.skewed(900, 28_800));
            }
        }
    }

    /// Incidents that the end of the history catches half way: each is played once to see how long it takes, and
    /// again, with the same dice, so that the end falls within it.
    fn still_open(&mut self, spots: &[Spot], rng: &mut Rng) {
        while self.left > 0 {
            let spot = &spots[rng.weighted(spots.iter().map(|spot| spot.weight))];
            let dice = rng.fork();
            let watched = |created| Occasion {
                may_retry: false,
                watched: true,
                ..self.occasion(created)
            };
            let length = {
                let rehearsal = play(spot, &watched(self.latest), &mut dice.clone());
                (rehearsal.over - self.latest).num_seconds() as f64
            };
            let created = self.end - Duration::seconds((length * rng.float(0.05, 0.9)) as i64);
            let occasion = Occasion {
                luck: self.occasion(self.latest).luck,
                ..watched(created)
            };
            let played = play(spot, &occasion, &mut dice.clone());
            let busy = self.busy.entry(spot.fingerprint.clone()).or_default();
            if self.patience > 0 && busy.iter().any(|(_, to)| *to >= created) {
                self.patience -= 1;
                continue;
            }
            busy.push((created, played.over));
            self.left -= 1;
            self.records
                .extend(played.records.into_iter().filter(|record| record.at <= self.end));
        }
    }
}
