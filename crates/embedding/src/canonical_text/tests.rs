use proptest::prelude::*;

use super::*;

fn message(text: &str) -> String {
    canonical_query(text).unwrap_or_else(|| panic!("nothing left of {text:?}"))
}

#[test]
fn parts_become_sentences() {
    let parts = Parts {
        signal: Some("KubePodCrashLooping"),
        reason: Some("CrashLoopBackOff"),
        message: Some("Back-off 5m0s restarting failed container=app pod=api-7d9c8b6f5-x2x9p."),
        error: Some("exit code 137"),
        root_cause: Some("memory limit of 512Mi is too low"),
        action: Some("restart_pod"),
        details: vec!["dry run passed", "Dry run passed", ""],
    };
    assert_eq!(
        canonical_text(&parts).unwrap(),
        "Kube Pod Crash Looping. Crash Loop Back Off. Back-off # restarting failed container=app pod=api. \
         exit code 137. memory limit of # is too low. restart pod. dry run passed"
    );
}

#[test]
fn nothing_meaningful_is_no_text() {
    assert_eq!(canonical_text(&Parts::default()), None);
    assert_eq!(
        canonical_text(&Parts {
            message: Some(" \n"),
            error: Some("12:00"),
            ..Parts::default()
        }),
        None
    );
    assert_eq!(canonical_query(""), None);
    assert_eq!(canonical_query("… 42 10.0.0.1 🚀 --"), None);
}

/// Two reports of one thing: where, when and how much differ, what and why do not.
#[test]
fn the_thousandth_crash_loop_is_the_first() {
    for (first, later) in [
        (
            "Back-off 10s restarting failed container=app pod=api-7d9c8b6f5-x2x9p_shop(0b7e2c1a-5d53-4f0e-9d3e-0c2f6f1b7a11)",
            "Back-off 5m0s restarting failed container=app pod=api-7d9c8b6f5-bcdfg_shop(9aa1f3d2-1c1b-4a7e-8a55-3f0f7e9b2c44)",
        ),
        (
            "container used 512Mi of 1Gi (97.5%) at 2025-03-01T10:00:00Z",
            "container used 1.2GiB of 4Gi (31%) at 2024-11-30 23:59:59.123 +0000 UTC",
        ),
        (
            "pod postgres-0 restarted 3 times in the last 10 minutes",
            "pod postgres-12 restarted 41 times in the last 2 minutes",
        ),
        (
            "dial tcp 10.0.3.17:5432: connect: connection refused",
            "dial tcp [fd00:10:244::5]:5432: connect: connection refused",
        ),
        (
            "node ip-10-0-3-17.ec2.internal is NotReady",
            "node ip-172-31-200-4.eu-west-1.compute.internal is NotReady",
        ),
        (
            "Failed to pull image registry.io/shop/cart@sha256:3f2a9bc01d3f2a9bc01d3f2a9bc01d",
            "Failed to pull image registry.io/shop/cart@sha256:99aa00bb11cc22dd33ee44ff55aa66",
        ),
        (
            r#"Get "http://10.1.2.3:8080/ready?t=1": context deadline exceeded"#,
            r#"Get "https://10.9.8.7:9090/ready?t=2": context deadline exceeded"#,
        ),
        (
            "certificate expired on Mon, 02 Jan 2006 15:04:05 GMT",
            "certificate expired on Tue, 30 Sep 2025 01:02:03 GMT",
        ),
        (
            "E0612 10:11:12.123456 4242 reflector.go:147] watch failed",
            "E1201 01:02:03.000001 7 reflector.go:99] watch failed",
        ),
        (
            "0/3 nodes are available: 3 Insufficient memory",
            "0/12 nodes are available: 12 Insufficient memory",
        ),
        (
            "endpoints 10.0.0.1, 10.0.0.2 are gone",
            "endpoints 10.0.0.3, 10.0.0.4, 10.0.0.5 are gone",
        ),
        ("task 4c01db0b339c killed", "task e1f9a20b7c55 killed"),
        ("nginx:1.21.3 crashed", "nginx:1.25.0 crashed"),
        ("running v1.28.3-gke.1100", "running v1.30.0"),
    ] {
        assert_eq!(message(first), message(later), "{first:?} and {later:?}");
    }
}

#[test]
fn codes_keep_their_meaning() {
    for (text, canonical) in [
        ("exit code 137", "exit code 137"),
        (
            "container exited with code 1 after 5m",
            "container exited with code 1 after #",
        ),
        ("exitCode=139", "exit Code=139"),
        ("exit status: 2", "exit status: 2"),
        ("exit code -1", "exit code -1"),
        ("exit code 3221225477", "exit code 3221225477"),
        ("exit code: 0xC0000005", "exit code: 0xC0000005"),
        ("status 3/5, code 12.5", "status #/#, code #.#"),
        ("ORA-00942 and CVE-2024-3094", "ORA-00942 and CVE-2024-3094"),
        ("container_exit_code 137", "container exit code 137"),
        (
            "HTTP probe failed with statuscode: 503",
            "HTTP probe failed with statuscode: 503",
        ),
        ("HTTP 429", "HTTP 429"),
        ("HTTP/1.1 502 Bad Gateway", "HTTP/1.1 502 Bad Gateway"),
        (
            "upstream returned 503 three times",
            "upstream returned 503 three times",
        ),
        ("503 Service Unavailable", "503 Service Unavailable"),
        ("many 5xx answers", "many 5xx answers"),
        ("killed by signal 9", "killed by signal 9"),
        ("SQLSTATE 23505", "SQLSTATE 23505"),
        (
            "x509: certificate signed by unknown authority",
            "x509: certificate signed by unknown authority",
        ),
        ("OOMKilled", "OOM Killed"),
        ("ErrImagePull", "Err Image Pull"),
        ("invalid UTF-8 in TLS 1.3 hello", "invalid UTF-8 in TLS 1.3 hello"),
        ("SIGTERM", "SIGTERM"),
        ("returned 200 rows", "returned # rows"),
    ] {
        assert_eq!(message(text), canonical);
    }
    assert_ne!(message("exit code 137"), message("exit code 1"));
    assert_ne!(message("status 503"), message("status 429"));
}

#[test]
fn what_varies_becomes_a_placeholder() {
    for (text, canonical) in [
        ("memory at 97%", "memory at #%"),
        ("wait 1,234.5 ms", "wait # ms"),
        ("the 3rd attempt", "the # attempt"),
        ("timeout after 2h45m30.5s", "timeout after #"),
        ("mac 0a:1b:2c:3d:4e:5f lost", "mac * lost"),
        ("pointer 0x7fff5fbff8c0", "pointer *"),
        ("mail to ops@example.org", "mail to *"),
        ("route fe80::1 gone", "route * gone"),
        ("[10:11:12] started", "[#] started"),
        ("std::io::Error", "std::io::Error"),
        ("lunch at 12:30 PM", "lunch at #"),
        (
            "see https://user:pw@api-7d9c8b6f5-x2x9p.shop.svc:8443/v1/pods?watch=1",
            "see api.shop.svc/v1/pods",
        ),
        (
            "volume /var/lib/kubelet/pods/0b7e2c1a-5d53-4f0e-9d3e-0c2f6f1b7a11/data",
            "volume /var/lib/kubelet/pods/*/data",
        ),
        ("marked 5 pods", "marked # pods"),
        ("on 5 May 2024 at 07:00", "on # at #"),
    ] {
        assert_eq!(message(text), canonical);
    }
}

#[test]
fn whitespace_and_quotes_do_not_matter() {
    assert_eq!(message("  disk\t\"full\"\r\n on `node` "), "disk full on node");
    assert_eq!(message("a\u{0}b"), "a b");
}

#[test]
fn other_languages_stay() {
    assert_eq!(message("Größe überschritten: 5 GB"), "Größe überschritten: # GB");
    assert_eq!(message("证书即将过期 🚀"), "证书即将过期 🚀");
    assert_eq!(
        message("сервер не отвечает 10 минут"),
        "сервер не отвечает # минут"
    );
}

#[test]
fn long_texts_are_cut_after_a_word() {
    let long = "memory pressure ".repeat(1_000);
    let text = message(&long);
    assert!(text.chars().count() <= MAX_CANONICAL_CHARS && text.chars().count() > MAX_CANONICAL_CHARS - 20);
    assert!(text.ends_with("memory") || text.ends_with("pressure"));

    let parts = Parts {
        message: Some(&long),
        action: Some("scale_up"),
        ..Parts::default()
    };
    assert!(
        canonical_text(&parts).unwrap().ends_with(". scale up"),
        "a long message leaves room for the rest"
    );

    let unbroken = "é".repeat(5_000);
    assert_eq!(message(&unbroken).chars().count(), MAX_CANONICAL_CHARS);
}

/// The vocabulary of incidents, and what may come between.
fn incident() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "exit",
        "code",
        "137",
        "status",
        "503",
        "HTTP",
        "/1.1",
        "OOMKilled",
        "api-7d9c8b6f5-x2x9p",
        "postgres-0",
        "10.0.0.1",
        ":8080",
        "fe80::1",
        "::",
        "2025-03-01",
        "T10:00:00Z",
        "12:30",
        "May",
        "5",
        "th",
        "5m0s",
        "512Mi",
        "%",
        "#",
        "*",
        "-",
        "_",
        "=",
        " ",
        "  ",
        ". ",
        ", ",
        "\"",
        "'",
        "(",
        ")",
        "[",
        "/",
        "@",
        "http://",
        "sha256:",
        "3f2a9bc",
        "0x1f",
        "v1.2",
        "x509",
        "gRPC",
        "KubePod",
        "I0612",
        "e5",
        "+00:00",
        "é",
        "数",
        "\n",
        "ip-10-0-0-1",
        "signal",
        "SQLSTATE",
        "23505",
        "node12",
        "Service Unavailable",
        "UTF-8",
        "A",
        "b",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn canonical_of_canonical_is_itself(text in prop_oneof![incident(), any::<String>()]) {
        if let Some(once) = canonical_query(&text) {
            prop_assert_eq!(canonical_query(&once), Some(once.clone()));
            prop_assert!(once.chars().count() <= MAX_CANONICAL_CHARS);
            prop_assert!(!once.contains("  ") && once.trim() == once);
        }
    }

    #[test]
    fn a_record_found_by_its_own_text(signal in incident(), text in incident(), action in incident()) {
        let parts = Parts {
            signal: Some(&signal), message: Some(&text), action: Some(&action), ..Parts::default()
        };
        if let Some(once) = canonical_text(&parts) {
            prop_assert_eq!(canonical_query(&once), Some(once.clone()));
        }
    }
}
