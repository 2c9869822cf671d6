//! Kafka and RabbitMQ.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KafkaConsumerGroupLag",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Worker],
        weight: 4.5,
        causes: &[
            Cause {
                share: 3.0,
                reason: "ConsumerLag",
                messages: &[
                    "A consumer group lags {int:20:900} thousand messages behind and the lag has grown for {int:10:50} minutes",
                ],
                root_cause: "The consumers are slower than the producers since a campaign doubled the event rate",
                advice: "Add consumers, up to the number of partitions",
                confidence: (0.73, 0.93),
                remedies: &[
                    remedy(
                        &wf::ADD_CONSUMERS,
                        0.87,
                        "The lag grows as before: one partition gets most of the events",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.3,
                        "Restarting rebalanced the group and added to the lag",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "PoisonMessage",
                messages: &[
                    "Offset of one partition has not moved for {int:15:120} minutes while the other partitions are current",
                ],
                root_cause: "One message cannot be decoded, and the consumer retries it for ever",
                advice: "Roll back the producer's schema change and skip the message",
                confidence: (0.6, 0.85),
                remedies: &[
                    remedy(
                        &wf::ROLL_BACK,
                        0.73,
                        "The undecodable message is still first in the partition",
                    ),
                    remedy(
                        &wf::ADD_CONSUMERS,
                        0.09,
                        "A partition has one consumer; the added ones are idle",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "KafkaUnderReplicatedPartitions",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Kafka],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "UnderReplicated",
            messages: &[
                "{int:3:160} partitions led by {pod} are under-replicated, the in-sync set has shrunk",
            ],
            root_cause: "A broker on a throttled volume cannot fetch as fast as its leaders write",
            advice: "Restart the slow broker on another node",
            confidence: (0.57, 0.82),
            remedies: &[
                remedy(
                    &wf::RESTART_POD,
                    0.69,
                    "The broker falls out of the in-sync set again",
                ),
                remedy(
                    &wf::ADD_REPLICA,
                    0.52,
                    "Partitions were not moved to the new broker",
                ),
            ],
        }],
    },
    Alert {
        name: "KafkaOfflinePartitions",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Kafka],
        weight: 0.8,
        causes: &[Cause {
            share: 1.0,
            reason: "PartitionOffline",
            messages: &["{int:1:12} partitions have no leader, producers get NOT_LEADER_OR_FOLLOWER"],
            root_cause: "Two of three brokers were drained at the same time because no disruption budget protects them",
            advice: "Bring the drained brokers back and set a disruption budget",
            confidence: (0.71, 0.92),
            remedies: &[
                remedy(
                    &wf::ROLLING_RESTART,
                    0.8,
                    "Leaders could not be elected for all partitions",
                ),
                remedy(&wf::LOOSEN_BUDGET, 0.2, "There is no budget to loosen"),
            ],
        }],
    },
    Alert {
        name: "RabbitMQQueueBacklog",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::RabbitMq],
        weight: 3.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "QueueBacklog",
                messages: &[
                    "A queue holds {int:30:700} thousand ready messages and {int:0:2} consumers are attached",
                ],
                root_cause: "The consumers lost their channel after a precondition failure and do not reconnect",
                advice: "Restart the consumers",
                confidence: (0.67, 0.89),
                remedies: &[
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.86,
                        "The channel is closed again with the same precondition failure",
                    ),
                    remedy(
                        &wf::ADD_CONSUMERS,
                        0.48,
                        "The added consumers lose their channel too",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "QueueBacklog",
                messages: &[
                    "{int:5:90} thousand messages are unacknowledged; consumers wait for a slow third party",
                ],
                root_cause: "The mail provider throttles, and each message is held until its deadline",
                advice: "Add consumers to bridge the slow period",
                confidence: (0.55, 0.8),
                remedies: &[remedy(
                    &wf::ADD_CONSUMERS,
                    0.72,
                    "The provider throttles the added consumers as well",
                )],
            },
        ],
    },
    Alert {
        name: "RabbitMQMemoryAlarm",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::RabbitMq],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "MemoryHighWatermark",
            messages: &["RabbitMQ {pod} is above its memory high watermark and blocks all publishers"],
            root_cause: "A classic queue without a length limit keeps its whole backlog in memory",
            advice: "Add consumers to drain the queue and set a length limit",
            confidence: (0.68, 0.9),
            remedies: &[
                remedy(&wf::ADD_CONSUMERS, 0.74, "Publishers are still blocked"),
                remedy(&wf::RAISE_MEMORY, 0.7, "The backlog grew to the new watermark"),
            ],
        }],
    },
];
