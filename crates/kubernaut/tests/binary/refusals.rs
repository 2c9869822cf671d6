//! What `kubernaut up` does not start with, and that it says why and what to do.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use devstack::{Durability, Major, Postgres, PostgresOptions, Progress};
use nix::sys::signal::Signal;

use crate::directory::{directory, processes_of};
use crate::other_postgres::SystemPostgres;
use crate::stack::{Stack, up};
use campaign::process::Running;

/// Runs it to its end, which must be an error; what it said about that.
async fn refusal(command: Command) -> String {
    let mut process = Running::start(command);
    let status = process.ended().await;
    assert_eq!(status.code(), Some(1), "{}", process.said());
    process
        .find("error", |line| {
            line.starts_with("error: ").then(|| line.to_owned())
        })
        .await;
    let said = process.said();
    assert!(!said.contains("panicked"), "{said}");
    said[said.find("error: ").unwrap()..].to_owned()
}

#[track_caller]
fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

async fn refused_for(url: &str) -> String {
    let directory = directory();
    let mut command = up(directory.path(), &[]);
    command.env("DATABASE_URL", url);
    refusal(command).await
}

async fn postgres(options: PostgresOptions) -> Postgres {
    let start = move || {
        let package =
            devstack::fetch_postgres(&devstack::cache_directory().unwrap(), Progress::detect()).unwrap();
        Postgres::start(&package, &options).unwrap_or_else(|error| panic!("{error}"))
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_served_is_named_with_its_option() {
    let directory = directory();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for option in ["--data-storage-addr", "--context-api-metrics-addr"] {
        let error = refusal(up(directory.path(), &[(option, &taken)])).await;
        says(
            &error,
            &[option, &taken, "cannot listen", "Address already in use"],
        );
        assert_eq!(error.matches("in use").count(), 1, "{error}");
    }
    for option in ["--data-storage-addr", "--context-api-addr"] {
        let error = refusal(up(directory.path(), &[(option, "0.0.0.0:0")])).await;
        says(
            &error,
            &[
                option,
                "refusing to serve the API on 0.0.0.0:0",
                "set `server.api_address` to a loopback address",
            ],
        );
    }
    assert_eq!(processes_of(directory.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_left_to_who_uses_it() {
    let directory = directory();
    let mut stack = Stack::start(up(directory.path(), &[])).await;
    let error = refusal(up(directory.path(), &[])).await;
    let owner = format!(
        "in use by another kubernaut process (pid {})",
        stack.process.pid()
    );
    says(
        &error,
        &[&owner, "stop that one, or choose another data directory"],
    );
    stack.answers().await;
    stack.process.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_version_is_left_as_it_is() {
    let directory = directory();
    let options = PostgresOptions {
        durability: Durability::Disposable,
        ..PostgresOptions::new(Major::V16, directory.path().join("postgresql"))
    };
    let server = postgres(options.clone()).await;
    tokio::task::spawn_blocking(|| server.stop())
        .await
        .unwrap()
        .unwrap();

    let error = refusal(up(directory.path(), &[])).await;
    says(
        &error,
        &[
            directory.path().to_str().unwrap(),
            "was made by PostgreSQL 16, and this is PostgreSQL 18",
            "pg_dumpall",
        ],
    );
    // It still starts with its own version.
    let server = postgres(options).await;
    tokio::task::spawn_blocking(|| server.stop())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_says_nothing_or_nonsense_is_refused_before_anything_starts() {
    let directory = directory();
    let config = directory.path().join("config");
    fs::create_dir(&config).unwrap();
    let with_config = || {
        let mut command = up(&directory.path().join("data"), &[]);
        command.arg("--config").arg(&config);
        command
    };
    let error = refusal(with_config()).await;
    says(
        &error,
        &[
            config.to_str().unwrap(),
            "data-storage.toml",
            "context-api.toml",
            "leave the option out",
        ],
    );

    for file in ["data-storage.toml", "context-api.toml"] {
        let file = config.join(file);
        fs::write(&file, "[server]\napi_adress = '127.0.0.1:0'\n").unwrap();
        let error = refusal(with_config()).await;
        let place = format!("{}:2: `server.api_adress`", file.display());
        says(&error, &[&place, "unknown field", "`api_address`"]);
        fs::remove_file(&file).unwrap();
    }
    assert!(!directory.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = refused_for(&format!("postgres://u:hunter2@127.0.0.1:{port}/d")).await;
    let place = format!("PostgreSQL at 127.0.0.1:{port}/d cannot be used");
    says(
        &error,
        &[
            &place,
            "DATABASE_URL",
            "without them one is started here",
            "Connection refused",
        ],
    );
    assert!(!error.contains("hunter2"), "{error}");

    let error = refused_for("hunter2").await;
    says(&error, &["DATABASE_URL"]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_pgvector_is_refused() {
    let directory = directory();
    let server = postgres(PostgresOptions {
        durability: Durability::Disposable,
        settings: vec![("extension_control_path".into(), "/nowhere".into())],
        ..PostgresOptions::new(Major::V18, directory.path().join("pg"))
    })
    .await;
    let error = refused_for(&server.url()).await;
    says(
        &error,
        &[
            "DATABASE_URL",
            "the server has no pgvector",
            "install pgvector 0.8.0 or newer",
        ],
    );
    tokio::task::spawn_blocking(|| server.stop())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused() {
    let Some(major) = SystemPostgres::major().filter(|major| *major < 16) else {
        eprintln!("SKIPPED: no PostgreSQL before 16 on PATH");
        return;
    };
    let server = SystemPostgres::start().await;
    let error = refused_for(&server.url()).await;
    let found = format!("PostgreSQL {major}.");
    says(
        &error,
        &[
            &found,
            "is too old: version 16 or newer is needed",
            "Upgrade the server, or point DATABASE_URL to another one",
        ],
    );
}
