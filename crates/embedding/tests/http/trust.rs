//! Whom the client talks to, and whom it believes.

use embedding::{Embedder, HttpOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use testkit::EmbeddingServer;

use crate::provider::{DIMENSION, embed, embedder, is_vector_of, options, unavailable};

fn refusal(change: impl FnOnce(&mut HttpOptions)) -> String {
    let mut options = HttpOptions::new("https://127.0.0.1:1", "m", "1", DIMENSION);
    change(&mut options);
    let error = Embedder::http(&options, StdRng::seed_from_u64(1)).unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted() {
    let server = EmbeddingServer::start_with_tls(DIMENSION).await;
    assert!(server.url().starts_with("https://"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, server.ca().unwrap()).unwrap();
    let embedder = embedder(&server, |options| options.ca_file = Some(file));
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn another_authority_is_not() {
    let server = EmbeddingServer::start_with_tls(DIMENSION).await;
    let stranger = EmbeddingServer::start_with_tls(DIMENSION).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, stranger.ca().unwrap()).unwrap();
    let embedder = embedder(&server, |options| {
        options.ca_file = Some(file);
        options.breaker_failures = 1;
    });
    let reason = unavailable(&embed(&embedder, "disk full").await);
    assert!(reason.contains("invalid peer certificate"), "{reason}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn without_a_file_the_system_decides() {
    let server = EmbeddingServer::start_with_tls(DIMENSION).await;
    let options = HttpOptions {
        breaker_failures: 1,
        ..options(&server)
    };
    match Embedder::http(&options, StdRng::seed_from_u64(1)) {
        Ok(embedder) => {
            let reason = unavailable(&embed(&embedder, "disk full").await);
            assert!(reason.contains("invalid peer certificate"), "{reason}");
        }
        // A system without a single authority.
        Err(error) => assert_eq!(error.key, "ca_file"),
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_file_without_certificates_is_refused_at_start() {
    let missing = refusal(|options| options.ca_file = Some("/nowhere/ca.pem".into()));
    assert!(
        missing.starts_with("`ca_file` (/nowhere/ca.pem) cannot be used: "),
        "{missing}"
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    assert_eq!(
        refusal(|options| options.ca_file = Some(file.clone())),
        format!("`ca_file` ({}) holds no certificate in PEM", file.display())
    );
    assert_eq!(
        refusal(|options| options.max_batch = 0),
        "`max_batch` must be at least 1"
    );
}
