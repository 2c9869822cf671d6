//! What is counted about every request.

use std::{
    fmt,
    hash::{Hash, Hasher},
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

    pub(crate) fn finished(&self, request: Finished) {
        let Finished {
            method,
            route,
            status,
            problem,
            duration,
        } = request;
        self.in_flight.dec();
        let status_class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.duration
            .get_or_create(&DurationLabels {
                method,
                route: route.clone(),
                status_class,
            })
            .observe(duration.as_secs_f64());
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status: status.as_u16(),
                problem,
            })
            .inc();
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
