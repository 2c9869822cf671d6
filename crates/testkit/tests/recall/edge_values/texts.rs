//! Texts that mean something to an interpreter, and the longest ones.

use serde_json::json;
use testkit::records::{self, with};

use super::{ENDPOINTS, SCOPE, STRANGE, escaped, is_text, known, parameters, violation};
use crate::both::Both;
use crate::cached::header;

#[tokio::test]
async fn strange_texts_are_compared_as_they_are_in_every_parameter() {
    let both = Both::new().await;
    let id = known(&both).await;
    let mut asked = 0;
    for endpoint in &ENDPOINTS {
        let texts = parameters(endpoint, is_text);
        // Nothing that the contract lists is left out here.
        let listed: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
        for (name, value) in endpoint.finds {
            assert!(listed.contains(name), "{} {name}", endpoint.path);
            let path = endpoint.asked_with(name, &escaped(value));
            assert_eq!((endpoint.found)(&both.get(&path).await), json!(1), "{path}");
        }
        assert_eq!(
            listed.len(),
            endpoint.finds.len(),
            "{}: {listed:?}",
            endpoint.path
        );
        for (name, _) in &texts {
            for text in STRANGE {
                let path = endpoint.asked_with(name, &escaped(text));
                let answer = both.get(&path).await;
                let status = if endpoint.path.ends_with("rr-1") { 404 } else { 200 };
                assert_eq!(answer.status, status, "{name}={text}: {}", answer.body);
                assert_eq!(
                    (endpoint.found)(&answer),
                    json!(0),
                    "{} {name}={text}",
                    endpoint.path
                );
                asked += 1;
            }
        }
    }
    for text in STRANGE {
        let answer = both
            .get(&format!("/api/v1/context/remediation/{}", escaped(text)))
            .await;
        assert_eq!(answer.status, 404, "{text}: {}", answer.body);
    }
    assert_eq!(asked, 20 * (6 * 8 + 4 + 4 + 1));
    assert_eq!(both.list("").await, (vec![id], 1));
}

#[tokio::test]
async fn strange_texts_of_the_search_are_compared_as_they_are() {
    let both = Both::new().await;
    let id = known(&both).await;
    let mut base = json!({"description": "TargetDown"});
    for (name, value) in SCOPE {
        base[*name] = json!(value);
    }
    assert_eq!(both.found(&base).await, [id]);
    for (name, _) in SCOPE.iter().filter(|(name, _)| *name != "correlationId") {
        for text in STRANGE {
            let found = both.found(&with(base.clone(), json!({*name: text}))).await;
            assert_eq!(found, [0_i64; 0], "{name}: {text}");
        }
    }
    for text in STRANGE {
        let answer = both
            .search(&with(
                base.clone(),
                json!({"description": format!("{text} of pods")}),
            ))
            .await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        assert_eq!(answer.body["totalMatches"], 1, "{text}");
    }
}

#[tokio::test]
async fn an_incident_made_of_strange_texts_is_found_by_them_and_told_as_it_is() {
    let both = Both::new().await;
    known(&both).await;
    for (index, text) in STRANGE.into_iter().enumerate() {
        let body = with(
            records::remediation(&format!("strange-{index}")),
            json!({
                "signalName": text, "clusterName": text, "actionType": text, "phase": "Failed", "message": text,
                "reason": text, "errorMessage": text, "actionParameters": {text: text},
            }),
        );
        let id = both.incident(&body).await;
        let workflow = with(
            records::workflow(&format!("strange-{index}"), &format!("strange-{index}")),
            json!({"workflowName": text}),
        );
        both.record("workflow", &workflow).await;
        for parameter in ["alertName", "cluster", "actionType", "workflow"] {
            let query = format!("{parameter}={}", escaped(text));
            assert_eq!(both.list(&query).await, (vec![id], 1), "{parameter}={text}");
        }
        let answer = both.get(&format!("/api/v1/incidents/{id}")).await;
        assert_eq!(header(&answer, "content-type"), "application/json");
        let told = json!([
            answer.body["alertName"],
            answer.body["cluster"],
            answer.body["actionType"],
            answer.body["message"],
            answer.body["reason"],
            answer.body["errorMessage"],
            answer.body["actionParameters"],
            answer.body["workflow"],
        ]);
        assert_eq!(
            told,
            json!([text, text, text, text, text, text, {text: text}, text])
        );
    }
    let actions = both.get("/api/v1/aggregations/actions?limit=100").await.body;
    assert_eq!(actions["totalGroups"], json!(STRANGE.len() + 1));
}

#[tokio::test]
async fn a_text_may_be_as_long_as_the_contract_says_and_one_character_longer_is_refused() {
    let both = Both::new().await;
    for endpoint in &ENDPOINTS {
        for (name, schema) in parameters(endpoint, is_text) {
            let most = usize::try_from(schema["maxLength"].as_u64().expect("a length")).expect("few");
            assert!([63, 128, 253].contains(&most), "{name}");
            // One byte and four bytes a character: characters count.
            for character in ["a", "🚑"] {
                let longest = escaped(&character.repeat(most));
                let answer = both.get(&endpoint.asked_with(&name, &longest)).await;
                let status = if endpoint.path.ends_with("rr-1") { 404 } else { 200 };
                assert_eq!(answer.status, status, "{} {name}: {}", endpoint.path, answer.body);
                let path = endpoint.asked_with(&name, &(longest + "a"));
                let answer = both.get(&path).await;
                assert_eq!(answer.status, 400, "{path}");
                assert_eq!(answer.violations(), violation(&name, "too-long"), "{path}");
            }
            for (text, code) in [
                ("", "empty"),
                ("%00", "nul"),
                ("shop%00", "nul"),
                ("%FF", "invalid-encoding"),
                ("%C3%28", "invalid-encoding"),
                ("%ED%A0%80", "invalid-encoding"),
                ("%", "invalid-encoding"),
                ("%2", "invalid-encoding"),
            ] {
                let path = endpoint.asked_with(&name, text);
                let answer = both.get(&path).await;
                assert_eq!(answer.status, 400, "{path}");
                assert_eq!(answer.violations(), violation(&name, code), "{path}");
            }
            let path = format!("{}&{name}=shop", endpoint.asked_with(&name, "shop"));
            let answer = both.get(&path).await;
            assert_eq!(answer.violations(), violation(&name, "repeated"), "{path}");
        }
    }
}
