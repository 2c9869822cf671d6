//! Loads that differ in their rate only, as a curve: where the latencies turn upwards, the machine has no more to give.

use std::collections::BTreeSet;

use super::Figure;
use super::svg::{BLUE, FLOOR, HEIGHT, WIDTH, coloured, frame, level, polyline, tick};

/// What is drawn of the latencies: by what name, in which colour.
const LINES: [(&str, &str); 3] = [("p50", BLUE), ("p95", "#b08800"), ("p99", "#cb2431")];

/// Figures of one series, by their rates.
pub(super) struct Knee<'a> {
    /// What they have in common.
    pub(super) series: &'a str,
    /// Rates and figures, the lowest first.
    points: Vec<(f64, &'a Figure)>,
}

/// Every series that has more than one rate, in the order of its first figure.
pub(super) fn knees(figures: &[Figure]) -> Vec<Knee<'_>> {
    let mut seen = BTreeSet::new();
    let points = figures.iter().filter_map(|figure| figure.point.as_ref());
    points
        .filter(|point| seen.insert(&point.series))
        .filter_map(|point| Knee::of(&point.series, figures))
        .collect()
}

impl<'a> Knee<'a> {
    fn of(series: &'a str, figures: &'a [Figure]) -> Option<Self> {
        let mut points: Vec<_> = figures
            .iter()
            .filter_map(|figure| Some((figure.point.as_ref()?, figure)))
            .filter(|(point, _)| point.series == series)
            .map(|(point, figure)| (point.rate, figure))
            .collect();
        points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        (points.len() > 1).then_some(Self { series, points })
    }

    fn highest(&self) -> f64 {
        self.points.last().map_or(1.0, |(rate, _)| *rate).max(1.0)
    }

    /// Latencies over the rate, by powers of ten.
    pub(super) fn latencies(&self, svg: &mut String, left: f64, top: f64) {
        frame(svg, left, top, "ms by requests due in a second");
        let of = |figure: &Figure| [figure.latency.p50, figure.latency.p95, figure.latency.p99];
        let longest = self.points.iter().flat_map(|(_, figure)| of(figure));
        let longest = longest.fold(1.0, f64::max);
        let decades = (longest / FLOOR).log10();
        let x = |rate: f64| left + WIDTH * rate / self.highest();
        let y = |millis: f64| top + HEIGHT * (1.0 - (millis.max(FLOOR) / FLOOR).log10() / decades);
        let mut mark = FLOOR * 10.0;
        while mark <= longest {
            level(svg, left, y(mark), &format!("{mark}"));
            mark *= 10.0;
        }
        self.rates(svg, left, top);
        for (line, (name, colour)) in LINES.into_iter().enumerate() {
            let points = self.points.iter();
            polyline(
                svg,
                colour,
                points.map(|(rate, figure)| (x(*rate), y(of(figure)[line]))),
            );
            let at = left + WIDTH - 30.0 * (LINES.len() - line) as f64;
            coloured(svg, colour, at, top - 8.0, "start", name);
        }
    }

    /// Answers over what was due: below the diagonal there was no answer in time.
    pub(super) fn answers(&self, svg: &mut String, left: f64, top: f64) {
        frame(svg, left, top, "answers in a second by requests due in a second");
        let highest = self.highest();
        let x = |rate: f64| left + WIDTH * rate / highest;
        let y = |rate: f64| top + HEIGHT * (1.0 - (rate / highest).min(1.0));
        self.rates(svg, left, top);
        level(svg, left, top, &format!("{highest}"));
        polyline(
            svg,
            "#ddd",
            [(x(0.0), y(0.0)), (x(highest), y(highest))].into_iter(),
        );
        let points = self.points.iter();
        polyline(
            svg,
            BLUE,
            points.map(|(rate, figure)| (x(*rate), y(figure.per_second))),
        );
    }

    fn rates(&self, svg: &mut String, left: f64, top: f64) {
        for (rate, _) in &self.points {
            tick(
                svg,
                left + WIDTH * rate / self.highest(),
                top + HEIGHT,
                &format!("{rate}"),
            );
        }
    }
}
