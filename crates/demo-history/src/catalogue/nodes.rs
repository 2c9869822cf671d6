//! Nodes: their kubelet, memory, clock and limits.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubeNodeNotReady",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Node],
        weight: 5.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "KubeletNotReady",
                messages: &[
                    "Node {node} has been unready for more than {int:3:15} minutes: PLEG is not healthy, last seen active {int:3:9}m ago",
                ],
                root_cause: "containerd answers too slowly since the node runs three times as many containers as its peers",
                advice: "Restart the container runtime and move some pods away",
                confidence: (0.65, 0.87),
                remedies: &[
                    remedy(
                        &wf::RESTART_RUNTIME,
                        0.73,
                        "PLEG became unhealthy again after {int:40:100} seconds",
                    ),
                    remedy(
                        &wf::RECYCLE_NODE,
                        0.9,
                        "The node came back unready after its reboot",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "NodeStatusUnknown",
                messages: &[
                    "Node {node} is unreachable: the kubelet stopped posting node status {int:2:20} minutes ago",
                ],
                root_cause: "The host's hardware failed; the cloud provider marks the instance as impaired",
                advice: "Replace the node",
                confidence: (0.8, 0.96),
                remedies: &[
                    remedy(
                        &wf::REPLACE_NODE,
                        0.92,
                        "The replacement did not register with the API server",
                    ),
                    remedy(
                        &wf::RECYCLE_NODE,
                        0.35,
                        "The impaired instance does not answer the reboot request",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "KubeNodeReadinessFlapping",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 2.5,
        causes: &[Cause {
            share: 1.0,
            reason: "NodeReadinessFlapping",
            messages: &["The readiness of node {node} has changed {int:3:11} times in the last 15 minutes"],
            root_cause: "The kubelet's lease renewals time out while a backup saturates the node's network interface",
            advice: "Restart the kubelet and limit the bandwidth of the backup",
            confidence: (0.52, 0.8),
            remedies: &[
                remedy(
                    &wf::RESTART_KUBELET,
                    0.55,
                    "Readiness changed again {int:2:5} times after the restart",
                ),
                remedy(
                    &wf::EASE_NODE,
                    0.76,
                    "Readiness flaps on the node that took over the backup",
                ),
            ],
        }],
    },
    Alert {
        name: "KubeletDown",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Node],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "KubeletDown",
            messages: &[
                "The kubelet of {node} has disappeared from target discovery for {int:15:30} minutes",
                "No metrics from the kubelet of {node}: its unit is in state failed after {int:5:9} start attempts",
            ],
            root_cause: "The kubelet does not start any more since a flag that was removed in its new version is still set",
            advice: "Replace the node with one of the corrected machine image",
            confidence: (0.7, 0.92),
            remedies: &[
                remedy(
                    &wf::REPLACE_NODE,
                    0.88,
                    "The new node was made from the same machine image",
                ),
                remedy(&wf::RESTART_KUBELET, 0.2, "The kubelet exits again: unknown flag"),
            ],
        }],
    },
    Alert {
        name: "KubeletTooManyPods",
        source: Source::Prometheus,
        severity: "info",
        on: &[Role::Node],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "TooManyPods",
            messages: &["The kubelet of {node} runs at {dec:95:100}% of its pod capacity of 110"],
            root_cause: "Many small cron pods are packed on few nodes by the scheduler's scoring",
            advice: "Add a node so that pods spread",
            confidence: (0.68, 0.9),
            remedies: &[
                remedy(
                    &wf::GROW_POOL,
                    0.87,
                    "Running pods do not move to the new node by themselves",
                ),
                remedy(
                    &wf::EASE_NODE,
                    0.8,
                    "The drained pods were packed on the neighbour",
                ),
            ],
        }],
    },
    Alert {
        name: "NodeMemoryHighUtilization",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "MemoryPressure",
                messages: &["Memory of {node} is at {dec:90:98.9}% for {int:15:60} minutes"],
                root_cause: "Several memory-hungry model servers ended up on one node because they request too little",
                advice: "Drain the node once and set an anti-affinity between the model servers",
                confidence: (0.63, 0.86),
                remedies: &[
                    remedy(
                        &wf::EASE_NODE,
                        0.78,
                        "The model servers were placed together on another node",
                    ),
                    remedy(&wf::GROW_POOL, 0.66, "Memory of the crowded node did not go down"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "MemoryPressure",
                messages: &[
                    "Available memory of {node} fell to {int:200:900} MiB while slab memory grew to {int:6:20} GiB",
                ],
                root_cause: "A kernel slab leak in the dentry cache, caused by a probe that opens and removes files",
                advice: "Reboot the node and update its kernel",
                confidence: (0.48, 0.74),
                remedies: &[remedy(
                    &wf::RECYCLE_NODE,
                    0.88,
                    "The slab grows at the same rate after the reboot",
                )],
            },
        ],
    },
    Alert {
        name: "NodeSystemSaturation",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "LoadHigh",
            messages: &[
                "Load per core on {node} has been above 2 for 15 minutes, it is at {dec:2.1:7.5} now",
            ],
            root_cause: "A batch pod without a CPU limit competes with everything else on the node",
            advice: "Move the load off the node and limit the batch",
            confidence: (0.64, 0.87),
            remedies: &[
                remedy(
                    &wf::EASE_NODE,
                    0.81,
                    "The batch was scheduled to the same node again",
                ),
                remedy(&wf::GROW_POOL, 0.5, "Load on the saturated node stays as it is"),
            ],
        }],
    },
    Alert {
        name: "NodeClockSkewDetected",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 1.8,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ClockSkew",
                messages: &["The clock of {node} is off by more than {dec:0.1:2.4} s and does not converge"],
                root_cause: "chrony lost its only time source after a firewall change",
                advice: "Let chrony use the cloud's link-local time source and step the clock",
                confidence: (0.76, 0.94),
                remedies: &[
                    remedy(&wf::SYNC_CLOCK, 0.9, "The clock drifts away again"),
                    remedy(&wf::RECYCLE_NODE, 0.6, "The offset is the same after the reboot"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ClockSkew",
                messages: &["Clock of {node} jumped by {int:1:9} s after the host was live-migrated"],
                root_cause: "The hypervisor paused the machine for its live migration and chrony refuses to step so far",
                advice: "Allow a single large step",
                confidence: (0.62, 0.85),
                remedies: &[remedy(&wf::SYNC_CLOCK, 0.93, "chrony still refuses the step")],
            },
        ],
    },
    Alert {
        name: "NodeFileDescriptorLimit",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Node],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "TooManyOpenFiles",
            messages: &["File descriptor limit at {node} is exhausted soon: {dec:90:99.5}% are open"],
            root_cause: "The log agent keeps a descriptor for every file that was ever rotated",
            advice: "Restart the log agent and update it",
            confidence: (0.66, 0.88),
            remedies: &[
                remedy(
                    &wf::RESTART_POD,
                    0.7,
                    "Open descriptors were taken by another process",
                ),
                remedy(
                    &wf::RECYCLE_NODE,
                    0.9,
                    "Descriptors grow again at the same rate after the reboot",
                ),
            ],
        }],
    },
];
