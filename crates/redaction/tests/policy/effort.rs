//! The work grows with the input and not with its square, whatever the input is.

use std::time::{Duration, Instant};

use redaction::{Findings, redact_text};

/// What redacting costs the processor: on a busy machine the clock says something else.
fn time(text: &str) -> Duration {
    let (clock, before) = (Instant::now(), processor_time());
    let redacted = redact_text(text, &mut Findings::new());
    assert!(redacted.len() <= text.len());
    match (before, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => clock.elapsed(),
    }
}

/// The time this thread has run, where the system (Linux) tells.
fn processor_time() -> Option<Duration> {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = statistics.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn assert_linear(name: &str, text_of: impl Fn(usize) -> String) {
    redaction::prepare();
    let (small_text, large_text) = (text_of(64 << 10), text_of(512 << 10));
    let (mut small, mut large) = (Duration::MAX, Duration::MAX);
    // The least of several measurements, more of them where a busy machine came between.
    for _ in 0..10 {
        small = small.min(time(&small_text));
        large = large.min(time(&large_text));
        // Eight times the text: eight times the time, or 64 times if it were the square.
        if large < small * 20 + Duration::from_millis(2) {
            return;
        }
    }
    panic!("{name}: {small:?} for 64 KiB, {large:?} for 512 KiB");
}

/// Pieces that make rules look far ahead, or back, or in vain, repeated.
const PIECES: &[&str] = &[
    "password",
    "password=",
    "password:",
    "password: ",
    "password=\"",
    "token=\\\"",
    "token='not ",
    "token=${",
    "--password ",
    "-password",
    "\"password\":[\"",
    "password: |",
    "password: |\n  x\n",
    "name: password\n",
    "<password>",
    "<password",
    "://u:p",
    "://",
    "a://b:c",
    "a://b:1@",
    "x@",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----",
    "kind: Secret\n",
    "kind: Secret\ndata:\n",
    "data:\n",
    "eyJhbGciOi",
    "eyJabcdefgh.",
    "mysql ",
    "mysql -p",
    "curl -u ",
    "curl -u a:b ",
    "login -p x ",
    "bootstrap ",
    "Authorization: Bearer ",
    "Bearer ",
    "Cookie: a=b;",
    "?sig=",
    "{\"a\":",
    "[",
    "{",
    "\"",
    "\\",
    "\\\\\"",
    "[\"password\",",
    "a:5432:b:c:d\n",
    "LS0tLS1CRUdJTi",
    "AAAA",
    "aB3-",
    "api key ",
    "key ",
    "connection string ",
    "password,",
    "password=a,",
    "key:",
    "\\u0026",
    "identified by '",
    "machine a login b ",
    "***",
    "password=***",
];

#[test]
fn repeated_pieces_cost_linear_time() {
    for piece in PIECES {
        assert_linear(piece, |size| piece.repeat(size / piece.len()));
    }
}

#[test]
fn a_repeated_piece_with_another_end_costs_linear_time() {
    for piece in PIECES {
        assert_linear(piece, |size| {
            format!("{}@h\" -p x </ -----END", piece.repeat(size / piece.len()))
        });
    }
}

#[test]
fn growing_runs_of_backslashes_cost_linear_time() {
    assert_linear("backslashes", |size| {
        let mut text = String::new();
        let mut count = 0;
        while text.len() < size {
            text.push_str("token=");
            text.push_str(&"\\".repeat(count));
            text.push_str("\"not ");
            count += 1;
        }
        text
    });
}

#[test]
fn random_text_costs_linear_time() {
    assert_linear("random", |size| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = [
            "pod ", "token ", "=", ": ", "\n", "\"", "x1y2z3 ", "-", "password", "https://", "ä",
        ];
        let mut text = String::new();
        while text.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(words[(state % words.len() as u64) as usize]);
        }
        text
    });
}
