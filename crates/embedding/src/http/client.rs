//! One request, and what became of it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Response, StatusCode, Url};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::InvalidAnswer;

use super::answer::{self, Judged};
use super::api_key::{Authorization, KeySource};
use super::backoff;
use super::options::{HttpOptions, InvalidOptions};
use super::shorten;

/// Long enough for two lost packets: a first SYN is sent again after one second and after three.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What one component may take in an answer: a 64-bit float with all its digits, indented, on a line of its own.
const COMPONENT_BYTES: usize = 64;
/// What everything else in an answer may take.
const ENVELOPE_BYTES: usize = 64 * 1024;
/// How much of the explanation of an error is read.
const EXPLANATION_BYTES: usize = 4 * 1024;

/// Makes requests to one provider.
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    key: KeySource,
    model: String,
    dimension: usize,
    send_dimension: bool,
    timeout: Duration,
}

/// Why a request brought no vectors.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The provider is well, but does not take these texts, or one of them.
    Refused(String),
    /// It may have passed when the same request is made again.
    Passing {
        reason: String,
        /// How long the provider asks to be left alone.
        advice: Option<Duration>,
        /// It works and only has too much to do.
        is_well: bool,
    },
    /// Somebody has to do something about it.
    Lasting(String),
    /// The provider answered, but with no vectors for these texts.
    Unusable(InvalidAnswer),
}

impl Failure {
    fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            advice: None,
            is_well: false,
        }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

impl Client {
    pub(super) fn new(options: &HttpOptions) -> Result<Self, InvalidOptions> {
        options.check()?;
        let endpoint = options.endpoint()?;
        let key = match (&options.api_key, &options.api_key_file) {
            (_, Some(file)) => KeySource::File(file.clone()),
            (Some(key), None) => KeySource::Value(key.clone()),
            (None, None) => KeySource::None,
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&endpoint, options.ca_file.as_deref())?)
            // Where requests go is configured here and nowhere else: not in the environment, not by the provider.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Every request is counted, by the breaker too.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .user_agent("kubernaut")
            .build()
            .map_err(|error| InvalidOptions::new("url", format!("cannot be used: {}", causes(&error))))?;
        Ok(Self {
            http,
            endpoint,
            key,
            model: options.model.clone(),
            dimension: options.dimension,
            send_dimension: options.send_dimension,
            timeout: options.timeout,
        })
    }

    /// A judged vector for each text, in their order, by the deadline.
    pub(super) async fn post(&self, texts: &[String], deadline: Instant) -> Result<Vec<Judged>, Failure> {
        // Either may be put right while we run: the file by whoever rotates the key.
        let authorization = self.key.authorization().await.map_err(Failure::Lasting)?;
        let timeout = self
            .timeout
            .min(deadline.saturating_duration_since(Instant::now()));
        let request = self
            .http
            .post(self.endpoint.clone())
            .timeout(timeout)
            .json(&Request {
                model: &self.model,
                input: texts,
                encoding_format: "float",
                dimensions: self.send_dimension.then_some(self.dimension),
            });
        let request = match &authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.header.clone()),
            None => request,
        };
        let lost = |error: reqwest::Error| {
            Failure::passing(if error.is_timeout() && !error.is_connect() {
                format!("no answer within {timeout:?}")
            } else {
                shorten(&causes(&error.without_url()))
            })
        };
        let mut response = request.send().await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(failure(response, authorization.as_ref()).await);
        }
        require_json(&response)?;
        let components = texts.len().saturating_mul(self.dimension);
        let limit = components
            .saturating_mul(COMPONENT_BYTES)
            .saturating_add(ENVELOPE_BYTES);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > limit {
                return Err(Failure::Lasting(format!("an answer of more than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        answer::vectors(&body, texts.len(), self.dimension).map_err(Failure::Unusable)
    }
}

/// Trusts the authorities of the file and nobody else, or those of the system.
///
/// The provider of the cryptography is named, so that it does not depend on what else the process has set up.
fn tls(endpoint: &Url, ca_file: Option<&Path>) -> Result<ClientConfig, InvalidOptions> {
    let invalid = |problem: String| InvalidOptions::new("ca_file", problem);
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(format!("cannot be used: {error}")))?;
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        let unusable = |error: &dyn Error| invalid(format!("({}) cannot be used: {error}", file.display()));
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(invalid(format!(
                "({}) holds no certificate in PEM",
                file.display()
            )));
        }
    } else if endpoint.scheme() == "https" {
        return Ok(builder
            .with_platform_verifier()
            .map_err(|error| {
                invalid(format!(
                    "must be given, since this system knows no certificate authorities: {error}"
                ))
            })?
            .with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What an answer other than 200 says.
async fn failure(response: Response, authorization: Option<&Authorization>) -> Failure {
    let status = response.status();
    let advice = backoff::advice(response.headers());
    let reason = match status {
        // These may quote the key.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => status.to_string(),
        _ => match explanation(response).await {
            Some(text) => {
                let text = authorization.map_or(text.clone(), |authorization| authorization.mask(&text));
                format!("{status}: {}", shorten(&text))
            }
            None => status.to_string(),
        },
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Failure::Refused(reason)
        }
        StatusCode::TOO_MANY_REQUESTS => Failure::Passing {
            reason,
            advice,
            is_well: advice.is_some(),
        },
        StatusCode::SERVICE_UNAVAILABLE => Failure::Passing {
            reason,
            advice,
            is_well: false,
        },
        status if status.is_server_error() => Failure::passing(reason),
        _ => Failure::Lasting(reason),
    }
}

/// What the provider says about an error, in the fields where providers say it, or else the beginning of the body.
async fn explanation(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < EXPLANATION_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(EXPLANATION_BYTES);
    let text = match serde_json::from_slice::<Value>(&body) {
        Ok(json) => ["/error/message", "/error", "/message", "/detail"]
            .iter()
            .find_map(|pointer| json.pointer(pointer)?.as_str().map(str::to_owned))
            .unwrap_or_else(|| json.to_string()),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// Refuses what cannot be read as JSON before any of it is read.
fn require_json(response: &Response) -> Result<(), Failure> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    // None was asked for.
    if let Some(encoding) =
        header(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Err(Failure::Lasting(format!(
            "an answer with the encoding {}",
            shorten(encoding)
        )));
    }
    let media_type = header(CONTENT_TYPE).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Failure::Lasting(format!(
            "an answer of the media type {:?}, not JSON",
            shorten(media_type)
        )))
    }
}

/// An error and its causes in one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
