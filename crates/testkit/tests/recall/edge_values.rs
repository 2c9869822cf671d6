//! Values at the edge of what parameters take, for every parameter that the contract lists: refused by name, or taken
//! for what they are and nothing else.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use testkit::records::{self, with};
use testkit::request::{Answer, post, post_bytes, send};

use crate::both::Both;
use crate::cached::header;

/// Texts that mean something to an interpreter, or are hard to handle.
pub(crate) const STRANGE: [&str; 20] = [
    "' OR '1'='1",
    "'; DROP TABLE resource_action_traces; --",
    "x' UNION SELECT NULL, NULL --",
    "shop\" OR \"\"=\"",
    "$1",
    "NULL",
    "%",
    "____",
    "sh%",
    "\\",
    "{}",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "\u{feff}shop",
    "shop\u{202e}",
    "生产环境",
    "إنتاج",
    "本番-🚑-prod",
    "é",
    "e\u{301}",
];

/// One question of every GET with a text in it: its path, the parameters with which it finds [`known`], and how many
/// incidents the answer says there are.
struct Endpoint {
    path: &'static str,
    finds: &'static [(&'static str, &'static str)],
    found: fn(&Answer) -> Value,
}

const SCOPE: &[(&str, &str)] = &[
    ("namespace", "shop"),
    ("cluster", "prod-eu-1"),
    ("alertName", "TargetDown"),
    ("actionType", "restart_pod"),
    ("kind", "Deployment"),
    ("name", "checkout"),
    ("workflow", "restart-workload"),
    ("correlationId", "corr-1"),
];

fn total(answer: &Answer) -> Value {
    answer.body["total"].clone()
}

fn total_incidents(answer: &Answer) -> Value {
    answer.body["totalIncidents"].clone()
}

fn severities(answer: &Answer) -> Value {
    let groups = answer.body["severities"].as_array().expect("groups");
    json!(
        groups
            .iter()
            .filter_map(|group| group["count"].as_i64())
            .sum::<i64>()
    )
}

fn in_trend(answer: &Answer) -> Value {
    let buckets = answer.body["buckets"].as_array().expect("buckets");
    json!(
        buckets
            .iter()
            .filter_map(|bucket| bucket["count"].as_i64())
            .sum::<i64>()
    )
}

const ENDPOINTS: [Endpoint; 9] = [
    Endpoint {
        path: "/api/v1/incidents",
        finds: SCOPE,
        found: total,
    },
    Endpoint {
        path: "/api/v1/aggregations/namespaces",
        finds: SCOPE,
        found: total_incidents,
    },
    Endpoint {
        path: "/api/v1/aggregations/actions",
        finds: SCOPE,
        found: total_incidents,
    },
    Endpoint {
        path: "/api/v1/aggregations/severities",
        finds: SCOPE,
        found: severities,
    },
    Endpoint {
        path: "/api/v1/aggregations/trend",
        finds: SCOPE,
        found: in_trend,
    },
    Endpoint {
        path: "/api/v1/context/success-rates",
        finds: SCOPE,
        found: |answer| answer.body["overall"]["totalExecutions"].clone(),
    },
    Endpoint {
        path: "/api/v1/context",
        finds: &[
            ("namespace", "shop"),
            ("targetType", "Deployment"),
            ("targetName", "checkout"),
            ("cluster", "prod-eu-1"),
        ],
        found: |answer| answer.body["statistics"]["totalRemediations"].clone(),
    },
    Endpoint {
        path: "/api/v1/context/historical",
        finds: &[
            ("namespace", "shop"),
            ("targetType", "Deployment"),
            ("targetName", "checkout"),
            ("signalType", "prometheus"),
        ],
        found: total_incidents,
    },
    Endpoint {
        path: "/api/v1/context/remediation/rr-1",
        finds: &[("namespace", "kubernaut-system")],
        // Here no incident is an answer of its own.
        found: |answer| json!(i64::from(answer.status == 200)),
    },
];

/// The incident that every endpoint finds.
async fn known(both: &Both) -> i64 {
    let body = with(
        records::remediation("rr-1"),
        json!({
            "signalName": "TargetDown", "targetNamespace": "shop", "clusterName": "prod-eu-1",
            "actionType": "restart_pod", "phase": "Completed",
        }),
    );
    let id = both.incident(&body).await;
    both.record("workflow", &records::workflow("wf-1", "rr-1")).await;
    id
}

/// Every byte escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl Endpoint {
    /// The question with one parameter replaced by a text that is escaped already.
    fn asked_with(&self, parameter: &str, escaped: &str) -> String {
        let others = self.finds.iter().filter(|(name, _)| *name != parameter);
        let mut pairs: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
        pairs.push(format!("{parameter}={escaped}"));
        format!("{}?{}", self.path, pairs.join("&"))
    }
}

/// The parameters of an endpoint whose schema passes, with the schema.
fn parameters(endpoint: &Endpoint, passes: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
    let document = context_api::openapi::contract().document();
    let path = endpoint.path.replace("/rr-1", "/{name}");
    let parameters = document["paths"][&path]["get"]["parameters"].as_array().cloned();
    parameters
        .expect("parameters")
        .into_iter()
        .filter(|parameter| parameter["in"] == "query" && passes(&parameter["schema"]))
        .map(|parameter| {
            let name = parameter["name"].as_str().expect("a name").to_owned();
            (name, parameter["schema"].clone())
        })
        .collect()
}

/// Whether a schema takes any text without NUL.
fn is_text(schema: &Value) -> bool {
    schema["pattern"] == r"^[^\u0000]*$"
}

fn violation(parameter: &str, code: &str) -> Vec<(String, String)> {
    vec![(parameter.to_owned(), code.to_owned())]
}

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

#[tokio::test]
async fn a_number_is_within_its_bounds_or_refused_by_name() {
    let both = Both::new().await;
    let mut checked = Vec::new();
    for endpoint in &ENDPOINTS {
        for (name, schema) in parameters(endpoint, |schema| schema["type"] == "integer") {
            let [least, most] = ["minimum", "maximum"].map(|bound| schema[bound].as_i64().expect("a bound"));
            for number in [least, most] {
                let path = endpoint.asked_with(&name, &number.to_string());
                assert_eq!(both.get(&path).await.status, 200, "{path}");
            }
            for (text, code) in [
                ((least - 1).to_string(), "out-of-range"),
                ((most + 1).to_string(), "out-of-range"),
                ("-1".to_owned(), "out-of-range"),
                (i64::MAX.to_string(), "out-of-range"),
                (i64::MIN.to_string(), "out-of-range"),
                ("99999999999999999999999999".to_owned(), "out-of-range"),
                ("1.5".to_owned(), "not-an-integer"),
                ("1e2".to_owned(), "not-an-integer"),
                ("0x10".to_owned(), "not-an-integer"),
                ("%2B1".to_owned(), "not-an-integer"),
                ("%201".to_owned(), "not-an-integer"),
                ("NaN".to_owned(), "not-an-integer"),
                ("%D9%A1".to_owned(), "not-an-integer"),
                ("1;DROP".to_owned(), "not-an-integer"),
            ] {
                let path = endpoint.asked_with(&name, &text);
                let answer = both.get(&path).await;
                assert_eq!(answer.status, 400, "{path}");
                assert_eq!(answer.violations(), violation(&name, code), "{path}");
            }
            checked.push(format!("{} {name}", endpoint.path.replace("/api/v1/", "")));
        }
    }
    assert_eq!(
        checked,
        [
            "incidents limit",
            "incidents offset",
            "aggregations/namespaces minSamples",
            "aggregations/namespaces limit",
            "aggregations/actions minSamples",
            "aggregations/actions limit",
            "aggregations/severities minSamples",
            "aggregations/trend minSamples",
            "context/success-rates minSamples",
            "context/success-rates limit",
            "context/historical limit",
        ]
    );
}

#[tokio::test]
async fn a_word_of_a_vocabulary_has_one_spelling() {
    let both = Both::new().await;
    known(&both).await;
    for endpoint in &ENDPOINTS {
        for (name, schema) in parameters(endpoint, |schema| schema["enum"].is_array()) {
            for word in schema["enum"].as_array().expect("words") {
                let word = word.as_str().expect("a word");
                let path = endpoint.asked_with(&name, word);
                assert_eq!(both.get(&path).await.status, 200, "{path}");
                let other = if word.to_uppercase() == word {
                    word.to_lowercase()
                } else {
                    word.to_uppercase()
                };
                for wrong in [other, format!("{word}%20"), format!("{word}'--")] {
                    let path = endpoint.asked_with(&name, &wrong);
                    let answer = both.get(&path).await;
                    assert_eq!(answer.status, 400, "{path}");
                    let violations = answer.violations();
                    assert_eq!((violations.len(), &violations[0].0), (1, &name), "{path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_time_range_has_a_beginning_before_its_end() {
    let both = Both::new().await;
    let id = known(&both).await;
    let timed = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.finds.iter().any(|(name, _)| *name == "alertName"));
    for endpoint in timed {
        for (since, until, status) in [
            // The incident was created at ten.
            ("2026-06-15T10:00:00Z", "2026-06-15T10:00:00.000001Z", 200),
            ("2026-06-15T10:00:00Z", "2026-06-15T10:00:00Z", 400),
            ("2026-06-15T10:00:00.000001Z", "2026-06-15T10:00:00Z", 400),
            ("2026-06-16T00:00:00Z", "2026-06-14T00:00:00Z", 400),
            ("1h", "2h", 400),
        ] {
            let path = format!("{}&since={since}", endpoint.asked_with("until", until));
            let answer = both.get(&path).await;
            assert_eq!(answer.status, status, "{path}");
            if status == 200 {
                assert_eq!((endpoint.found)(&answer), json!(1), "{path}");
            } else {
                assert_eq!(
                    answer.violations(),
                    violation("since", "not-before-until"),
                    "{path}"
                );
            }
        }
    }
    // Beyond the calendar of the database, of the wire, and of neither.
    for time in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        assert_eq!(
            both.list(&format!("since={time}")).await.1,
            i64::from(time < "2026"),
            "{time}"
        );
    }
    for time in [
        "10000-01-01T00:00:00Z",
        "-4713-01-01T00:00:00Z",
        "infinity",
        "2026-02-30T00:00:00Z",
        "2026-06-15",
    ] {
        assert_eq!(
            both.get(&format!("/api/v1/incidents?since={time}")).await.status,
            400,
            "{time}"
        );
    }
    assert_eq!(both.list("since=3650d").await, (vec![id], 1));
    assert_eq!(both.get("/api/v1/incidents?since=3651d").await.status, 400);
}

#[tokio::test]
async fn every_path_answers_to_its_method_alone_and_to_head_like_to_get() {
    let both = Both::new().await;
    let id = known(&both).await;
    let document = context_api::openapi::contract().document();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 11);
    for (path, operations) in paths {
        let path = path.replace("{id}", &id.to_string()).replace("{name}", "rr-1");
        let reads = operations.get("get").is_some();
        let allowed = if reads { "GET,HEAD" } else { "POST" };
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            if (method == Method::GET && reads) || (method == Method::POST && !reads) {
                continue;
            }
            let request = Request::builder().method(&method).uri(&path).body(Body::empty());
            let answer = send(&both.context_api, request.expect("a request")).await;
            assert_eq!(
                (
                    answer.status.as_u16(),
                    header(&answer, "allow").as_str(),
                    &answer.body["type"]
                ),
                (
                    405,
                    allowed,
                    &json!("https://kubernaut.ai/problems/method-not-allowed")
                ),
                "{method} {path}"
            );
        }
        if reads {
            let query = "?namespace=shop&targetType=Deployment&targetName=checkout";
            let path = if path == "/api/v1/context" || path.ends_with("historical") {
                path + query
            } else {
                path
            };
            let get = both.get(&path).await;
            let head = Request::head(&path).body(Body::empty()).expect("a request");
            let head = send(&both.context_api, head).await;
            assert_eq!((get.status.as_u16(), head.status.as_u16()), (200, 200), "{path}");
            assert_eq!(head.body, json!(null));
            for name in ["content-type", "etag", "cache-control", "content-length"] {
                assert_eq!(header(&get, name), header(&head, name), "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn other_paths_are_not_served() {
    let both = Both::new().await;
    known(&both).await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/incidents/",
        "/api/v1/incidents/1/",
        "/api/v1/incidents/1/events",
        "/api/v1//incidents",
        "//api/v1/incidents",
        "/api/v1/Incidents",
        "/API/v1/incidents",
        "/api/v2/incidents",
        "/api/v1/context/",
        "/api/v1/context/query",
        "/api/v1/context/remediation/",
        "/api/v1/context/remediation/a/b",
        "/api/v1/aggregations",
        "/api/v1/aggregations/success-rate",
        "/search/semantic",
        "/api/v1/incidents%2F1",
        "/api/v1/audit/remediation",
    ] {
        let answer = both.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (404, &json!("https://kubernaut.ai/problems/unknown-path")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_of_another_type_or_size_is_refused() {
    let both = Both::new().await;
    let path = "/api/v1/context/match";
    let body = r#"{"description": "memory"}"#;
    for media_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let answer = post_bytes(&both.context_api, path, media_type, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (
                415,
                &json!("https://kubernaut.ai/problems/unsupported-media-type")
            ),
            "{media_type}"
        );
    }
    let mebibyte = 1024 * 1024;
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    for (bytes, status) in [(mebibyte, 200), (mebibyte + 1, 413)] {
        let answer = post_bytes(&both.context_api, path, "application/json", padded(bytes)).await;
        assert_eq!(answer.status, status, "{bytes} bytes: {}", answer.body);
    }
    for (body, slug) in [
        ("", "malformed-json"),
        ("{", "malformed-json"),
        ("{\"description\": \"memory\",}", "malformed-json"),
        ("[]", "validation-error"),
        ("\"memory\"", "validation-error"),
        (
            "{\"description\": \"memory\", \"description\": \"disk\"}",
            "malformed-json",
        ),
        ("{\"description\": \"\\u0000\"}", "validation-error"),
        (
            "{\"description\": \"memory\", \"maxResults\": 1e999}",
            "malformed-json",
        ),
    ] {
        let answer = post_bytes(&both.context_api, path, "application/json", body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["type"]),
            (400, &json!(format!("https://kubernaut.ai/problems/{slug}"))),
            "{body}: {}",
            answer.body
        );
    }
    let unknown = post(
        &both.context_api,
        &format!("{path}?limit=1"),
        &json!({"description": "memory"}),
    )
    .await;
    assert_eq!(unknown.violations(), violation("limit", "unknown"));
}

/// What the predecessor answered with 500: a row of which everything optional is NULL, on a resource without namespace.
#[tokio::test]
async fn an_incident_without_anything_optional_is_in_every_answer() {
    let both = Both::new().await;
    let body = with(
        records::remediation("rr-1"),
        json!({"targetType": "Node", "targetName": "worker-1", "phase": "Failed"}),
    );
    let id = both.incident(&body).await;
    let stored: i64 = sqlx::query_scalar(
        "SELECT num_nulls(alert_namespace, alert_fingerprint, alert_severity, environment, priority, action_type,
             action_parameters, execution_start_time, execution_end_time, execution_duration_ms, execution_error, message,
             reason, labels, original_payload)::bigint
         FROM resource_action_traces",
    )
    .fetch_one(both.store.pool())
    .await
    .expect("a count");
    assert_eq!(stored, 15);
    let incident = json!({
        "id": id, "remediationName": "rr-1", "remediationNamespace": "kubernaut-system", "signalType": "prometheus",
        "alertName": "KubePodCrashLooping", "cluster": "default", "resource": {"kind": "Node", "name": "worker-1"},
        "phase": "Failed", "status": "failed", "correlationId": "corr-1", "recordedBy": "system:anonymous",
        "createdAt": "2026-06-15T10:00:00Z", "updatedAt": "2026-06-15T12:00:00Z",
    });
    let get = async |path: &str| {
        let answer = both.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    };
    assert_eq!(get("incidents").await["incidents"], json!([incident]));
    let recovery = get("context/remediation/rr-1").await;
    assert_eq!(
        json!([
            recovery["incident"],
            recovery["currentAttempt"],
            recovery["contextQuality"]
        ]),
        json!([incident, 1, "partial"])
    );
    let figures = json!({
        "count": 1, "open": 0, "totalExecutions": 1, "successful": 0, "failed": 1, "sufficient": true, "successRate": 0.0,
    });
    let without_interval = |mut group: Value| {
        let fields = group.as_object_mut().expect("a group");
        for name in ["confidenceInterval", "trend", "previousExecutions", "health"] {
            fields.remove(name);
        }
        group
    };
    for (path, groups, index) in [
        ("namespaces", "namespaces", 0),
        ("actions", "actions", 0),
        ("severities", "severities", 6),
    ] {
        let answer = get(&format!("aggregations/{path}?minSamples=1")).await;
        assert_eq!(without_interval(answer[groups][index].clone()), figures, "{path}");
    }
    let trend = get("aggregations/trend?minSamples=1&timeRange=1d").await;
    assert_eq!(trend["totalIncidents"], 1);
    let rates = get("context/success-rates?groupBy=workflow,action,alert,environment&minSamples=1").await;
    assert_eq!(
        json!([
            rates["overall"]["failed"],
            rates["overall"]["durationSamples"],
            rates["totalGroups"]
        ]),
        json!([1, 0, 1])
    );
    let target = "clusterScoped=true&targetType=Node&targetName=worker-1";
    let context = get(&format!("context?{target}")).await;
    assert_eq!(
        json!([
            context["statistics"]["failedRemediations"],
            context["recentRemediations"][0]["id"]
        ]),
        json!([1, id])
    );
    let history = get(&format!("context/historical?{target}")).await;
    assert_eq!(
        json!([history["totalIncidents"], history["patterns"][0]["occurrences"]]),
        json!([1, 1])
    );
    assert_eq!(
        both.found(&json!({"description": "KubePodCrashLooping"})).await,
        [id]
    );
}
