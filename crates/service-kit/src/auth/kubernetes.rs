//! The two questions to the API server.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use axum::http::{
    Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::{
    Resource,
    api::{
        authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo},
        authorization::v1::{
            ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
        },
    },
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use tower::{BoxError, ServiceBuilder};

use super::{
    Access, AuthConfig, AuthError, Caller,
    bearer::Token,
    refusal::{Refusal, Undecided},
    reviews::Verdict,
};
use crate::problem::chain;

/// Bytes of the largest answer read. A review repeats the token and names a user's groups.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Characters kept of a text of the API server for the log.
const MAX_REASON_CHARS: usize = 300;

/// How often an idle connection is checked, so that an API server that vanished is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The API server, for reviews.
#[derive(Clone)]
pub(super) struct Kubernetes {
    client: Client,
    audiences: Arc<[String]>,
}

impl Kubernetes {
    /// Reads where the API server is and what we show it. Connects to nothing yet.
    pub(super) async fn from_config(config: &AuthConfig) -> Result<Self, AuthError> {
        if config.audiences.is_empty() || config.audiences.iter().any(String::is_empty) {
            return Err(AuthError::NoAudience);
        }
        if config.review_timeout.is_zero() {
            return Err(AuthError::NoTime);
        }
        let cluster = cluster(&config.kubeconfig).await?;
        if cluster.cluster_url.scheme_str() != Some("https") || cluster.accept_invalid_certs {
            return Err(AuthError::Insecure {
                url: cluster.cluster_url.to_string(),
            });
        }
        // kube takes the process' provider of cryptography. An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connections = config.max_reviews_in_flight.get();
        Ok(Self {
            client: client(&cluster, connections, config.review_timeout).map_err(AuthError::Client)?,
            audiences: config.audiences.clone().into(),
        })
    }

    /// Who the token belongs to, if they may.
    pub(super) async fn ask(self, token: Token, access: Access) -> Verdict {
        let status = self.token_review(&token).await?;
        let user = self.user(status, &token)?;
        let username = user.username.clone().unwrap_or_default();
        let status = self.access_review(&user, access, &token).await?;
        allowed(status, access, &username, &token)?;
        Ok(Caller {
            username: username.into(),
            uid: user.uid.unwrap_or_default().into(),
            groups: user.groups.unwrap_or_default().into(),
        })
    }

    async fn token_review(&self, token: &Token) -> Result<TokenReviewStatus, Undecided> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(self.audiences.to_vec()),
                token: Some(token.expose().to_owned()),
            },
            ..TokenReview::default()
        };
        let answer = self.create("authentication.k8s.io", &review, token).await?;
        answer.status.ok_or_else(no_status::<TokenReview>)
    }

    /// The user of a token that was issued for us.
    fn user(&self, status: TokenReviewStatus, token: &Token) -> Result<UserInfo, Refusal> {
        let refused = |reason: String| Refusal::TokenRefused(reason.into());
        let error = status.error.filter(|error| !error.is_empty());
        if let Some(error) = error {
            return Err(refused(format!(
                "the API server could not check the token: {}",
                printable(&error, token)
            )));
        }
        if status.authenticated != Some(true) {
            return Err(refused("the API server does not know the token".to_owned()));
        }
        let audiences = status.audiences.unwrap_or_default();
        if audiences.is_empty() {
            // Then the token is one for the API server itself, and whoever sees it could pass it on to us.
            return Err(refused(
                "the token names no audience, or the authenticator does not look at audiences".to_owned(),
            ));
        }
        if !audiences.iter().any(|audience| self.audiences.contains(audience)) {
            let audiences = printable(&audiences.join(", "), token);
            return Err(refused(format!("the token is meant for others: {audiences}")));
        }
        let user = status.user.unwrap_or_default();
        if user.username.as_deref().unwrap_or_default().is_empty() {
            return Err(refused("the API server names no user".to_owned()));
        }
        Ok(user)
    }

    async fn access_review(
        &self,
        user: &UserInfo,
        access: Access,
        token: &Token,
    ) -> Result<SubjectAccessReviewStatus, Undecided> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username.clone(),
                uid: user.uid.clone(),
                groups: user.groups.clone(),
                extra: user.extra.clone().map(BTreeMap::from_iter),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(access.verb.to_owned()),
                    group: Some(access.group.to_owned()),
                    resource: Some(access.resource.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = self.create("authorization.k8s.io", &review, token).await?;
        answer.status.ok_or_else(no_status::<SubjectAccessReview>)
    }

    /// Posts a review and reads the same review, answered. Without kube's own reading of answers: it logs those that
    /// it does not understand, and a token review repeats the token.
    async fn create<R>(&self, group: &str, review: &R, token: &Token) -> Result<R, Undecided>
    where
        R: Resource + Serialize + DeserializeOwned,
    {
        let unreachable = |reason: String| Undecided::Unreachable {
            review: R::KIND,
            reason: printable(&reason, token),
        };
        let malformed = |reason: String| Undecided::Malformed {
            review: R::KIND,
            reason: printable(&reason, token),
        };
        let body = serde_json::to_vec(review).map_err(|error| unreachable(chain(&error)))?;
        let request = Request::post(format!("/apis/{group}/{}/{}", R::VERSION, R::URL_PATH_SEGMENT))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(Body::from(body))
            .map_err(|error| unreachable(chain(&error)))?;
        let response = self.client.send(request).await;
        let response = response.map_err(|error| unreachable(chain(&error)))?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await;
        if !status.is_success() {
            let message = answer
                .map(|answer| status_message(&answer.to_bytes()))
                .unwrap_or_default();
            return Err(Undecided::Status {
                review: R::KIND,
                status: status.as_u16(),
                message: printable(&message, token),
            });
        }
        let answer = answer.map_err(|error| malformed(chain(&*error)))?.to_bytes();
        serde_json::from_slice(&answer).map_err(|error| malformed(chain(&error)))
    }
}

fn allowed(
    status: SubjectAccessReviewStatus,
    access: Access,
    username: &str,
    token: &Token,
) -> Result<(), Refusal> {
    let denied = status.denied == Some(true);
    if status.allowed && !denied {
        return Ok(());
    }
    if let Some(error) = status
        .evaluation_error
        .filter(|error| !denied && !error.is_empty())
    {
        return Err(Undecided::NoOpinion {
            access,
            username: username.to_owned(),
            error: printable(&error, token),
        }
        .into());
    }
    let reason = status.reason.unwrap_or_default();
    let reason = printable(&reason, token);
    Err(Refusal::Forbidden(
        format!("{username:?} is not allowed {access}: {reason:?}").into(),
    ))
}

fn no_status<R: Resource>() -> Undecided {
    Undecided::Malformed {
        review: R::KIND,
        reason: "it has no status".to_owned(),
    }
}

/// The message of a `Status`, or the whole text.
fn status_message(body: &[u8]) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|status| status.get("message")?.as_str().map(str::to_owned));
    message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// A text of the other side as our log may have it.
fn printable(text: &str, token: &Token) -> String {
    let text = token.scrub(text);
    match text.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// Where the API server is: the kubeconfig named, or the pod's service account, or the user's kubeconfig.
///
/// The variables by which kube lets a debugger send requests elsewhere are not looked at.
async fn cluster(kubeconfig: &Path) -> Result<Config, AuthError> {
    let options = KubeConfigOptions::default();
    if !kubeconfig.as_os_str().is_empty() {
        let unusable = |source| AuthError::Kubeconfig {
            path: kubeconfig.to_owned(),
            source,
        };
        let file = Kubeconfig::read_from(kubeconfig).map_err(unusable)?;
        return Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(unusable);
    }
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(in_cluster) => {
            Config::from_kubeconfig(&options)
                .await
                .map_err(|kubeconfig| AuthError::NoCluster {
                    in_cluster,
                    kubeconfig,
                })
        }
    }
}

/// kube's client, without its retries, which would multiply the load on an API server in trouble and outlast our
/// timeout, and without its own log of failures, which would tell each of them a second time.
fn client(cluster: &Config, connections: usize, timeout: Duration) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(timeout));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_nodelay(true);
    let connector = cluster.rustls_https_connector_with_connector(tcp)?;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_max_idle_per_host(connections)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(cluster.base_uri_layer())
        .option_layer(cluster.auth_layer()?)
        .layer(cluster.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, cluster.default_namespace.clone()))
}
