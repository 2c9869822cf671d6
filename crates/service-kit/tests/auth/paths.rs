//! No spelling of a path leads around the guard.

use testkit::ApiServer;

use crate::service::{PATH, Service, bearer};

#[tokio::test]
async fn no_spelling_of_a_path_gets_in_without_a_token() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    let service = Service::start(&api_server).await;
    // With the status that an authorised caller gets: so it is the guard that refuses the others.
    for (target, authorised) in [
        (PATH, 200),
        ("/api/v1/audit/remediation?a=/healthz", 200),
        ("http://kit/api/v1/audit/remediation", 200),
        ("http://kit/healthz/../api/v1/audit/remediation", 404),
        ("/api/v1/audit/remediation/", 404),
        ("/api/v1/audit/../audit/remediation", 404),
        ("/api/v1/audit/./remediation", 404),
        ("/healthz/../api/v1/audit/remediation", 404),
        ("/healthz/%2e%2e/api/v1/audit/remediation", 404),
        ("/healthz/", 404),
        ("//api/v1/audit/remediation", 404),
        ("/api//v1/audit/remediation", 404),
        ("/api/v1/audit%2Fremediation", 404),
        ("/api/v1/audit/%72emediation", 404),
        ("/api/v1/audit/remediation%00", 404),
        ("/api/v1/audit/remediation;/healthz", 404),
        ("/API/V1/AUDIT/REMEDIATION", 404),
        ("/", 404),
        ("/metrics", 404),
        ("*", 404),
    ] {
        let request = |headers: &str| format!("POST {target} HTTP/1.1\r\nhost: kit\r\n{headers}\r\n");
        let handled = service.handled();
        let reply = service.send(&request("")).await;
        // `*` is for OPTIONS only: hyper may refuse it before anything of ours sees it.
        let refused = if target == "*" { [400, 401] } else { [401, 401] };
        assert!(refused.contains(&reply.status()), "{target}: {}", reply.status());
        assert_eq!(service.handled(), handled, "{target}");
        if target != "*" {
            assert_eq!(
                service.send(&request(&bearer("good"))).await.status(),
                authorised,
                "{target}"
            );
        }
    }
}

#[tokio::test]
async fn no_method_gets_in_without_a_token() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    let service = Service::start(&api_server).await;
    for (method, authorised) in [
        ("POST", 200),
        ("GET", 405),
        ("HEAD", 405),
        ("OPTIONS", 405),
        ("PUT", 405),
        ("DELETE", 405),
        ("TRACE", 405),
        ("BREW", 405),
        ("post", 405),
    ] {
        let request = |headers: &str| format!("{method} {PATH} HTTP/1.1\r\nhost: kit\r\n{headers}\r\n");
        let override_method = "x-http-method-override: POST\r\n";
        assert_eq!(service.send(&request("")).await.status(), 401, "{method}");
        assert_eq!(
            service.send(&request(override_method)).await.status(),
            401,
            "{method}"
        );
        assert_eq!(
            service.send(&request(&bearer("good"))).await.status(),
            authorised,
            "{method}"
        );
    }
    assert_eq!(service.handled(), 1);
}

#[tokio::test]
async fn probes_need_neither_token_nor_api_server() {
    let mut api_server = ApiServer::start().await;
    let service = Service::start(&api_server).await;
    api_server.stop().await;
    for path in ["/healthz", "/readyz"] {
        let reply = service
            .send(&format!("GET {path} HTTP/1.1\r\nhost: kit\r\n\r\n"))
            .await;
        assert_eq!(reply.status(), 200, "{path}");
    }
}
