//! A text that the provider does not take falls alone.

use testkit::embedding_server::Reply;

use crate::provider::{
    answers, embed, is_vector_of, numbered, provider, provider_with, refused, sizes, spawn, unavailable,
};

#[tokio::test]
async fn one_poison_among_32_falls_alone() {
    for status in [400, 413, 422] {
        let (server, embedder) = provider().await;
        server.refuse("text 13", Reply::status(status));
        let texts = numbered(32);
        let answers = answers(spawn(&embedder, texts.clone())).await;
        for (index, (text, answer)) in texts.iter().zip(&answers).enumerate() {
            if index == 13 {
                assert!(refused(answer).ends_with(&format!("told to answer {status}")));
            } else {
                is_vector_of(&server, text, answer);
            }
        }
        // Halves from left to right: 0–31, 0–15, 0–7, 8–15, 8–11, 12–15, 12–13, 12, 13, 14–15, 16–31.
        assert_eq!(sizes(&server), [32, 16, 8, 8, 4, 4, 2, 1, 1, 2, 16]);
    }
}

#[tokio::test]
async fn an_answer_that_one_text_makes_unreadable_costs_no_other() {
    let (server, embedder) = provider().await;
    server.refuse(
        "text 2",
        Reply::raw(
            200,
            "application/json",
            r#"{"data": [{"index": 0, "embedding": [NaN]}]}"#,
        ),
    );
    let texts = numbered(4);
    let answers = answers(spawn(&embedder, texts.clone())).await;
    for (index, (text, answer)) in texts.iter().zip(&answers).enumerate() {
        if index == 2 {
            assert!(!answer.as_ref().unwrap_err().is_permanent());
        } else {
            is_vector_of(&server, text, answer);
        }
    }
    assert_eq!(sizes(&server), [4, 2, 2, 1, 1]);
}

#[tokio::test]
async fn a_request_that_is_too_large_as_a_whole_is_made_in_halves() {
    let (server, embedder) = provider().await;
    server.then(Reply::status(413));
    let texts = numbered(6);
    for (text, answer) in texts.iter().zip(answers(spawn(&embedder, texts.clone())).await) {
        is_vector_of(&server, text, &answer);
    }
    assert_eq!(sizes(&server), [6, 3, 3]);
}

#[tokio::test]
async fn poison_does_not_open_the_breaker() {
    let (server, embedder) = provider_with(|options| options.breaker_failures = 1).await;
    server.refuse("poison", Reply::status(422));
    for _ in 0..10 {
        refused(&embed(&embedder, "poison").await);
    }
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
}

#[tokio::test]
async fn the_first_text_is_called_poison_only_when_another_is_taken() {
    let (server, embedder) = provider().await;
    server.refuse("poison", Reply::status(400));
    refused(&embed(&embedder, "poison").await);
    refused(&embed(&embedder, "poison").await);
    let requests = server.requests();
    let texts: Vec<_> = requests.iter().map(|request| request.texts()[0]).collect();
    assert_eq!(texts, ["poison", "test", "poison"]);
}

#[tokio::test]
async fn a_provider_that_takes_nothing_poisons_nothing() {
    let (server, embedder) = provider().await;
    server.otherwise(Reply::status(400));
    assert_eq!(
        unavailable(&embed(&embedder, "disk full").await),
        "400 Bad Request: told to answer 400"
    );
    // Somebody has put it right.
    server.otherwise(Reply::Vectors);
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    server.then(Reply::status(400));
    refused(&embed(&embedder, "disk full").await);
}
