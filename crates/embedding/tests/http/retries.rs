//! What is tried again, when, and for how long. How the pauses are drawn is tested beside their formula.

use std::time::{Duration, Instant};

use embedding::{Embedder, HttpOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::embedding_server::Reply;

use crate::provider::{
    answers, embed, is_vector_of, numbered, provider, provider_with, sizes, spawn, times, unavailable, until,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for passing in [
        Reply::status(429),
        Reply::status(500),
        Reply::status(502),
        Reply::status(503),
        Reply::status(504),
        Reply::Closed,
    ] {
        let (server, embedder) = provider().await;
        server.then(passing.clone());
        server.then(passing);
        is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
        assert_eq!(server.requests().len(), 3);
        // At most 200 ms, then at most 400 ms, and a machine that is busy.
        assert!(times(&server.requests())[2] < 5 * SECOND);
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 100).await;
    let statuses = [401, 403, 404, 405, 408, 409, 410, 415, 451];
    for status in statuses {
        server.then(Reply::status(status));
        let reason = unavailable(&embed(&embedder, "disk full").await);
        assert!(reason.starts_with(&status.to_string()), "{reason}");
    }
    assert_eq!(server.requests().len(), statuses.len());
}

#[tokio::test]
async fn advice_in_seconds_and_as_a_date_is_followed() {
    for status in [429, 503] {
        for (retry_after, date) in [
            ("1", None),
            (
                "Sun, 06 Nov 1994 08:49:38 GMT",
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            ),
        ] {
            let (server, embedder) = provider().await;
            let mut reply = Reply::status(status).with("retry-after", retry_after);
            if let Some(date) = date {
                reply = reply.with("date", date);
            }
            server.then(reply);
            is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
            let times = times(&server.requests());
            assert_eq!(times.len(), 2);
            assert!(times[1] >= SECOND, "{times:?} after {status} with {retry_after}");
        }
    }
}

#[tokio::test]
async fn advice_holds_for_every_request_and_not_only_for_the_one_that_got_it() {
    let (server, embedder) = provider_with(|options| options.max_batch = 1).await;
    server.then(Reply::status(429).with("retry-after", 1));
    let first = spawn(&embedder, numbered(1));
    until(|| server.requests().len() == 1).await;
    // Time for the answer to come in.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rest = spawn(&embedder, numbered(4));
    for answer in answers(first).await.into_iter().chain(answers(rest).await) {
        answer.unwrap();
    }
    let times = times(&server.requests());
    assert_eq!(times.len(), 6);
    assert!(times[1..].iter().all(|time| *time >= SECOND), "{times:?}");
}

#[tokio::test]
async fn being_asked_for_patience_does_not_open_the_breaker() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 1).await;
    for _ in 0..3 {
        server.then(Reply::status(429).with("retry-after", 0));
    }
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn nothing_is_tried_beyond_the_deadline() {
    let (server, embedder) = provider_with(|options| options.retry_for = SECOND * 19 / 10).await;
    server.otherwise(Reply::status(503).with("retry-after", 1));
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "503 Service Unavailable: told to answer 503"
    );
    // At once and after a second; a third request would come after two.
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn advice_beyond_the_deadline_is_not_waited_for() {
    let (server, embedder) = provider().await;
    server.otherwise(Reply::status(429).with("retry-after", 3600));
    let began = Instant::now();
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "429 Too Many Requests: told to answer 429"
    );
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "it asked to be left alone for longer than a text may wait"
    );
    assert_eq!(server.requests().len(), 1);
    assert!(began.elapsed() < 10 * SECOND);
}

#[tokio::test]
async fn a_request_without_an_answer_times_out() {
    let (server, embedder) = provider_with(|options| {
        options.timeout = Duration::from_millis(300);
        options.breaker_failures = 1;
    })
    .await;
    server.otherwise(Reply::Silence);
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "no answer within 300ms"
    );
    assert_eq!(sizes(&server), [1]);
    until(|| server.under_way() == 0).await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_told_without_its_url() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    drop(listener);
    let options = HttpOptions {
        breaker_failures: 1,
        ..HttpOptions::new(url, "m", "1", 8)
    };
    let embedder = Embedder::http(&options, StdRng::seed_from_u64(1)).unwrap();
    let reason = unavailable(&embed(&embedder, "disk full").await);
    assert!(
        reason.contains("Connection refused") && !reason.contains("secret-path"),
        "{reason}"
    );
}
