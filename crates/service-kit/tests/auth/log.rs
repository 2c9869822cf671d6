//! What the log tells of refusals and failures, and that it never tells a token.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use testkit::{Answer, ApiServer};
use tracing_subscriber::{Layer, Registry, filter::DynFilterFn, fmt, layer::SubscriberExt};

use crate::service::Service;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn causes_are_logged_once_and_tokens_never() {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
    let captured = Captured::default();
    let writer = captured.clone();
    // Everything that anybody says, dependencies included. For the whole process, since a callsite that another test's
    // thread meets first would otherwise count as unwanted for good; but only what this thread says.
    let thread = thread::current().id();
    let layer = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .with_filter(DynFilterFn::new(move |_, _| thread::current().id() == thread));
    tracing::subscriber::set_global_default(Registry::default().with(layer)).unwrap();

    let api_server = ApiServer::start().await;
    api_server.on_user(
        "alice",
        Answer::status(json!({"allowed": false, "reason": "no role for alice"})),
    );
    let service = Service::start(&api_server).await;
    let echo = format!("who is {TOKEN}, or its middle eyJzdWIiOiJhbGljZSJ9?");
    let malformed = json!({"spec": {"token": TOKEN}, "status": {"authenticated": TOKEN}}).to_string();
    let told = [
        (
            Answer::status(json!({"error": echo})),
            401,
            "the API server could not check the token: who is ***, or its middle ***?",
        ),
        (
            Answer::failure(500, &echo),
            503,
            "the API server answered a TokenReview with status 500: who is ***, or its middle ***?",
        ),
        (
            Answer::raw(500, &echo),
            503,
            "the API server answered a TokenReview with status 500: who is ***, or its middle ***?",
        ),
        (
            Answer::raw(201, &malformed),
            503,
            "the API server's answer to a TokenReview is not understood: invalid type: string \"***\", \
             expected a boolean at line 1 column 157",
        ),
        (
            Answer::status(json!({
                "authenticated": true, "user": {"username": "alice"}, "audiences": [format!("aud {TOKEN}")],
            })),
            401,
            "the token is meant for others: aud ***",
        ),
        (
            Answer::status(json!({"authenticated": true, "user": {"username": "alice"}})),
            401,
            "the token names no audience, or the authenticator does not look at audiences",
        ),
        (
            Answer::user("alice"),
            403,
            "\"alice\" is not allowed `create` on `auditrecords` in API group `kubernaut.ai`: \"no role for alice\"",
        ),
    ];
    for (answer, status, _) in &told {
        api_server.on_token(TOKEN, answer.clone());
        assert_eq!(service.post_as(TOKEN).await.status(), *status);
    }

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for part in TOKEN.split('.') {
        assert!(!text.contains(part), "{part} is in the log");
    }
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let causes: Vec<_> = lines
        .iter()
        .filter_map(|line| line.get("cause")?.as_str())
        .collect();
    assert_eq!(causes, told.each_ref().map(|(_, _, cause)| *cause));
    // A dependency that speaks up by itself would tell a failure twice.
    let loud: Vec<_> = lines
        .iter()
        .filter(|line| ["WARN", "ERROR"].contains(&line["level"].as_str().unwrap()))
        .map(|line| line["target"].as_str().unwrap())
        .collect();
    assert_eq!(loud, ["access"; 3]);
}
