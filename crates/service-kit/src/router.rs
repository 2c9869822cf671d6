//! Problem documents for requests that no route answers.

use axum::{Router, http::Method};

use crate::problem::{Problem, ProblemKind};

/// Answers unknown paths with 404 and unknown methods of known paths with 405 and `Allow`.
///
/// Call it after the last route: methods are only refused on routes that are there already.
pub fn fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn unknown_path() -> Problem {
    Problem::new(ProblemKind::UNKNOWN_PATH)
}

pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    // axum adds `Allow`, which only the matched route knows.
    let method: String = method.as_str().chars().take(32).collect();
    Problem::new(ProblemKind::METHOD_NOT_ALLOWED).with_detail(format!(
        "`{method}` is not answered here; `Allow` lists the methods that are."
    ))
}
