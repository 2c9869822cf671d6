//! How callers are identified, as configured.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::Deserialize;

/// The section `[auth]` of a service's configuration.
///
/// All keys are required: their defaults stand in the service's default TOML and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Who tells who a caller is.
    pub mode: AuthMode,
    /// Audiences of which a token must name at least one; needed with [`AuthMode::Kubernetes`].
    pub audiences: Vec<String>,
    /// The kubeconfig file that leads to the API server. Empty: the service account of the pod, or else what
    /// `KUBECONFIG` or `~/.kube/config` says.
    pub kubeconfig: PathBuf,
    /// How long a caller who was let in is let in again without another review; `0s` asks every time. A token that
    /// is revoked, or a right that is withdrawn, still works for as long.
    #[serde(with = "crate::config::duration")]
    pub cache_ttl: Duration,
    /// Callers remembered at most, for each access they were granted.
    pub cache_entries: NonZeroUsize,
    /// Reviews under way at once. A quarter of them is kept for callers who were let in before.
    pub max_reviews_in_flight: NonZeroUsize,
    /// Reviews of callers not let in before that wait for their turn; beyond, 503 at once.
    pub max_reviews_waiting: usize,
    /// How long a review may take, its wait included; then 503.
    #[serde(with = "crate::config::duration")]
    pub review_timeout: Duration,
}

/// Who tells who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// The Kubernetes API server, by TokenReview and SubjectAccessReview.
    Kubernetes,
    /// Nobody: every caller is `system:anonymous` and may do everything. The API then listens on loopback only.
    Disabled,
}
