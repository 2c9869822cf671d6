//! Under which key a verdict is remembered.

use std::fmt;

use hmac::{Hmac, Mac};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use sha2::Sha256;

use super::{Access, bearer::Token};

/// Makes the keys of remembered verdicts: HMAC-SHA-256 of token and access under a random key of this process.
///
/// So memory holds no token, and nobody who chooses tokens can choose keys.
#[derive(Clone)]
pub struct VerdictKeys(Hmac<Sha256>);

/// A token and an access, unrecognisably.
pub(super) type VerdictKey = [u8; 32];

impl VerdictKeys {
    /// A key by the operating system.
    ///
    /// # Panics
    ///
    /// If the operating system gives no randomness.
    pub fn from_os() -> Self {
        Self::random(&mut StdRng::from_os_rng())
    }

    /// The same keys in every run; for tests.
    pub fn seeded(seed: u64) -> Self {
        Self::random(&mut StdRng::seed_from_u64(seed))
    }

    fn random(generator: &mut StdRng) -> Self {
        let mut key = [0; 32];
        generator.fill_bytes(&mut key);
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }

    pub(super) fn key(&self, token: &Token, access: Access) -> VerdictKey {
        let Access {
            verb,
            group,
            resource,
        } = access;
        let mut mac = self.0.clone();
        for part in [verb, group, resource, token.expose()] {
            // With their lengths, since `ab` and `c` are not `a` and `bc`.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for VerdictKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerdictKeys")
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::*;

    fn token(text: &str) -> Token {
        let value = HeaderValue::try_from(format!("Bearer {text}")).unwrap();
        Token::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).unwrap()
    }

    const ACCESS: Access = Access {
        verb: "create",
        group: "g",
        resource: "r",
    };

    #[test]
    fn token_access_and_process_all_count() {
        let keys = VerdictKeys::seeded(1);
        let key = keys.key(&token("a"), ACCESS);
        assert_eq!(key, VerdictKeys::seeded(1).key(&token("a"), ACCESS));
        let others = [
            keys.key(&token("b"), ACCESS),
            keys.key(
                &token("a"),
                Access {
                    verb: "get",
                    ..ACCESS
                },
            ),
            keys.key(
                &token("a"),
                Access {
                    group: "gr",
                    resource: "",
                    ..ACCESS
                },
            ),
            keys.key(
                &token("a"),
                Access {
                    group: "",
                    resource: "gr",
                    ..ACCESS
                },
            ),
            VerdictKeys::seeded(2).key(&token("a"), ACCESS),
            VerdictKeys::from_os().key(&token("a"), ACCESS),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(key, *other, "{index}");
        }
    }
}
