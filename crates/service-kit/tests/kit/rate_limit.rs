//! The limits, over a router that is put together as a service does it, by a clock that stands still.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use futures::stream;
use serde_json::{Value, json};
use service_kit::{
    Problem,
    auth::Caller,
    boundary::{Boundary, RequestIds, RequestsConfig, stack},
    metrics::{self, HttpMetrics, Registry},
    rate_limit::{Allowance, RateLimitConfig, RateLimiter, SteadyClock, limit},
    router::fallbacks,
};
use tower::ServiceExt;

/// An authenticated caller.
fn named(name: &str) -> Caller {
    Caller {
        username: name.into(),
        ..Caller::anonymous()
    }
}

struct App {
    router: Router,
    limiter: RateLimiter,
    clock: SteadyClock,
    registry: Registry,
    /// Requests that reached the handler.
    handled: Arc<AtomicUsize>,
}

/// An answer, as far as limits are concerned.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn left(&self) -> (i64, i64) {
        let left = structured_list(self.header("ratelimit"));
        let [(caller, of_caller), (replica, of_replica)] = &left[..] else {
            panic!("two policies, not {left:?}")
        };
        assert_eq!((caller.as_str(), replica.as_str()), ("caller", "replica"));
        assert_eq!(
            (of_caller[1].clone(), of_replica[1].clone()),
            (("t".into(), 1), ("t".into(), 1))
        );
        (of_caller[0].1, of_replica[0].1)
    }
}

fn app(replica: (u32, u32), caller: (u32, u32)) -> App {
    let config = RateLimitConfig {
        per_second: replica.0.try_into().unwrap(),
        burst: replica.1.try_into().unwrap(),
        caller_per_second: caller.0.try_into().unwrap(),
        caller_burst: caller.1.try_into().unwrap(),
    };
    let mut registry = metrics::registry("test");
    let clock = SteadyClock::manual();
    let limiter = RateLimiter::new(config, clock.clone(), &mut registry);
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    // The body is the number of records in it.
    let handler = move |Extension(allowance): Extension<Allowance>, body: String| async move {
        let records: usize = body.parse().unwrap();
        allowance.charge(records - 1)?;
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Problem>(StatusCode::CREATED)
    };
    let routes = limit(Router::new().route("/records", post(handler)), limiter.clone());
    let boundary = Boundary {
        limits: RequestsConfig::default(),
        request_ids: RequestIds::seeded(1),
        metrics: HttpMetrics::register(&mut registry),
    };
    App {
        router: stack(fallbacks(routes), boundary),
        limiter,
        clock,
        registry,
        handled,
    }
}

impl App {
    async fn send(&self, request: Request) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn post(&self, caller: &str, records: usize) -> Answer {
        let request = Request::post("/records")
            .extension(named(caller))
            .body(Body::from(records.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// How many of `requests` requests for one record pass.
    async fn pass(&self, caller: &str, requests: usize) -> usize {
        let mut passed = 0;
        for _ in 0..requests {
            passed += usize::from(self.post(caller, 1).await.status == StatusCode::CREATED);
        }
        passed
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::Relaxed)
    }

    fn exposes(&self, lines: &[&str]) {
        let text = metrics::render(&self.registry).unwrap();
        for line in lines {
            assert!(
                text.lines().any(|exposed| exposed == *line),
                "no {line} in {text}"
            );
        }
    }
}

/// A list of strings with integer parameters, parsed strictly after RFC 9651, section 4.2.
fn structured_list(text: &str) -> Vec<(String, Vec<(String, i64)>)> {
    text.split(',')
        .map(|member| {
            let mut parts = member.trim_matches(' ').split(';');
            let name = parts.next().unwrap();
            let name = name.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
            );
            let parameters = parts.map(|parameter| {
                let (key, value) = parameter.split_once('=').unwrap();
                assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()));
                assert!(value.len() <= 15 && value.bytes().all(|byte| byte.is_ascii_digit()));
                (key.to_owned(), value.parse().unwrap())
            });
            (name.to_owned(), parameters.collect())
        })
        .collect()
}

#[tokio::test]
async fn exactly_the_burst_passes_and_then_one_for_each_interval() {
    let app = app((500, 750), (500, 750));
    assert_eq!(app.pass("a", 750).await, 750);
    let refused = app.post("a", 1).await;
    assert_eq!((refused.status.as_u16(), app.handled()), (429, 750));
    assert_eq!(refused.header("retry-after"), "1");

    app.clock.advance(Duration::from_nanos(1_999_999));
    assert_eq!(app.pass("a", 1).await, 0);
    app.clock.advance(Duration::from_nanos(1));
    assert_eq!(app.pass("a", 2).await, 1);

    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.pass("a", 600).await, 500);
    app.clock.advance(Duration::from_secs(3_600));
    assert_eq!(app.pass("a", 800).await, 750);
}

#[tokio::test]
async fn retry_after_is_the_time_until_all_of_it_passes_rounded_up() {
    let app = app((500, 750), (500, 750));
    assert_eq!(app.post("a", 750).await.status, 201);
    for (cost, seconds) in [(1, "1"), (500, "1"), (501, "2"), (750, "2")] {
        let refused = app.limiter.charge(&named("a"), cost).unwrap_err();
        let response = axum::response::IntoResponse::into_response(refused);
        assert_eq!(response.headers()["retry-after"], seconds, "for {cost}");
    }
    app.clock.advance(Duration::from_millis(1_000));
    assert!(app.limiter.charge(&named("a"), 501).is_err());
    assert!(app.limiter.charge(&named("a"), 500).is_ok());
}

#[tokio::test]
async fn a_refusal_is_a_problem_that_names_the_limit() {
    let app = app((500, 750), (20, 1));
    assert_eq!(app.pass("a", 1).await, 1);
    let refused = app.post("a", 1).await;
    let mut body = refused.body;
    assert!(body.as_object_mut().unwrap().remove("requestId").is_some());
    assert_eq!(
        body,
        json!({
            "type": "https://kubernaut.ai/problems/too-many-requests",
            "title": "Too many requests",
            "status": 429,
            "detail": "This caller's share is 20 a second, and it is used up.",
            "instance": "/records",
        })
    );
    app.exposes(&[
        "test_rate_limit_refused_requests_total{policy=\"caller\"} 1",
        "test_rate_limit_refused_requests_total{policy=\"replica\"} 0",
        "test_rate_limit_refused_units_total{policy=\"caller\"} 1",
    ]);
}

#[tokio::test]
async fn a_caller_that_floods_takes_nothing_of_another_callers_share() {
    let app = app((500, 400), (100, 200));
    assert_eq!(app.pass("flood", 1_000).await, 200);
    assert_eq!(app.pass("quiet", 200).await, 200);
    for _ in 0..10 {
        // Each second the flood asks for much more than its share first, the other for exactly its own.
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(app.pass("flood", 300).await, 100);
        assert_eq!(app.pass("quiet", 100).await, 100);
    }
    app.exposes(&[
        "test_rate_limit_refused_requests_total{policy=\"caller\"} 2800",
        "test_rate_limit_refused_requests_total{policy=\"replica\"} 0",
    ]);
}

#[tokio::test]
async fn what_the_replica_refuses_is_not_taken_from_the_callers_share() {
    let app = app((10, 10), (10, 8));
    assert_eq!(app.pass("a", 8).await, 8);
    assert_eq!(app.pass("b", 2).await, 2);
    for _ in 0..20 {
        let refused = app.post("b", 1).await;
        assert_eq!((refused.status.as_u16(), refused.left()), (429, (6, 0)));
        assert_eq!(
            refused.body["detail"],
            "All callers together used up the 10 a second that this replica takes."
        );
    }
    app.exposes(&["test_rate_limit_refused_units_total{policy=\"replica\"} 20"]);
}

#[tokio::test]
async fn a_batch_costs_as_much_as_its_records() {
    let app = app((500, 750), (250, 500));
    let stored = app.post("a", 400).await;
    assert_eq!((stored.status.as_u16(), stored.left()), (201, (100, 350)));
    // The layer takes 1, which stays taken; the handler asks for 100 more, and there are 99.
    let refused = app.post("a", 101).await;
    assert_eq!((refused.status.as_u16(), refused.left()), (429, (99, 349)));
    assert_eq!(refused.header("retry-after"), "1");
    // The caller has another 500, of which the replica grants 349: what the handler asked for is given back.
    let refused = app.post("b", 400).await;
    assert_eq!((refused.status.as_u16(), refused.left()), (429, (499, 348)));
    assert_eq!(app.handled(), 1);
    app.exposes(&[
        "test_rate_limit_refused_requests_total{policy=\"caller\"} 1",
        "test_rate_limit_refused_units_total{policy=\"caller\"} 100",
        "test_rate_limit_refused_requests_total{policy=\"replica\"} 1",
        "test_rate_limit_refused_units_total{policy=\"replica\"} 399",
    ]);
}

#[tokio::test]
async fn what_never_fits_is_refused_for_good() {
    let app = app((500, 750), (250, 500));
    let refused = app.post("a", 502).await;
    assert_eq!((refused.status.as_u16(), refused.left()), (413, (499, 749)));
    assert!(!refused.headers.contains_key("retry-after"));
    assert_eq!(
        refused.body["type"],
        "https://kubernaut.ai/problems/cost-too-large"
    );
    assert_eq!(
        refused.body["detail"],
        "It asks for 501 at once, and at most 500 are ever granted at once. Send less in one request."
    );
    assert!(app.limiter.charge(&named("b"), usize::MAX).is_err());
    app.exposes(&["test_rate_limit_refused_requests_total{policy=\"cost\"} 2"]);
}

#[tokio::test]
async fn every_answer_of_a_limited_route_tells_the_limits_in_structured_fields() {
    let app = app((500, 750), (250, 600));
    let answer = app.post("a", 10).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        "\"caller\";q=600;w=3, \"replica\";q=750;w=2"
    );
    assert_eq!(
        answer.header("ratelimit"),
        "\"caller\";r=590;t=1, \"replica\";r=740;t=1"
    );
    let q_and_w = |q, w| vec![("q".to_owned(), q), ("w".to_owned(), w)];
    assert_eq!(
        structured_list(answer.header("ratelimit-policy")),
        [
            ("caller".to_owned(), q_and_w(600, 3)),
            ("replica".to_owned(), q_and_w(750, 2))
        ]
    );
    assert_eq!(answer.left(), (590, 740));

    let unknown = Request::get("/elsewhere").body(Body::empty()).unwrap();
    let unknown = app.send(unknown).await;
    assert_eq!(unknown.status, 404);
    assert!(!unknown.headers.contains_key("ratelimit"));
}

#[tokio::test]
async fn a_refused_body_is_not_read() {
    let app = app((500, 750), (10, 1));
    assert_eq!(app.pass("a", 1).await, 1);
    let read = Arc::new(AtomicUsize::new(0));
    let reads = Arc::clone(&read);
    let body = Body::from_stream(stream::once(async move {
        reads.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(b"1"))
    }));
    let request = Request::post("/records")
        .extension(named("a"))
        .body(body)
        .unwrap();
    assert_eq!(app.send(request).await.status, 429);
    assert_eq!(read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn callers_that_cannot_be_told_apart_share_what_the_replica_has() {
    let app = app((500, 3), (10, 2));
    let anybody = || {
        let request = Request::post("/records").extension(Caller::anonymous());
        app.send(request.body(Body::from("1")).unwrap())
    };
    for _ in 0..3 {
        assert_eq!(anybody().await.status, 201);
    }
    assert_eq!(anybody().await.status, 429);
}

#[tokio::test]
async fn a_request_whose_caller_nobody_told_is_our_mistake() {
    let app = app((500, 750), (10, 2));
    let request = Request::post("/records").body(Body::from("1")).unwrap();
    assert_eq!(app.send(request).await.status, 500);
    assert_eq!(app.handled(), 0);
}

#[test]
fn zero_is_no_limit() {
    let text = "per_second = 500\nburst = 750\ncaller_per_second = 0\ncaller_burst = 500";
    let error = toml::from_str::<RateLimitConfig>(text).unwrap_err();
    assert_eq!(
        error.message(),
        "invalid value: integer `0`, expected a nonzero u32"
    );
}
