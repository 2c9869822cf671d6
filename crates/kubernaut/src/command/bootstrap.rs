//! `kubernaut bootstrap`.

use anyhow::Context;
use devstack::Progress;

pub(super) async fn run() -> anyhow::Result<()> {
    let fetched = tokio::task::spawn_blocking(|| devstack::bootstrap(Progress::detect()))
        .await
        .context("the download was cut off")??;
    println!(
        "PostgreSQL: {}",
        fetched
            .postgres
            .program(devstack::Major::default(), "postgres")
            .display()
    );
    println!("model:      {}", fetched.model.display());
    Ok(())
}
