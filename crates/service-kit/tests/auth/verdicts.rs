//! Who gets in, and who does not.

use axum::{body::Body, http::Request};
use serde_json::json;
use service_kit::auth::{Authenticator, VerdictKeys};
use testkit::{Answer, ApiServer, request};

use crate::service::{PATH, Service, bearer, config, invalid_token, two_accesses};

#[tokio::test]
async fn a_caller_with_a_role_gets_in_and_the_handler_knows_who_it_is() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "system:serviceaccount:shop:gateway");
    let service = Service::start(&api_server).await;
    let reply = service.post_as("good").await;
    assert_eq!(
        (reply.status(), reply.json()),
        (
            200,
            json!({
                "username": "system:serviceaccount:shop:gateway",
                "uid": "uid of system:serviceaccount:shop:gateway",
                "groups": ["system:authenticated"],
                "seesToken": false,
            })
        )
    );
    let [review] = &api_server.token_reviews()[..] else {
        panic!("one review")
    };
    assert_eq!(review.credential, "own-token");
    assert_eq!(
        review.review,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": "good", "audiences": ["kubernaut", "kubernaut.example"]},
        })
    );
    let [review] = &api_server.access_reviews()[..] else {
        panic!("one review")
    };
    assert_eq!(review.credential, "own-token");
    assert_eq!(
        review.review,
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {
                "user": "system:serviceaccount:shop:gateway",
                "uid": "uid of system:serviceaccount:shop:gateway",
                "groups": ["system:authenticated"],
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["pod of system:serviceaccount:shop:gateway"],
                },
                "resourceAttributes": {"verb": "create", "group": "kubernaut.ai", "resource": "auditrecords"},
            },
        })
    );
}

#[tokio::test]
async fn requests_without_a_well_formed_token_are_refused_before_anybody_is_asked() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    let service = Service::start(&api_server).await;
    let long = "a".repeat(16 * 1024 + 1);
    let (no_token, several, malformed) = (
        "Bearer",
        r#"Bearer error="invalid_request""#,
        r#"Bearer error="invalid_token""#,
    );
    for (headers, challenge) in [
        (String::new(), no_token),
        ("authorization: \r\n".to_owned(), no_token),
        ("authorization: Basic Z29vZDpnb29k\r\n".to_owned(), no_token),
        ("authorization: good\r\n".to_owned(), no_token),
        ("proxy-authorization: Bearer good\r\n".to_owned(), no_token),
        ("cookie: authorization=Bearer good\r\n".to_owned(), no_token),
        (bearer("good").repeat(2), several),
        (bearer("good") + "Authorization: Basic Z29vZDpnb29k\r\n", several),
        (bearer(""), malformed),
        (bearer("good, good"), malformed),
        (bearer("good\u{e9}"), malformed),
        (bearer(&long), malformed),
    ] {
        let reply = service.post(&headers).await;
        let expected = (401, "unauthenticated".to_owned(), Some(challenge.to_owned()));
        assert_eq!(reply.verdict(), expected, "{headers:?}");
        // Refusals pass the boundary like every answer.
        assert_eq!(reply.header("x-request-id"), reply.json()["requestId"].as_str());
        assert_eq!(reply.json()["instance"], PATH);
    }
    let in_the_query = format!("POST {PATH}?access_token=good HTTP/1.1\r\nhost: kit\r\n\r\n");
    assert_eq!(service.send(&in_the_query).await.status(), 401);
    assert_eq!((service.handled(), api_server.token_reviews().len()), (0, 0));
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    let service = Service::start(&api_server).await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let reply = service.post(&format!("AUTHORIZATION: {scheme} good\r\n")).await;
        assert_eq!(reply.status(), 200, "{scheme}");
    }
}

#[tokio::test]
async fn a_token_that_does_not_prove_the_caller_to_us_is_refused() {
    let api_server = ApiServer::start().await;
    api_server.on_user("alice", Answer::allowed());
    let service = Service::start(&api_server).await;
    let user = json!({"username": "alice", "groups": ["system:masters"]});
    let ours = json!(["kubernaut"]);
    for (name, status) in [
        ("not authenticated", json!({"authenticated": false})),
        ("nothing said", json!({})),
        (
            "not authenticated, with a user",
            json!({"authenticated": false, "user": user, "audiences": ours}),
        ),
        (
            "expired",
            json!({"authenticated": false, "error": "[invalid bearer token, token has expired]"}),
        ),
        (
            "authenticated with an error",
            json!({"authenticated": true, "user": user, "audiences": ours, "error": "webhook is away"}),
        ),
        (
            "another audience",
            json!({"authenticated": true, "user": user, "audiences": ["https://kubernetes.default.svc"]}),
        ),
        (
            "audience in another case",
            json!({"authenticated": true, "user": user, "audiences": ["Kubernaut"]}),
        ),
        (
            "empty audiences",
            json!({"authenticated": true, "user": user, "audiences": []}),
        ),
        ("no audiences", json!({"authenticated": true, "user": user})),
        ("no user", json!({"authenticated": true, "audiences": ours})),
        (
            "empty user",
            json!({"authenticated": true, "user": {"username": ""}, "audiences": ours}),
        ),
    ] {
        api_server.on_token("token", Answer::status(status));
        let reply = service.post_as("token").await;
        assert_eq!(reply.verdict(), invalid_token(), "{name}");
        assert_eq!(
            reply.detail(),
            "The token is not accepted: it may have expired, or be meant for another audience."
        );
    }
    assert_eq!(service.post_as("garbage").await.verdict(), invalid_token());
    assert_eq!((service.handled(), api_server.access_reviews().len()), (0, 0));

    // One of several audiences is enough.
    let audiences = json!(["https://kubernetes.default.svc", "kubernaut.example"]);
    let status = json!({"authenticated": true, "user": user, "audiences": audiences});
    api_server.on_token("token", Answer::status(status));
    assert_eq!(service.post_as("token").await.status(), 200);
}

#[tokio::test]
async fn a_caller_without_the_role_is_forbidden_and_reads_what_is_missing() {
    let api_server = ApiServer::start().await;
    let service = Service::start(&api_server).await;
    api_server.on_token("other", Answer::user("system:serviceaccount:shop:other"));
    for status in [
        json!({}),
        json!({"allowed": false}),
        json!({"allowed": false, "reason": "no secret reason"}),
        json!({"allowed": false, "denied": true}),
        json!({"allowed": false, "denied": true, "evaluationError": "one of several authorizers is away"}),
        json!({"allowed": true, "denied": true}),
    ] {
        api_server.on_user("system:serviceaccount:shop:other", Answer::status(status.clone()));
        let reply = service.post_as("other").await;
        assert_eq!(reply.status(), 403, "{status}");
        let mut body = reply.json();
        body.as_object_mut().unwrap().remove("requestId").unwrap();
        assert_eq!(
            body,
            json!({
                "type": "https://kubernaut.ai/problems/forbidden",
                "title": "The caller may not do this",
                "status": 403,
                "detail": "The caller lacks a role that grants `create` on `auditrecords` in API group `kubernaut.ai`.",
                "instance": PATH,
            })
        );
        assert_eq!(
            reply.header("www-authenticate"),
            Some(r#"Bearer error="insufficient_scope""#)
        );
    }
    assert_eq!(service.handled(), 0);

    // An error on the way to a role does not take the role away.
    let status = json!({"allowed": true, "evaluationError": "a role that is bound does not exist"});
    api_server.on_user("system:serviceaccount:shop:other", Answer::status(status));
    assert_eq!(service.post_as("other").await.status(), 200);
}

#[tokio::test]
async fn headers_that_name_a_user_mean_nothing() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    api_server.on_user("root", Answer::allowed());
    api_server.on_token("other", Answer::user("mallory"));
    let service = Service::start(&api_server).await;
    let spoofed = "impersonate-user: root\r\nimpersonate-group: system:masters\r\nimpersonate-uid: 0\r\n\
                   x-remote-user: root\r\nx-remote-group: system:masters\r\nx-forwarded-user: root\r\n\
                   x-forwarded-client-cert: Subject=root\r\n";
    assert_eq!(service.post(spoofed).await.status(), 401);
    let others = service.post(&(bearer("other") + spoofed)).await;
    assert_eq!(others.status(), 403);
    let reply = service.post(&(bearer("good") + spoofed)).await;
    assert_eq!(reply.json()["username"], "alice");
    assert_eq!(reply.json()["groups"], json!(["system:authenticated"]));
    let asked: Vec<_> = api_server
        .access_reviews()
        .iter()
        .map(|request| request.review["spec"]["user"].clone())
        .collect();
    assert_eq!(asked, ["mallory", "alice"]);
}

#[tokio::test]
async fn each_access_has_its_own_verdict() {
    let api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    let authenticator = Authenticator::from_config(&config(&api_server), VerdictKeys::seeded(1))
        .await
        .unwrap();
    let router = two_accesses(&authenticator);
    let send = |method, path, token| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let router = &router;
        async move { request::send(router, request).await.status.as_u16() }
    };
    assert_eq!(send("POST", "/write", "good").await, 200);
    // That alice may write does not mean that she may read.
    api_server.on_user("alice", Answer::no_role());
    assert_eq!(send("GET", "/read", "good").await, 403);
    assert_eq!(send("POST", "/write", "good").await, 200);
    assert_eq!(send("GET", "/read", "bad").await, 401);
    assert_eq!(send("GET", "/nothing", "bad").await, 404);
    let asked: Vec<_> = api_server
        .access_reviews()
        .iter()
        .map(|request| request.review["spec"]["resourceAttributes"].clone())
        .collect();
    assert_eq!(
        asked,
        [
            json!({"verb": "create", "group": "kubernaut.ai", "resource": "auditrecords"}),
            json!({"verb": "list", "group": "kubernaut.ai", "resource": "incidents"}),
        ]
    );
}

#[tokio::test]
async fn a_refusal_is_read_even_by_a_client_that_sends_a_large_body_first() {
    let api_server = ApiServer::start().await;
    let service = Service::start(&api_server).await;
    // More than the sockets buffer: if it were not read, a reset would overtake the answer.
    let body = "x".repeat(4_000_000);
    let reply = service
        .post(&format!("content-length: {}\r\n\r\n{body}", body.len()))
        .await;
    assert_eq!(reply.status(), 401);
}

#[tokio::test]
async fn without_authentication_everybody_is_anonymous() {
    let service = Service::with(Authenticator::disabled()).await;
    for headers in [
        String::new(),
        bearer("good"),
        "x-remote-user: root\r\n".to_owned(),
    ] {
        let reply = service.post(&headers).await;
        assert_eq!(
            reply.json(),
            json!({
                "username": "system:anonymous", "uid": "", "groups": ["system:unauthenticated"], "seesToken": false,
            })
        );
    }
    assert_eq!(service.metrics(), [""; 0]);
}
