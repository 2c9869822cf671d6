//! The class of an error, told from what was said about it.
//!
//! One table serves both places that classify: Rust, one attempt at a time, and SQL, which gets the table as two arrays
//! and groups incidents by class. Both look for a lower-case ASCII needle in the text made lower-case, text by text and
//! in each text rule by rule; the first hit decides.

/// The class of a text in which no rule finds anything, and of no text at all.
pub(super) const UNKNOWN: &str = "Unknown";

/// Class and needle, the more telling rules first: a quota that is used up also forbids, and a probe that fails often
/// does so by a timeout.
pub(super) const RULES: [(&str, &str); 42] = [
    ("OOMKilled", "oomkill"),
    ("OOMKilled", "out of memory"),
    ("OOMKilled", "exit code 137"),
    ("ImagePull", "imagepull"),
    ("ImagePull", "errimage"),
    ("ImagePull", "pull image"),
    ("ImagePull", "manifest unknown"),
    ("Quota", "exceeded quota"),
    ("Quota", "quota"),
    ("Permission", "forbidden"),
    ("Permission", "permission denied"),
    ("Permission", "access denied"),
    ("Permission", "unauthorized"),
    ("Permission", "unauthenticated"),
    ("Scheduling", "failedscheduling"),
    ("Scheduling", "unschedulable"),
    ("Scheduling", "insufficient cpu"),
    ("Scheduling", "insufficient memory"),
    ("Scheduling", "nodes are available"),
    ("Scheduling", "untolerated taint"),
    ("CrashLoop", "crashloop"),
    ("CrashLoop", "back-off restarting"),
    ("Probe", "liveness probe"),
    ("Probe", "readiness probe"),
    ("Probe", "startup probe"),
    ("Storage", "no space left"),
    ("Storage", "diskpressure"),
    ("Storage", "disk pressure"),
    ("Storage", "failedmount"),
    ("Storage", "multi-attach"),
    ("Certificate", "x509"),
    ("Certificate", "certificate"),
    ("Conflict", "object has been modified"),
    ("Conflict", "already exists"),
    ("Network", "connection refused"),
    ("Network", "connection reset"),
    ("Network", "no route to host"),
    ("Network", "no such host"),
    ("Timeout", "timeout"),
    ("Timeout", "timed out"),
    ("Timeout", "deadline"),
    ("NotFound", "not found"),
];

/// The class of the first text in which a rule finds something.
pub(super) fn classify<'a>(texts: impl IntoIterator<Item = &'a str>) -> &'static str {
    texts
        .into_iter()
        .map(str::to_lowercase)
        .find_map(|text| {
            RULES
                .iter()
                .find(|(_, needle)| text.contains(needle))
                .map(|(class, _)| *class)
        })
        .unwrap_or(UNKNOWN)
}

/// The table's two columns, as a query takes them.
pub(super) fn columns() -> (Vec<String>, Vec<String>) {
    RULES
        .iter()
        .map(|(class, needle)| ((*class).to_owned(), (*needle).to_owned()))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_that_says_something_decides_and_in_it_the_first_rule() {
        let cases: [(&[&str], &str); 14] = [
            (&["Container was OOMKilled"], "OOMKilled"),
            (&["ErrImagePull: manifest unknown"], "ImagePull"),
            (&["pods \"a\" is forbidden: exceeded quota: shop-quota"], "Quota"),
            (&["deployments.apps is forbidden"], "Permission"),
            (&["0/5 nodes are available: 5 Insufficient cpu"], "Scheduling"),
            (&["CrashLoopBackOff"], "CrashLoop"),
            (&["Liveness probe failed: timeout"], "Probe"),
            (&["write: no space left on device"], "Storage"),
            (&["x509: certificate has expired"], "Certificate"),
            (&["context deadline exceeded"], "Timeout"),
            (
                &["step failed", "dial tcp: connection refused", "OOMKilled"],
                "Network",
            ),
            (&["deployments.apps \"api\" not found"], "NotFound"),
            (&["it did not work", ""], UNKNOWN),
            (&[], UNKNOWN),
        ];
        for (texts, class) in cases {
            assert_eq!(classify(texts.iter().copied()), class, "{texts:?}");
        }
    }

    #[test]
    fn needles_are_lower_case_ascii_so_that_rust_and_sql_agree() {
        let odd = RULES
            .iter()
            .find(|(_, needle)| !needle.is_ascii() || *needle != needle.to_ascii_lowercase());
        assert_eq!(odd, None);
    }
}
