//! Thousands of tokens that nobody knows, all at once.

use std::time::Duration;

use axum::{Router, body::Body, http::Request};
use futures::future::join_all;
use service_kit::auth::AuthConfig;
use testkit::{Answer, ApiServer, request};
use tokio::time::{Instant, sleep};

use crate::service::{PATH, Service, config};

const FLOOD: usize = 2_000;

/// A request without a socket of its own: two thousand at once are more than a test may open.
async fn post(router: &Router, token: &str) -> u16 {
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    request::send(router, request).await.status.as_u16()
}

#[tokio::test]
async fn a_flood_of_bad_tokens_costs_those_known_nothing_and_is_bounded() {
    let api_server = ApiServer::start().await;
    let slow = Duration::from_millis(50);
    for n in 0..FLOOD {
        api_server.on_token(&format!("bad-{n}"), Answer::unknown_token().after(slow));
    }
    let good: Vec<_> = (0..5).map(|n| format!("good-{n}")).collect();
    for token in &good {
        api_server.on_token(token, Answer::user("alice").after(slow));
    }
    api_server.on_user("alice", Answer::allowed());
    // Verdicts run out several times during the flood, so that those known are reviewed again.
    let service = Service::configured(&AuthConfig {
        cache_ttl: Duration::from_millis(300),
        ..config(&api_server)
    })
    .await;
    for token in &good {
        assert_eq!(post(&service.router, token).await, 200);
    }

    let flood = async {
        let tokens: Vec<_> = (0..FLOOD).map(|n| format!("bad-{n}")).collect();
        let requests = tokens.iter().map(|token| post(&service.router, token));
        let statuses = join_all(requests).await;
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        (count(401), count(503))
    };
    let callers = async {
        let until = Instant::now() + Duration::from_secs(1);
        let mut answered = 0;
        let mut slowest = Duration::ZERO;
        while Instant::now() < until {
            let began = Instant::now();
            let statuses = join_all(good.iter().map(|token| post(&service.router, token))).await;
            assert_eq!(statuses, [200; 5]);
            slowest = slowest.max(began.elapsed());
            answered += statuses.len();
            sleep(Duration::from_millis(5)).await;
        }
        (answered, slowest)
    };
    let ((refused, turned_away), (answered, slowest)) = tokio::join!(flood, callers);
    assert_eq!(refused + turned_away, FLOOD);
    // Twelve run and 256 wait when the flood comes; a few more find places that became free meanwhile.
    assert!((268..=600).contains(&refused), "{refused}");
    assert!(answered >= 100, "{answered}");
    // Far less than the second that the flood waits for its turn.
    assert!(slowest < Duration::from_millis(800), "{slowest:?}");
    let high_water = api_server.high_water_mark();
    assert!((12..=16).contains(&high_water), "{high_water}");
    assert_eq!(service.handled(), answered + good.len());

    // And a caller that is new gets in at once.
    api_server.let_in("new", "bob");
    assert_eq!(post(&service.router, "new").await, 200);
}

#[tokio::test]
async fn who_finds_the_queue_full_is_told_to_come_back_soon() {
    let api_server = ApiServer::start().await;
    api_server.on_token("first", Answer::silence());
    let service = Service::configured(&AuthConfig {
        max_reviews_in_flight: 1.try_into().unwrap(),
        max_reviews_waiting: 0,
        review_timeout: Duration::from_millis(500),
        ..config(&api_server)
    })
    .await;
    let first = service.post_as("first");
    let second = async {
        sleep(Duration::from_millis(100)).await;
        service.post_as("second").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status(), first.header("retry-after")), (503, Some("2")));
    assert_eq!(
        (
            second.status(),
            second.detail().as_str(),
            second.header("retry-after")
        ),
        (503, "Too many callers wait to be identified.", Some("1"))
    );
    assert!(
        service
            .metrics()
            .contains(&r#"kit_auth_reviews_total{result="turned-away"} 1"#.to_owned())
    );
}
