//! Which incidents are like one.

use chrono::{DateTime, Utc};

use crate::StoreError;
use crate::reader::Incident;
use crate::reader::patterns::{Instance, Instances};
use crate::reader::snapshot::Snapshot;

/// Only so many of the newest terminal incidents are looked at: a share of 300 is known to three hundredths (the standard
/// error of a half), and each of them costs some reads of analyses and workflows.
const MOST_ALIKE: i64 = 300;

/// The newest terminal incidents with the same alert on the same kind of resource, this one left out.
pub(super) async fn newest(
    snapshot: &mut Snapshot,
    incident: &Incident,
    since: DateTime<Utc>,
) -> Result<Instances, StoreError> {
    // An alert may have been there very often. The index on it has them in this order, without the id: to sort them, all of
    // them would be read.
    snapshot.keep_plans_in_order().await?;
    let instances = sqlx::query_as!(
        Instance,
        r#"SELECT i.id AS "id!", i.created_at AS "created_at!"
           FROM incidents i
           WHERE i.alert_name = $1 AND i.resource_kind = $2 AND i.phase IN ('Completed', 'Failed')
             AND i.created_at >= $3 AND i.id <> $4
           ORDER BY i.created_at DESC
           LIMIT $5"#,
        incident.alert_name,
        incident.resource_kind,
        since,
        incident.id,
        MOST_ALIKE,
    )
    .fetch_all(&mut **snapshot)
    .await?;
    Ok(instances.into_iter().collect())
}
