//! API server, etcd and scheduler.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubeAPIErrorBudgetBurn",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::ApiServer],
        weight: 1.8,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ErrorBudgetBurn",
                messages: &[
                    "The API server burns its error budget {int:6:18} times too fast: {dec:1.5:12}% of the writes fail or are slow",
                ],
                root_cause: "An admission webhook times out and every write waits ten seconds for it",
                advice: "Restart the webhook's pods, and let it fail open for what is not security",
                confidence: (0.68, 0.9),
                remedies: &[
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.71,
                        "The webhook still does not answer in time",
                    ),
                    remedy(&wf::LIMIT_CLIENT, 0.3, "Slow writes come from every client"),
                ],
            },
            Cause {
                share: 1.5,
                reason: "ErrorBudgetBurn",
                messages: &["Too many slow reads at the API server, p99 of LIST is {int:8:50} s"],
                root_cause: "A controller lists all pods of the cluster every few seconds instead of watching them",
                advice: "Limit the controller with a priority level of its own",
                confidence: (0.73, 0.93),
                remedies: &[remedy(
                    &wf::LIMIT_CLIENT,
                    0.88,
                    "Reads stay slow with the client limited",
                )],
            },
        ],
    },
    Alert {
        name: "KubeAPITerminatedRequests",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::ApiServer],
        weight: 1.0,
        causes: &[Cause {
            share: 1.0,
            reason: "RequestsTerminated",
            messages: &["The API server has terminated {dec:20:46}% of its incoming requests"],
            root_cause: "A log agent reconnects from every node at once after its token review was throttled",
            advice: "Limit the agent's priority level",
            confidence: (0.6, 0.84),
            remedies: &[
                remedy(
                    &wf::LIMIT_CLIENT,
                    0.83,
                    "Requests are still terminated for other clients",
                ),
                remedy(
                    &wf::RESTART_DAEMONS,
                    0.5,
                    "The restart made all agents reconnect at once",
                ),
            ],
        }],
    },
    Alert {
        name: "etcdHighCommitDurations",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Etcd],
        weight: 2.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "SlowDisk",
                messages: &["etcd: 99th percentile of commit durations is {dec:0.3:1.9} s on {pod}"],
                root_cause: "The volume of the member used up its burst credits during the nightly backup",
                advice: "Defragment the member and move it to a volume with provisioned throughput",
                confidence: (0.6, 0.83),
                remedies: &[
                    remedy(
                        &wf::DEFRAGMENT,
                        0.62,
                        "Commits are as slow on the compacted database",
                    ),
                    remedy(
                        &wf::LIMIT_CLIENT,
                        0.46,
                        "Commit durations do not depend on that client",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "SlowDisk",
                messages: &["etcd: WAL fsync of {pod} takes {dec:0.5:2.5} s at the 99th percentile"],
                root_cause: "The member shares its disk with an image pull of a noisy neighbour",
                advice: "Move the other pods off the control-plane node",
                confidence: (0.55, 0.8),
                remedies: &[remedy(
                    &wf::EASE_NODE,
                    0.76,
                    "fsync is as slow with the node to itself",
                )],
            },
        ],
    },
    Alert {
        name: "etcdInsufficientMembers",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Etcd],
        weight: 0.8,
        causes: &[Cause {
            share: 1.0,
            reason: "MemberDown",
            messages: &["etcd cluster: insufficient members ({int:1:2} of 3 are healthy), quorum is at risk"],
            root_cause: "A member lost its data directory with its node and was never removed from the member list",
            advice: "Remove the dead member and add a fresh one",
            confidence: (0.74, 0.93),
            remedies: &[
                remedy(
                    &wf::REBUILD_REPLICA,
                    0.82,
                    "The new member cannot join: the cluster ID does not match",
                ),
                remedy(
                    &wf::RESTART_POD,
                    0.4,
                    "The member exits at start: its data directory is missing",
                ),
            ],
        }],
    },
    Alert {
        name: "etcdDatabaseQuotaLowSpace",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Etcd],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "NoSpaceAlarm",
            messages: &[
                "etcd: the database of {pod} uses {dec:95:99.9}% of its quota",
                "mvcc: database space exceeded; etcd raised the NOSPACE alarm on {pod}",
            ],
            root_cause: "Events of a crash-looping job filled the key space between two compactions",
            advice: "Compact, defragment and clear the alarm",
            confidence: (0.78, 0.95),
            remedies: &[remedy(&wf::DEFRAGMENT, 0.9, "The database is at its quota again")],
        }],
    },
    Alert {
        name: "etcdNoLeader",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Etcd],
        weight: 0.6,
        causes: &[Cause {
            share: 1.0,
            reason: "NoLeader",
            messages: &["etcd member {pod} has no leader; {int:3:14} elections in the last minute"],
            root_cause: "Packet loss between the zones makes heartbeats arrive later than the election timeout",
            advice: "Restart the member in the affected zone once the network is stable",
            confidence: (0.45, 0.72),
            remedies: &[remedy(&wf::RESTART_POD, 0.5, "Elections go on after the restart")],
        }],
    },
    Alert {
        name: "KubeSchedulerDown",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Scheduler],
        weight: 0.7,
        causes: &[Cause {
            share: 1.0,
            reason: "SchedulerDown",
            messages: &[
                "The scheduler has disappeared from target discovery; {int:4:60} pods are waiting without a decision",
            ],
            root_cause: "The scheduler exited when it lost its lease during an API server restart, and its static pod backs off",
            advice: "Restart the static pod",
            confidence: (0.65, 0.87),
            remedies: &[remedy(
                &wf::RESTART_POD,
                0.88,
                "The scheduler cannot acquire its lease",
            )],
        }],
    },
];
