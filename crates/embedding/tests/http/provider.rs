//! An embedder and the provider behind it.

use std::time::Duration;

use embedding::{EmbedError, Embedder, HttpOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::EmbeddingServer;
use testkit::embedding_server::Received;
use tokio::task::JoinHandle;

pub(crate) const DIMENSION: usize = 8;

/// Long enough that nothing runs into it that is not meant to.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Answer = Result<Vec<f32>, EmbedError>;

/// A provider that is asked as the services ask by default.
pub(crate) async fn provider() -> (EmbeddingServer, Embedder) {
    provider_with(|_| {}).await
}

/// A provider whose client's options were changed.
pub(crate) async fn provider_with(change: impl FnOnce(&mut HttpOptions)) -> (EmbeddingServer, Embedder) {
    let server = EmbeddingServer::start(DIMENSION).await;
    let embedder = embedder(&server, change);
    (server, embedder)
}

pub(crate) fn embedder(server: &EmbeddingServer, change: impl FnOnce(&mut HttpOptions)) -> Embedder {
    let mut options = options(server);
    change(&mut options);
    Embedder::http(&options, StdRng::seed_from_u64(1)).unwrap()
}

pub(crate) fn options(server: &EmbeddingServer) -> HttpOptions {
    HttpOptions::new(server.url(), "some-model", "v7", DIMENSION)
}

/// Texts that are asked for at once, each by a task of its own, in this order.
pub(crate) fn spawn(embedder: &Embedder, texts: impl IntoIterator<Item = String>) -> Vec<JoinHandle<Answer>> {
    let texts = texts.into_iter();
    texts
        .map(|text| {
            let embedder = embedder.clone();
            tokio::spawn(async move { embedder.embed(text).await })
        })
        .collect()
}

/// Their answers, in their order.
pub(crate) async fn answers(tasks: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text {number}")).collect()
}

pub(crate) async fn embed(embedder: &Embedder, text: &str) -> Answer {
    embedder.embed(text.to_owned()).await
}

/// That this is the vector of the text, up to the rounding of normalising it once more.
#[track_caller]
pub(crate) fn is_vector_of(server: &EmbeddingServer, text: &str, answer: &Answer) {
    let (vector, expected) = (answer.as_ref().unwrap(), server.vector(text));
    assert_eq!(vector.len(), expected.len());
    for (component, expected) in vector.iter().zip(&expected) {
        assert!(
            (component - expected).abs() < 1e-6,
            "{vector:?} is not {expected:?}"
        );
    }
}

/// What an error that has nothing to do with the text says.
#[track_caller]
pub(crate) fn unavailable(answer: &Answer) -> String {
    let error = answer.as_ref().unwrap_err();
    assert!(!error.is_permanent(), "{error}");
    match error {
        EmbedError::Unavailable(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// What a provider said that refused this very text.
#[track_caller]
pub(crate) fn refused(answer: &Answer) -> String {
    let error = answer.as_ref().unwrap_err();
    assert!(error.is_permanent(), "{error}");
    match error {
        EmbedError::Refused(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// How many texts each request had.
pub(crate) fn sizes(server: &EmbeddingServer) -> Vec<usize> {
    server
        .requests()
        .iter()
        .map(|request| request.texts().len())
        .collect()
}

/// How long after the first request each one came.
pub(crate) fn times(requests: &[Received]) -> Vec<Duration> {
    requests
        .iter()
        .map(|request| request.at - requests[0].at)
        .collect()
}

/// Waits for something that happens elsewhere.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
