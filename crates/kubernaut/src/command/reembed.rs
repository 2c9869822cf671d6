//! `kubernaut reembed`.

use std::path::PathBuf;
use std::time::Duration;

use audit_store::compatibility::ModelIdentity;
use audit_store::reembed::{self, Reembedding, Status};
use data_storage::{Config, ReembedOptions, Report, model_identity};
use serde_json::{Value, json};
use service_kit::Clock;

use crate::{database_url, model};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Configuration file of Data Storage, with the model to move to.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Texts embedded in a second at most, where the model is shared with the services.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    texts_per_second: Option<u32>,
    /// Print how far it is, as JSON, and do nothing.
    #[arg(long, conflicts_with_all = ["abort", "texts_per_second"])]
    status: bool,
    /// End a re-embedding that is under way, and drop its vectors.
    #[arg(long, conflicts_with = "texts_per_second")]
    abort: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref(), std::env::vars_os())?;
    let _log = super::start_log("reembed", &config.log)?;
    database_url::fill(&mut config.database.url);
    database_url::require(&config.database.url)?;
    let connect = config.database.connect_options()?;
    if options.status {
        println!("{}", status_as_json(&reembed::status(&connect).await?));
        return Ok(());
    }
    if options.abort {
        match reembed::abort(&connect).await? {
            Some(target) => println!("the re-embedding to {target} was aborted"),
            None => println!("no re-embedding is under way"),
        }
        return Ok(());
    }
    let embedder = model::embedder(
        config.embedding.provider,
        config.embedding.precision,
        &config.embedding.http,
    )
    .await?;
    let reembedding = Reembedding::begin(&connect, &model_identity(&embedder)).await?;
    println!("moving schema {} to {}", connect.schema, reembedding.target());
    let how = ReembedOptions {
        texts_per_second: options.texts_per_second,
        ..ReembedOptions::default()
    };
    let switched = data_storage::reembed(&reembedding, embedder, &Clock::system(), how, |report| {
        println!("{}", line(report));
    })
    .await?;
    println!(
        "schema {} holds vectors of {}; {} texts wait for theirs. Restart Data Storage and Context API with this model",
        connect.schema,
        reembedding.target(),
        switched.pending
    );
    Ok(())
}

/// A report in one line.
fn line(report: Report) -> String {
    match report {
        Report::Embedding(progress) => {
            let remaining = progress.remaining.map_or_else(
                || "an unknown time".to_owned(),
                |left| format!("{:?}", Duration::from_secs(left.as_secs())),
            );
            format!(
                "{} of {} texts embedded, {} poisoned, {:.1} per second, {remaining} left",
                progress.embedded, progress.texts, progress.poisoned, progress.per_second
            )
        }
        Report::BuildingIndexes => "building the index over the vectors".to_owned(),
        Report::Switching => "switching".to_owned(),
    }
}

fn status_as_json(status: &Status) -> Value {
    let model = |model: &ModelIdentity| json!({ "name": model.name, "version": model.version, "dimension": model.dimension });
    json!({
        "model": model(&status.model),
        "underWay": status.under_way.as_ref().map(|under_way| json!({
            "target": model(&under_way.target),
            "texts": under_way.texts,
            "embedded": under_way.embedded,
            "poisoned": under_way.poisoned,
            "missingIndexes": under_way.missing_indexes,
        })),
    })
}

#[cfg(test)]
mod tests {
    use audit_store::reembed::UnderWay;
    use data_storage::Progress;

    use super::*;

    fn model(version: &str, dimension: usize) -> ModelIdentity {
        ModelIdentity {
            name: "m".into(),
            version: version.into(),
            dimension,
        }
    }

    #[test]
    fn a_report_is_one_line() {
        let progress = Progress {
            texts: 500,
            embedded: 125,
            poisoned: 3,
            per_second: 12.34,
            remaining: Some(Duration::from_millis(30_900)),
        };
        assert_eq!(
            line(Report::Embedding(progress)),
            "125 of 500 texts embedded, 3 poisoned, 12.3 per second, 30s left"
        );
    }

    #[test]
    fn the_status_is_json() {
        let status = Status {
            model: model("1", 64),
            under_way: Some(UnderWay {
                target: model("2", 32),
                texts: 10,
                embedded: 7,
                poisoned: 1,
                missing_indexes: 1,
            }),
        };
        assert_eq!(
            status_as_json(&status),
            json!({
                "model": {"name": "m", "version": "1", "dimension": 64},
                "underWay": {
                    "target": {"name": "m", "version": "2", "dimension": 32},
                    "texts": 10, "embedded": 7, "poisoned": 1, "missingIndexes": 1
                }
            })
        );
        let idle = Status {
            under_way: None,
            ..status
        };
        assert_eq!(status_as_json(&idle)["underWay"], Value::Null);
    }
}
