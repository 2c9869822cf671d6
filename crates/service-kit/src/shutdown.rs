//! The wish to stop, and how urgent it is.

use std::{io, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Tells every part of a process that it shall stop. Clones are one wish.
///
/// The first wish asks to finish what was begun; the second to drop it.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Begun,
    Forced,
}

impl Shutdown {
    /// A wish that only [`begin`](Self::begin) and [`force`](Self::force) express.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// A wish that SIGTERM, SIGINT and SIGHUP express: the first signal begins, the second forces.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened to.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        // Listen before returning, so that a signal sent right afterwards does not kill.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A closed terminal.
        let mut hangup = signal(SignalKind::hangup())?;
        let wish = shutdown.clone();
        tokio::spawn(async move {
            let name = any(&mut terminate, &mut interrupt, &mut hangup).await;
            tracing::info!(signal = name, "shutting down; a second signal stops at once");
            wish.begin();
            let name = any(&mut terminate, &mut interrupt, &mut hangup).await;
            tracing::warn!(signal = name, "stopping at once");
            wish.force();
        });
        Ok(shutdown)
    }

    /// Asks to finish and stop.
    pub fn begin(&self) {
        self.raise(Phase::Begun);
    }

    /// Asks to stop at once.
    pub fn force(&self) {
        self.raise(Phase::Forced);
    }

    /// Whether anybody asked to stop.
    pub fn is_begun(&self) -> bool {
        *self.0.borrow() >= Phase::Begun
    }

    /// Returns once somebody asked to stop.
    pub async fn begun(&self) {
        self.reached(Phase::Begun).await;
    }

    /// Returns once somebody asked to stop at once.
    pub async fn forced(&self) {
        self.reached(Phase::Forced).await;
    }

    fn raise(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let raised = *phase < to;
            *phase = to.max(*phase);
            raised
        });
    }

    async fn reached(&self, wanted: Phase) {
        // Cannot fail: `self` holds the sender.
        let _ = self.0.subscribe().wait_for(|phase| *phase >= wanted).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

async fn any(terminate: &mut Signal, interrupt: &mut Signal, hangup: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hangup.recv() => "SIGHUP",
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wish_only_grows() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_begun());
        assert_eq!(shutdown.begun().now_or_never(), None);
        shutdown.begin();
        assert!(shutdown.is_begun());
        assert_eq!(shutdown.begun().now_or_never(), Some(()));
        assert_eq!(shutdown.forced().now_or_never(), None);
        shutdown.force();
        shutdown.begin();
        assert_eq!(shutdown.forced().now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn forcing_also_begins() {
        let shutdown = Shutdown::new();
        shutdown.clone().force();
        assert!(shutdown.is_begun());
    }
}
