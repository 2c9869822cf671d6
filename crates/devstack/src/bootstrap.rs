//! Everything fetched ahead, for the first minute on a new machine and for working without network.

use std::path::PathBuf;

use crate::{
    fetch::FetchError,
    model::fetch_model,
    postgres::{PostgresPackage, fetch_postgres},
    progress::Progress,
};

/// What [`bootstrap`] made available.
#[derive(Debug, Clone)]
pub struct Bootstrapped {
    /// PostgreSQL 18 and 16.
    pub postgres: PostgresPackage,
    /// The directory with the model's files.
    pub model: PathBuf,
}

/// Fetches PostgreSQL and the model into the [cache directory](crate::cache_directory), about 110 MB. What is
/// there already is not fetched again.
///
/// # Errors
/// [`FetchError`], which says what was tried and what can be done instead.
pub fn bootstrap(progress: Progress) -> Result<Bootstrapped, FetchError> {
    let cache = crate::cache_directory()?;
    let postgres = fetch_postgres(&cache, progress)?;
    let model = fetch_model(&cache, progress)?;
    Ok(Bootstrapped { postgres, model })
}
