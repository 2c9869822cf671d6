//! Reviews without an API server, on paused time.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::http::{HeaderMap, HeaderValue, header};
use tokio::{task::yield_now, time::sleep};

use super::*;
use crate::auth::AuthMode;

const ACCESS: Access = Access {
    verb: "create",
    group: "kubernaut.ai",
    resource: "auditrecords",
};

fn token(text: &str) -> Token {
    let value = HeaderValue::try_from(format!("Bearer {text}")).unwrap();
    Token::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).unwrap()
}

fn caller(name: &str) -> Caller {
    Caller {
        username: name.into(),
        ..Caller::anonymous()
    }
}

fn config() -> AuthConfig {
    AuthConfig {
        mode: AuthMode::Kubernetes,
        audiences: vec!["kubernaut".to_owned()],
        kubeconfig: "".into(),
        cache_ttl: Duration::from_secs(10),
        cache_entries: NonZeroUsize::new(100).unwrap(),
        max_reviews_in_flight: NonZeroUsize::new(4).unwrap(),
        max_reviews_waiting: 2,
        review_timeout: Duration::from_secs(3),
    }
}

/// Reviews by `ask`, with the number of them.
fn reviews<F>(config: &AuthConfig, ask: F) -> (Arc<Reviews>, Arc<AtomicUsize>)
where
    F: Fn(usize, String) -> BoxFuture<'static, Verdict> + Send + Sync + 'static,
{
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let ask = move |token: Token, _access| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        ask(number, token.expose().to_owned())
    };
    (Reviews::new(config, VerdictKeys::seeded(1), Box::new(ask)), asked)
}

/// Lets everybody in after 100 ms, by the name of their token.
fn obliging(_number: usize, token: String) -> BoxFuture<'static, Verdict> {
    async move {
        sleep(Duration::from_millis(100)).await;
        Ok(caller(&token))
    }
    .boxed()
}

fn error(verdict: Verdict) -> String {
    match verdict.unwrap_err() {
        Refusal::Undecided(undecided) => undecided.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_the_same_share_one_review_and_other_accesses_have_their_own() {
    let (reviews, asked) = reviews(&config(), obliging);
    let callers = (0..100).map(|_| reviews.verdict(token("a"), ACCESS));
    let verdicts = futures::future::join_all(callers).await;
    assert!(
        verdicts
            .into_iter()
            .all(|verdict| verdict.unwrap() == caller("a"))
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let get = Access {
        verb: "get",
        ..ACCESS
    };
    assert_eq!(reviews.verdict(token("a"), get).await.unwrap(), caller("a"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_review_outlives_the_caller_that_began_it() {
    let (reviews, asked) = reviews(&config(), obliging);
    let first = timeout(Duration::from_millis(50), reviews.verdict(token("a"), ACCESS));
    assert!(first.await.is_err());
    let began = Instant::now();
    assert_eq!(reviews.verdict(token("a"), ACCESS).await.unwrap(), caller("a"));
    // It has been under way for 50 of its 100 ms.
    assert_eq!(began.elapsed().as_millis(), 50);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_holds_from_the_beginning_of_its_review() {
    let (reviews, asked) = reviews(&config(), obliging);
    let began = Instant::now();
    reviews.verdict(token("a"), ACCESS).await.unwrap();
    tokio::time::sleep_until(began + Duration::from_millis(9_999)).await;
    reviews.verdict(token("a"), ACCESS).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    sleep(Duration::from_millis(1)).await;
    reviews.verdict(token("a"), ACCESS).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn without_time_to_live_every_request_is_reviewed() {
    let config = AuthConfig {
        cache_ttl: Duration::ZERO,
        ..config()
    };
    let (reviews, asked) = reviews(&config, obliging);
    for _ in 0..3 {
        reviews.verdict(token("a"), ACCESS).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_are_asked_about_again() {
    let refusals: [fn() -> Refusal; 3] = [
        || Refusal::TokenRefused("no".into()),
        || Refusal::Forbidden("no".into()),
        || Undecided::BrokeDown("no".to_owned()).into(),
    ];
    for refusal in refusals {
        let ask = move |number, token| match number {
            1 => async move { Err(refusal()) }.boxed(),
            _ => obliging(number, token),
        };
        let (reviews, asked) = reviews(&config(), ask);
        assert!(reviews.verdict(token("a"), ACCESS).await.is_err());
        assert_eq!(reviews.verdict(token("a"), ACCESS).await.unwrap(), caller("a"));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_all_who_wait_and_the_next_review_is_a_new_one() {
    let ask = |number, token| match number {
        1 => async {
            sleep(Duration::from_millis(10)).await;
            panic!("a bug")
        }
        .boxed(),
        _ => obliging(number, token),
    };
    let (reviews, asked) = reviews(&config(), ask);
    let callers = (0..3).map(|_| reviews.verdict(token("a"), ACCESS));
    for verdict in futures::future::join_all(callers).await {
        let error = error(verdict);
        assert!(error.starts_with("the review broke down: "), "{error}");
        assert!(error.contains("a bug"), "{error}");
    }
    assert_eq!(reviews.verdict(token("a"), ACCESS).await.unwrap(), caller("a"));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(reviews.metrics.in_flight.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_review_ends_at_its_timeout_wherever_it_is() {
    let never = |_number, _token| futures::future::pending().boxed();
    let (reviews, asked) = reviews(&config(), never);
    let began = Instant::now();
    let ask = |name: &'static str, after| {
        let reviews = &reviews;
        async move {
            sleep(Duration::from_secs(after)).await;
            let error = error(reviews.verdict(token(name), ACCESS).await);
            (error, began.elapsed().as_secs())
        }
    };
    // Three of four places are for newcomers, and two may wait.
    let callers =
        [("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 1), ("f", 2)].map(|(name, after)| ask(name, after));
    let errors = futures::future::join_all(callers).await;
    let timed_out = |waited, at| {
        let error =
            format!("there was no verdict within 3s, of which the review waited {waited} for its turn");
        (error, at)
    };
    let mut expected = vec![timed_out("0s", 3); 3];
    expected.extend(vec![timed_out("2s", 4); 2]);
    expected.push(("Busy".to_owned(), 2));
    assert_eq!(errors, expected);
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    // Nothing is left behind.
    yield_now().await;
    assert_eq!(
        (reviews.metrics.in_flight.get(), reviews.metrics.waiting.get()),
        (0, 0)
    );
    assert_eq!(reviews.state().under_way.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_was_let_in_before_is_reviewed_again_while_newcomers_fill_every_place_they_have() {
    let ask = |number, token: String| {
        if token.starts_with("flood") {
            futures::future::pending().boxed()
        } else {
            obliging(number, token)
        }
    };
    let (reviews, _asked) = reviews(&config(), ask);
    reviews.verdict(token("known"), ACCESS).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    let flood = (0..100).map(|n| {
        let reviews = Arc::clone(&reviews);
        tokio::spawn(async move { error(reviews.verdict(token(&format!("flood-{n}")), ACCESS).await) })
    });
    let flood: Vec<_> = flood.collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        (reviews.metrics.in_flight.get(), reviews.metrics.waiting.get()),
        (3, 2)
    );
    let began = Instant::now();
    assert_eq!(
        reviews.verdict(token("known"), ACCESS).await.unwrap(),
        caller("known")
    );
    assert_eq!(began.elapsed().as_millis(), 100);
    assert_eq!(error(reviews.verdict(token("new"), ACCESS).await), "Busy");
    let busy = futures::future::join_all(flood).await;
    assert_eq!(
        busy.iter()
            .filter(|error| error.as_ref().unwrap() == "Busy")
            .count(),
        95
    );
    // The flood is over, and its queue with it.
    assert_eq!(
        reviews.verdict(token("new"), ACCESS).await.unwrap(),
        caller("new")
    );
}
