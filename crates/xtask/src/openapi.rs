//! `api/`: the contracts of both services, so that a change of one is seen in review.
//!
//! The binary prints them. This crate does not depend on the services: it must build while `.sqlx` is not up to date.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

const SERVICES: [&str; 2] = ["data-storage", "context-api"];

/// Writes the documents, or compares them with what they should be.
pub(crate) fn renew(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let binary = build(&root)?;
    for service in SERVICES {
        let name = format!("api/{service}.openapi.json");
        let file = root.join(&name);
        let fresh = print(&binary, service)?;
        if check {
            let committed = std::fs::read(&file).with_context(|| format!("{name} cannot be read"))?;
            ensure!(
                fresh == committed,
                "{name} is not up to date: run `cargo xtask openapi` and commit it"
            );
            println!("{name} is up to date");
        } else {
            std::fs::create_dir_all(root.join("api"))?;
            std::fs::write(&file, &fresh)?;
            println!("{name} is written");
        }
    }
    Ok(())
}

/// Builds the binary with the whole workspace, as tests do, so that no dependency is built twice with other features.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--bin", "kubernaut"])
        .current_dir(root)
        .status()
        .context("cargo could not be started")?;
    ensure!(status.success(), "kubernaut was not built");
    // It stands beside this program.
    let name = format!("kubernaut{}", std::env::consts::EXE_SUFFIX);
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn print(binary: &Path, service: &str) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(binary)
        .args(["openapi", service])
        .stderr(Stdio::inherit())
        .output()
        .context("kubernaut could not be started")?;
    ensure!(output.status.success(), "`kubernaut openapi {service}` failed");
    Ok(output.stdout)
}
