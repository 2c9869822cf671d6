//! A database that is made for, and served with, a model of a provider on the network.

use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use testkit::EmbeddingServer;

use crate::directory::directory;
use crate::stack::{Stack, up};
use campaign::process::{Running, wait_until};

/// Not the built-in model's.
const DIMENSION: usize = 48;

fn with_provider(command: &mut Command, services: &[&str], url: &str, model: &str) {
    for service in services {
        for (key, value) in [
            ("PROVIDER", "http"),
            ("HTTP__URL", url),
            ("HTTP__MODEL", model),
            ("HTTP__VERSION", "v1"),
            ("HTTP__DIMENSION", "48"),
            ("HTTP__API_KEY", "hunter2"),
        ] {
            command.env(format!("{service}__EMBEDDING__{key}"), value);
        }
    }
    // A proxy would get the key and every text; nobody listens at this one.
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    // Where no model is, so that it cannot be the built-in one.
    command.env("KUBERNAUT_MODEL_DIR", "/nowhere");
}

/// What it says when it must not start.
async fn refusal(command: Command) -> String {
    let mut process = Running::start(command);
    assert_eq!(process.ended().await.code(), Some(1), "{}", process.said());
    process.said()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_record_and_search_with_a_provider_and_no_other_model_may_follow() {
    let server = EmbeddingServer::start(DIMENSION).await;
    let directory = directory();
    let data = directory.path().join("data");
    let both = ["DATA_STORAGE", "CONTEXT_API"];

    let mut command = up(&data, &[]);
    with_provider(&mut command, &both, &server.url(), "some-model");
    let mut stack = Stack::start(command).await;
    assert_eq!(server.requests().len(), 0, "it asks before there is a text");
    assert_eq!(stack.record("rr-1").await, StatusCode::CREATED);
    // The vector may follow the record.
    wait_until("a match", async || {
        stack.search("the container was killed").await["totalMatches"] == 1
    })
    .await;
    let answer = stack.search("the container was killed").await;
    assert_eq!(answer["matches"][0]["incident"]["remediationName"], "rr-1");
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.key() == Some("hunter2")));
    assert!(
        requests
            .iter()
            .all(|request| request.body["model"] == "some-model")
    );
    stack.process.stop(Signal::SIGTERM).await;

    let mut command = up(&data, &[]);
    with_provider(&mut command, &both, &server.url(), "another-model");
    let said = refusal(command).await;
    assert!(
        said.contains("some-model") && said.contains("another-model"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_refuses_services_with_different_models_and_options_that_cannot_work() {
    let directory = directory();
    let mut command = up(directory.path(), &[]);
    with_provider(
        &mut command,
        &["DATA_STORAGE"],
        "http://127.0.0.1:1",
        "some-model",
    );
    let said = refusal(command).await;
    assert!(
        said.contains(
            "error: the services are configured for different embedding models: http: some-model v1, 48 dimensions \
             and minilm; give [embedding] in both files"
        ),
        "{said}"
    );

    for (service, expected) in [
        ("DATA_STORAGE", "minilm, int8 and minilm;"),
        ("CONTEXT_API", "minilm and minilm, int8;"),
    ] {
        let mut command = up(directory.path(), &[]);
        command.env(format!("{service}__EMBEDDING__PRECISION"), "int8");
        let said = refusal(command).await;
        assert!(said.contains(expected), "{said}");
    }

    let mut command = up(directory.path(), &[]);
    with_provider(&mut command, &["DATA_STORAGE", "CONTEXT_API"], "", "some-model");
    let said = refusal(command).await;
    assert!(
        said.contains(
            "error: the section [embedding.http] of the configuration cannot be used: `url` must be given"
        ),
        "{said}"
    );
}
