//! `GET /api/v1/incidents/{id}`: one incident with everything recorded about it.

use audit_store::reader::{Analysis, Event, ExecutionState, IncidentDetail, WorkflowState};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use service_kit::extract::{PathParameters, QueryParameters};
use service_kit::openapi::schema::{count, named};
use service_kit::openapi::{Answer, Content, Operation, Parameter, Place};
use service_kit::{Problem, Violation};

use crate::cache::{Question, cached};
use crate::incident::{self, IncidentBody};
use crate::state::Asked;
use crate::{openapi, problems};

/// This endpoint in the contract.
pub(crate) fn operation() -> Operation {
    let mut id = count();
    id["minimum"] = json!(1);
    id["maximum"] = json!(i64::MAX);
    let mut problems = vec![
        Problem::invalid_parameters([Violation::parameter(
            "id",
            "not-an-id",
            "must be a positive decimal number without sign or leading zeros",
        )]),
        problems::unknown_incident(999_999_999),
    ];
    problems.extend(openapi::problems());
    Operation {
        method: "get",
        path: "/api/v1/incidents/{id}",
        id: "getIncident",
        summary: "Get an incident with everything recorded about it",
        description:
            "The latest state of an incident, of its analyses, workflow executions and actions, and every \
                      version of every record about it, oldest first. The endpoint has no query parameters."
                .to_owned(),
        parameters: vec![Parameter {
            name: "id",
            place: Place::Path,
            required: true,
            description: "Id of the incident, as Data Storage answered it.".to_owned(),
            schema: id,
            examples: vec![("found", json!(1)), ("not-found", json!(999_999_999))],
        }],
        bodies: Vec::new(),
        answers: vec![Answer {
            status: 200,
            description: "The incident.",
            content: Content {
                media_type: "application/json",
                schema: named("IncidentDetail"),
                examples: vec![(
                    "found",
                    "An incident that was remediated",
                    incident::detail_example(),
                )],
            },
        }],
        problems,
    }
}

/// Answers 200 with the incident, 404 for an unknown id, 400 for what is no id and for any query parameter.
pub(crate) async fn get(
    Asked(state): Asked,
    path: PathParameters,
    query: QueryParameters,
    question: Question,
) -> Result<Response, Problem> {
    let id = path.id("id")?;
    query.finish()?;
    let reader = state.reader();
    cached(&state, question.about_incident(id), move || async move {
        let found = reader.incident(id).await.map_err(problems::of_store)?;
        found
            .map(Detail::from)
            .ok_or_else(|| problems::unknown_incident(id))
    })
    .await
}

/// The answer: the incident's fields, and beside them what else is known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detail {
    #[serde(flatten)]
    incident: IncidentBody,
    /// The signal as received, in standard base64 with padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_payload: Option<String>,
    analyses: Vec<Analysis>,
    workflows: Vec<WorkflowState>,
    executions: Vec<ExecutionState>,
    /// Every version of every record, oldest first.
    timeline: Vec<Event>,
}

impl From<IncidentDetail> for Detail {
    fn from(detail: IncidentDetail) -> Self {
        Self {
            incident: detail.incident.into(),
            original_payload: detail.original_payload.map(|bytes| STANDARD.encode(bytes)),
            analyses: detail.analyses,
            workflows: detail.workflows,
            executions: detail.executions,
            timeline: detail.timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::incident::tests::{least, least_on_the_wire};

    fn nothing_else() -> IncidentDetail {
        IncidentDetail {
            incident: least(7),
            original_payload: None,
            analyses: Vec::new(),
            workflows: Vec::new(),
            executions: Vec::new(),
            timeline: Vec::new(),
        }
    }

    #[test]
    fn lists_are_there_even_if_empty() {
        let mut expected = least_on_the_wire(7);
        for list in ["analyses", "workflows", "executions", "timeline"] {
            expected[list] = json!([]);
        }
        assert_eq!(json!(Detail::from(nothing_else())), expected);
    }

    #[test]
    fn the_payload_is_base64_and_the_timeline_is_told_beside_the_fields() {
        let detail = IncidentDetail {
            original_payload: Some(b"{\"a\":\xff".to_vec()),
            timeline: vec![Event {
                id: 3,
                record_kind: "remediation".into(),
                namespace: "kubernaut-system".into(),
                name: "rr-1".into(),
                phase: "Pending".into(),
                at: "2026-03-10T12:00:00Z".parse().unwrap(),
                message: None,
                reason: Some("Seen".into()),
                actor: "controller".into(),
                received_at: "2026-03-10T12:00:01Z".parse().unwrap(),
            }],
            ..nothing_else()
        };
        let body = json!(Detail::from(detail));
        assert_eq!(body["id"], 7);
        assert_eq!(body["originalPayload"], "eyJhIjr/");
        assert_eq!(
            body["timeline"],
            json!([{
                "id": 3, "kind": "remediation", "namespace": "kubernaut-system", "name": "rr-1", "phase": "Pending",
                "at": "2026-03-10T12:00:00Z", "reason": "Seen", "actor": "controller",
                "receivedAt": "2026-03-10T12:00:01Z",
            }])
        );
    }
}
