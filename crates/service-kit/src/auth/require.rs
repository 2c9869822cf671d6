//! The layer that lets no request pass whose caller may not do what it does.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    http::header,
    response::{IntoResponse, Response},
    routing::{Route, future::RouteFuture},
};
use futures::{
    FutureExt,
    future::{BoxFuture, Either},
};
use tower::{Layer, Service};

use super::{Access, Authenticator, Caller};
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
    router.layer(Guard(Arc::new(Demand {
        authenticator,
        access,
        everybody: Caller::anonymous(),
    })))
}

#[derive(Clone)]
struct Guard(Arc<Demand>);

struct Demand {
    authenticator: Authenticator,
    access: Access,
    /// The caller of every request where nobody is asked who they are.
    everybody: Caller,
}

/// A guarded route. Copies share it.
#[derive(Clone)]
struct Guarded {
    demand: Arc<Demand>,
    inside: Arc<Route>,
}

impl Layer<Route> for Guard {
    type Service = Guarded;

    fn layer(&self, inside: Route) -> Guarded {
        Guarded {
            demand: Arc::clone(&self.0),
            inside: Arc::new(inside),
        }
    }
}

impl Service<Request> for Guarded {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<RouteFuture<Infallible>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let inside = Route::clone(&self.inside);
        if self.demand.authenticator.is_enabled() {
            Either::Right(pass(Arc::clone(&self.demand), inside, request).boxed())
        } else {
            Either::Left(enter(inside, request, self.demand.everybody.clone()))
        }
    }
}

async fn pass(demand: Arc<Demand>, inside: Route, request: Request) -> Result<Response, Infallible> {
    let asked = demand
        .authenticator
        .authenticate(request.headers(), demand.access);
    match asked.await {
        Ok(caller) => enter(inside, request, caller).await,
        Err(problem) => {
            extract::discard_body(request).await;
            Ok(problem.into_response())
        }
    }
}

fn enter(mut inside: Route, mut request: Request, caller: Caller) -> RouteFuture<Infallible> {
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(caller);
    inside.call(request)
}
