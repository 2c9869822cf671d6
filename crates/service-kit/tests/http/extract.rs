//! Bodies, queries and paths through a router.

use std::time::Duration;

use axum::{body::Body, http::Request};
use futures::stream;
use serde_json::json;

use crate::app::App;

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn an_object_is_taken() {
    let answer = App::new().send(post("/json", r#"{"b": 1, "a": null}"#)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, r#"{"a":null,"b":1}"#)
    );
}

#[tokio::test]
async fn malformed_json_says_where() {
    App::new().send(post("/json", "{\n\"a\": }")).await.assert_problem(
        400,
        "malformed-json",
        "/json",
        &json!({"title": "The request body is not valid JSON", "detail": "expected value at line 2 column 6"}),
    );
}

#[tokio::test]
async fn no_object_is_a_violation() {
    App::new().send(post("/json", "[]")).await.assert_problem(
        400,
        "validation-error",
        "/json",
        &json!({
            "title": "The request body breaks rules",
            "detail": "The body breaks the rules listed in `errors`.",
            "errors": [{"pointer": "", "code": "type", "detail": "must be a JSON object"}],
        }),
    );
}

#[tokio::test]
async fn another_media_type_is_415() {
    let request = Request::post("/json")
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    App::new().send(request).await.assert_problem(
        415,
        "unsupported-media-type",
        "/json",
        &json!({
            "title": "Unsupported media type",
            "detail": "The body must be sent as `Content-Type: application/json`, in UTF-8.",
        }),
    );
}

#[tokio::test]
async fn a_compressed_body_is_415() {
    let mut request = post("/json", "{}");
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let answer = App::new().send(request).await;
    answer.assert_problem(
        415,
        "unsupported-media-type",
        "/json",
        &json!({"title": "Unsupported media type", "detail": "The body must not be compressed."}),
    );
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_413() {
    let app = App::new();
    assert_eq!(app.send(post("/bytes", "x".repeat(64))).await.text, "64");
    let answer = app.send(post("/bytes", "x".repeat(65))).await;
    answer.assert_problem(
        413,
        "payload-too-large",
        "/bytes",
        &json!({"title": "The request body is too large", "detail": "The body may have at most 64 bytes."}),
    );
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_408() {
    let never = Body::from_stream(stream::pending::<Result<&[u8], std::io::Error>>());
    App::new().send(post("/json", never)).await.assert_problem(
        408,
        "request-timeout",
        "/json",
        &json!({
            "title": "The request took too long to arrive",
            "detail": "The body did not arrive within 300ms.",
        }),
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let broken = stream::iter([Ok(&b"{"[..]), Err(std::io::Error::other("reset by 10.0.0.1"))]);
    App::new()
        .send(post("/json", Body::from_stream(broken)))
        .await
        .assert_problem(
            400,
            "incomplete-body",
            "/json",
            &json!({
                "title": "The request body is incomplete",
                "detail": "The body could not be read to its announced end.",
            }),
        );
}

#[tokio::test]
async fn query_parameters_are_read_strictly() {
    let app = App::new();
    assert_eq!(app.get("/things?limit=3").await.text, "3");
    app.get("/things?limit=1000&colour=red").await.assert_problem(
        400,
        "invalid-parameter",
        "/things",
        &json!({
            "title": "A parameter cannot be used",
            "detail": "The parameters listed in `errors` cannot be used.",
            "errors": [
                {"parameter": "limit", "code": "out-of-range", "detail": "must be an integer from 1 to 100"},
                {"parameter": "colour", "code": "unknown", "detail": "is unknown; known are `limit`"},
            ],
        }),
    );
}

#[tokio::test]
async fn path_ids_are_read_strictly() {
    let app = App::new();
    assert_eq!(app.get("/things/7").await.text, "seven");
    app.get("/things/8").await.assert_problem(
        404,
        "not-found",
        "/things/8",
        &json!({"title": "Not found", "detail": "There is no thing 8."}),
    );
    let refused = |name: &str, code: &str, detail: &str| {
        json!({
            "title": "A parameter cannot be used",
            "detail": "The parameters listed in `errors` cannot be used.",
            "errors": [{"parameter": name, "code": code, "detail": detail}],
        })
    };
    let no_id = refused(
        "id",
        "not-an-id",
        "must be a positive decimal number without sign or leading zeros",
    );
    for path in ["/things/07", "/things/-7", "/things/7%00", "/things/x"] {
        app.get(path)
            .await
            .assert_problem(400, "invalid-parameter", path, &no_id);
    }
    let no_text = refused("path", "invalid-encoding", "must be percent-encoded UTF-8");
    app.get("/things/%ff")
        .await
        .assert_problem(400, "invalid-parameter", "/things/%ff", &no_text);
}

#[tokio::test]
async fn bodies_together_have_room_until_their_requests_are_answered() {
    let app = App::new();
    let post = |path: &'static str, bytes: usize, declared: bool| {
        let chunk = Ok::<_, std::convert::Infallible>("x".repeat(bytes));
        let body = if declared {
            Body::from("x".repeat(bytes))
        } else {
            Body::from_stream(stream::iter([chunk]))
        };
        app.send(Request::post(path).body(body).unwrap())
    };
    let others = async {
        // The other two have read their bodies by now, and still work on them.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for declared in [true, false] {
            let refused = post("/bytes", 1, declared).await;
            assert_eq!(refused.status, 503);
            assert_eq!(refused.headers["retry-after"], "1");
        }
    };
    let (one, two, ()) = tokio::join!(post("/hold", 64, true), post("/hold", 64, false), others);
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    assert_eq!(post("/bytes", 64, true).await.status, 200);
}
