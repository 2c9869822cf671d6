//! `kubernaut`: Data Storage and Context API in one binary, and a laptop stack around them.

use std::process::ExitCode;

use clap::Parser;

mod build;
mod command;
mod database_url;
pub mod demo;
mod model;
mod up;

fn main() -> ExitCode {
    let command = command::Command::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime did not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(command.run());
    // Work that was cut off, such as a download, must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
