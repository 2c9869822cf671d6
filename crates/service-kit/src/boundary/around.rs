//! What stands around each route: one service and one future for all steps of [`stack`](super::stack).
//!
//! As layers of their own, each made by `axum::middleware::from_fn`, the steps cost a request several times of what they
//! do: each layer copied all layers inside of it for every request, and moved the request and its answer through a
//! future of its own on the heap (decision 44).

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::Request,
    response::Response,
    routing::{Route, future::RouteFuture},
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Timeout, timeout_at};
use tower::{Layer, Service};

use super::{
    Boundary, Deadline, deadline,
    observe::{Observed, Observer},
    panic,
};
use crate::{
    extract::{
        BodyLimits,
        budget::{BodyBudget, Share},
    },
    metrics::Series,
};

/// The layer.
#[derive(Clone)]
pub(super) struct Around(Arc<Shared>);

/// What all requests have in common.
struct Shared {
    observer: Arc<Observer>,
    deadline: Duration,
    body_limits: BodyLimits,
    bodies: BodyBudget,
}

/// The service. Its copies, which axum makes for each request, are cheap: what is inside is copied once, when called.
#[derive(Clone)]
pub(super) struct Answering {
    shared: Arc<Shared>,
    series: Arc<Series>,
    inside: Arc<Route>,
}

impl Around {
    pub(super) fn new(boundary: Boundary) -> Self {
        let Boundary {
            limits,
            request_ids,
            metrics,
        } = boundary;
        Self(Arc::new(Shared {
            observer: Arc::new(Observer { request_ids, metrics }),
            deadline: limits.deadline,
            body_limits: BodyLimits {
                max_bytes: limits.body_max_bytes,
                read_timeout: limits.body_read_timeout,
            },
            bodies: BodyBudget::new(limits.bodies_max_bytes),
        }))
    }
}

impl Layer<Route> for Around {
    type Service = Answering;

    fn layer(&self, inside: Route) -> Answering {
        Answering {
            shared: Arc::clone(&self.0),
            series: Arc::default(),
            inside: Arc::new(inside),
        }
    }
}

impl Service<Request> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answer {
        let shared = &self.shared;
        let observed = Observed::start(&shared.observer, &self.series, &mut request);
        let at = Instant::now() + shared.deadline;
        let share = Share::of(&shared.bodies);
        let extensions = request.extensions_mut();
        extensions.insert(Deadline(at));
        extensions.insert(shared.body_limits);
        extensions.insert(share.clone());
        // Nothing of it runs before it is polled.
        let inside = Route::clone(&self.inside).call(request);
        Answer {
            inside: Some(timeout_at(at, inside)),
            share: Some(share),
            observed: Some(observed),
            shared: Arc::clone(shared),
        }
    }
}

pin_project! {
    /// The future of an answer. Dropped unfinished, its client has left.
    pub(super) struct Answer {
        // Empty once it has answered.
        #[pin]
        inside: Option<Timeout<RouteFuture<Infallible>>>,
        share: Option<Share>,
        observed: Option<Observed>,
        shared: Arc<Shared>,
    }

    impl PinnedDrop for Answer {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(observed) = this.observed {
                observed.within(|| this.inside.set(None));
            }
        }
    }
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(observed), deadline) = (this.observed.as_ref(), this.shared.deadline) else {
            // Polled again after its end, which nobody does.
            return Poll::Pending;
        };
        let response = observed.within(|| {
            panic::caught(|| {
                let Some(inside) = this.inside.as_mut().as_pin_mut() else {
                    return Poll::Pending;
                };
                let response = ready!(deadline::poll(inside, deadline, context));
                this.inside.set(None);
                Poll::Ready(response)
            })
        });
        let response = ready!(response);
        // The body is worked on no more.
        this.share.take();
        Poll::Ready(Ok(match this.observed.take() {
            Some(observed) => observed.finish(response),
            None => response,
        }))
    }
}
