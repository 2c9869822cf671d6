//! `kubernaut`: Data Storage and Context API in one binary, and a laptop stack around them.

use std::process::ExitCode;

use clap::Parser;

mod build;
mod command;
mod database_url;
mod model;
mod up;

fn main() -> ExitCode {
    let command = command::Command::parse();
    // For every client in this process that was built without cryptography of its own. Nobody can have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
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
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those that the text before them tells already.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("refused")
            .context("cannot listen: refused; change the port")
            .context("no start");
        assert_eq!(
            super::in_one_line(&error),
            "no start: cannot listen: refused; change the port"
        );
    }
}
