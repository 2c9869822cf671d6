//! One connection through the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Behaviour, Direction, Shared, Trap, break_off};

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way in one direction at most. Further ones wait in the sender's buffers, as on a slow network.
const CHUNKS_UNDER_WAY: usize = 64;

/// Why a connection did not end as its two sides wished.
enum Fault {
    /// A trap.
    Cut,
    /// One side broke it, which the other side hears.
    Broken,
}

impl From<std::io::Error> for Fault {
    fn from(_: std::io::Error) -> Self {
        Self::Broken
    }
}

/// What was read, and when it is due at the other side. No bytes are the end of the stream.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

struct Connection {
    number: u64,
    shared: Arc<Shared>,
    /// The next answer of the server is not passed on.
    loses_answer: AtomicBool,
}

impl Behaviour {
    fn silences(&self, number: u64) -> bool {
        self.black_hole || number < self.dead_below
    }
}

pub(super) async fn run(mut client: TcpStream, number: u64, shared: Arc<Shared>) {
    let connection = Connection {
        number,
        shared: Arc::clone(&shared),
        loses_answer: AtomicBool::new(false),
    };
    let mut behaviour = shared.behaviour.subscribe();
    let broken_on_request = async move {
        if behaviour.wait_for(|now| number < now.reset_below).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::pin!(broken_on_request);
    let server = tokio::select! {
        server = connection.reach_server() => server,
        () = &mut broken_on_request => {
            shared.reset.fetch_add(1, Ordering::SeqCst);
            None
        }
    };
    let Some(mut server) = server else {
        break_off(client);
        return;
    };
    shared.open.fetch_add(1, Ordering::SeqCst);
    let faulty = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let both_ways = async {
            tokio::try_join!(
                connection.pump(Direction::ToServer, client_read, server_write),
                connection.pump(Direction::ToClient, server_read, client_write),
            )
        };
        tokio::select! {
            () = &mut broken_on_request => {
                shared.reset.fetch_add(1, Ordering::SeqCst);
                true
            }
            ended = both_ways => {
                if matches!(ended, Err(Fault::Cut)) {
                    shared.cut.fetch_add(1, Ordering::SeqCst);
                }
                ended.is_err()
            }
        }
    };
    shared.open.fetch_sub(1, Ordering::SeqCst);
    if faulty {
        break_off(client);
        break_off(server);
    }
}

impl Connection {
    async fn reach_server(&self) -> Option<TcpStream> {
        self.heard().await;
        let Ok(server) = TcpStream::connect(&self.shared.upstream).await else {
            self.shared.unreachable.fetch_add(1, Ordering::SeqCst);
            return None;
        };
        // What is small is not to wait for more: only the faults that were asked for slow anything down.
        server.set_nodelay(true).ok()?;
        Some(server)
    }

    async fn pump(
        &self,
        direction: Direction,
        read: ReadHalf<'_>,
        write: WriteHalf<'_>,
    ) -> Result<(), Fault> {
        let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
        tokio::try_join!(
            self.take(direction, read, sender),
            self.give(direction, receiver, write)
        )?;
        Ok(())
    }

    async fn take(
        &self,
        direction: Direction,
        mut read: ReadHalf<'_>,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<(), Fault> {
        loop {
            let mut bytes = vec![0; CHUNK_BYTES];
            let length = read.read(&mut bytes).await?;
            bytes.truncate(length);
            let (delay, close_delay) = {
                let behaviour = self.shared.behaviour.borrow();
                (behaviour.delay[direction as usize], behaviour.close_delay)
            };
            let wait = if length == 0 { delay + close_delay } else { delay };
            self.shared
                .delayed
                .fetch_add(u64::from(!wait.is_zero()), Ordering::SeqCst);
            let chunk = Chunk {
                due: Instant::now() + wait,
                bytes,
            };
            if chunks.send(chunk).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    }

    async fn give(
        &self,
        direction: Direction,
        mut chunks: mpsc::Receiver<Chunk>,
        mut write: WriteHalf<'_>,
    ) -> Result<(), Fault> {
        let mut before = Vec::new();
        while let Some(Chunk { due, bytes }) = chunks.recv().await {
            sleep_until(due).await;
            self.heard().await;
            if bytes.is_empty() {
                // The other side may have closed already.
                let _ = write.shutdown().await;
                return Ok(());
            }
            if direction == Direction::ToClient && self.loses_answer.load(Ordering::SeqCst) {
                return Err(Fault::Cut);
            }
            let allowed = self.allowed(direction, bytes.len());
            if direction == Direction::ToServer {
                self.look_for_question(&mut before, &bytes);
            }
            let passed = &bytes[..allowed.unwrap_or(bytes.len())];
            write.write_all(passed).await?;
            self.shared.passed[direction as usize].fetch_add(passed.len() as u64, Ordering::SeqCst);
            if allowed.is_some() {
                return Err(Fault::Cut);
            }
            let rate = self.shared.behaviour.borrow().bytes_per_second[direction as usize];
            if let Some(rate) = rate {
                #[expect(clippy::cast_precision_loss, reason = "a chunk is small")]
                let seconds = passed.len() as f64 / rate.max(1) as f64;
                sleep(Duration::from_secs_f64(seconds)).await;
            }
        }
        Ok(())
    }

    /// Waits for as long as nobody would hear this connection.
    async fn heard(&self) {
        let mut behaviour = self.shared.behaviour.subscribe();
        if !behaviour.borrow_and_update().silences(self.number) {
            return;
        }
        self.shared.swallowed.fetch_add(1, Ordering::SeqCst);
        if behaviour
            .wait_for(|now| !now.silences(self.number))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// How many of these bytes may pass before the connection is cut; `None` where it is not cut here.
    fn allowed(&self, direction: Direction, length: usize) -> Option<usize> {
        let mut traps = self.shared.traps();
        let at = traps.iter().position(
            |trap| matches!(trap, Trap::After { direction: watched, .. } if *watched == direction),
        )?;
        let Trap::After { bytes, .. } = &mut traps[at] else {
            return None;
        };
        let length = length as u64;
        if *bytes > length {
            *bytes -= length;
            return None;
        }
        let allowed = usize::try_from(*bytes).expect("at most the length of a chunk");
        traps.remove(at);
        Some(allowed)
    }

    /// Notices a question whose answer shall be lost. `before` is the end of what went by already: a question may
    /// arrive in pieces.
    fn look_for_question(&self, before: &mut Vec<u8>, bytes: &[u8]) {
        before.extend_from_slice(bytes);
        let mut traps = self.shared.traps();
        let found = traps.iter().position(|trap| {
            matches!(trap, Trap::AnswerTo { asked }
                if before.windows(asked.len()).any(|window| window == asked.as_slice()))
        });
        if let Some(found) = found {
            traps.remove(found);
            self.loses_answer.store(true, Ordering::SeqCst);
        }
        let longest = traps
            .iter()
            .map(|trap| match trap {
                Trap::AnswerTo { asked } => asked.len(),
                Trap::After { .. } => 0,
            })
            .max()
            .unwrap_or(0);
        let kept = longest.saturating_sub(1).min(before.len());
        before.drain(..before.len() - kept);
    }
}
