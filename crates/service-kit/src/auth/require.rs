//! The layer that lets no request pass whose caller may not do what it does.

use axum::{
    Router,
    extract::{Request, State},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::{Access, Authenticator};
use crate::extract;

/// Lets only callers with this access reach `router`: its routes, and its answers to unknown paths and methods.
///
/// It belongs inside of [`boundary::stack`](crate::boundary::stack), so that refusals have a request id and are logged
/// and counted, and around all routes of the access at once. What is added to the router afterwards is not behind it;
/// call it after [`fallbacks`](crate::router::fallbacks), so that unknown paths are. Where routes need different
/// accesses, wrap each router, merge them, and call `fallbacks` last: then 404 and 405 need no token.
///
/// Handlers find the [`Caller`](super::Caller) among their arguments. They do not see the token: the header is taken
/// away. Headers in which a proxy would name a user, such as `Impersonate-User` or `X-Remote-User`, mean nothing here.
pub fn require<S>(router: Router<S>, authenticator: Authenticator, access: Access) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let guard = Guard {
        authenticator,
        access,
    };
    router.layer(middleware::from_fn_with_state(guard, pass))
}

#[derive(Clone)]
struct Guard {
    authenticator: Authenticator,
    access: Access,
}

async fn pass(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Guard {
        authenticator,
        access,
    } = guard;
    match authenticator.authenticate(request.headers(), access).await {
        Ok(caller) => {
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => {
            extract::discard_body(request).await;
            problem.into_response()
        }
    }
}
