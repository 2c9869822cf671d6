//! Idempotency keys: one key, one request.

use std::collections::BTreeMap;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Group;
use crate::{StoreError, WriteStore};

/// Most expired keys removed by one statement, so that it is short.
const REMOVED_AT_ONCE: i64 = 10_000;

/// A caller's name for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Identity of the caller; two callers may use the same key.
    pub caller: String,
    /// The key.
    pub key: String,
    /// SHA-256 of the request that it stands for.
    pub request_sha256: [u8; 32],
    /// When it was given.
    pub given_at: DateTime<Utc>,
    /// From when on it may stand for another request.
    pub expires_at: DateTime<Utc>,
}

/// Takes the keys of the groups, and tells of each group whether it may go on: it may without a key, and with one that
/// stands for its own request.
///
/// A key that a concurrent transaction has just taken is waited for. Keys are taken in sorted order and before anything
/// else, so that two transactions cannot wait for each other.
pub(super) async fn take(connection: &mut PgConnection, groups: &[Group]) -> Result<Vec<bool>, StoreError> {
    // Of two groups of one transaction with the same key, the first has it.
    let mut distinct: BTreeMap<(&str, &str), &IdempotencyKey> = BTreeMap::new();
    for key in groups.iter().filter_map(|group| group.key.as_ref()) {
        distinct.entry((&key.caller, &key.key)).or_insert(key);
    }
    if distinct.is_empty() {
        return Ok(vec![true; groups.len()]);
    }
    let callers: Vec<String> = distinct.values().map(|key| key.caller.clone()).collect();
    let keys: Vec<String> = distinct.values().map(|key| key.key.clone()).collect();
    let hashes: Vec<Vec<u8>> = distinct.values().map(|key| key.request_sha256.to_vec()).collect();
    let given: Vec<DateTime<Utc>> = distinct.values().map(|key| key.given_at).collect();
    let expiries: Vec<DateTime<Utc>> = distinct.values().map(|key| key.expires_at).collect();
    // The update locks and returns every row, and changes only those that have expired.
    let rows = sqlx::query!(
        "INSERT INTO idempotency_keys AS k (caller, key, request_sha256, created_at, expires_at)
         SELECT n.caller, n.key, n.request_sha256, n.created_at, n.expires_at
         FROM UNNEST($1::text[], $2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[])
              AS n (caller, key, request_sha256, created_at, expires_at)
         ORDER BY n.caller, n.key
         ON CONFLICT (caller, key) DO UPDATE
         SET (request_sha256, created_at, expires_at) = (
             SELECT v.request_sha256, v.created_at, v.expires_at
             FROM (VALUES (true, EXCLUDED.request_sha256, EXCLUDED.created_at, EXCLUDED.expires_at),
                          (false, k.request_sha256, k.created_at, k.expires_at))
                  AS v (expired, request_sha256, created_at, expires_at)
             WHERE v.expired = (k.expires_at <= EXCLUDED.created_at))
         RETURNING k.caller, k.key, k.request_sha256",
        &callers,
        &keys,
        &hashes,
        &given,
        &expiries,
    )
    .fetch_all(connection)
    .await?;
    let owners: HashMap<(&str, &str), &[u8]> = rows
        .iter()
        .map(|row| {
            (
                (row.caller.as_str(), row.key.as_str()),
                row.request_sha256.as_slice(),
            )
        })
        .collect();
    Ok(groups
        .iter()
        .map(|group| {
            group.key.as_ref().is_none_or(|key| {
                owners.get(&(key.caller.as_str(), key.key.as_str())) == Some(&key.request_sha256.as_slice())
            })
        })
        .collect())
}

/// Removes keys that expired before `now`, and tells how many.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn remove_expired(store: &WriteStore, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        // Keys that a request is just taking again are left alone.
        let result = sqlx::query!(
            "DELETE FROM idempotency_keys WHERE (caller, key) IN (
                 SELECT caller, key FROM idempotency_keys WHERE expires_at <= $1
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            now,
            REMOVED_AT_ONCE,
        )
        .execute(store.pool())
        .await?;
        removed += result.rows_affected();
        if result.rows_affected() < REMOVED_AT_ONCE.unsigned_abs() {
            return Ok(removed);
        }
    }
}
