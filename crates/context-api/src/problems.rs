//! Which failure is which answer. The cause goes to the log; the client reads what it can do.

use std::time::Duration;

use audit_store::StoreError;
use audit_store::reader::RemediationKey;
use axum::http::StatusCode;
use chrono::SecondsFormat;
use embedding::EmbedError;
use service_kit::{Problem, ProblemKind, Violation};

/// When to come back after something was away or full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When to come back after the database has moved to another model: a rollout takes a while.
const MOVED_RETRY_AFTER: Duration = Duration::from_secs(30);

/// 409: the incident that a search starts from has no vector.
pub const EMBEDDING_PENDING: ProblemKind = ProblemKind::new(
    "embedding-pending",
    "The incident has no embedding yet",
    StatusCode::CONFLICT,
);

/// 409: several namespaces have a remediation request of this name.
pub const AMBIGUOUS_NAME: ProblemKind = ProblemKind::new(
    "ambiguous-name",
    "Several namespaces have this name",
    StatusCode::CONFLICT,
);

/// The answer to a failure of the store.
pub(crate) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Full(_) => database_away().with_cause(error),
        StoreError::Contention(_) => Problem::unavailable(
            "The database is busy with a conflicting transaction.",
            RETRY_AFTER,
        )
        .with_cause(error),
        StoreError::Timeout(_) => Problem::new(ProblemKind::GATEWAY_TIMEOUT)
            .with_detail("The database took too long. Narrower filters help.")
            .with_cause(error),
        StoreError::OtherModel(_) => Problem::unavailable(
            "The database has moved to another embedding model, and this service has to be restarted with it. Everything but searches by meaning still works.",
            MOVED_RETRY_AFTER,
        )
        .with_cause(error),
        StoreError::Rejected { .. }
        | StoreError::KeyReused
        | StoreError::Inconsistent(_)
        | StoreError::Driver(_) => Problem::internal(error),
    }
}

/// The answer while the database is away.
pub(crate) fn database_away() -> Problem {
    Problem::unavailable("The database cannot be reached.", RETRY_AFTER)
}

/// The answer to a failure of the embedder.
pub(crate) fn of_embedder(error: EmbedError) -> Problem {
    match error {
        EmbedError::Busy => {
            Problem::unavailable("Too many descriptions wait for their vectors.", RETRY_AFTER)
                .with_cause(error)
        }
        EmbedError::Unavailable(_) => {
            Problem::unavailable("The provider of vectors is not available.", RETRY_AFTER).with_cause(error)
        }
        EmbedError::Invalid(_) if !error.is_permanent() => {
            Problem::unavailable("The provider of vectors gave no vector.", RETRY_AFTER).with_cause(error)
        }
        EmbedError::Refused(_) => Problem::new(ProblemKind::UNPROCESSABLE)
            .with_detail("The provider of vectors does not take this description.")
            .with_cause(error),
        EmbedError::Model(_) | EmbedError::Invalid(_) | EmbedError::Panicked | EmbedError::Stopped => {
            Problem::internal(error)
        }
    }
}

/// The answer when the embedder takes longer than a search waits.
pub(crate) fn embedder_too_slow() -> Problem {
    Problem::unavailable(
        "The vector of the description was not ready in time.",
        RETRY_AFTER,
    )
}

/// The answer when the load of an answer does not end.
pub(crate) fn load_too_slow() -> Problem {
    Problem::new(ProblemKind::GATEWAY_TIMEOUT)
        .with_detail("The database took too long. Narrower filters help.")
}

/// The answer when too many different answers are being loaded.
pub(crate) fn too_many_loads() -> Problem {
    Problem::unavailable("Too many different questions wait for the database.", RETRY_AFTER)
}

/// The answer when there is no incident with this id.
pub(crate) fn unknown_incident(id: i64) -> Problem {
    Problem::not_found(format!("There is no incident {id}."))
}

/// The answer when no remediation request has this key.
pub(crate) fn unknown_remediation(key: &RemediationKey) -> Problem {
    let namespace = key
        .namespace
        .as_ref()
        .map_or_else(String::new, |namespace| format!(" in namespace `{namespace}`"));
    let created = key.created_at.map_or_else(String::new, |time| {
        format!(
            " created at {}",
            time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        )
    });
    Problem::not_found(format!(
        "There is no remediation request `{}`{namespace}{created}.",
        key.name
    ))
}

/// The answer when a name alone does not tell which remediation request is meant.
pub(crate) fn ambiguous_name(namespaces: &[String]) -> Problem {
    Problem::new(AMBIGUOUS_NAME)
        .with_detail(
            "Several namespaces have a remediation request of this name: say which with `namespace`.",
        )
        .with_violations([Violation::parameter(
            "namespace",
            "required",
            format!("must be given, such as `{}`", namespaces.join("`, `")),
        )])
}

/// The answer when the incident that a search starts from has no vector.
pub(crate) fn embedding_pending(id: i64) -> Problem {
    Problem::new(EMBEDDING_PENDING).with_detail(format!(
        "Incident {id} has no vector to search with: its text is not embedded yet, or it has no text."
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use axum::response::IntoResponse;

    use super::*;

    fn answer(problem: Problem) -> (u16, &'static str, Option<String>) {
        let code = problem.code();
        let response = problem.into_response();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        (
            response.status().as_u16(),
            code,
            retry_after.map(|value| value.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn the_client_learns_whether_to_come_back_and_nothing_of_the_cause() {
        let busy = of_embedder(EmbedError::Busy);
        assert_eq!(answer(busy), (503, "service-unavailable", Some("1".into())));
        assert_eq!(
            answer(of_embedder(EmbedError::Unavailable("503".into()))),
            (503, "service-unavailable", Some("1".into()))
        );
        assert_eq!(
            answer(of_embedder(EmbedError::Refused("400".into()))),
            (422, "unprocessable", None)
        );
        assert_eq!(
            answer(embedder_too_slow()),
            (503, "service-unavailable", Some("1".into()))
        );
        assert_eq!(
            answer(of_embedder(EmbedError::Panicked)),
            (500, "internal-error", None)
        );
        let inconsistent = of_store(StoreError::Inconsistent("two roots".into()));
        assert_eq!(
            inconsistent.cause_chain().as_deref(),
            Some("the database is inconsistent: two roots")
        );
        assert!(
            !inconsistent
                .body(service_kit::problem::Occurrence::default())
                .contains("roots")
        );
        assert_eq!(answer(inconsistent), (500, "internal-error", None));
        assert_eq!(answer(unknown_incident(7)), (404, "not-found", None));
        assert_eq!(answer(embedding_pending(7)), (409, "embedding-pending", None));
    }
}
