//! Why callers cannot be identified at all.

use std::path::PathBuf;

use kube::config::{InClusterError, KubeconfigError};

/// Why an [`Authenticator`](super::Authenticator) cannot be made. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no audience to require.
    #[error(
        "`auth.audiences` is empty or has an empty entry: name the audience that callers' tokens are issued for, \
         such as \"kubernaut\"; without it a token meant for another service would do"
    )]
    NoAudience,
    /// A review would have no time.
    #[error("`auth.review_timeout` is zero: no review would ever succeed")]
    NoTime,
    /// The kubeconfig cannot be used.
    #[error("`auth.kubeconfig` names {path:?}, which cannot be used: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// There is no API server to ask.
    #[error(
        "no Kubernetes API server is known: this process runs in no pod ({in_cluster}), and there is no usable \
         kubeconfig ({kubeconfig}); set `auth.kubeconfig`, or `auth.mode` to \"disabled\" and listen on loopback"
    )]
    NoCluster {
        /// Why it is not the pod's.
        in_cluster: InClusterError,
        /// Why it is not the user's.
        kubeconfig: KubeconfigError,
    },
    /// Whoever is between us and the API server could let anybody in.
    #[error(
        "the API server {url} would be asked without TLS, or without checking its certificate: whoever is on the way \
         could let anybody in; use an https address and `certificate-authority` in the kubeconfig"
    )]
    Insecure {
        /// Where the API server is said to be.
        url: String,
    },
    /// The client cannot be made: a certificate or a credential is unusable.
    #[error("the client of the Kubernetes API server cannot be made: {0}")]
    Client(#[source] kube::Error),
}
