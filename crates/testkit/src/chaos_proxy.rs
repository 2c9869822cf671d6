//! A TCP proxy that misbehaves on request: what stands between a service and its database, its cache or its clients
//! on a bad day.
//!
//! It knows no protocol. A test tells it at run time what to do and asks it afterwards what it did: a fault that met
//! no traffic proves nothing, so every test asserts on [`ChaosProxy::counts`].

mod connection;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections that wait to be accepted at most.
const BACKLOG: u32 = 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What the proxy did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that both sides hold at this moment.
    pub open: u64,
    /// Connections broken by [`ChaosProxy::reset`].
    pub reset: u64,
    /// Connections broken by [`ChaosProxy::cut_after`] or [`ChaosProxy::lose_answer_to`].
    pub cut: u64,
    /// How often somebody began to speak into a black hole: a new connection, or bytes on an old one.
    pub swallowed: u64,
    /// How often bytes, or the end of a stream, were held back by a delay.
    pub delayed: u64,
    /// Connections whose server could not be reached.
    pub unreachable: u64,
    /// Bytes passed on to the server.
    pub bytes_to_server: u64,
    /// Bytes passed on to the client.
    pub bytes_to_client: u64,
}

/// A proxy in front of one upstream address. Dropping it breaks its connections.
///
/// ```
/// # async fn test(database_address: &str) {
/// use testkit::ChaosProxy;
///
/// let proxy = ChaosProxy::start(database_address).await;
/// // … connect to `proxy.address()`, then:
/// proxy.black_hole();
/// // … whatever must hold without a database, then:
/// assert!(proxy.counts().swallowed > 0);
/// proxy.pass();
/// # }
/// ```
pub struct ChaosProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What connections do at the moment.
#[derive(Debug, Clone, Default)]
struct Behaviour {
    /// One for each direction, as in [`Direction`].
    delay: [Duration; 2],
    bytes_per_second: [Option<u64>; 2],
    close_delay: Duration,
    black_hole: bool,
    /// Connections with a smaller number are dead for ever, and nobody is told.
    dead_below: u64,
    /// Connections with a smaller number are to be reset.
    reset_below: u64,
    refuse: bool,
}

/// A fault that happens once.
#[derive(Debug, Clone)]
enum Trap {
    /// Reset the connection that carries this byte.
    After { direction: Direction, bytes: u64 },
    /// Reset the connection once the server answered what these bytes belong to, and pass on nothing of the answer.
    AnswerTo { asked: Vec<u8> },
}

struct Shared {
    upstream: String,
    behaviour: watch::Sender<Behaviour>,
    traps: Mutex<Vec<Trap>>,
    accepted: AtomicU64,
    open: AtomicU64,
    reset: AtomicU64,
    cut: AtomicU64,
    swallowed: AtomicU64,
    delayed: AtomicU64,
    unreachable: AtomicU64,
    passed: [AtomicU64; 2],
}

impl Shared {
    fn traps(&self) -> MutexGuard<'_, Vec<Trap>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChaosProxy {
    /// Listens on a free loopback port and passes everything on to `upstream`, a `host:port`.
    pub async fn start(upstream: impl Into<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port for the proxy");
        let address = listener.local_addr().expect("the address of the proxy");
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            behaviour: watch::Sender::new(Behaviour::default()),
            traps: Mutex::default(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            unreachable: AtomicU64::new(0),
            passed: Default::default(),
        });
        let accepting = tokio::spawn(accept(listener, address, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with the proxy in place of its host and port.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let at = address_of(url);
        format!("{}{}{}", &url[..at.start], self.address, &url[at.end..])
    }

    /// A proxy in front of the host and port that `url` names, as of a database.
    pub async fn in_front_of(url: &str) -> Self {
        Self::start(&url[address_of(url)]).await
    }

    /// Behaves again: no delay, no limit, no hole, no refusal, no trap. What was held back flows on; connections that
    /// died silently stay dead.
    pub fn pass(&self) {
        self.shared.traps().clear();
        self.change(|behaviour| {
            *behaviour = Behaviour {
                dead_below: behaviour.dead_below,
                reset_below: behaviour.reset_below,
                ..Behaviour::default()
            };
        });
    }

    /// Holds every byte of a direction back for a time, as a long way does: what is sent meanwhile follows as closely
    /// as it was sent.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.change(|behaviour| behaviour.delay[direction as usize] = delay);
    }

    /// Lets through so many bytes a second, over each connection.
    pub fn limit(&self, direction: Direction, bytes_per_second: u64) {
        self.change(|behaviour| behaviour.bytes_per_second[direction as usize] = Some(bytes_per_second));
    }

    /// Passes the end of a stream on only after a time.
    pub fn close_slowly(&self, delay: Duration) {
        self.change(|behaviour| behaviour.close_delay = delay);
    }

    /// Nothing goes through any more and nobody is told, until [`pass`](Self::pass): a network that is gone. New
    /// connections are accepted, as by a load balancer, and get no answer.
    pub fn black_hole(&self) {
        self.change(|behaviour| behaviour.black_hole = true);
    }

    /// The connections of this moment die without a word and for ever, new ones work: a firewall that forgot them.
    pub fn forget_connections(&self) {
        let accepted = self.shared.accepted.load(Ordering::SeqCst);
        self.change(|behaviour| behaviour.dead_below = accepted);
    }

    /// Breaks the connections of this moment with an RST to both sides.
    pub fn reset(&self) {
        let accepted = self.shared.accepted.load(Ordering::SeqCst);
        self.change(|behaviour| behaviour.reset_below = accepted);
    }

    /// Refuses new connections, until [`pass`](Self::pass).
    pub fn refuse(&self) {
        self.change(|behaviour| behaviour.refuse = true);
    }

    /// Once: passes `bytes` more bytes in a direction, over whatever connections, then resets the one at which the
    /// count ended.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.shared.traps().push(Trap::After { direction, bytes });
    }

    /// Once: waits for a client to send these bytes, passes them on, waits until the server has answered, and resets
    /// the connection without passing on the answer. What was asked for has happened, and the client does not know.
    pub fn lose_answer_to(&self, asked: impl Into<Vec<u8>>) {
        self.shared.traps().push(Trap::AnswerTo { asked: asked.into() });
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let shared = &self.shared;
        Counts {
            accepted: load(&shared.accepted),
            open: load(&shared.open),
            reset: load(&shared.reset),
            cut: load(&shared.cut),
            swallowed: load(&shared.swallowed),
            delayed: load(&shared.delayed),
            unreachable: load(&shared.unreachable),
            bytes_to_server: load(&shared.passed[Direction::ToServer as usize]),
            bytes_to_client: load(&shared.passed[Direction::ToClient as usize]),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        self.shared.behaviour.send_modify(change);
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where host and port stand in a URL.
fn address_of(url: &str) -> std::ops::Range<usize> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?'])
        .map_or(url.len(), |length| start + length);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    start..end
}

/// Accepts for as long as the proxy lives; its connections end with it.
async fn accept(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut behaviour = shared.behaviour.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let Some(open) = listener.take() else {
            // Bound but not listening: the port stays ours, and whoever comes is refused.
            let socket = bound(address);
            if behaviour.wait_for(|now| !now.refuse).await.is_err() {
                return;
            }
            listener = Some(socket.listen(BACKLOG).expect("the port that was kept"));
            continue;
        };
        let accepted = tokio::select! {
            accepted = open.accept() => accepted,
            changed = behaviour.wait_for(|now| now.refuse) => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
        };
        if let Ok((client, _)) = accepted {
            let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
            connections.spawn(connection::run(client, number, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
        listener = Some(open);
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a reusable port");
    socket.bind(address).expect("the port of the proxy");
    socket
}

/// Closes with an RST: what was not sent is dropped, and the other side's next read fails.
fn break_off(stream: TcpStream) {
    // A connection that is gone already needs no breaking.
    let _ = stream.set_zero_linger();
    drop(stream);
}

#[cfg(test)]
mod tests;
