//! `kubernaut fsck`.
//!
//! Ends with 0 when nothing is wrong, with 1 when something was found, and with 2 when it could not be looked.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use audit_store::fsck::{self, Progress, Rebuilt, Report, Severity};
use data_storage::Config;
use indicatif::ProgressBar;
use serde::Serialize;
use service_kit::Clock;

use crate::database_url;

/// Something was found.
const FOUND: u8 = 1;
/// The checks could not be run.
const NOT_CHECKED: u8 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file of Data Storage, which owns the schema.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Make the read model again from the ledger first. Services may go on; writers wait for a moment.
    #[arg(long)]
    rebuild: bool,
    /// Rebuild although the ledger itself is damaged: the read model takes the damage over.
    #[arg(long, requires = "rebuild")]
    force: bool,
    /// Let warnings count as findings.
    #[arg(long)]
    strict: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// How many examples to show of each finding.
    #[arg(long, default_value_t = 5, value_name = "N")]
    examples: usize,
}

/// What a run did and found.
#[derive(Serialize)]
struct Result {
    clean: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<Rebuilt>,
    #[serde(flatten)]
    report: Report,
}

pub(super) async fn run(options: Options) -> ExitCode {
    match result(&options).await {
        Ok(result) => {
            let text = if options.json {
                serde_json::to_string_pretty(&result).unwrap_or_else(|error| error.to_string())
            } else {
                table(&result)
            };
            // A reader that has seen enough, such as head, is no failure.
            let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
            if result.clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FOUND)
            }
        }
        Err(error) => {
            eprintln!("error: {}", crate::in_one_line(&error));
            ExitCode::from(NOT_CHECKED)
        }
    }
}

async fn result(options: &Options) -> anyhow::Result<Result> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let _log = super::start_log("fsck", &config.log)?;
    database_url::fill(&mut config.database.url);
    database_url::require(&config.database.url)?;
    let mut connect = config.database.connect_options()?;
    connect.application_name = "kubernaut fsck".to_owned();
    let settings = fsck::Options {
        now: Clock::system().now(),
        partitions: config.partitions.window(),
        examples: options.examples,
        force: options.force,
    };
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    let mut listener = |progress: Progress| {
        bar.set_message(format!("{}: {} events", progress.step, progress.events));
        bar.tick();
    };
    let rebuilt = if options.rebuild {
        Some(fsck::rebuild(&connect, &settings, &mut listener).await?)
    } else {
        None
    };
    let report = fsck::check(&connect, &settings, &mut listener).await?;
    bar.finish_and_clear();
    let counted = report.count(Severity::Error) + u64::from(options.strict) * report.count(Severity::Warning);
    Ok(Result {
        clean: counted == 0,
        rebuilt,
        report,
    })
}

/// The result for people: what was done, then every check, findings with their examples, and a last line that sums up.
fn table(result: &Result) -> String {
    let mut lines = Vec::new();
    if let Some(rebuilt) = &result.rebuilt {
        lines.push(format!("read model made again from {} events", rebuilt.events));
        for table in &rebuilt.tables {
            lines.push(format!(
                "  {:<24} {:>8} written {:>8} removed",
                table.table, table.written, table.removed
            ));
        }
    }
    for outcome in &result.report.checks {
        let state = match (outcome.count, outcome.check.severity) {
            (0, _) => "ok",
            (_, Severity::Warning) => "warning",
            (_, Severity::Error) => "ERROR",
        };
        lines.push(format!(
            "{state:<8} {:<34} {}",
            outcome.check.name, outcome.check.holds
        ));
        if outcome.count == 0 {
            continue;
        }
        for example in &outcome.examples {
            lines.push(format!("           {}: {}", example.subject, example.detail));
        }
        let more = outcome.count - outcome.examples.len() as u64;
        if more > 0 {
            lines.push(format!("           and {more} more"));
        }
    }
    lines.push(format!(
        "{} events, {} checks: {} errors, {} warnings",
        result.report.events,
        result.report.checks.len(),
        result.report.count(Severity::Error),
        result.report.count(Severity::Warning)
    ));
    lines.join("\n")
}
