//! `kubernaut up`: everything answers, everything stops, the data stays.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::StatusCode;
use testkit::Database;

use crate::directory::{directory, processes_of};
use crate::model::minilm;
use crate::stack::{Stack, up};
use campaign::process::Running;

#[tokio::test(flavor = "multi_thread")]
async fn records_stay_whichever_signal_stops_it() {
    let directory = directory();
    let data = directory.path().join("data");
    let mut names = Vec::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut stack = Stack::start(up(&data, &[])).await;
        stack.answers().await;
        assert_eq!(stack.listed().await, names, "before {signal}");
        let name = format!("before-{}", signal.as_str().to_lowercase());
        assert_eq!(stack.record(&name).await, StatusCode::CREATED);
        names.insert(0, name);
        assert_eq!(stack.listed().await, names);
        assert!(
            processes_of(&data).len() > 1,
            "neither itself nor its PostgreSQL is seen"
        );

        stack.process.stop(signal).await;
        assert!(stack.process.said().contains("Everything has stopped."));
        assert_eq!(processes_of(&data), [""; 0]);
    }
    let mut command = up(&data, &[]);
    // Which names no database.
    command.env("DATABASE_URL", "");
    let mut stack = Stack::start(command).await;
    assert_eq!(stack.listed().await, names);
    assert_eq!(stack.record(&names[0]).await, StatusCode::OK, "a replay");
    stack.process.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_it_starts_again_with_everything() {
    let directory = directory();
    let data = directory.path().join("data");
    let mut stack = Stack::start(up(&data, &[])).await;
    assert_eq!(stack.record("kept").await, StatusCode::CREATED);
    stack.process.kill();
    assert!(
        !processes_of(&data).is_empty(),
        "PostgreSQL outlives it, else this test says nothing"
    );

    let mut stack = Stack::start(up(&data, &[])).await;
    assert_eq!(stack.listed().await, ["kept"]);
    stack.process.stop(Signal::SIGTERM).await;
    assert_eq!(processes_of(&data), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_go_on_without_its_postgresql() {
    let directory = directory();
    let mut stack = Stack::start(up(directory.path(), &[])).await;
    let pid_file = directory.path().join("postgresql/data/postmaster.pid");
    let pid_file = fs::read_to_string(pid_file).unwrap();
    let pid = pid_file.lines().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let status = stack.process.ended().await;
    let said = stack.process.said();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("error: PostgreSQL ended by itself"), "{said}");
    assert!(said.contains("server.log"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_it_starts_stops_it() {
    let directory = directory();
    let data = directory.path().join("data");
    for step in ["Starting PostgreSQL", "Migrating the schema"] {
        let mut process = Running::start(up(&data, &[]));
        process
            .find(step, |line| line.starts_with(step).then_some(()))
            .await;
        process.stop(Signal::SIGINT).await;
        assert_eq!(processes_of(&data), [""; 0], "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_database_is_used_and_none_started() {
    let database = Database::unmigrated("up", minilm());
    let directory = directory();
    let mut command = up(directory.path(), &[]);
    command.env("DATABASE_URL", database.url());
    for service in ["DATA_STORAGE", "CONTEXT_API"] {
        command.env(format!("{service}__DATABASE__SCHEMA"), database.schema().data());
    }
    let mut stack = Stack::start(command).await;
    stack.answers().await;
    assert_eq!(stack.record("elsewhere").await, StatusCode::CREATED);
    assert_eq!(stack.listed().await, ["elsewhere"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(
        processes_of(directory.path()).len(),
        1,
        "itself, and no PostgreSQL"
    );
    stack.process.stop(Signal::SIGTERM).await;

    let store = database.store().await;
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM audit_events")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(names, ["elsewhere"], "the server goes on, and has it");
    let role = format!("{}_up_reader", database.schema());
    let drop = sqlx::AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    sqlx::raw_sql(drop).execute(store.pool()).await.unwrap();
}
