//! Identifiers as words.

/// Puts spaces into CamelCase: `KubePodCrashLooping` becomes `Kube Pod Crash Looping`, `OOMKilled` `OOM Killed`.
///
/// Single letters stay attached (`gRPC`, `eBPF`, `PVCs`): alone they would mean nothing.
pub(super) fn push_words(out: &mut String, word: &str) {
    // Most words have no capital but their first letter, and then there is nothing to split.
    if word
        .bytes()
        .skip(1)
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        out.push_str(word);
        return;
    }
    let chars: Vec<char> = word.chars().collect();
    let mut start = 0;
    for (index, current) in chars.iter().enumerate() {
        if index >= start + 2 && begins_word(&chars, index) {
            out.push(' ');
            start = index;
        }
        out.push(*current);
    }
}

fn begins_word(chars: &[char], index: usize) -> bool {
    if !chars[index].is_uppercase() {
        return false;
    }
    let upper = |at: usize| chars.get(at).is_some_and(|c| c.is_uppercase());
    let lower = |at: usize| chars.get(at).is_some_and(|c| c.is_lowercase());
    if upper(index - 1) {
        // The last capital of an acronym begins the next word, if a word follows and not a plural s.
        lower(index + 1) && lower(index + 2)
    } else {
        upper(index + 1) || lower(index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::push_words;

    fn split_camel_case(word: &str) -> String {
        let mut out = String::new();
        push_words(&mut out, word);
        out
    }

    #[test]
    fn identifiers_become_words() {
        for (identifier, words) in [
            ("KubePodCrashLooping", "Kube Pod Crash Looping"),
            ("OOMKilled", "OOM Killed"),
            ("ErrImagePull", "Err Image Pull"),
            ("KubeAPIDown", "Kube API Down"),
            ("CPUThrottlingHigh", "CPU Throttling High"),
            ("etcdNoLeader", "etcd No Leader"),
            ("CrashLoopBackOff", "Crash Loop Back Off"),
            ("PostgreSQL", "Postgre SQL"),
            ("HTTP2Server", "HTTP2 Server"),
            ("ÜberLast", "Über Last"),
        ] {
            assert_eq!(split_camel_case(identifier), words);
            assert!(words.split(' ').all(|word| split_camel_case(word) == word));
        }
    }

    #[test]
    fn what_is_one_word_stays_one() {
        for word in [
            "gRPC",
            "eBPF",
            "PVCs",
            "IPv4",
            "x509",
            "mTLS",
            "NODE",
            "pod",
            "A",
            "",
            "数据库",
            "kB",
        ] {
            assert_eq!(split_camel_case(word), word);
        }
    }
}
