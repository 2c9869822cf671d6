//! `.sqlx`: what PostgreSQL says of each query, so that a build needs no database.
//!
//! The macros of sqlx ask the database that `DATABASE_URL` names and write what they learn to `SQLX_OFFLINE_DIR`. Both
//! are given here for one compilation of the crate that holds all SQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use audit_store::compatibility::ModelIdentity;
use audit_store::migrate::{MigrateOptions, ReaderRole, migrate};
use audit_store::{ConnectOptions, PartitionWindow, SchemaName};
use chrono::DateTime;
use devstack::{Major, SharedServer};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The crate with the SQL.
const PACKAGE: &str = "audit-store";
/// Any schema serves: SQL names none.
const SCHEMA: &str = "kubernaut_sqlx";

/// Renews the data, or compares it with what it should be.
pub(crate) async fn renew(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let server = tokio::task::spawn_blocking(|| SharedServer::acquire(Major::default())).await??;
    let schema = SchemaName::new(SCHEMA)?;
    drop_schema(server.url(), &schema).await?;
    let options = MigrateOptions {
        model: ModelIdentity {
            name: "any".to_owned(),
            version: "1".to_owned(),
            dimension: 3,
        },
        reader: ReaderRole {
            name: "kubernaut_sqlx_reader".to_owned(),
            password: None,
        },
        partitions: PartitionWindow {
            months_back: 0,
            months_ahead: 0,
        },
    };
    let connect = ConnectOptions::new(server.url(), schema.clone(), "xtask");
    migrate(&connect, &options, DateTime::UNIX_EPOCH).await?;

    let fresh = tempfile::tempdir()?;
    let search_path = format!("{},{},public", schema.data(), schema.context());
    compile(
        &root,
        &format!("{}?options=-csearch_path%3D{search_path}", server.url()),
        fresh.path(),
    )?;
    drop_schema(server.url(), &schema).await?;

    let committed = root.join(".sqlx");
    let (new, old) = (read(fresh.path())?, read(&committed)?);
    ensure!(!new.is_empty(), "the compilation wrote no query data");
    if check {
        ensure!(
            new == old,
            ".sqlx is not up to date: run `cargo xtask sqlx` and commit it"
        );
        println!(".sqlx is up to date: {} queries", new.len());
        return Ok(());
    }
    for file in old.keys().filter(|file| !new.contains_key(*file)) {
        std::fs::remove_file(committed.join(file))?;
    }
    std::fs::create_dir_all(&committed)?;
    for (file, text) in &new {
        std::fs::write(committed.join(file), text)?;
    }
    println!(".sqlx holds {} queries", new.len());
    Ok(())
}

/// Compiles the crate with the database at hand, in a target directory of its own, so that other builds stay valid.
fn compile(root: &Path, url: &str, data: &Path) -> anyhow::Result<()> {
    let target = target_directory(root).join("sqlx");
    // Compiled anew although nothing changed, while what it depends on stays.
    let clean = Command::new(env!("CARGO"))
        .args(["clean", "--quiet", "--package", PACKAGE])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .context("cargo could not be started")?;
    ensure!(clean.success(), "{PACKAGE} could not be cleaned");
    let status = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--package", PACKAGE])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &target)
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", data)
        .status()
        .context("cargo could not be started")?;
    ensure!(
        status.success(),
        "{PACKAGE} does not compile against the migrated schema"
    );
    Ok(())
}

fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The query data of a directory, by file name.
fn read(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !directory.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            files.insert(name, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(files)
}

async fn drop_schema(url: &str, schema: &SchemaName) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let statement = format!(
        "DROP SCHEMA IF EXISTS {} CASCADE; DROP SCHEMA IF EXISTS {} CASCADE",
        schema.context(),
        schema.data()
    );
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}
