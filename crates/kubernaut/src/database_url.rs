//! Where the database is, if the configuration does not say it.

use service_kit::config::Secret;

/// The usual variable.
pub(crate) const VARIABLE: &str = "DATABASE_URL";

/// The value of the usual variable, unless it is empty.
pub(crate) fn from_environment() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|url| !url.is_empty())
}

/// Takes the usual variable where the configuration leaves the URL empty.
pub(crate) fn fill(url: &mut Secret) {
    if url.expose().is_empty()
        && let Some(from_environment) = from_environment()
    {
        *url = Secret::new(from_environment);
    }
}

/// Refuses to go on without a database.
pub(crate) fn require(url: &Secret) -> anyhow::Result<()> {
    anyhow::ensure!(
        !url.expose().is_empty(),
        "no database is configured: set {VARIABLE}, or database.url in the configuration"
    );
    Ok(())
}
