//! What the binary says about itself.

use crate::process::kubernaut;

fn output(arguments: &[&str]) -> String {
    let output = kubernaut(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has_lines(text: &str, lines: &[&str]) {
    let all: Vec<_> = text.lines().map(str::trim).collect();
    for line in lines {
        assert!(all.contains(line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn the_commands_are_listed() {
    has_lines(
        &output(&["--help"]),
        &[
            "Usage: kubernaut <COMMAND>",
            "up            Start everything on this machine: PostgreSQL with pgvector, Data Storage and Context API",
            "data-storage  Run Data Storage, the write service",
            "context-api   Run Context API, the read service",
            "migrate       Bring the database to the schema of this version, and grant the reader role",
            "reembed       Move the database to the configured embedding model, while the services go on with the old one",
            "fsck          Check that the read model is the fold of the ledger and that every invariant holds; exit code 1 if not",
            "hold          Place, release and list legal holds, which keep whole months from retention",
            "retention     Show what retention would drop now, and what holds keep. Nothing is changed",
            "openapi       Print the OpenAPI document of a service",
            "bench         Measure both services under load, beside baselines of the same run, and tell ratios",
            "bootstrap     Fetch what `up` and the tests need, and start nothing",
            "-V, --version  Print version",
        ],
    );
}

#[test]
fn up_names_its_options() {
    has_lines(
        &output(&["up", "--help"]),
        &[
            "Usage: kubernaut up [OPTIONS]",
            "--data-dir <DATA_DIR>",
            "Where the data is kept [env: KUBERNAUT_DATA_DIR=]",
            "--database-url <DATABASE_URL>",
            "Use this PostgreSQL 16+ with pgvector instead of starting one. A password is better given by the variable: other users of this machine can see the command line [env: DATABASE_URL]",
            "--config <CONFIG>",
            "--data-storage-addr <DATA_STORAGE_ADDR>",
            "Address of Data Storage [default: 127.0.0.1:8080]",
            "--context-api-addr <CONTEXT_API_ADDR>",
            "Address of Context API [default: 127.0.0.1:8091]",
            "--data-storage-metrics-addr <DATA_STORAGE_METRICS_ADDR>",
            "Address of Data Storage's metrics [default: 127.0.0.1:9090]",
            "--context-api-metrics-addr <CONTEXT_API_METRICS_ADDR>",
            "Address of Context API's metrics [default: 127.0.0.1:9091]",
            "--demo",
            "-v, --verbose",
        ],
    );
}

#[test]
fn a_password_in_the_environment_is_not_shown() {
    let output = kubernaut(&["up", "--help"])
        .env("DATABASE_URL", "postgres://u:hunter2@h/d")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[env: DATABASE_URL]"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn the_services_name_their_options() {
    for (command, defaults) in [
        ("data-storage", "config/data-storage.toml"),
        ("context-api", "config/context-api.toml"),
    ] {
        has_lines(
            &output(&[command, "--help"]),
            &[
                &format!("Usage: kubernaut {command} [OPTIONS]"),
                &format!(
                    "--config <CONFIG>  Configuration file; what it leaves out has the default of {defaults}"
                ),
            ],
        );
    }
}

#[test]
fn migrate_reembed_and_bootstrap_name_their_options() {
    has_lines(
        &output(&["migrate", "--help"]),
        &[
            "Configuration file of Data Storage, which owns the schema",
            "--reader-role <READER_ROLE>",
            "Role to grant the context schema to; made if it does not exist [default: kubernaut_reader]",
            "--reader-password-file <READER_PASSWORD_FILE>",
        ],
    );
    has_lines(
        &output(&["reembed", "--help"]),
        &[
            "Configuration file of Data Storage, with the model to move to",
            "--texts-per-second <TEXTS_PER_SECOND>",
            "--status",
            "--abort",
        ],
    );
    has_lines(
        &output(&["bootstrap", "--help"]),
        &["Usage: kubernaut bootstrap", "-h, --help  Print help"],
    );
}

#[test]
fn bench_names_its_options_with_their_defaults() {
    has_lines(
        &output(&["bench", "--help"]),
        &[
            "Usage: kubernaut bench [OPTIONS]",
            "--workload <WORKLOAD>          What to measure, in this order: writes,cached-reads,uncached-reads,search [default: all]",
            "--rate <RATE>                  Requests in a second of the open loop; 0 for no open loop. Several, such as 100,200,400, are measured one after the other and drawn as a curve [default: 500]",
            "--callers <CALLERS>            Callers of the closed loop; 0 for no closed loop [default: 64]",
            "--duration <DURATION>          How long each load counts [default: 60s]",
            "--warm-up <WARM_UP>            How long each load goes before it counts [default: 10s]",
            "--replays <REPLAYS>            Share of writes that repeat a record sent shortly before [default: 0.02]",
            "--copies <N>                   Then copy that history so many times by SQL: other clusters with the same stories, over the months of a year. The services start when that is done [default: 0]",
            "--replicas <N>                 Processes of each service; requests go to them in turn [default: 1]",
            "--read-replica                 Let Context API read from a standby, which is started of the run's own PostgreSQL",
            "--cold-starts <N>              How often the start of the services is measured; 0 for never. Only those that the run starts [default: 10]",
            "--data-storage <URL>           A Data Storage that runs; it gets records that nobody wants to keep",
            "--json <FILE>                  Write everything that was measured to this file, as JSON",
            "milliseconds, and each figure divided by baselines of the same run: believe those.",
        ],
    );
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(
        output(&["--version"]),
        format!("kubernaut {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn without_a_command_the_help_is_an_error() {
    let output = kubernaut(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("Usage: kubernaut <COMMAND>"), "{text}");
}
