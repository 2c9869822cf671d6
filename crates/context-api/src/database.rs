//! Getting hold of a database at start-up.

use std::time::Duration;

use audit_store::compatibility::{Incompatible, ModelIdentity};
use audit_store::{ConnectOptions, Reader};
use embedding::ModelInfo;
use tokio::time::{Instant, sleep};

use crate::StartError;
use crate::config::DatabaseConfig;

/// Between two tries to reach the database.
const PAUSE: Duration = Duration::from_millis(500);

/// Connects, going on while the database is away for `connect_timeout`, and requires that it can be served with this
/// model. The last try may take `acquire_timeout` longer.
pub(crate) async fn connect(config: &DatabaseConfig, model: &ModelInfo) -> Result<Reader, StartError> {
    if config.url.expose().is_empty() {
        return Err(StartError::NoDatabase);
    }
    let options = config.connect_options()?;
    let model = identity(model);
    let began = Instant::now();
    loop {
        match connect_once(&options, &model).await {
            Err(Incompatible::Store(error)) if error.is_retryable() => {
                if began.elapsed() + PAUSE > config.connect_timeout {
                    return Err(StartError::DatabaseAway {
                        waited: config.connect_timeout,
                        source: error,
                    });
                }
                // The store's error says only that the database is away; its source says why.
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "trying to reach the database again");
                sleep(PAUSE).await;
            }
            result => return Ok(result?),
        }
    }
}

/// The model in the store's words.
pub(crate) fn identity(model: &ModelInfo) -> ModelIdentity {
    ModelIdentity {
        name: model.name.clone(),
        version: model.version.clone(),
        dimension: model.dimension,
    }
}

async fn connect_once(options: &ConnectOptions, model: &ModelIdentity) -> Result<Reader, Incompatible> {
    let reader = Reader::connect(options).await?;
    match reader.require_compatible(model).await {
        Ok(()) => Ok(reader),
        Err(error) => {
            reader.close().await;
            Err(error)
        }
    }
}
