//! The table of patterns: what a credential looks like wherever it stands.
//!
//! Two boundaries are written for short. `\b` ends a word, the ASCII way: the Unicode one would take the regex engine
//! off its fast path on any text that is not ASCII, and classes are spelled out for the same reason. `\<` begins a word,
//! also right behind an escape (`\n`, `\u003e`, `%3D`), whose last letter would otherwise belong to it. Triggers use
//! neither: they are asked of JSON as it is written, too.

use crate::values;

/// One shape of credential.
pub(crate) struct Pattern {
    /// Stable, a metric label.
    pub(crate) name: &'static str,
    /// One line for the documentation.
    pub(crate) description: &'static str,
    /// Something short that every match contains; where it is absent, `pattern` is not asked.
    pub(crate) trigger: &'static str,
    /// Its groups are the secrets; without a group, the whole match is.
    pub(crate) pattern: &'static str,
    /// A last look at what a group caught.
    pub(crate) accepts: fn(&str) -> bool,
    /// So specific that it means a secret even inside a name.
    pub(crate) standalone: bool,
}

/// Rules that are code rather than a pattern: name and description.
pub(crate) const STRUCTURAL: &[(&str, &str)] = &[
    (
        PRIVATE_KEY,
        "the body of a private key in PEM, also cut off or with literal \\n",
    ),
    (
        ASSIGNMENT,
        "the value of a telling name: key=value, key: value, --flag value, <key>value</key>",
    ),
    (MANIFEST, "the data of a Kubernetes Secret written as YAML"),
    (
        JSON_KEY,
        "the value of a telling name in JSON, strings, numbers and lists",
    ),
    (JSON_SECRET, "the data of a Kubernetes Secret in JSON"),
    (
        UNSETTLED,
        "a whole text that still changes after many rounds, which only contrived ones do",
    ),
];

pub(crate) const PRIVATE_KEY: &str = "private_key";
pub(crate) const ASSIGNMENT: &str = "assignment";
pub(crate) const MANIFEST: &str = "secret_manifest";
pub(crate) const JSON_KEY: &str = "json_key";
pub(crate) const JSON_SECRET: &str = "json_secret";
pub(crate) const UNSETTLED: &str = "unsettled";

/// A credential whose issuer gave it a prefix of its own.
const fn issued(
    name: &'static str,
    description: &'static str,
    trigger: &'static str,
    pattern: &'static str,
) -> Pattern {
    Pattern {
        name,
        description,
        trigger,
        pattern,
        accepts: values::anything,
        standalone: true,
    }
}

/// A credential that only its surroundings give away.
const fn in_context(
    name: &'static str,
    description: &'static str,
    trigger: &'static str,
    pattern: &'static str,
    accepts: fn(&str) -> bool,
) -> Pattern {
    Pattern {
        name,
        description,
        trigger,
        pattern,
        accepts,
        standalone: false,
    }
}

pub(crate) const PATTERNS: &[Pattern] = &[
    Pattern {
        accepts: values::is_encoded_private_key,
        ..issued(
            "private_key_base64",
            "a private key in PEM, once more in base64",
            "LS0tLS1CRUdJTi",
            r"\<LS0tLS1CRUdJTi[A-Za-z0-9+/=]+",
        )
    },
    issued(
        "jwt",
        "JSON web tokens, service account tokens among them",
        r"eyJ",
        r"\<eyJ[A-Za-z0-9_-]{8,}\.(?:eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]+)*|[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]+)+)",
    ),
    issued(
        "aws_access_key_id",
        "AWS access key ids, permanent and temporary",
        r"(?:AKIA|ASIA|ABIA|ACCA)",
        r"\<(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    ),
    issued(
        "gcp",
        "Google API keys, OAuth access tokens and client secrets",
        r"AIza|ya29\.|GOCSPX-",
        r"\<(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})",
    ),
    issued(
        "azure_client_secret",
        "client secrets of Entra ID applications",
        r"Q~",
        r"\<[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}",
    ),
    issued(
        "github",
        "GitHub tokens, classic and fine-grained",
        r"gh[pousr]_|github_pat_",
        r"\<(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    issued(
        "gitlab",
        "GitLab tokens of every kind",
        r"gl[a-z]+-",
        r"\<gl(?:pat|dt|ptt|ft|imt|agent|oas|cbt|rt|soat|ffct)-[A-Za-z0-9_-]{20,}",
    ),
    issued(
        "slack",
        "Slack tokens",
        r"xox[a-z]-|xapp-",
        r"\<(?:xox[abceoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,})",
    ),
    issued(
        "webhook_url",
        "the secret path of incoming webhooks of Slack, Discord and Teams",
        r"hooks\.slack\.com|/api/webhooks/|webhook\.office\.com",
        r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_+-]{8,})|discord(?:app)?\.com/api/webhooks/[0-9]+/([A-Za-z0-9_-]{8,})|webhook\.office\.com/webhookb2/([A-Za-z0-9/@_-]{8,}))",
    ),
    issued(
        "stripe",
        "Stripe secret and restricted keys and webhook secrets",
        r"[sr]k_(?:live|test)_|whsec_",
        r"\<(?:[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,})",
    ),
    issued(
        "twilio",
        "Twilio API keys",
        r"SK[0-9a-f]{2}",
        r"\<SK[0-9a-f]{32}\b",
    ),
    issued(
        "sendgrid",
        "SendGrid API keys",
        r"SG\.",
        r"\<SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    ),
    issued(
        "package_registry",
        "tokens of npm, PyPI, crates.io, RubyGems, Docker Hub and Artifactory",
        r"npm_|pypi-Ag|cio|rubygems_|dckr_pat_|AKCp",
        r"\<(?:npm_[A-Za-z0-9]{36,}|pypi-Ag[A-Za-z0-9_-]{40,}|cio[A-Za-z0-9]{32}\b|rubygems_[0-9a-f]{48}|dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}|AKCp[A-Za-z0-9]{60,})",
    ),
    issued(
        "infrastructure",
        "tokens of Vault, Terraform Cloud, Pulumi, Doppler and age",
        r"hv[sbr]\.|\.atlasv1\.|pul-|dp\.|AGE-SECRET-KEY-",
        r"\<(?:hv[sbr]\.[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}|pul-[0-9a-f]{40}|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,}|AGE-SECRET-KEY-1[0-9A-Z]{20,})",
    ),
    issued(
        "cloud_provider",
        "tokens of DigitalOcean, Databricks, Tailscale, PlanetScale, Heroku and Supabase",
        r"do[opr]_v1_|dapi|tskey-|pscale_|HRKU-|sbp_",
        r"\<(?:do[opr]_v1_[0-9a-f]{40,}|dapi[0-9a-f]{32}\b|tskey-[a-z]+-[A-Za-z0-9_-]{16,}|pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{20,}|HRKU-[A-Za-z0-9_-]{36,}|sbp_[0-9a-f]{40})",
    ),
    issued(
        "observability",
        "tokens of Grafana, New Relic, Sentry and Dynatrace",
        r"gls?[ac]_|glc_|NRAK-|sntry[su]_|dt0[a-z]",
        r"\<(?:glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/=]{32,}|NRAK-[A-Z0-9]{27}|sntry[su]_[A-Za-z0-9+/=_]{40,}|dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64})",
    ),
    issued(
        "collaboration",
        "tokens of Atlassian, Linear, Notion, Postman, Shopify and Telegram bots",
        r"ATATT3|lin_api_|ntn_|PMAK-|shp[a-z]{2}_|[0-9]:AA",
        r"\<(?:ATATT3[A-Za-z0-9_=-]{20,}|lin_api_[A-Za-z0-9]{32,}|ntn_[A-Za-z0-9]{40,}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b)",
    ),
    Pattern {
        accepts: values::is_model_provider_key,
        ..issued(
            "model_provider",
            "API keys of OpenAI, Anthropic, OpenRouter, Hugging Face, Groq and Replicate",
            r"sk-|hf_|gsk_|r8_",
            r"\<(?:sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{37})",
        )
    },
    Pattern {
        accepts: values::is_url_password,
        ..issued(
            "url_password",
            "the password in a URL or connection string, scheme://user:password@host",
            r":\\*/\\*/",
            // With a slash in it (which should have been encoded) only as far as the first @.
            r#"[A-Za-z0-9]:\\*/\\*/[^\s/?#:@"'`<>\[\\]*:(?:([^\s/"'`<>]+)|([^\s"'`<>@]+))@"#,
        )
    },
    in_context(
        "dsn_password",
        "the password in user:password@tcp(host) and jdbc:oracle:thin:user/password@host",
        r"@(?:tcp|tcp6|unix)\(|jdbc:oracle:",
        r#"(?:\<[A-Za-z0-9_.-]+:([^\s"'`@]+)@(?:tcp6?|unix)\(|jdbc:oracle:[a-z0-9]+:[^\s/"'@]+/([^\s@"']+)@)"#,
        values::is_given,
    ),
    in_context(
        "authorization_header",
        "the credentials of an Authorization or Proxy-Authorization header, the scheme stays",
        r"(?i-u:authorization)",
        r#"(?i-u:\<authorization)\\*["']?\s*[:=]\s*\[?\s*\\*["']?(?i-u:bearer|basic|token|digest|negotiate|ntlm|apikey|api-key|splunk|bot|aws4-hmac-sha256)\s+([^\s"'\\,;\]]+)"#,
        values::is_credential,
    ),
    in_context(
        "bearer",
        "what follows the word Bearer and looks random",
        r"(?i-u:bearer)",
        r"(?i-u:\<bearer)\s+([A-Za-z0-9._~+/-]{16,}=*)",
        values::looks_issued,
    ),
    in_context(
        "basic",
        "what follows the word Basic and decodes to user:password",
        r"(?i-u:basic)",
        r"(?i-u:\<basic)\s+([A-Za-z0-9+/]{6,}=*)",
        values::is_encoded_user_and_password,
    ),
    in_context(
        "cookie",
        "the pairs of a Cookie or Set-Cookie header",
        r"(?i-u:cookie)",
        r#"(?i-u:\<(?:set-)?cookie)\\*["']?\s*:\s*\[?\\*["']?([A-Za-z0-9_.%-]+=[^\s;,"'\\]*(?:;\s*[A-Za-z0-9_.%-]+(?:=[^\s;,"'\\]*)?)*)"#,
        values::is_given,
    ),
    in_context(
        "url_signature",
        "signatures of presigned URLs of S3, Google Cloud Storage and Azure, and of signed AWS requests",
        r"(?i-u:sig=|signature=)",
        r#"(?:[?&](?i-u:sig|signature|x-amz-signature|x-goog-signature)=([^\s&"'`<>#\\;,]+)|\<Signature=([0-9a-f]{64}))"#,
        values::is_given,
    ),
    in_context(
        "netrc",
        "the password of a .netrc line",
        r"password",
        r"\<(?:machine\s+[^\s]+|default)\s+login\s+[^\s]+\s+password\s+([^\s]+)",
        values::is_given,
    ),
    in_context(
        "pgpass",
        "the password of a .pgpass line, host:port:database:user:password",
        r":(?:\*|54[0-9]{2}|6432|6543|26257):",
        r"(?m)^[^\s:#]+:(?:\*|54[0-9]{2}|6432|6543|26257):[^\s:]+:[^\s:]+:([^\s]+)$",
        values::is_given,
    ),
    in_context(
        "sql_password",
        "the password of a SQL statement, IDENTIFIED BY '…'",
        r"(?i-u:identified)",
        r#"(?i-u:\<identified\s+(?:with\s+[a-z0-9_'`]+\s+)?(?:by|as))\s+(?i-u:password\s+)?["']([^"'\n]+)["']"#,
        values::is_given,
    ),
    in_context(
        "mysql_flag",
        "mysql -pPASSWORD and its relatives",
        r"(?:mysql|mariadb)",
        r#"\<(?:mysql|mysqldump|mysqladmin|mysqlimport|mysqlshow|mysqlpump|mariadb|mariadb-dump|mariadb-admin)\b[^\n|;&]*?\s-p(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'|;&]+))"#,
        values::is_attached_password,
    ),
    in_context(
        "client_flag",
        "the password flags of docker login, sshpass, redis-cli, mongo, sqlcmd, ldapsearch, openssl, curl, rabbitmqctl",
        r"(?:sshpass|redis-cli|mongo|sqlcmd|ldap|openssl|curl|rabbitmqctl|login)",
        concat!(
            r#"(?:\<(?:docker|podman|nerdctl|buildah|skopeo|crane|oras|registry|az)\s+login\b[^\n|;&]*?\s-p[ =]?["']?([^\s"'-][^\s"']*)"#,
            r#"|\<sshpass\s+-p\s*["']?([^\s"'-][^\s"']*)"#,
            r#"|\<redis-cli\b[^\n|;&]*?\s(?:-a|--pass)[ =]["']?([^\s"'-][^\s"']*)"#,
            r#"|\<mongo(?:sh|dump|restore|export|import)?\b[^\n|;&]*?\s-p[ =]?["']?([^\s"'-][^\s"']*)"#,
            r#"|\<sqlcmd\b[^\n|;&]*?\s-P[ =]?["']?([^\s"'-][^\s"']*)"#,
            r#"|\<ldap(?:search|modify|add|whoami|passwd)\b[^\n|;&]*?\s-w[ =]["']?([^\s"'-][^\s"']*)"#,
            r#"|\<openssl\b[^\n|;&]*?\s-pass(?:in|out)?\s+pass:([^\s"']+)"#,
            r#"|\<curl\b[^\n|;&]*?\s(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"'/]+:([^\s"']+)"#,
            r#"|\<rabbitmqctl\s+(?:add_user|change_password)\s+[^\s]+\s+["']?([^\s"'-][^\s"']*))"#,
        ),
        values::is_given,
    ),
    in_context(
        "bootstrap_token",
        "bootstrap tokens of Kubernetes near the word bootstrap or kubeadm",
        r"(?i-u:bootstrap|kubeadm)",
        r"(?i-u:bootstrap|kubeadm)[^\n]*?\<([a-z0-9]{6}\.[a-z0-9]{16})\b",
        values::has_letter_and_digit,
    ),
];
