//! Chores of the workspace: `cargo xtask …`.

mod sqlx_data;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "xtask")]
enum Command {
    /// Renew `.sqlx`, against which the build checks the SQL.
    Sqlx {
        /// Change nothing, and fail if `.sqlx` is not what it should be.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Sqlx { check } => sqlx_data::renew(check).await,
    }
}
