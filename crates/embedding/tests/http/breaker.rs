//! When the provider is left alone. Its transitions, to the millisecond, are tested beside the state machine.

use std::time::Duration;

use testkit::embedding_server::Reply;

use crate::provider::{embed, is_vector_of, numbered, provider_with, sizes, spawn, unavailable};

const COOL_OFF: Duration = Duration::from_millis(700);
const LEFT_ALONE: &str = "it failed too often in a row and is left alone for now";

#[tokio::test]
async fn after_failures_in_a_row_no_request_is_made_until_a_probe_succeeds() {
    let (server, embedder) = provider_with(|options| {
        options.breaker_failures = 3;
        options.breaker_cool_off = COOL_OFF;
    })
    .await;
    server.otherwise(Reply::status(404));
    for _ in 0..3 {
        assert_eq!(
            unavailable(&embed(&embedder, "disk full").await),
            "404 Not Found: told to answer 404"
        );
    }
    for _ in 0..10 {
        assert_eq!(unavailable(&embed(&embedder, "disk full").await), LEFT_ALONE);
    }
    assert_eq!(server.requests().len(), 3);

    // One probe fails: shut again, at once.
    tokio::time::sleep(COOL_OFF).await;
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "404 Not Found: told to answer 404"
    );
    assert_eq!(unavailable(&embed(&embedder, "disk full").await), LEFT_ALONE);
    assert_eq!(server.requests().len(), 4);

    // One probe succeeds: open, and a single failure does not shut it.
    tokio::time::sleep(COOL_OFF).await;
    server.otherwise(Reply::Vectors);
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    server.then(Reply::status(404));
    embed(&embedder, "disk full").await.unwrap_err();
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn only_one_probe_goes_out_while_others_are_answered_at_once() {
    let (server, embedder) = provider_with(|options| {
        options.breaker_failures = 1;
        options.breaker_cool_off = COOL_OFF;
        options.max_batch = 1;
        options.max_in_flight = 8;
    })
    .await;
    server.then(Reply::status(404));
    embed(&embedder, "disk full").await.unwrap_err();
    tokio::time::sleep(COOL_OFF).await;
    server.delay(Duration::from_millis(500));
    let mut fine = 0;
    for task in spawn(&embedder, numbered(8)) {
        match task.await.unwrap() {
            Ok(_) => fine += 1,
            error => assert_eq!(unavailable(&error), LEFT_ALONE),
        }
    }
    assert_eq!((fine, server.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_batch_that_is_tried_again_ends_when_the_breaker_opens() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 2).await;
    server.otherwise(Reply::status(500));
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "500 Internal Server Error: told to answer 500"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn vectors_of_another_model_count_as_failures() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 2).await;
    server.otherwise(Reply::dimension(3));
    for _ in 0..2 {
        embed(&embedder, "disk full").await.unwrap_err();
    }
    assert_eq!(unavailable(&embed(&embedder, "disk full").await), LEFT_ALONE);
    assert_eq!(sizes(&server), [1, 1]);
}

#[tokio::test]
async fn a_provider_that_answers_only_garbage_is_not_asked_for_every_half() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 3).await;
    server.otherwise(Reply::raw(200, "application/json", "garbage"));
    for task in spawn(&embedder, numbered(32)) {
        assert!(!task.await.unwrap().unwrap_err().is_permanent());
    }
    // Down to single texts, three of which fail in a row.
    assert_eq!(sizes(&server), [32, 16, 8, 4, 2, 1, 1, 2, 1]);
}
