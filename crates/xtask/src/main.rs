//! Chores of the workspace: `cargo xtask …`.

mod figures;
mod openapi;
mod sqlx_data;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "xtask")]
enum Command {
    /// Renew the tables of `docs`, from the files in `docs/figures`.
    Figures {
        /// Change nothing, and fail if a table is not what it should be.
        #[arg(long)]
        check: bool,
    },
    /// Renew `api`, the OpenAPI documents of both services.
    Openapi {
        /// Change nothing, and fail if a document is not what it should be.
        #[arg(long)]
        check: bool,
    },
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
        Command::Figures { check } => figures::renew(check),
        Command::Openapi { check } => openapi::renew(check),
        Command::Sqlx { check } => sqlx_data::renew(check).await,
    }
}
