//! The id that ties a request to work elsewhere, as its body or a header told it.

use std::sync::{Arc, OnceLock};

/// The correlation id of a request, for its log lines; [`stack`](super::stack) puts one into each request's extensions,
/// and a handler that has learnt the id [tells](Self::tell) it.
#[derive(Clone, Debug, Default)]
pub struct Correlation(Arc<OnceLock<String>>);

impl Correlation {
    /// Tells the id, which must be validated: it goes into the log. The first one counts. Call it in the request's own
    /// span.
    pub fn tell(&self, id: &str) {
        tracing::Span::current().record("correlation_id", id);
        self.0.get_or_init(|| id.to_owned());
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
