//! Made-up credentials of the right shape, put together here so that no file holds one as a whole.

/// The made-up credential of a name that the corpus uses, `«name»`.
pub(crate) fn credential(name: &str) -> String {
    let letters = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6nOp9qRs2tUv5wXy8zAb1dEf4h";
    let hex = "0123456789abcdef".repeat(4);
    let upper = "A2B3C4D5E6F7G2H3J4K5L6M7N2P3Q4R5S6T7U2V3W4X5Y6Z7A2B3C4D5E6F7";
    let parts: [&str; 3] = match name {
        "jwt" => ["eyJ", "hbGciOiJub25lIn0.eyJ", "zdWIiOiJleGFtcGxlIn0.c2lnbmF0dXJl"],
        "jwe" => ["eyJ", "hbGciOiJkaXIifQ..aXY", ".Y2lwaGVy.dGFn"],
        "aws" => ["AK", "IA", &upper[..16]],
        "aws-temporary" => ["AS", "IA", &upper[..16]],
        "aws-secret" => ["wJal", "EXAMPLE/K7MDENG+b", "PxRfiCYEXAMPLEKEY"],
        "gcp" => ["AI", "za", &letters[..35]],
        "gcp-oauth" => ["ya", "29.", &letters[..40]],
        "gcp-client" => ["GOC", "SPX-", &letters[..28]],
        "azure" => ["a1B", "8Q~", &letters[..34]],
        "github" => ["gh", "p_", &letters[..36]],
        "github-oauth" => ["gh", "o_", &letters[..36]],
        "github-server" => ["gh", "s_", &letters[..36]],
        "github-user" => ["gh", "u_", &letters[..36]],
        "github-fine" => ["github", "_pat_", &letters[..59]],
        "gitlab" => ["gl", "pat-", &letters[..20]],
        "slack" => ["xo", "xb-", &letters[..24]],
        "slack-hook" => ["T0AAAAAAA/", "B0BBBBBBB/", &letters[..24]],
        "stripe" => ["sk", "_live_", &letters[..24]],
        "stripe-hook" => ["wh", "sec_", &letters[..32]],
        "twilio" => ["S", "K", &hex[..32]],
        "sendgrid" => ["S", "G.Ab3dEf6hIj9kLm2nOp5qRs.", &letters[..43]],
        "npm" => ["n", "pm_", &letters[..36]],
        "pypi" => ["py", "pi-Ag", &letters[..60]],
        "docker-hub" => ["dckr", "_pat_", &letters[..27]],
        "digitalocean" => ["do", "p_v1_", &hex],
        "vault" => ["h", "vs.", &letters[..24]],
        "terraform" => [
            "Ab3dEf6hIj9kLm",
            ".atlas",
            "v1.Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7dEf0hIj3kLm6n",
        ],
        "age" => ["AGE-SEC", "RET-KEY-1", &upper[..58]],
        "openai" => ["s", "k-proj-", &letters[..48]],
        "anthropic" => ["s", "k-ant-api03-", &letters[..48]],
        "openrouter" => ["s", "k-or-v1-", &hex],
        "huggingface" => ["h", "f_", &letters[..34]],
        "grafana" => ["gl", "sa_", "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z_0a1b2c3d"],
        "telegram" => ["123456789", ":AA", &letters[..33]],
        "bootstrap" => ["ab1cd2", ".", "ef3gh4ij5kl6mn7p"],
        "dapi" => ["da", "pi", &hex[..32]],
        "base64-line" => [
            "MIIEvQ",
            "IBADANBgkqhkiG9w0BAQEFAASCBKcwggSj",
            "AgEAAoIBAQC7VJTUt9Us8cKj",
        ],
        other => panic!("the corpus asks for an unknown credential: {other}"),
    };
    parts.concat()
}

/// A text of the corpus with its credentials filled in.
pub(crate) fn filled(template: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((head, tail)) = rest.split_once('«') {
        let (name, after) = tail.split_once('»').unwrap();
        filled.push_str(head);
        filled.push_str(&credential(name));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The names that [`credential`] knows and that is recognised without context.
pub(crate) const STANDALONE: [&str; 32] = [
    "jwt",
    "aws",
    "aws-temporary",
    "gcp",
    "gcp-oauth",
    "gcp-client",
    "azure",
    "github",
    "github-oauth",
    "github-server",
    "github-user",
    "github-fine",
    "gitlab",
    "slack",
    "stripe",
    "stripe-hook",
    "twilio",
    "sendgrid",
    "npm",
    "pypi",
    "docker-hub",
    "digitalocean",
    "vault",
    "terraform",
    "age",
    "openai",
    "anthropic",
    "openrouter",
    "huggingface",
    "grafana",
    "telegram",
    "dapi",
];
