//! One review for many requests.

use std::time::Duration;

use futures::future::join_all;
use testkit::{Answer, ApiServer};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{self, Instant, sleep},
};

use crate::service::{PATH, Service, bearer, invalid_token};

#[tokio::test]
async fn a_hundred_requests_at_once_with_one_token_make_one_review_of_each_kind() {
    let api_server = ApiServer::start().await;
    api_server.on_token("good", Answer::user("alice").after(Duration::from_millis(300)));
    api_server.on_user("alice", Answer::allowed());
    let service = Service::start(&api_server).await;
    let replies = join_all((0..100).map(|_| service.post_as("good"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status() == 200).count(), 100);
    assert_eq!(
        (
            api_server.token_reviews().len(),
            api_server.access_reviews().len()
        ),
        (1, 1)
    );
    service.post_as("good").await;
    assert_eq!(
        service.metrics(),
        [
            r#"kit_auth_cache_lookups_total{result="hit"} 1"#,
            r#"kit_auth_cache_lookups_total{result="joined"} 99"#,
            r#"kit_auth_cache_lookups_total{result="miss"} 1"#,
            "kit_auth_reviews_in_flight 0",
            r#"kit_auth_reviews_total{result="authenticated"} 1"#,
            "kit_auth_reviews_waiting 0",
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_shared_by_those_who_wait_for_it_and_by_nobody_after() {
    let api_server = ApiServer::start().await;
    api_server.on_token("bad", Answer::unknown_token().after(Duration::from_millis(300)));
    let service = Service::start(&api_server).await;
    let replies = join_all((0..100).map(|_| service.post_as("bad"))).await;
    assert!(replies.iter().all(|reply| reply.verdict() == invalid_token()));
    assert_eq!(api_server.token_reviews().len(), 1);
    assert_eq!(service.post_as("bad").await.verdict(), invalid_token());
    assert_eq!(api_server.token_reviews().len(), 2);
    // A token that was refused, since its account was not there yet, works as soon as it is.
    api_server.let_in("bad", "alice");
    assert_eq!(service.post_as("bad").await.status(), 200);
}

#[tokio::test]
async fn a_role_that_is_granted_counts_at_once_and_one_that_is_taken_away_after_the_time_to_live() {
    let api_server = ApiServer::start().await;
    api_server.on_token("token", Answer::user("alice"));
    let service = Service::start(&api_server).await;
    assert_eq!(service.post_as("token").await.status(), 403);
    api_server.on_user("alice", Answer::allowed());
    assert_eq!(service.post_as("token").await.status(), 200);
    api_server.on_user("alice", Answer::no_role());
    assert_eq!(service.post_as("token").await.status(), 200);
    assert_eq!(api_server.token_reviews().len(), 2);
    time::pause();
    time::advance(Duration::from_secs(10)).await;
    time::resume();
    assert_eq!(service.post_as("token").await.status(), 403);
    assert_eq!(
        (
            api_server.token_reviews().len(),
            api_server.access_reviews().len()
        ),
        (3, 3)
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_nobody_along() {
    let api_server = ApiServer::start().await;
    api_server.on_token("good", Answer::user("alice").after(Duration::from_millis(500)));
    api_server.on_user("alice", Answer::allowed());
    let service = Service::start(&api_server).await;
    let mut first = TcpStream::connect(service.api).await.unwrap();
    let request = format!("POST {PATH} HTTP/1.1\r\nhost: kit\r\n{}\r\n", bearer("good"));
    first.write_all(request.as_bytes()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while api_server.token_reviews().is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(5)).await;
    }
    let others = join_all((0..3).map(|_| service.post_as("good")));
    let hang_up = async {
        sleep(Duration::from_millis(50)).await;
        drop(first);
    };
    let (others, ()) = tokio::join!(others, hang_up);
    assert!(others.iter().all(|reply| reply.status() == 200));
    assert_eq!((service.handled(), api_server.token_reviews().len()), (3, 1));
    assert!(
        service
            .exposition()
            .contains(r#"status="499",problem="client-closed-request"} 1"#)
    );
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_counts_every_end_of_a_review() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    api_server.on_token("other", Answer::user("bob"));
    api_server.on_token("broken", Answer::close());
    let service = Service::start(&api_server).await;
    for (token, status) in [
        ("good", 200),
        ("good", 200),
        ("other", 403),
        ("bad", 401),
        ("broken", 503),
    ] {
        assert_eq!(service.post_as(token).await.status(), status, "{token}");
    }
    assert_eq!(
        service.metrics(),
        [
            r#"kit_auth_cache_lookups_total{result="hit"} 1"#,
            r#"kit_auth_cache_lookups_total{result="miss"} 4"#,
            "kit_auth_reviews_in_flight 0",
            r#"kit_auth_reviews_total{result="authenticated"} 1"#,
            r#"kit_auth_reviews_total{result="error"} 1"#,
            r#"kit_auth_reviews_total{result="forbidden"} 1"#,
            r#"kit_auth_reviews_total{result="refused"} 1"#,
            "kit_auth_reviews_waiting 0",
        ]
    );
    let text = service.exposition();
    assert!(text.contains("\nkit_auth_review_duration_seconds_count 4\n"));
    assert!(text.contains("# UNIT kit_auth_review_duration_seconds seconds\n"));
    for name in [
        "reviews",
        "cache_lookups",
        "reviews_in_flight",
        "reviews_waiting",
        "review_duration_seconds",
    ] {
        assert!(text.contains(&format!("# HELP kit_auth_{name} ")), "{name}");
    }
}
