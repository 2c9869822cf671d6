//! What is known of one incident, and what reading it costs.

use audit_store::Reader;
use audit_store::reader::{Recovery, RemediationKey};
use chrono::TimeDelta;

use crate::volumes::{self, Volume};

/// What was read since the server began, of the tables of a volume: rows of incidents, those of them that were read by
/// reading a month through, and rows of the ledger.
async fn read(volume: &Volume, reader: &Reader) -> [i64; 3] {
    // What the session counted is told when its transaction ends.
    sqlx::query("SELECT pg_stat_force_next_flush()")
        .execute(reader.pool())
        .await
        .expect("a flush");
    let store = volume.database.store().await;
    let counted: (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(rows) FILTER (WHERE relname LIKE 'resource_action_traces%')::bigint,
                sum(seq_tup_read) FILTER (WHERE relname LIKE 'resource_action_traces%')::bigint,
                sum(rows) FILTER (WHERE relname LIKE 'audit_events%')::bigint
         FROM (SELECT relname, seq_tup_read, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
               FROM pg_stat_user_tables WHERE schemaname = $1) t",
    )
    .bind(volume.database.schema().data())
    .fetch_one(store.pool())
    .await
    .expect("statistics");
    store.close().await;
    counted.into()
}

#[tokio::test]
async fn what_is_known_of_one_incident_is_read_without_reading_the_others() {
    let _alone = volumes::alone().await;
    for volume in [volumes::small().await, volumes::large().await] {
        let reader = volume.reader().await;
        // Sessions of other tests tell what they counted when they end.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let before = read(volume, &reader).await;
        let detail = reader.incident(volume.incidents / 2).await;
        let detail = detail.expect("an answer").expect("an incident");
        assert_eq!(
            (
                detail.analyses.len(),
                detail.workflows.len(),
                detail.executions.len(),
                detail.timeline.len()
            ),
            (1, 1, 1, 2)
        );
        let between = read(volume, &reader).await;
        let key = RemediationKey {
            name: "rr-100".to_owned(),
            namespace: None,
            created_at: None,
        };
        let found = reader
            .recovery(&key, volume.created_at(0), TimeDelta::days(90))
            .await
            .expect("an answer");
        let Recovery::Found(recovery) = found else {
            panic!("{found:?}");
        };
        assert_eq!((recovery.incident.id, recovery.patterns.len()), (100, 1));
        let after = read(volume, &reader).await;
        let spent = |before: [i64; 3], after: [i64; 3]| [0, 1, 2].map(|index| after[index] - before[index]);
        let (of_detail, of_recovery) = (spent(before, between), spent(between, after));
        // Both versions in the ledger, and nothing else of it.
        assert_eq!((of_detail[2], of_recovery[2]), (2, 0), "{}", volume.incidents);
        // Those alike, a twentieth of 90 days of 400, are told of; the others are not.
        let alike = volume.incidents / 20 * 90 / 400;
        if volume.incidents == 20_000 {
            assert_eq!((of_detail[0], of_detail[1], of_recovery[1]), (2, 0, 0));
            assert!(of_recovery[0] <= 4 * alike, "{of_recovery:?} for {alike}");
        } else {
            // The month of the incident is so small that it is read through.
            assert!(
                of_detail[0] <= 1_000 && of_recovery[0] <= 2_000,
                "{of_detail:?} {of_recovery:?}"
            );
        }
    }
}
