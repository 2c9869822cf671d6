//! Pods without a node, quotas and autoscalers.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "FailedScheduling",
        source: Source::Event,
        severity: "medium",
        on: &[Role::Api, Role::Worker, Role::Model, Role::Job, Role::CronJob],
        weight: 5.5,
        causes: &[
            Cause {
                share: 3.0,
                reason: "Unschedulable",
                messages: &[
                    "0/{int:14:38} nodes are available: {int:8:20} Insufficient cpu, {int:2:9} Insufficient memory",
                ],
                root_cause: "Requests are far above use: the nodes are reserved, not busy",
                advice: "Add a node now and bring the requests closer to the use",
                confidence: (0.74, 0.93),
                remedies: &[
                    remedy(&wf::GROW_POOL, 0.89, "The pods do not fit on a node of this size"),
                    remedy(
                        &wf::EASE_NODE,
                        0.3,
                        "Evicted pods took the room on the other nodes",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "Unschedulable",
                messages: &[
                    "0/{int:14:38} nodes are available: {int:3:14} node(s) had untolerated taint, {int:2:20} didn't match the pod's node affinity",
                ],
                root_cause: "The pool that the pod's affinity asks for was scaled to zero",
                advice: "Scale the dedicated pool back up",
                confidence: (0.79, 0.95),
                remedies: &[remedy(
                    &wf::GROW_POOL,
                    0.84,
                    "The pool's nodes carry another label now",
                )],
            },
            Cause {
                share: 1.0,
                reason: "VolumeBindingConflict",
                messages: &[
                    "0/{int:14:38} nodes are available: {int:3:9} node(s) had volume node affinity conflict",
                ],
                root_cause: "The volume was made in another zone than the one where nodes have room",
                advice: "Add a node in the volume's zone",
                confidence: (0.7, 0.9),
                remedies: &[remedy(
                    &wf::GROW_POOL,
                    0.7,
                    "The cloud has no capacity in the volume's zone",
                )],
            },
        ],
    },
    Alert {
        name: "KubeQuotaExceeded",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Quota],
        weight: 3.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "QuotaExceeded",
                messages: &["The namespace uses {dec:100:140}% of its quota for requests.memory"],
                root_cause: "A load test left its replicas running in the namespace",
                advice: "Scale the left-over replicas down, or raise the quota until they are gone",
                confidence: (0.55, 0.82),
                remedies: &[
                    remedy(&wf::RAISE_QUOTA, 0.8, "The raised quota was used up at once"),
                    remedy(
                        &wf::SWEEP_EVICTED,
                        0.25,
                        "Failed pods do not count against this quota",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "FailedCreate",
                messages: &[
                    "Error creating: pods are forbidden, exceeded quota: requested pods={int:1:5}, used pods={int:48:50}, limited pods=50",
                ],
                root_cause: "Finished job pods are kept for days and count against the pod quota",
                advice: "Remove the finished pods and set a time to live for jobs",
                confidence: (0.7, 0.92),
                remedies: &[remedy(
                    &wf::SWEEP_EVICTED,
                    0.78,
                    "New finished pods took the place of the removed ones",
                )],
            },
        ],
    },
    Alert {
        name: "KubeHpaMaxedOut",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Autoscaler],
        weight: 6.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "TooManyReplicas",
                messages: &[
                    "The autoscaler has been at its maximum of {int:6:12} replicas for more than 15 minutes; CPU is at {int:95:180} % of the target",
                ],
                root_cause: "Traffic of the campaign is above what the maximum was chosen for",
                advice: "Raise maxReplicas and check that the nodes can hold them",
                confidence: (0.78, 0.95),
                remedies: &[
                    remedy(
                        &wf::RAISE_HPA,
                        0.9,
                        "The autoscaler is at its new maximum as well",
                    ),
                    remedy(
                        &wf::RAISE_CPU,
                        0.57,
                        "Replicas stay at the maximum with the larger limit",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "TooManyReplicas",
                messages: &[
                    "Scaled to the maximum although the request rate is flat: {int:2:6} times the usual CPU per request",
                ],
                root_cause: "A cache miss storm after a key format change sends every request to the database and burns CPU on retries",
                advice: "Roll back the key format; more replicas would only add load",
                confidence: (0.52, 0.8),
                remedies: &[
                    remedy(
                        &wf::RESTORE_CONFIG,
                        0.74,
                        "The old keys have expired and the cache is still cold",
                    ),
                    remedy(
                        &wf::RAISE_HPA,
                        0.28,
                        "More replicas raised the load on the database further",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "KubeHpaReplicasMismatch",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Autoscaler],
        weight: 2.0,
        causes: &[Cause {
            share: 1.0,
            reason: "FailedGetResourceMetric",
            messages: &[
                "Desired and current replicas have differed for 15 minutes: unable to get metrics for resource cpu, no metrics returned",
            ],
            root_cause: "The metrics server lost its connection to several kubelets after their serving certificates changed",
            advice: "Approve the kubelets' pending signing requests",
            confidence: (0.5, 0.78),
            remedies: &[
                remedy(
                    &wf::APPROVE_KUBELET_CERT,
                    0.72,
                    "The metrics server still cannot read from {int:2:6} kubelets",
                ),
                remedy(&wf::RAISE_HPA, 0.1, "The autoscaler has no metric to act upon"),
            ],
        }],
    },
    Alert {
        name: "Evicted",
        source: Source::Event,
        severity: "medium",
        on: &[Role::Worker, Role::Model, Role::Daemon, Role::Grafana],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "Evicted",
                messages: &[
                    "The node was low on resource: ephemeral-storage. Pod {pod} was using {int:4:30} GiB, its request is 0",
                ],
                root_cause: "The workload writes temporary files to the container layer and never removes them",
                advice: "Remove the evicted pods and free the node; give the workload a bounded emptyDir",
                confidence: (0.75, 0.93),
                remedies: &[
                    remedy(
                        &wf::FREE_NODE_DISK,
                        0.77,
                        "The pod filled the freed space at once",
                    ),
                    remedy(
                        &wf::SWEEP_EVICTED,
                        0.45,
                        "The replacement pod was evicted from the next node",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "Evicted",
                messages: &[
                    "Pod {pod} was evicted from {node}: the node was low on resource memory, {int:80:300} MiB available",
                ],
                root_cause: "Burstable pods use far more memory than they request, so that the node was overcommitted",
                advice: "Move load off the node and request what is used",
                confidence: (0.66, 0.88),
                remedies: &[
                    remedy(
                        &wf::EASE_NODE,
                        0.75,
                        "The other nodes came under memory pressure in turn",
                    ),
                    remedy(
                        &wf::GROW_POOL,
                        0.82,
                        "The scheduler places by requests and fills the same node",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "Preempted",
        source: Source::Event,
        severity: "low",
        on: &[Role::Job, Role::Worker],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "Preempted",
            messages: &["Pod {pod} was preempted by a pod of higher priority on {node}"],
            root_cause: "Batch work shares its nodes with services of higher priority and yields at peak hours, as intended",
            advice: "Add a node for the peak, or move the batch to the night",
            confidence: (0.72, 0.92),
            remedies: &[remedy(
                &wf::GROW_POOL,
                0.86,
                "Services took the new node's room as well",
            )],
        }],
    },
];
