//! `up --demo` loads its history once, through the front door, also if it was interrupted.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::directory::directory;
use crate::stack::{Stack, up};
use campaign::process::Running;

fn demo(data_dir: &Path, incidents: &str) -> std::process::Command {
    let mut command = up(data_dir, &[]);
    command.args(["--demo", "--demo-incidents", incidents]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_history_is_loaded_once() {
    let directory = directory();
    let mut first = Stack::start(demo(directory.path(), "40")).await;
    assert!(
        first.process.said().contains("40 incidents are in the memory."),
        "{}",
        first.process.said()
    );
    first.process.stop(Signal::SIGTERM).await;
    let mut second = Stack::start(demo(directory.path(), "40")).await;
    let said = second.process.said();
    assert!(
        said.contains("There are 40 incidents already; the demo history is not loaded again."),
        "{said}"
    );
    second.process.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_was_interrupted_goes_on_and_doubles_nothing() {
    let directory = directory();
    let mut first = Running::start(demo(directory.path(), "150"));
    first
        .find("the load", |line| {
            line.contains("Loading the demo history").then_some(())
        })
        .await;
    // Some records are in, most are not.
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    first.stop(Signal::SIGTERM).await;
    assert!(
        !first.said().contains("are in the memory"),
        "it was not interrupted: {}",
        first.said()
    );
    let mut second = Stack::start(demo(directory.path(), "150")).await;
    let said = second.process.said();
    assert!(said.contains("150 incidents are in the memory."), "{said}");
    second.process.stop(Signal::SIGTERM).await;
}
