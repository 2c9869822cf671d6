//! The API server goes away and comes back.

use std::time::Duration;

use testkit::ApiServer;
use tokio::time;

use crate::service::{Service, assert_undecided};

/// Lets time pass for the service, without waiting for it.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

#[tokio::test]
async fn who_was_let_in_stays_so_for_the_time_to_live_and_all_recover_without_a_restart() {
    let mut api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    api_server.let_in("new", "bob");
    let service = Service::start(&api_server).await;
    assert_eq!(service.post_as("good").await.status(), 200);

    api_server.stop().await;
    assert_eq!(service.post_as("good").await.status(), 200);
    assert_undecided(&service.post_as("new").await, "a new token");
    pass(Duration::from_secs(10)).await;
    assert_undecided(&service.post_as("good").await, "after the time to live");
    assert_eq!(service.handled(), 2);

    api_server.start_again().await;
    assert_eq!(service.post_as("good").await.status(), 200);
    assert_eq!(service.post_as("new").await.status(), 200);
}

#[tokio::test]
async fn a_service_that_starts_before_the_api_server_lets_in_from_when_it_is_there() {
    let mut api_server = ApiServer::start().await;
    api_server.let_in("good", "alice");
    api_server.stop().await;
    let service = Service::start(&api_server).await;
    assert_undecided(&service.post_as("good").await, "before");
    api_server.start_again().await;
    assert_eq!(service.post_as("good").await.status(), 200);
}

#[tokio::test]
async fn a_connection_that_the_api_server_closed_meanwhile_costs_no_request() {
    let mut api_server = ApiServer::start().await;
    for n in 0..5 {
        api_server.let_in(&format!("token-{n}"), "alice");
    }
    let service = Service::start(&api_server).await;
    for n in 0..5 {
        assert_eq!(service.post_as(&format!("token-{n}")).await.status(), 200);
        api_server.start_again().await;
        // What was closed has to arrive before it can be noticed.
        time::sleep(Duration::from_millis(20)).await;
    }
}
