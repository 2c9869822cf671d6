//! A port whose answers change once: from probes to the service.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Router, extract::Request, response::Response};
use tokio::{net::TcpListener, task::JoinSet};
use tower::ServiceExt;

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
            let router = switching(early.clone(), Arc::clone(&self.service));
            self.task
                .spawn(listener::run(listener, router, self.limits, self.stop.clone()));
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

/// Asks at each request who answers.
fn switching(early: Router, service: Arc<OnceLock<Router>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let router = service.get().unwrap_or(&early).clone();
        async move {
            let answer: Result<Response, Infallible> = router.oneshot(request).await;
            answer
        }
    })
}
