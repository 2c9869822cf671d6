//! The built-in model with weights of 8 bits: another model, which the database remembers.

use std::process::Command;

use campaign::process::{Running, wait_until};
use nix::sys::signal::Signal;
use reqwest::StatusCode;

use crate::directory::directory;
use crate::stack::{Stack, up};

fn with_precision(mut command: Command, services: &[&str]) -> Command {
    for service in services {
        command.env(format!("{service}__EMBEDDING__PRECISION"), "int8");
    }
    command
}

async fn refusal(command: Command) -> String {
    let mut process = Running::start(command);
    assert_eq!(process.ended().await.code(), Some(1), "{}", process.said());
    process.said()
}

/// Whether this processor multiplies 8 bits without cutting off large sums.
fn can_compute() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_8_bits_are_those_of_another_model() {
    let directory = directory();
    let data = directory.path().join("data");
    let both = ["DATA_STORAGE", "CONTEXT_API"];
    if !can_compute() {
        let said = refusal(with_precision(up(&data, &[]), &both)).await;
        assert!(said.contains("AVX-512 VNNI"), "{said}");
        return;
    }

    let said = refusal(with_precision(up(&data, &[]), &["DATA_STORAGE"])).await;
    assert!(
        said.contains("the services are configured for different embedding models"),
        "{said}"
    );

    let mut stack = Stack::start(with_precision(up(&data, &[]), &both)).await;
    assert_eq!(stack.record("rr-1").await, StatusCode::CREATED);
    wait_until("a match", async || {
        stack.search("the container was killed").await["totalMatches"] == 1
    })
    .await;
    let answer = stack.search("the container was killed").await;
    assert_eq!(answer["matches"][0]["incident"]["remediationName"], "rr-1");
    stack.process.stop(Signal::SIGTERM).await;

    let said = refusal(up(&data, &[])).await;
    assert!(said.contains("53aa51172d14-int8"), "{said}");
}
