//! A port whose answers change once: from probes to the service.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Router, response::Response, routing::future::RouteFuture};
use hyper::body::Incoming;
use tokio::{net::TcpListener, task::JoinSet};
use tower::Service;

use super::listener::{self, Limits};
use crate::shutdown::Shutdown;

/// A port that is taken. Dropped, it is closed and its connections are cut off.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    /// Until somebody listens.
    listener: Option<TcpListener>,
    limits: Limits,
    /// What is answered from then on.
    service: Arc<OnceLock<Router>>,
    stop: Shutdown,
    task: JoinSet<JoinSet<()>>,
}

impl Port {
    pub(super) fn new(listener: TcpListener, address: SocketAddr, limits: Limits) -> Self {
        Self {
            address,
            listener: Some(listener),
            limits,
            service: Arc::default(),
            stop: Shutdown::new(),
            task: JoinSet::new(),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens, if it does not yet, and answers with `early` until the service is there.
    pub(super) fn open(&mut self, early: &Router) {
        if let Some(listener) = self.listener.take() {
            let switch = Switch {
                early: early.clone(),
                service: Arc::clone(&self.service),
            };
            self.task
                .spawn(listener::run(listener, switch, self.limits, self.stop.clone()));
        }
    }

    /// Answers with `service` from the next request on, also on connections that are open already.
    pub(super) fn switch_to(&mut self, service: Router) {
        // Only the first is taken, and there is only one: `serve` consumes the server.
        let service = self.service.get_or_init(|| service).clone();
        self.open(&service);
    }

    /// Closes the port; gives the connections that are still open, each closing itself after the answer in progress.
    pub(super) async fn close(mut self) -> JoinSet<()> {
        self.stop.begin();
        match self.task.join_next().await {
            Some(Ok(connections)) => connections,
            _never_opened_or_panicked => JoinSet::new(),
        }
    }
}

/// Asks at each request who answers. Not a router of its own, which would cost each request as much as a layer.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    early: Router,
    service: Arc<OnceLock<Router>>,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Switch {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        // A router is always ready, and nothing of an answer happens before it is polled.
        self.service.get().unwrap_or(&self.early).clone().call(request)
    }
}
