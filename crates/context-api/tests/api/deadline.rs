//! A request that is given up leaves nothing behind in the database.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::request;

use crate::app::App;
use crate::service::{lock, wait_until, waiting};

/// Much less than a statement may take by the default configuration, which is 10 s.
const DEADLINE: Duration = Duration::from_millis(600);
const MUCH_LESS: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_the_database_was_asked_ends_with_the_deadline_of_the_request() {
    let app = App::configured(|config| config.requests.deadline = DEADLINE).await;
    let store = app.database.store().await;
    let locked = lock(&store).await;
    for is_search in [false, true] {
        let began = Instant::now();
        let asked = async {
            if is_search {
                let body = json!({"description": "out of memory"});
                request::post(&app.router, "/api/v1/context/match", &body).await
            } else {
                app.get("/api/v1/incidents").await
            }
        };
        let watched = wait_until("the statement", async || waiting(&store).await == 1);
        let (answer, ()) = tokio::join!(asked, watched);
        assert_eq!(answer.status, 504, "{}", answer.body);
        let answered = began.elapsed();
        assert!(answered < MUCH_LESS, "answered after {answered:?}");
        wait_until("its end", async || waiting(&store).await == 0).await;
        let ended = began.elapsed();
        assert!(ended < MUCH_LESS, "ended after {ended:?}");
    }
    locked.rollback().await.unwrap();
    assert_eq!(app.get("/api/v1/incidents").await.status, 200);
}
