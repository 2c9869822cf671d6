//! `api/`: the contracts of both services, so that a change of one is seen in review.
//!
//! The binary prints them. This crate does not depend on the services: it must build while `.sqlx` is not up to date.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

const SERVICES: [&str; 2] = ["data-storage", "context-api"];

/// Writes the documents, or compares them with what they should be.
pub(crate) fn renew(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    for service in SERVICES {
        let name = format!("api/{service}.openapi.json");
        let file = root.join(&name);
        let fresh = print(&root, service)?;
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

fn print(root: &Path, service: &str) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--package",
            "kubernaut",
            "--",
            "openapi",
            service,
        ])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    ensure!(output.status.success(), "`kubernaut openapi {service}` failed");
    Ok(output.stdout)
}
