//! `.sqlx`: what PostgreSQL says of each query, so that a build needs no database.
//!
//! The macros of sqlx ask the database that `DATABASE_URL` names and write what they learn to `SQLX_OFFLINE_DIR`. Both
//! are given here for one compilation of the crate that holds all SQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use devstack::{Major, SharedServer};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The crate with the SQL.
const PACKAGE: &str = "audit-store";
/// Any schemas serve, for data and for views: SQL names none.
const SCHEMA: &str = "kubernaut_sqlx";
const CONTEXT_SCHEMA: &str = "kubernaut_sqlx_context";

/// Renews the data, or compares it with what it should be.
pub(crate) async fn renew(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let server = tokio::task::spawn_blocking(|| SharedServer::acquire(Major::default())).await??;
    migrate_anew(&root, server.url()).await?;

    let fresh = tempfile::tempdir()?;
    let search_path = format!("{SCHEMA},{CONTEXT_SCHEMA},public");
    compile(
        &root,
        &format!("{}?options=-csearch_path%3D{search_path}", server.url()),
        fresh.path(),
    )?;
    drop_schemas(&mut PgConnection::connect(server.url()).await?).await?;

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

/// Makes the schemas again from the migrations as they lie there.
///
/// Not by the crate's own `migrate`: that one compiles only when the query data is there already.
async fn migrate_anew(root: &Path, url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    drop_schemas(&mut connection).await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
         CREATE SCHEMA {SCHEMA};
         CREATE SCHEMA {CONTEXT_SCHEMA};
         SET search_path = {SCHEMA}, {CONTEXT_SCHEMA}, public;
         SET kubernaut.embedding_model = 'any';
         SET kubernaut.embedding_model_version = '1';
         SET kubernaut.embedding_dimension = '3'"
    )))
    .execute(&mut connection)
    .await?;
    let migrations = root.join("crates").join(PACKAGE).join("migrations");
    Migrator::new(migrations).await?.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn drop_schemas(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "DROP SCHEMA IF EXISTS {CONTEXT_SCHEMA} CASCADE; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    )))
    .execute(connection)
    .await?;
    Ok(())
}
