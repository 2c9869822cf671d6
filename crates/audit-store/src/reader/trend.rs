//! Incidents over time, in the calendar of a time zone.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::filter::filtered;
use super::{IncidentFilter, Outcomes, Reader, Windows};
use crate::StoreError;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUnit {
    /// From one full hour of the time zone to the next, 60 minutes each.
    Hour,
    /// From midnight to midnight: 23 or 25 hours where the clocks change.
    Day,
    /// From Monday to Monday.
    Week,
}

/// The incidents created in one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendBucket {
    /// Where the bucket begins. The first one may begin before the window; only what lies in the window is counted.
    pub start: DateTime<Utc>,
    /// Where it ends, which may be after the window.
    pub end: DateTime<Utc>,
    /// All incidents, terminal or not.
    pub count: i64,
    /// Outcomes of the terminal ones.
    pub outcomes: Outcomes,
}

impl Reader {
    /// Every bucket that the window touches, in order and also if it is empty; `None` if PostgreSQL knows no time zone
    /// of that name. The caller bounds how many buckets the window has. The filter's own times are replaced by the
    /// window; the window before is not read.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or takes too long.
    pub async fn trend(
        &self,
        filter: &IncidentFilter,
        windows: &Windows,
        unit: BucketUnit,
        timezone: &str,
    ) -> Result<Option<Vec<TrendBucket>>, StoreError> {
        let filter = &windows.only(filter);
        let mut snapshot = self.snapshot().await?;
        if !is_timezone(&mut snapshot, timezone).await? {
            return Ok(None);
        }
        let bounds = bounds(&mut snapshot, windows, unit, timezone).await?;
        let mut buckets: Vec<_> = bounds
            .windows(2)
            .take_while(|bound| bound[0] < windows.until)
            .map(|bound| TrendBucket {
                start: bound[0],
                end: bound[1],
                count: 0,
                outcomes: Outcomes::default(),
            })
            .collect();
        let starts: Vec<_> = buckets.iter().map(|bucket| bucket.start).collect();
        let counts = filtered!(
            query,
            r#"SELECT width_bucket(i.created_at, $16::timestamptz[]) AS "bucket!", count(*) AS "count!",
                      count(*) FILTER (WHERE i.phase = 'Completed') AS "successful!",
                      count(*) FILTER (WHERE i.phase = 'Failed') AS "failed!"
               FROM incidents i"#,
            filter,
            "GROUP BY 1",
            &starts,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.commit().await?;
        for counted in counts {
            // Buckets are numbered from 1; 0 is before the first, where the window has nothing.
            let index = usize::try_from(counted.bucket - 1).ok();
            if let Some(bucket) = index.and_then(|index| buckets.get_mut(index)) {
                bucket.count = counted.count;
                bucket.outcomes = Outcomes {
                    successful: counted.successful,
                    failed: counted.failed,
                };
            }
        }
        Ok(Some(buckets))
    }
}

/// Whether PostgreSQL has rules for that name. Where it is asked to use a name it has none for, it takes it for an
/// abbreviation or an offset, whose sign is the other way round.
async fn is_timezone(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    if name == "UTC" {
        // The list is read from hundreds of files.
        return Ok(true);
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = $1) AS "known!""#,
        name
    )
    .fetch_one(connection)
    .await?)
}

/// Where the buckets begin, from the one that the window begins in to at least one after its end.
async fn bounds(
    connection: &mut PgConnection,
    windows: &Windows,
    unit: BucketUnit,
    timezone: &str,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let unit = match unit {
        BucketUnit::Hour => {
            return Ok(sqlx::query_scalar!(
                r#"SELECT s.start AS "start!" FROM generate_series(
                       date_trunc('hour', $1::timestamptz, $3), $2::timestamptz + interval '1 hour', interval '1 hour'
                   ) AS s (start)
                   ORDER BY 1"#,
                windows.since,
                windows.until,
                timezone
            )
            .fetch_all(connection)
            .await?);
        }
        BucketUnit::Day => "day",
        BucketUnit::Week => "week",
    };
    // Counted on the calendar and not in hours, and each date turned into a time by itself: where a midnight does not
    // exist the later ones must not move with it. Where one exists twice, PostgreSQL gives the second.
    Ok(sqlx::query_scalar!(
        r#"SELECT CASE WHEN (m.midnight - interval '1 hour') AT TIME ZONE $3 >= m.date
                       THEN m.midnight - interval '1 hour' ELSE m.midnight END AS "start!"
           FROM (
               SELECT d.date, d.date AT TIME ZONE $3 AS midnight
               FROM generate_series(
                   date_trunc($4, $1::timestamptz AT TIME ZONE $3),
                   ($2::timestamptz AT TIME ZONE $3) + ('1 ' || $4)::interval,
                   ('1 ' || $4)::interval
               ) AS d (date)
           ) m
           ORDER BY 1"#,
        windows.since,
        windows.until,
        timezone,
        unit
    )
    .fetch_all(connection)
    .await?)
}
