//! Metrics, in a registry that is passed around and never global.
//!
//! Names carry the service's prefix and a base unit: `datastorage_http_request_duration_seconds`. Labels are bounded:
//! routes are templates, methods are the known ones, problems are static codes.

mod connections;
mod exposition;
mod http;

pub use prometheus_client::registry::Registry;
use prometheus_client::{encoding::EncodeLabelSet, metrics::family::Family, metrics::gauge::Gauge};

pub(crate) use self::http::{Finished, Route, Series, method_label};
pub use self::{
    connections::encode_connections,
    exposition::{EXPOSITION_MEDIA_TYPE, render, router},
    http::HttpMetrics,
};

/// An empty registry whose metrics are all named `<prefix>_…`.
pub fn registry(prefix: &str) -> Registry {
    Registry::with_prefix(prefix)
}

/// What is running.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BuildInfo {
    /// Version of the package, such as `0.1.0`.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub revision: String,
}

/// Registers `build_info`, a gauge that is always 1 and says by its labels what is running.
pub fn register_build_info(registry: &mut Registry, info: &BuildInfo) {
    let family = Family::<BuildInfo, Gauge>::default();
    family.get_or_create(info).set(1);
    registry.register("build_info", "What is running", family);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_told_under_the_prefix() {
        let mut registry = registry("datastorage");
        register_build_info(
            &mut registry,
            &BuildInfo {
                version: "0.1.0".into(),
                revision: "abc".into(),
            },
        );
        assert_eq!(
            render(&registry).unwrap(),
            "# HELP datastorage_build_info What is running.\n\
             # TYPE datastorage_build_info gauge\n\
             datastorage_build_info{version=\"0.1.0\",revision=\"abc\"} 1\n\
             # EOF\n"
        );
    }
}
