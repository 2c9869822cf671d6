use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::*;

/// Long enough to tell that nothing comes.
const SILENCE: Duration = Duration::from_millis(100);

/// A server that says back what it hears, and a proxy before it.
async fn echo() -> ChaosProxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    ChaosProxy::start(address.to_string()).await
}

async fn client(proxy: &ChaosProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn hear(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut heard = vec![0; length];
    timeout(Duration::from_secs(5), stream.read_exact(&mut heard))
        .await
        .expect("an answer")
        .expect("a connection");
    heard
}

async fn say_and_hear(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).await.unwrap();
    assert_eq!(hear(stream, words.len()).await, words);
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

async fn ends_with_reset(stream: &mut TcpStream) -> bool {
    let read = timeout(Duration::from_secs(5), stream.read_u8()).await;
    read.expect("an end").unwrap_err().kind() == ErrorKind::ConnectionReset
}

#[tokio::test]
async fn what_passes_is_counted() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    say_and_hear(&mut stream, b"hello").await;
    let expected = Counts {
        accepted: 1,
        open: 1,
        bytes_to_server: 5,
        bytes_to_client: 5,
        ..Counts::default()
    };
    assert_eq!(proxy.counts(), expected);
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end passes too");
}

#[tokio::test]
async fn a_black_hole_swallows_old_and_new_connections_until_it_is_gone() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    say_and_hear(&mut old, b"before").await;
    proxy.black_hole();
    old.write_all(b"into the hole").await.unwrap();
    let mut new = client(&proxy).await;
    new.write_all(b"me too").await.unwrap();
    assert!(is_silent(&mut old).await && is_silent(&mut new).await);
    assert_eq!(proxy.counts().swallowed, 2);
    assert_eq!(proxy.counts().bytes_to_server, 6, "only what came before");
    proxy.pass();
    assert_eq!(hear(&mut old, 13).await, b"into the hole");
    assert_eq!(hear(&mut new, 6).await, b"me too");
}

#[tokio::test]
async fn forgotten_connections_stay_dead_and_new_ones_work() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    say_and_hear(&mut old, b"before").await;
    proxy.forget_connections();
    old.write_all(b"anybody?").await.unwrap();
    let mut new = client(&proxy).await;
    say_and_hear(&mut new, b"hello").await;
    proxy.pass();
    assert!(is_silent(&mut old).await);
    assert_eq!(proxy.counts().swallowed, 1);
}

#[tokio::test]
async fn a_reset_breaks_all_connections_of_its_moment() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    say_and_hear(&mut old, b"before").await;
    proxy.reset();
    assert!(ends_with_reset(&mut old).await);
    let mut new = client(&proxy).await;
    say_and_hear(&mut new, b"after").await;
    assert_eq!((proxy.counts().reset, proxy.counts().open), (1, 1));
}

#[tokio::test]
async fn a_cut_comes_after_exactly_so_many_bytes() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    say_and_hear(&mut stream, b"0123456789").await;
    proxy.cut_after(Direction::ToClient, 3);
    stream.write_all(b"abcdef").await.unwrap();
    // A reset may overtake what came before it, so the client cannot tell how much that was.
    let broken = async { while stream.read_u8().await.is_ok() {} };
    timeout(Duration::from_secs(5), broken).await.expect("an end");
    assert_eq!(proxy.counts().bytes_to_client, 13);
    assert_eq!(proxy.counts().bytes_to_server, 16);
    assert_eq!(proxy.counts().cut, 1);
    say_and_hear(&mut client(&proxy).await, b"the trap has gone off").await;
}

#[tokio::test]
async fn an_answer_is_lost_after_the_server_heard_the_question() {
    let proxy = echo().await;
    let (mut one, mut other) = (client(&proxy).await, client(&proxy).await);
    proxy.lose_answer_to("COMMIT");
    say_and_hear(&mut one, b"BEGIN; COM").await;
    say_and_hear(&mut other, b"BEGIN").await;
    // The question arrives in two pieces.
    one.write_all(b"MIT").await.unwrap();
    assert!(ends_with_reset(&mut one).await);
    assert_eq!(proxy.counts().bytes_to_server, 10 + 5 + 3);
    assert_eq!(proxy.counts().bytes_to_client, 10 + 5);
    assert_eq!(proxy.counts().cut, 1);
    say_and_hear(&mut other, b"COMMIT").await;
}

#[tokio::test]
async fn refused_connections_are_refused_and_established_ones_go_on() {
    let proxy = echo().await;
    let mut old = client(&proxy).await;
    say_and_hear(&mut old, b"before").await;
    proxy.refuse();
    // The listener closes a moment later.
    let refused = async {
        while let Ok(stream) = TcpStream::connect(proxy.address()).await {
            drop(stream);
        }
    };
    timeout(Duration::from_secs(5), refused).await.expect("a refusal");
    say_and_hear(&mut old, b"still here").await;
    proxy.pass();
    let again = async {
        loop {
            if let Ok(stream) = TcpStream::connect(proxy.address()).await {
                return stream;
            }
        }
    };
    let mut new = timeout(Duration::from_secs(5), again)
        .await
        .expect("a connection");
    say_and_hear(&mut new, b"welcome").await;
}

#[tokio::test]
async fn delay_and_limit_take_their_time() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    let took = async |stream: &mut TcpStream, words: &[u8]| {
        let began = Instant::now();
        say_and_hear(stream, words).await;
        began.elapsed()
    };
    proxy.delay(Direction::ToServer, Duration::from_millis(60));
    proxy.delay(Direction::ToClient, Duration::from_millis(40));
    assert_eq!(proxy.counts().delayed, 0);
    assert!(took(&mut stream, b"far away").await >= Duration::from_millis(100));
    assert_eq!(proxy.counts().delayed, 2);
    proxy.pass();
    proxy.limit(Direction::ToServer, 1_000);
    // The second hundred waits until the first is through.
    stream.write_all(&[1; 100]).await.unwrap();
    hear(&mut stream, 100).await;
    assert!(took(&mut stream, &[2; 100]).await >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_server_that_is_gone_is_counted_and_the_client_is_reset() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let proxy = ChaosProxy::start(gone.to_string()).await;
    let mut stream = client(&proxy).await;
    assert!(ends_with_reset(&mut stream).await);
    assert_eq!(proxy.counts().unreachable, 1);
}

#[tokio::test]
async fn the_end_can_come_slowly() {
    let proxy = echo().await;
    let mut stream = client(&proxy).await;
    say_and_hear(&mut stream, b"hello").await;
    proxy.close_slowly(Duration::from_millis(50));
    let began = Instant::now();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(began.elapsed() >= Duration::from_millis(100), "once each way");
}

#[test]
fn the_proxy_takes_the_place_of_the_host_in_a_url() {
    let place = |url: &str| url[address_of(url)].to_owned();
    assert_eq!(place("postgres://u:p@127.0.0.1:5432/db"), "127.0.0.1:5432");
    assert_eq!(place("redis://localhost:6379"), "localhost:6379");
    assert_eq!(place("postgres://u:p%40x@h:1/d?options=a@b"), "h:1");
}
