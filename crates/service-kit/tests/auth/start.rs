//! What an authenticator refuses to start with, and where a server listens with it.

use std::time::Duration;

use service_kit::{
    auth::{AuthConfig, AuthMode, Authenticator, VerdictKeys},
    config::Loader,
    server::{ListenError, Server, ServerConfig},
};
use testkit::ApiServer;

use crate::service::config;

async fn refusal(config: AuthConfig) -> String {
    let made = Authenticator::from_config(&config, VerdictKeys::seeded(1)).await;
    made.unwrap_err().to_string()
}

#[tokio::test]
async fn what_would_let_the_wrong_ones_in_is_refused_at_start() {
    let api_server = ApiServer::start().await;
    for audiences in [
        vec![],
        vec![String::new()],
        vec!["kubernaut".to_owned(), String::new()],
    ] {
        let error = refusal(AuthConfig {
            audiences,
            ..config(&api_server)
        })
        .await;
        assert!(
            error.starts_with("`auth.audiences` is empty or has an empty entry: name the audience"),
            "{error}"
        );
    }
    let kubeconfig = api_server.kubeconfig_to("http://127.0.0.1:8001");
    let error = refusal(AuthConfig {
        kubeconfig,
        ..config(&api_server)
    })
    .await;
    assert!(
        error.contains("the API server http://127.0.0.1:8001/ would be asked without TLS"),
        "{error}"
    );

    let unchecked = config(&api_server);
    let text = std::fs::read_to_string(&unchecked.kubeconfig).unwrap();
    let text = text.replace(
        "cluster: {server",
        "cluster: {insecure-skip-tls-verify: true, server",
    );
    std::fs::write(&unchecked.kubeconfig, text).unwrap();
    let error = refusal(unchecked).await;
    assert!(error.contains("or without checking its certificate"), "{error}");
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_start_by_name() {
    let api_server = ApiServer::start().await;
    let error = refusal(AuthConfig {
        review_timeout: Duration::ZERO,
        ..config(&api_server)
    })
    .await;
    assert_eq!(
        error,
        "`auth.review_timeout` is zero: no review would ever succeed"
    );
    let kubeconfig = "/nowhere/kubeconfig".into();
    let error = refusal(AuthConfig {
        kubeconfig,
        ..config(&api_server)
    })
    .await;
    assert!(
        error.starts_with(r#"`auth.kubeconfig` names "/nowhere/kubeconfig", which cannot be used: "#),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_listens_where_others_reach_it_only_with_authentication() {
    let api_server = ApiServer::start().await;
    let everywhere = || ServerConfig {
        api_address: "0.0.0.0:0".parse().unwrap(),
        ..ServerConfig::ephemeral()
    };
    let disabled = AuthConfig {
        mode: AuthMode::Disabled,
        ..config(&api_server)
    };
    let disabled = Authenticator::from_config(&disabled, VerdictKeys::seeded(1))
        .await
        .unwrap();
    let refused = Server::bind(everywhere(), &disabled);
    assert!(matches!(refused, Err(ListenError::NotLoopback { .. })));
    let enabled = Authenticator::from_config(&config(&api_server), VerdictKeys::seeded(1))
        .await
        .unwrap();
    assert!(Server::bind(everywhere(), &enabled).is_ok());
}

#[test]
fn every_key_is_required_and_zero_places_are_refused() {
    const DEFAULTS: &str = r#"
        mode = "disabled"
        audiences = []
        kubeconfig = ""
        cache_ttl = "10s"
        cache_entries = 4096
        max_reviews_in_flight = 16
        max_reviews_waiting = 256
        review_timeout = "3s"
    "#;
    let load = |text: &str, variable: &str, value: &str| {
        Loader::new(text)
            .environment("KIT", [(variable.into(), value.into())])
            .load::<AuthConfig>()
            .map_err(|error| error.to_string())
    };
    let config = load(DEFAULTS, "KIT__MODE", "kubernetes").unwrap();
    assert_eq!(config.mode, AuthMode::Kubernetes);
    for (variable, value) in [
        ("KIT__MODE", "off"),
        ("KIT__CACHE_ENTRIES", "0"),
        ("KIT__MAX_REVIEWS_IN_FLIGHT", "0"),
        ("KIT__REVIEW_TIMEOUT", "3"),
    ] {
        let error = load(DEFAULTS, variable, value).unwrap_err();
        assert!(error.contains(variable), "{error}");
    }
    for key in DEFAULTS.lines().filter(|line| !line.trim().is_empty()) {
        let error = load(&DEFAULTS.replace(key, ""), "KIT__", "").unwrap_err();
        assert!(!error.is_empty(), "{key}");
    }
}
