//! `campaign`: lets faults happen to the services under load, and says whether anything acknowledged was lost.
//!
//! Ends with 0 if every promise was kept and every fault met something, else with 1; with `--harmless`, with 0 if every
//! fault missed something.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use campaign::{Context, Fault, Outcome, Sabotage, Scale, table};
use clap::{Parser, ValueEnum as _};
use rand::Rng as _;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use service_kit::Clock;

#[derive(Debug, Parser)]
#[command(
    name = "campaign",
    about = "Faults under load, and whether anything acknowledged was lost"
)]
struct Options {
    /// What every choice is drawn from; drawn itself and printed if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Processes to kill.
    #[arg(long)]
    kills: Option<u64>,
    /// Versions to be acknowledged among the kills.
    #[arg(long)]
    records: Option<usize>,
    /// Records of the burst.
    #[arg(long)]
    burst: Option<usize>,
    /// How often each of the other faults happens.
    #[arg(long)]
    rounds: Option<u64>,
    /// Clients at work.
    #[arg(long)]
    clients: Option<usize>,
    /// Only these faults, in this order.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Begin nothing new after so many minutes; what is not complete then has failed.
    #[arg(long)]
    minutes: Option<u64>,
    /// Seconds for each fault, as the tests do.
    #[arg(long)]
    short: bool,
    /// Plant a loss before the last check of each fault, which must then fail.
    #[arg(long)]
    sabotage: Option<Sabotage>,
    /// Let nothing happen: each fault must then miss what it has to meet, and the run fails if one does not.
    #[arg(long, conflicts_with = "sabotage")]
    harmless: bool,
    /// The binary `kubernaut`; by default the one next to this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Write the outcomes as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Everything that is needed to judge and to repeat a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    begun: String,
    seed: u64,
    machine: String,
    version: String,
    build: &'static str,
    asked_kills: u64,
    asked_records: usize,
    asked_burst: usize,
    asked_rounds: u64,
    clients: usize,
    harmless: bool,
    sabotage: Option<Sabotage>,
    kept: bool,
    outcomes: Vec<Outcome>,
}

impl Report {
    fn heading(&self) -> String {
        let harmless = if self.harmless { ", harmless" } else { "" };
        format!(
            "campaign of {}, seed {}{harmless}\n{}, {} build\n{}",
            self.begun, self.seed, self.version, self.build, self.machine
        )
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<bool, String> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => next_to_this()?,
    };
    let version = version(&program)?;
    let mut scale = if options.short { Scale::SHORT } else { Scale::FULL };
    scale.kills = options.kills.unwrap_or(scale.kills);
    scale.records = options.records.unwrap_or(scale.records);
    scale.burst = options.burst.unwrap_or(scale.burst);
    scale.rounds = options.rounds.unwrap_or(scale.rounds);
    scale.clients = options.clients.unwrap_or(scale.clients);
    let minutes = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let context = Context {
        program,
        // Small enough to be typed.
        seed: options
            .seed
            .unwrap_or_else(|| StdRng::from_os_rng().random_range(1..1_000_000)),
        scale,
        sabotage: options.sabotage,
        harmless: options.harmless,
        deadline: minutes.map(|minutes| Instant::now() + minutes),
        talkative: true,
    };
    let mut report = Report {
        begun: Clock::system().now().format("%Y-%m-%d %H:%M UTC").to_string(),
        seed: context.seed,
        machine: machine(),
        version,
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        asked_kills: scale.kills,
        asked_records: scale.records,
        asked_burst: scale.burst,
        asked_rounds: scale.rounds,
        clients: scale.clients,
        harmless: options.harmless,
        sabotage: options.sabotage,
        kept: true,
        outcomes: Vec::new(),
    };
    println!("{}", report.heading());
    let all: Vec<Fault> = Fault::value_variants().to_vec();
    let faults = if options.only.is_empty() {
        &all
    } else {
        &options.only
    };
    // The longest last: the others need not wait for the end of the time.
    let (last, first): (Vec<Fault>, Vec<Fault>) = faults.iter().partition(|fault| **fault == Fault::Kills);
    for fault in first.into_iter().chain(last) {
        let outcome = if context.is_late() {
            Outcome {
                fault: fault.name(),
                failure: Some("there was no time left to begin".to_owned()),
                ..Outcome::default()
            }
        } else {
            eprintln!("{}: begins", fault.name());
            fault.run(&context).await
        };
        eprintln!("{}", table(std::slice::from_ref(&outcome)));
        report.kept &= outcome.is_good();
        report.outcomes.push(outcome);
        write(&report, options.json.as_deref())?;
    }
    println!("\n{}\n{}", report.heading(), table(&report.outcomes));
    let missed = report.outcomes.iter().all(|outcome| !outcome.unmet.is_empty());
    let (verdict, as_it_must_be) = match (options.harmless, report.kept, missed) {
        (false, true, _) => ("every promise was kept", true),
        (false, false, _) => ("BROKEN", false),
        (true, _, true) => (
            "nothing happened, and each fault missed what it has to meet",
            true,
        ),
        (true, _, false) => (
            "VACUOUS: nothing happened, and a fault met what it has to meet",
            false,
        ),
    };
    println!("{verdict}; repeat with --seed {}", report.seed);
    Ok(as_it_must_be)
}

/// The report so far, so that a run that is broken off leaves what it has.
fn write(report: &Report, file: Option<&Path>) -> Result<(), String> {
    let Some(file) = file else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn next_to_this() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = this.with_file_name("kubernaut");
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!(
            "there is no {}: build it, in the same profile, or give --program",
            program.display()
        ))
    }
}

fn version(program: &Path) -> Result<String, String> {
    let output = std::process::Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Processors, memory and kernel, as far as Linux tells.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let information = read("/proc/cpuinfo");
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let memory = read("/proc/meminfo");
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .map_or("unknown", str::trim);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{processors} x {model}, memory {memory}, {} {}",
        std::env::consts::OS,
        kernel.trim()
    )
}
