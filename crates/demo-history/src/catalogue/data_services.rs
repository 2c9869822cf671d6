//! PostgreSQL, Redis and Elasticsearch.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "PostgreSQLReplicationLag",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Postgres],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ReplicationLag",
                messages: &["Replay on standby {pod} is {int:40:1800} s behind its primary"],
                root_cause: "A long analytical query on the standby conflicts with replay and holds it up",
                advice: "End the query and give reports a standby of their own",
                confidence: (0.66, 0.88),
                remedies: &[
                    remedy(
                        &wf::END_IDLE_SESSIONS,
                        0.7,
                        "The query is active and not idle; replay still waits for it",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.6,
                        "The report was started again and replay waits",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ReplicationBroken",
                messages: &[
                    "Standby {pod} stopped streaming: requested WAL segment has already been removed",
                ],
                root_cause: "The standby was away longer than the primary keeps segments",
                advice: "Rebuild the standby from a base backup",
                confidence: (0.84, 0.97),
                remedies: &[
                    remedy(
                        &wf::REBUILD_REPLICA,
                        0.91,
                        "The segment was removed while the copy was running",
                    ),
                    remedy(&wf::RESTART_POD, 0.04, "The requested segment is still missing"),
                ],
            },
        ],
    },
    Alert {
        name: "PostgreSQLTooManyConnections",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Postgres],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ConnectionsExhausted",
                messages: &[
                    "{int:92:100} % of max_connections are in use on {pod}; new clients get: sorry, too many clients already",
                ],
                root_cause: "Every replica of a service that was scaled out opens a full connection pool",
                advice: "End idle sessions and put a pooler in front of the database",
                confidence: (0.72, 0.92),
                remedies: &[
                    remedy(
                        &wf::END_IDLE_SESSIONS,
                        0.78,
                        "The sessions were opened again at once",
                    ),
                    remedy(
                        &wf::SWITCH_PRIMARY,
                        0.3,
                        "Clients exhausted the connections of the new primary too",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "IdleInTransaction",
                messages: &[
                    "{int:30:90} sessions are idle in transaction for more than {int:5:40} minutes and hold locks",
                ],
                root_cause: "An error path in the service returns connections to its pool without ending the transaction",
                advice: "Roll back the release with the faulty error path",
                confidence: (0.58, 0.82),
                remedies: &[
                    remedy(
                        &wf::END_IDLE_SESSIONS,
                        0.6,
                        "New sessions are idle in transaction within a minute",
                    ),
                    remedy(
                        &wf::ROLL_BACK,
                        0.83,
                        "Sessions stay idle in transaction with the old release",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "PostgreSQLDown",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Postgres],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "DatabaseDown",
            messages: &[
                "PostgreSQL on {pod} does not accept connections: the database system is in recovery mode",
            ],
            root_cause: "The primary crashed on a full write-ahead volume and replays its log",
            advice: "Promote the standby that is most current",
            confidence: (0.63, 0.86),
            remedies: &[
                remedy(
                    &wf::SWITCH_PRIMARY,
                    0.84,
                    "The promoted standby does not accept writes",
                ),
                remedy(
                    &wf::RESTART_POD,
                    0.36,
                    "Recovery starts from the beginning after the restart",
                ),
            ],
        }],
    },
    Alert {
        name: "RedisDown",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Redis],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "RedisDown",
            messages: &[
                "Redis instance {pod} is down for {int:1:9} minutes",
                "Redis {pod} refuses commands: LOADING Redis is loading the dataset in memory",
            ],
            root_cause: "The append-only file has grown so much that loading it outlasts the liveness probe",
            advice: "Give the probe more time to let the load finish",
            confidence: (0.65, 0.88),
            remedies: &[
                remedy(
                    &wf::RELAX_PROBE,
                    0.84,
                    "Loading takes even longer than the relaxed probe",
                ),
                remedy(&wf::RESTART_POD, 0.35, "Loading starts over with every restart"),
            ],
        }],
    },
    Alert {
        name: "RedisOutOfConfiguredMaxmemory",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Redis],
        weight: 2.5,
        causes: &[Cause {
            share: 1.0,
            reason: "MaxmemoryReached",
            messages: &[
                "Redis {pod} uses {dec:95:100}% of maxmemory; OOM command not allowed when used memory > 'maxmemory'",
            ],
            root_cause: "Keys of the cart are written without an expiry and are never evicted",
            advice: "Purge abandoned carts and set an expiry",
            confidence: (0.7, 0.91),
            remedies: &[
                remedy(
                    &wf::PURGE_OLD_DATA,
                    0.8,
                    "maxmemory is reached again, the carts of today alone fill it",
                ),
                remedy(&wf::RAISE_MEMORY, 0.75, "The larger maxmemory is used up as well"),
            ],
        }],
    },
    Alert {
        name: "ElasticsearchClusterRed",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Elasticsearch],
        weight: 2.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ShardsUnassigned",
                messages: &["Elasticsearch cluster status is red: {int:1:14} primary shards are unassigned"],
                root_cause: "Allocation gave up after five failed attempts while a node was being replaced",
                advice: "Retry the failed allocations",
                confidence: (0.76, 0.94),
                remedies: &[
                    remedy(
                        &wf::ASSIGN_SHARDS,
                        0.88,
                        "Allocation fails again: no valid shard copy",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.35,
                        "More shards became unassigned during the restart",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "FloodStageWatermark",
                messages: &["Indices are read-only: flood stage disk watermark [95%] exceeded on {pod}"],
                root_cause: "Old indices are not deleted because the lifecycle policy is not attached to the new template",
                advice: "Delete indices past their retention and attach the policy",
                confidence: (0.72, 0.93),
                remedies: &[
                    remedy(
                        &wf::PURGE_OLD_DATA,
                        0.85,
                        "The node is above the flood stage again",
                    ),
                    remedy(&wf::ADD_REPLICA, 0.7, "Shards do not move to the new member"),
                ],
            },
        ],
    },
];
