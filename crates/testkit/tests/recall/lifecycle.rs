//! One question asked again and again: the first time of the database, then of the memory, with the same answer.
//!
//! That the database is not asked is read off the bytes that go to it.

use std::collections::HashSet;
use std::time::Duration;

use audit_store::ConnectOptions;
use axum::http::header::CACHE_CONTROL;
use serde_json::json;
use testkit::records::{self, with};
use testkit::{ChaosProxy, request};
use tokio::task::JoinSet;

use crate::both::{Both, ids};
use crate::cached::{Replica, header, how};

const QUESTION: &str = "/api/v1/incidents?namespace=default";
const LOADS: &str = "loads_total{result=\"found\"}";
const HITS: &str = "lookups_total{tier=\"memory\",result=\"hit\"}";

/// Ten incidents, of which three are in the namespace `default`; those three, newest first.
async fn ten(both: &Both) -> Vec<i64> {
    let mut default = Vec::new();
    for index in 0..10 {
        let namespace = if index % 4 == 1 { "default" } else { "shop" };
        let body = with(
            records::remediation(&format!("rr-{index}")),
            json!({"targetNamespace": namespace, "createdAt": format!("2026-06-15T10:{index:02}:00Z")}),
        );
        let id = both.incident(&body).await;
        if namespace == "default" {
            default.insert(0, id);
        }
    }
    default
}

/// A replica whose way to the database is seen, over one connection.
async fn observed(both: &Both) -> (Replica, ChaosProxy) {
    let options = both.database.reader_options();
    let proxy = ChaosProxy::in_front_of(&options.url).await;
    let options = ConnectOptions {
        url: proxy.url(&options.url),
        max_connections: 1,
        ..options
    };
    (Replica::on(both, &options, "").await, proxy)
}

/// The bytes that went to the database, once no more follow.
async fn asked(proxy: &ChaosProxy) -> u64 {
    let mut before = proxy.counts().bytes_to_server;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = proxy.counts().bytes_to_server;
        if now == before {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn the_first_answer_comes_from_the_database_and_the_next_ones_do_not() {
    let both = Both::new().await;
    let default = ten(&both).await;
    assert_eq!(default.len(), 3);
    let (replica, proxy) = observed(&both).await;
    let idle = asked(&proxy).await;
    let first = replica.get(QUESTION).await;
    assert_eq!(
        (first.status.as_u16(), how(&first).as_str()),
        (200, "fwd=miss; stored")
    );
    assert_eq!(
        (ids(&first.body["incidents"]), &first.body["total"]),
        (default, &json!(3))
    );
    let once = asked(&proxy).await;
    assert!(once > idle);
    for _ in 0..3 {
        let again = replica.get(QUESTION).await;
        assert_eq!(how(&again), "hit; detail=memory");
        assert_eq!(
            (&again.body, header(&again, "etag")),
            (&first.body, header(&first, "etag"))
        );
    }
    assert_eq!(asked(&proxy).await, once);
    assert_eq!((replica.metric(LOADS), replica.metric(HITS)), (1, 3));
    // The proof can fail: a client that wants it new has the database asked.
    replica.get_with(QUESTION, CACHE_CONTROL, "no-cache").await;
    assert!(asked(&proxy).await > once);
}

#[tokio::test]
async fn an_answer_of_nothing_is_kept_like_any_other() {
    let both = Both::new().await;
    let (replica, proxy) = observed(&both).await;
    let path = "/api/v1/incidents?namespace=empty";
    let first = replica.get(path).await;
    assert_eq!(
        first.body,
        json!({"incidents": [], "total": 0, "limit": 10, "offset": 0})
    );
    let once = asked(&proxy).await;
    let again = replica.get(path).await;
    assert_eq!(
        (how(&again).as_str(), &again.body),
        ("hit; detail=memory", &first.body)
    );
    assert_eq!(asked(&proxy).await, once);
}

#[tokio::test]
async fn every_answer_to_a_get_is_kept() {
    let both = Both::new().await;
    ten(&both).await;
    let (replica, proxy) = observed(&both).await;
    let document = context_api::openapi::contract().document();
    let paths = document["paths"].as_object().expect("paths");
    let gets = paths.iter().filter(|(_, item)| item.get("get").is_some());
    let mut asked_for = 0;
    for (path, _) in gets {
        let path = path.replace("{id}", "1").replace("{name}", "rr-1");
        let path = match path.as_str() {
            "/api/v1/context" | "/api/v1/context/historical" => {
                path + "?namespace=shop&targetType=Deployment&targetName=checkout"
            }
            _ => path,
        };
        let first = replica.get(&path).await;
        assert_eq!(
            (first.status.as_u16(), how(&first).as_str()),
            (200, "fwd=miss; stored"),
            "{path}"
        );
        let once = asked(&proxy).await;
        let again = replica.get(&path).await;
        assert_eq!(
            (how(&again).as_str(), &again.body),
            ("hit; detail=memory", &first.body),
            "{path}"
        );
        assert_eq!(asked(&proxy).await, once, "{path}");
        asked_for += 1;
    }
    assert_eq!((asked_for, replica.metric(LOADS)), (10, 10));
}

#[tokio::test]
async fn questions_alike_share_an_answer_and_others_never_do() {
    let both = Both::new().await;
    ten(&both).await;
    let (replica, _proxy) = observed(&both).await;
    let alike = [
        "/api/v1/incidents?namespace=default&limit=5",
        "/api/v1/incidents?limit=5&namespace=default",
        "/api/v1/incidents?limit=%35&namespace=%64efault",
    ];
    for (index, path) in alike.into_iter().enumerate() {
        let expected = if index == 0 {
            "fwd=miss; stored"
        } else {
            "hit; detail=memory"
        };
        assert_eq!(replica.how(path).await, expected, "{path}");
    }
    let mut tags = HashSet::new();
    for (path, total) in [
        ("/api/v1/incidents?namespace=shop&limit=5", 7),
        ("/api/v1/incidents?namespace=shop&limit=6", 7),
        // One value that looks like two parameters.
        ("/api/v1/incidents?namespace=default%26limit%3D5", 0),
        ("/api/v1/incidents?namespace=default&cluster=nowhere", 0),
        ("/api/v1/incidents?cluster=default", 10),
        ("/api/v1/incidents?kind=default", 0),
        ("/api/v1/incidents?namespace=Default", 0),
    ] {
        let answer = replica.get(path).await;
        assert_eq!(
            (how(&answer).as_str(), &answer.body["total"]),
            ("fwd=miss; stored", &json!(total)),
            "{path}"
        );
        tags.insert(header(&answer, "etag"));
    }
    // Four of them are the same empty page: the tag is of the answer, the key of the question.
    assert_eq!((tags.len(), replica.metric(LOADS)), (4, 8));
}

#[tokio::test]
async fn ten_at_once_get_the_same_three_incidents_of_one_query() {
    let both = Both::new().await;
    let default = ten(&both).await;
    let (replica, _proxy) = observed(&both).await;
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let router = replica.router.clone();
        callers.spawn(async move { request::get(&router, QUESTION).await });
    }
    for answer in callers.join_all().await {
        assert_eq!(ids(&answer.body["incidents"]), default);
        assert_eq!(answer.body["total"], 3);
    }
    assert_eq!(replica.metric(LOADS), 1);
}

/// As much went to the database as for one question after the other, each asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_ask_two_questions_are_two_queries_and_not_one_more() {
    let both = Both::new().await;
    ten(&both).await;
    let questions = [QUESTION, "/api/v1/incidents?namespace=shop"];
    let (alone, to_alone) = observed(&both).await;
    let before = asked(&to_alone).await;
    for question in questions {
        alone.get(question).await;
    }
    let of_two = asked(&to_alone).await - before;
    alone.get_with(QUESTION, CACHE_CONTROL, "no-cache").await;
    let of_three = asked(&to_alone).await - before;
    assert!(of_three > of_two);

    let (replica, proxy) = observed(&both).await;
    let before = asked(&proxy).await;
    // Slow enough that all thousand ask before the first is answered.
    proxy.delay(
        testkit::chaos_proxy::Direction::ToClient,
        Duration::from_millis(100),
    );
    let mut callers = JoinSet::new();
    for index in 0..1_000 {
        let router = replica.router.clone();
        callers.spawn(async move { request::get(&router, questions[index % 2]).await });
    }
    replica
        .until("lookups_total{tier=\"memory\",result=\"miss\"}", 1_000)
        .await;
    let answers = callers.join_all().await;
    let totals = |total: i64| {
        answers
            .iter()
            .filter(|answer| answer.body["total"] == total)
            .count()
    };
    assert_eq!((totals(3), totals(7)), (500, 500));
    proxy.pass();
    let asked = asked(&proxy).await - before;
    // Two more or fewer messages of five bytes end a round: loads at once share no connection.
    assert!(
        asked.abs_diff(of_two) <= 10 && of_three - of_two > 20,
        "{asked}, {of_two}, {of_three}"
    );
    assert_eq!(replica.metric(LOADS), 2);
    let loaded = answers
        .iter()
        .filter(|answer| how(answer) == "fwd=miss; stored")
        .count();
    assert_eq!(loaded, 2);
}
