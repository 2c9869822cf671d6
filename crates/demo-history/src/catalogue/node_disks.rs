//! File systems of nodes.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "NodeFilesystemSpaceFillingUp",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 5.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "DiskPressure",
                messages: &[
                    "Filesystem on /dev/nvme0n1p1, mounted on /var/lib/containerd, at {node} has only {dec:4:15}% available space left and is predicted to be full within 24 hours",
                ],
                root_cause: "Images of every nightly build stay on the node because garbage collection starts at a threshold that is too high",
                advice: "Prune unused images and lower the image garbage collection threshold",
                confidence: (0.76, 0.94),
                remedies: &[
                    remedy(
                        &wf::PRUNE_AND_CLEAN,
                        0.91,
                        "Available space is below the threshold again",
                    ),
                    remedy(
                        &wf::FREE_NODE_DISK,
                        0.5,
                        "Images take most of the space; deleting logs freed little of it",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "DiskPressure",
                messages: &[
                    "At the current rate /var/log on {node} has no space left in {int:3:20} hours; it shrank by {int:5:30} GiB since midnight",
                ],
                root_cause: "One container writes stack traces in a loop, faster than logs are rotated",
                advice: "Delete the rotated logs and restart the container that writes them",
                confidence: (0.68, 0.9),
                remedies: &[
                    remedy(
                        &wf::FREE_NODE_DISK,
                        0.8,
                        "The logs grow as fast as they are deleted",
                    ),
                    remedy(
                        &wf::RECYCLE_NODE,
                        0.55,
                        "The log volume is as full after the reboot",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "NodeFilesystemAlmostOutOfSpace",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Node],
        weight: 3.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "DiskPressure",
                messages: &[
                    "Filesystem on /dev/nvme0n1p1 at {node} has only {dec:0.4:4.9}% available space left",
                ],
                root_cause: "A core dump of several gigabytes is written each time a native library crashes",
                advice: "Remove the core dumps and cap their size",
                confidence: (0.6, 0.84),
                remedies: &[
                    remedy(&wf::FREE_NODE_DISK, 0.86, "New core dumps use the freed space"),
                    remedy(
                        &wf::REPLACE_NODE,
                        0.93,
                        "The new node's file system is almost full as well",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ImageGCFailed",
                messages: &[
                    "Image garbage collection on {node} failed: wanted to free {int:4:20} GiB, freed 0 bytes",
                ],
                root_cause: "Stopped containers of finished jobs reference the images, so that none may be removed",
                advice: "Remove the finished pods, then prune the images",
                confidence: (0.66, 0.88),
                remedies: &[
                    remedy(
                        &wf::PRUNE_AND_CLEAN,
                        0.74,
                        "Nothing could be removed, all images are referenced",
                    ),
                    remedy(
                        &wf::REPLACE_NODE,
                        0.94,
                        "The drained jobs filled the next node's disk",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "NodeFilesystemFilesFillingUp",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 1.8,
        causes: &[Cause {
            share: 1.0,
            reason: "InodePressure",
            messages: &[
                "Filesystem at {node} has only {dec:1:14}% available inodes left while {int:30:60} % of its space is free",
            ],
            root_cause: "A build cache of millions of tiny files lies in an emptyDir",
            advice: "Delete the cache and move it to an object store",
            confidence: (0.7, 0.91),
            remedies: &[
                remedy(
                    &wf::FREE_NODE_DISK,
                    0.75,
                    "Inodes are still used up: the cache is in use",
                ),
                remedy(&wf::REPLACE_NODE, 0.9, "The cache was rebuilt on the new node"),
            ],
        }],
    },
    Alert {
        name: "NodeHasDiskPressure",
        source: Source::Event,
        severity: "high",
        on: &[Role::Node],
        weight: 2.5,
        causes: &[Cause {
            share: 1.0,
            reason: "NodeHasDiskPressure",
            messages: &[
                "Node {node} status is now: NodeHasDiskPressure; {int:3:25} pods will be evicted to reclaim ephemeral-storage",
                "The kubelet on {node} attempts to reclaim nodefs, available {int:1:4} GiB is below the eviction threshold",
            ],
            root_cause: "Ephemeral storage of batch pods has no limit and one of them unpacked an archive on the node's root file system",
            advice: "Clean the node and set limits for ephemeral storage",
            confidence: (0.65, 0.88),
            remedies: &[
                remedy(
                    &wf::PRUNE_AND_CLEAN,
                    0.82,
                    "Disk pressure is back before the next check",
                ),
                remedy(&wf::RECYCLE_NODE, 0.7, "The unpacked archive survived the reboot"),
            ],
        }],
    },
    Alert {
        name: "NodeRAIDDegraded",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Node],
        weight: 0.6,
        causes: &[Cause {
            share: 1.0,
            reason: "RaidDegraded",
            messages: &[
                "RAID array md{int:0:3} at {node} is degraded: {int:1:2} disk failed and no spare is left",
            ],
            root_cause: "A local NVMe disk reports media errors and was dropped from the array",
            advice: "Replace the node before a second disk fails",
            confidence: (0.85, 0.97),
            remedies: &[remedy(
                &wf::REPLACE_NODE,
                0.9,
                "Workloads with local volumes did not leave the node",
            )],
        }],
    },
];
