//! How texts become requests, and that those nobody waits for become none.

use std::time::Duration;

use embedding::EmbedError;
use testkit::embedding_server::Reply;

use crate::provider::{answers, embed, is_vector_of, numbered, provider_with, sizes, spawn, until};

#[tokio::test]
async fn what_waits_goes_together_and_no_request_is_too_large() {
    let (server, embedder) = provider_with(|options| {
        options.max_batch = 4;
        options.max_in_flight = 1;
    })
    .await;
    let texts = numbered(10);
    for (text, answer) in texts.iter().zip(answers(spawn(&embedder, texts.clone())).await) {
        is_vector_of(&server, text, &answer);
    }
    assert_eq!(sizes(&server), [4, 4, 2]);
    assert_eq!(server.most_under_way(), 1);
}

#[tokio::test]
async fn several_requests_are_under_way_and_no_more_than_allowed() {
    let (server, embedder) = provider_with(|options| {
        options.max_batch = 2;
        options.max_in_flight = 3;
    })
    .await;
    server.delay(Duration::from_millis(300));
    for answer in answers(spawn(&embedder, numbered(16))).await {
        answer.unwrap();
    }
    assert_eq!(sizes(&server), [2; 8]);
    assert_eq!(server.most_under_way(), 3);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_recovers() {
    let (server, embedder) = provider_with(|options| {
        options.max_batch = 1;
        options.max_in_flight = 1;
        options.queue = 2;
    })
    .await;
    server.delay(Duration::from_millis(400));
    let first = spawn(&embedder, numbered(1));
    until(|| server.requests().len() == 1).await;
    let waiting = spawn(&embedder, numbered(2));
    tokio::task::yield_now().await;
    let error = embed(&embedder, "one too many").await.unwrap_err();
    assert!(
        matches!(error, EmbedError::Busy) && !error.is_permanent(),
        "{error:?}"
    );
    for answer in answers(first).await.into_iter().chain(answers(waiting).await) {
        answer.unwrap();
    }
    embed(&embedder, "one more").await.unwrap();
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn texts_whose_caller_has_gone_are_skipped() {
    let (server, embedder) = provider_with(|options| options.max_in_flight = 1).await;
    server.delay(Duration::from_millis(300));
    let first = spawn(&embedder, ["first".to_owned()]);
    until(|| server.requests().len() == 1).await;
    let rest = spawn(&embedder, numbered(3));
    tokio::task::yield_now().await;
    rest[1].abort();
    answers(first).await;
    for (index, task) in rest.into_iter().enumerate() {
        assert_eq!(task.await.is_err(), index == 1);
    }
    let requests = server.requests();
    let texts: Vec<_> = requests.iter().map(|request| request.texts()).collect();
    assert_eq!(texts, [vec!["first"], vec!["text 0", "text 2"]]);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_given_up() {
    let (server, embedder) = provider_with(|options| options.max_in_flight = 1).await;
    server.then(Reply::Silence);
    let task = spawn(&embedder, ["silence".to_owned()]).remove(0);
    until(|| server.under_way() == 1).await;
    task.abort();
    // The only place is free again, long before the request would have timed out.
    let answer = tokio::time::timeout(Duration::from_secs(5), embed(&embedder, "disk full")).await;
    is_vector_of(&server, "disk full", &answer.unwrap());
    until(|| server.under_way() == 0).await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_everything() {
    let (server, embedder) = provider_with(|_| {}).await;
    server.otherwise(Reply::Silence);
    let task = spawn(&embedder, ["silence".to_owned()]).remove(0);
    until(|| server.under_way() == 1).await;
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(embedder);
    task.abort();
    until(|| server.under_way() == 0).await;
    // Gone are: the caller, the request, the task that makes batches, and the connection on both sides.
    until(|| tokio::runtime::Handle::current().metrics().num_alive_tasks() <= before - 3).await;
}
