//! What is counted about every request.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::OnceLock,
    time::Duration,
};

use axum::{
    extract::MatchedPath,
    http::{Method, StatusCode},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds, in seconds: 1 ms to 10 s, dense where our targets are.
const DURATION_BUCKETS_SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The metrics of requests; clones count together.
///
/// - `http_requests_total{method,route,status,problem}`: `problem` is the static code, empty without a problem;
/// - `http_request_duration_seconds{method,route,status_class}`: until the head of the answer is ready;
/// - `http_requests_in_flight`.
///
/// A request whose client left before the answer counts as status 499 with problem `client-closed-request`.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

/// Series that one route is likely to need: its answers have few statuses and problems.
const KEPT_SERIES: usize = 4;

/// The first few series of a route, kept beside it: to find one by its labels takes two locks and hashes all of them,
/// for every request.
#[derive(Debug, Default)]
pub(crate) struct Series([OnceLock<(RequestLabels, Counted)>; KEPT_SERIES]);

/// Where one combination of labels is counted.
#[derive(Clone, Debug)]
struct Counted {
    requests: Counter,
    duration: Histogram,
}

/// One finished request.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) method: &'static str,
    pub(crate) route: Route,
    pub(crate) status: StatusCode,
    pub(crate) problem: &'static str,
    pub(crate) duration: Duration,
}

impl HttpMetrics {
    /// Creates the metrics in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
            in_flight: Gauge::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being answered now",
            metrics.in_flight.clone(),
        );
        metrics
    }

    pub(crate) fn started(&self) {
        self.in_flight.inc();
    }

    /// Counts a request of the route that keeps `series`.
    pub(crate) fn finished(&self, request: Finished, series: &Series) {
        let Finished {
            method,
            route,
            status,
            problem,
            duration,
        } = request;
        self.in_flight.dec();
        let labels = RequestLabels {
            method,
            route,
            status: status.as_u16(),
            problem,
        };
        let seconds = duration.as_secs_f64();
        for kept in &series.0 {
            let (of, counted) = kept.get_or_init(|| (labels.clone(), self.counted(&labels)));
            if *of == labels {
                return counted.count(seconds);
            }
        }
        self.counted(&labels).count(seconds);
    }

    fn counted(&self, labels: &RequestLabels) -> Counted {
        Counted {
            requests: self.requests.get_or_create_owned(labels),
            duration: self.duration.get_or_create_owned(&DurationLabels {
                method: labels.method,
                route: labels.route.clone(),
                status_class: match labels.status / 100 {
                    1 => "1xx",
                    2 => "2xx",
                    3 => "3xx",
                    4 => "4xx",
                    _ => "5xx",
                },
            }),
        }
    }
}

impl Counted {
    fn count(&self, seconds: f64) {
        self.duration.observe(seconds);
        self.requests.inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Route,
    status: u16,
    problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    method: &'static str,
    route: Route,
    status_class: &'static str,
}

/// The template of a matched route, such as `/api/v1/incidents/{id}`, or `unmatched`: never the path a client sent.
#[derive(Clone, Debug)]
pub(crate) struct Route(Option<MatchedPath>);

impl Route {
    /// The route that the router found.
    pub(crate) fn new(matched: Option<MatchedPath>) -> Self {
        Self(matched)
    }

    /// The template.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_ref().map_or("unmatched", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// The method as a label: clients may invent methods, and labels must stay few.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{registry, render};

    #[test]
    fn a_route_with_more_series_than_are_kept_counts_all_of_them() {
        let mut registry = registry("kit");
        let (metrics, series) = (HttpMetrics::register(&mut registry), Series::default());
        for _ in 0..2 {
            for status in 200..207 {
                metrics.started();
                let request = Finished {
                    method: "GET",
                    route: Route::new(None),
                    status: StatusCode::from_u16(status).unwrap(),
                    problem: "",
                    duration: Duration::from_millis(1),
                };
                metrics.finished(request, &series);
            }
        }
        let text = render(&registry).unwrap();
        for status in 200..207 {
            let line = format!(
                "kit_http_requests_total{{method=\"GET\",route=\"unmatched\",status=\"{status}\",problem=\"\"}} 2\n"
            );
            assert!(text.contains(&line), "no {line} in {text}");
        }
        let duration = r#"kit_http_request_duration_seconds_count{method="GET",route="unmatched",status_class="2xx"} 14"#;
        assert!(text.contains(duration), "{text}");
        assert!(text.contains("\nkit_http_requests_in_flight 0\n"));
    }
}
