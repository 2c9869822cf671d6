//! Persistent volumes.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubePersistentVolumeFillingUp",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Claim],
        weight: 5.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "VolumeSpaceLow",
                messages: &[
                    "The persistent volume behind the claim is only {dec:0.5:2.9}% free",
                    "Based on recent sampling, the persistent volume is expected to be full within {int:1:4} days; {dec:3:14}% is available",
                ],
                root_cause: "The data simply outgrew a volume that was sized a year ago",
                advice: "Expand the volume by half of its size",
                confidence: (0.82, 0.97),
                remedies: &[
                    remedy(
                        &wf::EXPAND_VOLUME,
                        0.92,
                        "The file system still shows its old size",
                    ),
                    remedy(&wf::PURGE_OLD_DATA, 0.6, "Free space is below 3 % again"),
                ],
            },
            Cause {
                share: 2.0,
                reason: "VolumeSpaceLow",
                messages: &[
                    "Write-ahead segments take {int:40:220} GiB of the volume, {dec:1:5}% of it is free",
                ],
                root_cause: "An abandoned replication slot keeps the database from removing old write-ahead segments",
                advice: "Drop the abandoned slot so that old segments are removed",
                confidence: (0.66, 0.89),
                remedies: &[
                    remedy(
                        &wf::PURGE_OLD_DATA,
                        0.8,
                        "Segments are still held back by the slot",
                    ),
                    remedy(
                        &wf::EXPAND_VOLUME,
                        0.62,
                        "The segments filled the expanded volume too",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "KubePersistentVolumeInodesFillingUp",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Claim],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "VolumeInodesLow",
            messages: &["The persistent volume has {dec:0.8:3}% of its inodes free"],
            root_cause: "Small temporary files of finished merges are left behind after crashes",
            advice: "Purge the left-over files",
            confidence: (0.62, 0.86),
            remedies: &[
                remedy(
                    &wf::PURGE_OLD_DATA,
                    0.81,
                    "The files are held open and their inodes stay in use",
                ),
                remedy(
                    &wf::EXPAND_VOLUME,
                    0.68,
                    "The number of inodes did not grow with the volume",
                ),
            ],
        }],
    },
    Alert {
        name: "KubePersistentVolumeErrors",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Claim],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "ProvisioningFailed",
            messages: &[
                "The persistent volume has status Failed: error while resizing, volume {uid} is in state optimizing",
            ],
            root_cause: "The storage backend allows one modification in six hours and a second one was requested",
            advice: "Wait for the backend and expand again",
            confidence: (0.7, 0.92),
            remedies: &[remedy(
                &wf::EXPAND_VOLUME,
                0.52,
                "The backend still refuses the modification",
            )],
        }],
    },
    Alert {
        name: "FailedMount",
        source: Source::Event,
        severity: "high",
        on: &[
            Role::Postgres,
            Role::Kafka,
            Role::Prometheus,
            Role::Elasticsearch,
            Role::Redis,
        ],
        weight: 3.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "FailedMount",
                messages: &[
                    "Unable to attach or mount volumes of {pod}: timed out waiting for the condition after 2m3s, unattached volumes=[data]",
                ],
                root_cause: "The old node went away without detaching the volume, and the attachment object was left behind",
                advice: "Detach the volume from the lost node",
                confidence: (0.74, 0.93),
                remedies: &[
                    remedy(
                        &wf::REATTACH_VOLUME,
                        0.89,
                        "The volume is still reported as attached to the lost node",
                    ),
                    remedy(&wf::RESTART_POD, 0.3, "The new pod waits for the same volume"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "FailedMount",
                messages: &[
                    "MountVolume.SetUp failed for {pod}: mount failed with exit status 32, wrong fs type or bad superblock",
                ],
                root_cause: "The file system was damaged when the instance was stopped hard",
                advice: "Rebuild the replica on an empty volume",
                confidence: (0.58, 0.82),
                remedies: &[remedy(
                    &wf::REBUILD_REPLICA,
                    0.77,
                    "The new volume could not be filled: the peer is read-only",
                )],
            },
        ],
    },
    Alert {
        name: "FailedAttachVolume",
        source: Source::Event,
        severity: "high",
        on: &[Role::Postgres, Role::Elasticsearch, Role::RabbitMq],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "FailedAttachVolume",
            messages: &[
                "Multi-Attach error for volume of {pod}: volume is already exclusively attached to node {node}",
            ],
            root_cause: "The previous pod is stuck in Terminating on an unreachable node and the volume cannot follow",
            advice: "Force the detachment and delete the old pod",
            confidence: (0.78, 0.95),
            remedies: &[
                remedy(&wf::REATTACH_VOLUME, 0.87, "The volume went back to the old node"),
                remedy(
                    &wf::RECYCLE_NODE,
                    0.65,
                    "The volume is still attached to the rebooted node",
                ),
            ],
        }],
    },
    Alert {
        name: "ProvisioningFailed",
        source: Source::Event,
        severity: "medium",
        on: &[Role::Claim],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "ProvisioningFailed",
            messages: &[
                "Failed to provision volume: rpc error: code = ResourceExhausted, volume limit of the account exceeded",
            ],
            root_cause: "Released volumes with policy Retain pile up and count against the account's limit",
            advice: "Delete the released volumes that have a snapshot",
            confidence: (0.7, 0.9),
            remedies: &[remedy(
                &wf::PURGE_OLD_DATA,
                0.73,
                "No released volume is old enough to be deleted",
            )],
        }],
    },
];
