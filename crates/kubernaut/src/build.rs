//! What this binary is.

use service_kit::metrics::BuildInfo;

/// The version, and the commit where the build was told it by `KUBERNAUT_REVISION`.
pub(crate) fn info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("KUBERNAUT_REVISION").unwrap_or("unknown").to_owned(),
    }
}
