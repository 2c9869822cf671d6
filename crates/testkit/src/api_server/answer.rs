//! What the API server answers to a review.

use std::time::Duration;

use serde_json::{Value, json};

/// One way to answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) after: Duration,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// The review with this status.
    Status(Value),
    /// The token is known; the audiences are those that were asked for.
    User(Value),
    /// Anything else.
    Raw(u16, String),
    /// No answer: the connection is closed.
    Close,
    /// No answer: the connection stays open.
    Silence,
}

impl Answer {
    fn new(kind: Kind) -> Self {
        Self {
            after: Duration::ZERO,
            kind,
        }
    }

    /// 201: the token is this user's, and is meant for whatever audiences were asked for.
    #[must_use]
    pub fn user(username: &str) -> Self {
        Self::new(Kind::User(json!({
            "username": username,
            "uid": format!("uid of {username}"),
            "groups": ["system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": [format!("pod of {username}")]},
        })))
    }

    /// 201 with this status.
    #[must_use]
    pub fn status(status: Value) -> Self {
        Self::new(Kind::Status(status))
    }

    /// 201: as the API server answers to a token nobody issued, and to an expired one.
    #[must_use]
    pub fn unknown_token() -> Self {
        Self::status(json!({"user": {}, "error": "[invalid bearer token, unknown]"}))
    }

    /// 201: allowed by a role.
    #[must_use]
    pub fn allowed() -> Self {
        Self::status(json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"writers\""}))
    }

    /// 201: no role allows it.
    #[must_use]
    pub fn no_role() -> Self {
        Self::status(json!({"allowed": false}))
    }

    /// A `Status` with this code.
    #[must_use]
    pub fn failure(code: u16, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
        });
        Self::raw(code, &status.to_string())
    }

    /// This body with this status.
    #[must_use]
    pub fn raw(code: u16, body: &str) -> Self {
        Self::new(Kind::Raw(code, body.to_owned()))
    }

    /// The connection is closed.
    #[must_use]
    pub fn close() -> Self {
        Self::new(Kind::Close)
    }

    /// There is never an answer.
    #[must_use]
    pub fn silence() -> Self {
        Self::new(Kind::Silence)
    }

    /// Answers after some time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }
}
