//! The report as a picture: for each figure the latencies up to the rarest, and the answers in each second.

use std::fmt::Write as _;

use super::knee::{self, Knee};
use super::{Figure, Report};

/// Size of one plot, and of the room around it, in pixels.
pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 160.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// Room that a row of two plots takes.
const ROW: f64 = 250.0;
/// Colour of a line.
pub(super) const BLUE: &str = "#0366d6";
/// Latencies from this one on are drawn, in milliseconds.
pub(super) const FLOOR: f64 = 0.01;

impl Report {
    /// The picture, as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let knees = knee::knees(&self.figures);
        let (width, height) = (
            2.0 * (WIDTH + LEFT) + 60.0,
            70.0 + ROW * (knees.len() + self.figures.len()) as f64,
        );
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let title = format!(
            "kubernaut {} on {}, {} cores",
            self.machine.version, self.machine.cpu, self.machine.cores
        );
        text(&mut svg, LEFT, 24.0, "start", &title);
        if !self.is_measurement {
            text(
                &mut svg,
                LEFT,
                40.0,
                "start",
                "THIS IS NO MEASUREMENT: a debug build",
            );
        }
        let top = |row: usize| 70.0 + ROW * row as f64;
        let right = 2.0 * LEFT + WIDTH + 30.0;
        for (row, knee) in knees.iter().enumerate() {
            let Knee { series, .. } = knee;
            text(
                &mut svg,
                LEFT,
                top(row),
                "start",
                &format!("{series}, by the rate"),
            );
            knee.latencies(&mut svg, LEFT, top(row) + TOP);
            knee.answers(&mut svg, right, top(row) + TOP);
        }
        for (row, figure) in self.figures.iter().enumerate() {
            let top = top(knees.len() + row);
            text(&mut svg, LEFT, top, "start", &figure.name);
            latencies(&mut svg, LEFT, top + TOP, figure);
            throughput(&mut svg, right, top + TOP, figure);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Latency over how many exceed it, both by powers: 90 %, 99 % and 99.9 % are equally far apart.
fn latencies(svg: &mut String, left: f64, top: f64, figure: &Figure) {
    frame(svg, left, top, "ms by share of answers");
    let rarest = figure
        .curve
        .last()
        .map_or(1.0, |(share, _)| nines(*share))
        .max(1.0);
    let longest = figure.latency.max.max(1.0);
    let decades = (longest / FLOOR).log10();
    let x = |share: f64| left + WIDTH * nines(share) / rarest;
    let y = |millis: f64| top + HEIGHT * (1.0 - (millis.max(FLOOR) / FLOOR).log10() / decades);
    for (share, label) in [
        (0.0, "0"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
    ] {
        if nines(share) <= rarest {
            tick(svg, x(share), top + HEIGHT, label);
        }
    }
    let mut mark = FLOOR * 10.0;
    while mark <= longest {
        level(svg, left, y(mark), &format!("{mark}"));
        mark *= 10.0;
    }
    let points = figure.curve.iter().map(|(share, millis)| (x(*share), y(*millis)));
    polyline(svg, BLUE, points);
}

fn throughput(svg: &mut String, left: f64, top: f64, figure: &Figure) {
    frame(svg, left, top, "answers per second, by second");
    let most = figure.throughput.iter().copied().max().unwrap_or(0).max(1) as f64;
    let last = figure.throughput.len().saturating_sub(1).max(1) as f64;
    level(svg, left, top, &format!("{most}"));
    tick(svg, left, top + HEIGHT, "0");
    tick(svg, left + WIDTH, top + HEIGHT, &format!("{last} s"));
    let points = figure.throughput.iter().enumerate().map(|(second, answers)| {
        (
            left + WIDTH * second as f64 / last,
            top + HEIGHT * (1.0 - *answers as f64 / most),
        )
    });
    polyline(svg, BLUE, points);
}

/// How many nines a share has: 1 for 90 %, 2 for 99 %.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

pub(super) fn frame(svg: &mut String, left: f64, top: f64, title: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#888\"/>"
    );
    text(svg, left, top - 8.0, "start", title);
}

pub(super) fn tick(svg: &mut String, x: f64, bottom: f64, label: &str) {
    let end = bottom + 4.0;
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{end:.1}\" stroke=\"#888\"/>"
    );
    text(svg, x, bottom + 16.0, "middle", label);
}

pub(super) fn level(svg: &mut String, left: f64, y: f64, label: &str) {
    let right = left + WIDTH;
    let _ = writeln!(
        svg,
        "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>"
    );
    text(svg, left - 5.0, y + 4.0, "end", label);
}

pub(super) fn polyline(svg: &mut String, colour: &str, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        points.join(" ")
    );
}

pub(super) fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    coloured(svg, "black", x, y, anchor, content);
}

pub(super) fn coloured(svg: &mut String, colour: &str, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{content}</text>"
    );
}
