//! Values at the edge of what parameters take, for every parameter that the contract lists: refused by name, or taken
//! for what they are and nothing else.

mod bounds;
mod nothing_optional;
mod requests;
mod texts;

use serde_json::{Value, json};
use testkit::records::{self, with};
use testkit::request::Answer;

use crate::both::Both;

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
