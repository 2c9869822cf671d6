//! What is too much is refused before it costs anything, and says when to come back.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::app::App;

#[tokio::test]
async fn by_default_1500_requests_pass_at_once_and_then_1000_a_second_whatever_is_asked_for() {
    // A path that is refused for its parameter costs as much as any, and no time.
    let asked = ["/api/v1/incidents/none", "/api/v1/incidents?limit=none"];
    let app = App::configured(|_| {}).await;
    for index in 0..1_500 {
        let answer = app.get(asked[index % 2]).await;
        assert_eq!(answer.status, 400, "{index}");
        let left = answer.headers["ratelimit"].to_str().unwrap();
        let expected = format!(r#""replica";r={};t=1"#, 1_499 - index);
        assert!(left.contains(&expected), "{left}");
    }
    for path in asked {
        let refused = app.get(path).await;
        assert_eq!(refused.status, 429, "{path}");
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(
            refused.body["type"],
            "https://kubernaut.ai/problems/too-many-requests"
        );
        let policy = refused.headers["ratelimit-policy"].to_str().unwrap();
        assert!(policy.contains(r#""replica";q=1500;w=2"#), "{policy}");
    }
    app.steady.advance(Duration::from_millis(1));
    assert_eq!(app.get(asked[0]).await.status, 400);
    assert_eq!(app.get(asked[1]).await.status, 429);
}

#[tokio::test]
async fn an_unknown_path_and_the_contract_cost_nothing() {
    let app = App::configured(|config| {
        config.rate_limit.per_second = NonZeroU32::MIN;
        config.rate_limit.burst = NonZeroU32::MIN;
    })
    .await;
    for _ in 0..5 {
        assert_eq!(app.get("/api/v1/unknown").await.status, 404);
        assert_eq!(app.get("/openapi.json").await.status, 200);
    }
    assert_eq!(app.get("/api/v1/incidents").await.status, 200);
    assert_eq!(app.get("/api/v1/incidents").await.status, 429);
}
