//! What is asked, and that nothing is believed of what is answered.

use embedding::{EmbedError, InvalidAnswer, InvalidVector, check_vector};
use serde_json::json;
use testkit::embedding_server::Reply;

use crate::provider::{
    DIMENSION, answers, embed, is_vector_of, numbered, provider, provider_with, sizes, spawn, unavailable,
};

/// The error of one text after this reply, and that it is or is not the text's fault.
async fn error_after(reply: Reply, is_permanent: bool) -> EmbedError {
    let (server, embedder) = provider().await;
    server.otherwise(reply);
    let error = embed(&embedder, "disk full").await.unwrap_err();
    assert_eq!(error.is_permanent(), is_permanent, "{error}");
    assert_eq!(sizes(&server), [1], "{error}");
    error
}

/// The same of an answer that came, but was no vector.
async fn invalid_after(reply: Reply, is_permanent: bool) -> InvalidAnswer {
    match error_after(reply, is_permanent).await {
        EmbedError::Invalid(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_text_becomes_its_vector_of_length_one() {
    let (server, embedder) = provider().await;
    let answer = embed(&embedder, "disk full").await;
    is_vector_of(&server, "disk full", &answer);
    let vector = answer.unwrap();
    assert_eq!(check_vector(&vector, DIMENSION), Ok(()));
    let length: f32 = vector.iter().map(|component| component * component).sum();
    assert!((length - 1.0).abs() < 1e-6, "{length}");

    let model = embedder.model();
    assert_eq!(
        (model.name.as_str(), model.version.as_str(), model.dimension),
        ("some-model", "v7", DIMENSION)
    );
}

#[tokio::test]
async fn the_request_is_what_openai_defined_and_no_more() {
    let (server, embedder) = provider().await;
    embed(&embedder, "disk full").await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(request.uri, "/v1/embeddings");
    assert_eq!(
        request.body,
        json!({"model": "some-model", "input": ["disk full"], "encoding_format": "float"})
    );
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["user-agent"], "kubernaut");
    assert_eq!(request.headers.get("authorization"), None);
    assert_eq!(request.headers.get("accept-encoding"), None);

    let (server, embedder) = provider_with(|options| options.send_dimension = true).await;
    embed(&embedder, "disk full").await.unwrap();
    assert_eq!(server.requests()[0].body["dimensions"], json!(DIMENSION));
}

#[tokio::test]
async fn vectors_find_their_texts_by_index() {
    let (server, embedder) = provider().await;
    server.otherwise(Reply::shuffled());
    let texts = numbered(5);
    for (text, answer) in texts.iter().zip(answers(spawn(&embedder, texts.clone())).await) {
        is_vector_of(&server, text, &answer);
    }
    assert_eq!(sizes(&server), [5]);
}

#[tokio::test]
async fn a_number_that_is_none_spoils_its_own_vector_only() {
    for (component, error) in [
        (json!(null), InvalidVector::NotFinite { index: 3 }),
        (json!("NaN"), InvalidVector::NotFinite { index: 3 }),
        (json!("Infinity"), InvalidVector::NotFinite { index: 3 }),
        (json!(1e300), InvalidVector::NotFinite { index: 3 }),
    ] {
        let (server, embedder) = provider().await;
        let bad = component.clone();
        server.otherwise(Reply::changed(move |answer| {
            answer["data"][1]["embedding"][3] = bad.clone();
        }));
        let answers = answers(spawn(&embedder, numbered(3))).await;
        is_vector_of(&server, "text 0", &answers[0]);
        is_vector_of(&server, "text 2", &answers[2]);
        let found = answers[1].as_ref().unwrap_err();
        assert!(found.is_permanent());
        assert!(
            matches!(found, EmbedError::Invalid(InvalidAnswer::Vector(found)) if *found == error),
            "{component}: {found:?}"
        );
        assert_eq!(sizes(&server), [3], "{component}");
    }
}

#[tokio::test]
async fn a_vector_without_direction_is_refused() {
    let zero = Reply::changed(|answer| answer["data"][0]["embedding"] = json!(vec![0.0; DIMENSION]));
    assert_eq!(
        invalid_after(zero, true).await,
        InvalidAnswer::Vector(InvalidVector::NoDirection)
    );
}

#[tokio::test]
async fn another_dimension_is_another_model_and_no_fault_of_the_text() {
    assert_eq!(
        invalid_after(Reply::dimension(7), false).await,
        InvalidAnswer::Vector(InvalidVector::Dimension {
            expected: 8,
            found: 7
        })
    );
}

#[tokio::test]
async fn too_few_too_many_and_twice_the_same_are_refused() {
    assert_eq!(
        invalid_after(Reply::one_less(), true).await,
        InvalidAnswer::Count { texts: 1, vectors: 0 }
    );
    assert_eq!(
        invalid_after(Reply::one_more(), true).await,
        InvalidAnswer::Count { texts: 1, vectors: 2 }
    );
    let shifted = Reply::changed(|answer| answer["data"][0]["index"] = json!(1));
    assert_eq!(
        invalid_after(shifted, false).await,
        InvalidAnswer::Indexes { texts: 1 }
    );

    // Of two, each is asked for alone, and there 0 is the right index.
    let (server, embedder) = provider().await;
    server.otherwise(Reply::duplicates());
    let texts = numbered(2);
    for (text, answer) in texts.iter().zip(answers(spawn(&embedder, texts.clone())).await) {
        is_vector_of(&server, text, &answer);
    }
    assert_eq!(sizes(&server), [2, 1, 1]);
}

#[tokio::test]
async fn what_is_no_such_json_is_unreadable() {
    for body in [
        "",
        "not JSON",
        "{}",
        r#"{"data": [{"index": 0, "embedding": [NaN]}]}"#,
    ] {
        let answer = invalid_after(Reply::raw(200, "application/json", body), false).await;
        assert!(
            matches!(answer, InvalidAnswer::Unreadable(_)),
            "{body:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_not_even_read() {
    for (reply, reason) in [
        (
            Reply::raw(200, "text/html", "<html>"),
            "an answer of the media type \"text/html\", not JSON",
        ),
        (
            Reply::raw(200, "application/json", vec![0x1f, 0x8b]).with("content-encoding", "gzip"),
            "an answer with the encoding gzip",
        ),
        (
            Reply::raw(200, "application/json", vec![b' '; 1024 * 1024]),
            "an answer of more than 66048 bytes",
        ),
        (Reply::raw(204, "application/json", ""), "204 No Content"),
    ] {
        let error = error_after(reply, false).await;
        assert_eq!(unavailable(&Err(error)), reason);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, _) = provider().await;
    for status in [301, 302, 307, 308] {
        let target = format!("{}/v1/embeddings", elsewhere.url());
        let error = error_after(
            Reply::raw(status, "text/plain", "").with("location", target),
            false,
        )
        .await;
        assert!(unavailable(&Err(error)).starts_with(&status.to_string()));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_explanation_is_quoted_briefly() {
    let long = format!("no\r\n{}", "x".repeat(100_000));
    for (body, explanation) in [
        (
            json!({"error": {"message": long}}).to_string(),
            format!("no {}…", "x".repeat(197)),
        ),
        (
            json!({"error": "no such model"}).to_string(),
            "no such model".to_owned(),
        ),
        (json!({"detail": "gone"}).to_string(), "gone".to_owned()),
        ("plain words".to_owned(), "plain words".to_owned()),
    ] {
        let error = error_after(Reply::raw(404, "application/json", body), false).await;
        let reason = unavailable(&Err(error));
        // Of a body that is cut off no field can be read, so its beginning is quoted.
        if explanation.ends_with('…') {
            assert!(
                reason.starts_with("404 Not Found: ") && reason.chars().count() == 216,
                "{reason}"
            );
        } else {
            assert_eq!(reason, format!("404 Not Found: {explanation}"));
        }
    }
}
