//! The contract of Context API: its operations, in OpenAPI 3.1.
//!
//! Each endpoint describes itself, beside its handler: a new one is a line of `operations` here, and its new schemas are
//! a line of `schemas`.

mod kept;

use serde_json::Value;
use service_kit::openapi::{Contract, Operation, guarded, limited};
use service_kit::{Problem, ProblemKind};

use crate::endpoint::{
    aggregate_actions, aggregate_namespaces, aggregate_severities, aggregate_trend, environment_context,
    get_incident, historical_context, list_incidents, match_incidents, recovery_context, success_rates,
};
use crate::{incident, problems, scope};

/// Version of the contract.
const VERSION: &str = "1.0.0";

/// What the document says of the service.
const DESCRIPTION: &str = "Gives back what Data Storage recorded: incidents, their history, and search by meaning.

What is absent is left out of an answer; times are RFC 3339 in UTC. Readers must ignore fields that they do not know. \
Requests are read strictly: a parameter or field that is not listed is refused. In a body `null` is the same as leaving \
a field out.

Every error is a problem document (RFC 9457) that lists everything that is wrong.

Answers to GET may be some seconds old, and older while the database is away; `Age` and `Cache-Status` tell.

Not part of this contract: on the port of the API and on the port of metrics `GET /healthz`, `GET /startupz` and \
`GET /readyz`, on the port of metrics `GET /metrics`; on the port of the API this document as `GET /openapi.json` and \
`GET /docs`.";

/// What a token must allow.
const TOKEN: &str = "A Kubernetes service-account token. The service account must be allowed a verb on the resource \
`incidents` of the API group `kubernaut.ai`: `get` for one incident and for the context of one remediation, `list` for \
everything else. A service whose `auth.mode` is `disabled` asks for no token.";

fn operations() -> Vec<Operation> {
    vec![
        list_incidents::operation(),
        get_incident::operation(),
        match_incidents::operation(),
        recovery_context::operation(),
        environment_context::operation(),
        historical_context::operation(),
        success_rates::operation(),
        aggregate_namespaces::operation(),
        aggregate_severities::operation(),
        aggregate_actions::operation(),
        aggregate_trend::operation(),
    ]
}

fn schemas() -> Vec<(&'static str, Value)> {
    let mut schemas = vec![("IncidentPage", list_incidents::schema())];
    schemas.extend(incident::schemas());
    schemas.extend(match_incidents::schemas());
    schemas.extend(recovery_context::schemas());
    schemas.extend(environment_context::schemas());
    schemas.extend(historical_context::schemas());
    schemas.extend(scope::schemas());
    schemas.extend(success_rates::schemas());
    schemas.extend(aggregate_namespaces::schemas());
    schemas.extend(aggregate_severities::schemas());
    schemas.extend(aggregate_actions::schemas());
    schemas.extend(aggregate_trend::schemas());
    schemas
}

/// The contract.
#[must_use]
pub fn contract() -> Contract {
    Contract {
        title: "Kubernaut Context API",
        version: VERSION,
        description: DESCRIPTION.to_owned(),
        token: Some(TOKEN),
        schemas: schemas(),
        operations: operations(),
        kept: Some(kept::kept()),
    }
}

/// What every operation may be answered with: all of them are guarded, limited, and ask the database.
pub(crate) fn problems() -> Vec<Problem> {
    let mut problems = vec![
        problems::database_away(),
        Problem::internal("an example"),
        Problem::new(ProblemKind::GATEWAY_TIMEOUT),
    ];
    problems.extend(guarded());
    problems.extend(limited());
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_of_the_router_is_in_the_contract() {
        let router = include_str!("router.rs");
        let served: BTreeSet<&str> = router
            .split('"')
            .filter(|literal| literal.starts_with("/api/"))
            .collect();
        let documented = operations().iter().map(|operation| operation.path).collect();
        assert_eq!(served, documented);
    }
    #[test]
    fn every_operation_tells_of_every_refusal_of_the_guards() {
        let document = contract().document();
        for operation in operations() {
            let described = &document["paths"][operation.path][operation.method];
            assert_eq!(described["security"], serde_json::json!([{"bearer": []}]));
            for status in ["401", "403", "429", "503"] {
                let answer = &described["responses"][status];
                assert!(answer.is_object(), "{}: {status}", operation.path);
            }
        }
    }
}
