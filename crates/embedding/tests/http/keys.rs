//! The key reaches the provider and nobody else.

use std::fs;

use embedding::{ApiKey, EmbedError};
use testkit::embedding_server::Reply;

use crate::provider::{embed, embedder, is_vector_of, provider, provider_with, unavailable};

const KEY: &str = "sk-hunter2";

#[tokio::test]
async fn a_key_is_sent_as_a_bearer_token() {
    let (server, embedder) = provider_with(|options| options.api_key = Some(ApiKey::new(KEY))).await;
    embed(&embedder, "disk full").await.unwrap();
    assert_eq!(server.requests()[0].key(), Some(KEY));
}

#[tokio::test]
async fn a_key_that_is_rotated_in_its_file_is_used_from_the_next_request_on() {
    let directory = tempfile::tempdir().unwrap();
    // As Kubernetes does it: the file is a link into a directory that is exchanged whole.
    let write = |version: &str, key: &str| {
        let target = directory.path().join(version);
        fs::create_dir(&target).unwrap();
        fs::write(target.join("key"), format!("{key}\n")).unwrap();
        let link = directory.path().join("..data_tmp");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fs::rename(&link, directory.path().join("..data")).unwrap();
    };
    write("1", "first");
    let file = directory.path().join("..data").join("key");
    let (server, embedder) = provider_with(|options| options.api_key_file = Some(file.clone())).await;

    embed(&embedder, "a").await.unwrap();
    write("2", "second");
    embed(&embedder, "b").await.unwrap();
    let requests = server.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.key()).collect();
    assert_eq!(keys, [Some("first"), Some("second")]);

    // Without the file nothing is asked, and nothing is said about the text.
    fs::remove_file(directory.path().join("2").join("key")).unwrap();
    let reason = unavailable(&embed(&embedder, "c").await);
    assert!(
        reason.starts_with("the API key cannot be read from ") && reason.contains("No such file"),
        "{reason}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    let (server, embedder) = provider_with(|options| options.api_key_file = Some(file.clone())).await;
    for (content, reason) in [
        ("", "the API key is empty"),
        (" \n", "the API key is empty"),
        (
            "two\nlines",
            "the API key has characters that no header can carry",
        ),
    ] {
        fs::write(&file, content).unwrap();
        assert_eq!(unavailable(&embed(&embedder, "disk full").await), reason);
    }
    fs::write(&file, vec![b'x'; 20_000]).unwrap();
    let reason = unavailable(&embed(&embedder, "disk full").await);
    assert!(reason.ends_with("it has more than 16384 bytes"), "{reason}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn no_error_quotes_the_key() {
    let (server, _) = provider().await;
    for status in [400, 401, 403, 404, 422] {
        let embedder = embedder(&server, |options| options.api_key = Some(ApiKey::new(KEY)));
        let echo = Reply::raw(status, "text/plain", format!("bad key {KEY}, you know"));
        server.then(echo.clone());
        let error = embed(&embedder, "disk full").await.unwrap_err();
        let told = format!("{error} {error:?} {embedder:?}");
        assert!(!told.contains("hunter2"), "{told}");
        // Of these nothing is quoted, since providers like to repeat a part of the key.
        assert_eq!(
            told.contains("bad key ***, you know"),
            ![401, 403].contains(&status),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_no_fault_of_the_text() {
    let (server, embedder) = provider_with(|options| options.api_key = Some(ApiKey::new(KEY))).await;
    for (status, reason) in [(401, "401 Unauthorized"), (403, "403 Forbidden")] {
        server.then(Reply::status(status));
        assert_eq!(unavailable(&embed(&embedder, "disk full").await), reason);
    }
    assert_eq!(server.requests().len(), 2);
    is_vector_of(&server, "disk full", &embed(&embedder, "disk full").await);
    assert!(!EmbedError::Stopped.is_permanent());
}
