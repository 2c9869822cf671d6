//! Deployments, StatefulSets and DaemonSets that do not get where they should.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubeDeploymentReplicasMismatch",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::Worker, Role::Model, Role::IngressController],
        weight: 6.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "MinimumReplicasUnavailable",
                messages: &[
                    "The deployment has wanted {int:4:12} replicas for more than 15 minutes and only {int:1:3} are available",
                ],
                root_cause: "The cluster has no room for the missing replicas: every node's CPU requests are taken",
                advice: "Add nodes to the pool",
                confidence: (0.7, 0.91),
                remedies: &[
                    remedy(
                        &wf::GROW_POOL,
                        0.86,
                        "The new nodes are tainted and the pods do not tolerate it",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.15,
                        "The restarted pods wait for room like the others",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "ReplicaFailure",
                messages: &[
                    "Available replicas do not match the specification: {int:1:5} pods fail right after a release",
                ],
                root_cause: "The new revision cannot reach a service that the environment's network policy does not allow",
                advice: "Roll back the release and open the policy first",
                confidence: (0.6, 0.84),
                remedies: &[
                    remedy(
                        &wf::ROLL_BACK,
                        0.87,
                        "Pods of the old revision stay unavailable too",
                    ),
                    remedy(&wf::REPAIR_POLICY, 0.66, "The connection is refused further on"),
                ],
            },
        ],
    },
    Alert {
        name: "KubeDeploymentRolloutStuck",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::Worker, Role::Grafana],
        weight: 4.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "ProgressDeadlineExceeded",
                messages: &[
                    "The rollout has made no progress for {int:15:40} minutes: {int:1:3} new pods are not ready",
                    "ReplicaSet has timed out progressing, {int:1:4} of {int:5:9} pods were replaced",
                ],
                root_cause: "The readiness endpoint moved to another path in the new release and the probe was not changed with it",
                advice: "Roll back, then release probe and endpoint together",
                confidence: (0.72, 0.93),
                remedies: &[
                    remedy(
                        &wf::ROLL_BACK,
                        0.93,
                        "The rollout of the old revision is stuck as well",
                    ),
                    remedy(
                        &wf::RELAX_PROBE,
                        0.2,
                        "The probe still asks for a path that answers 404",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "RolloutBlocked",
                messages: &[
                    "The rollout waits: the disruption budget allows 0 disruptions and maxSurge is 0",
                ],
                root_cause: "Budget and rollout strategy contradict each other, neither an additional nor a missing pod is allowed",
                advice: "Let the disruption budget allow one unavailable pod",
                confidence: (0.83, 0.96),
                remedies: &[remedy(
                    &wf::LOOSEN_BUDGET,
                    0.91,
                    "The budget was set back by its operator",
                )],
            },
        ],
    },
    Alert {
        name: "KubeDeploymentGenerationMismatch",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::CertManager],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "GenerationMismatch",
            messages: &[
                "Observed generation {int:20:60} does not match the specified one: a rollout failed and was not undone",
            ],
            root_cause: "The controller manager had lost its leadership and did not observe the last change",
            advice: "Restart the rollout so that the controller looks at it again",
            confidence: (0.5, 0.75),
            remedies: &[remedy(
                &wf::ROLLING_RESTART,
                0.85,
                "The generation still differs after the restart",
            )],
        }],
    },
    Alert {
        name: "KubeStatefulSetReplicasMismatch",
        source: Source::Prometheus,
        severity: "warning",
        on: &[
            Role::Postgres,
            Role::Kafka,
            Role::RabbitMq,
            Role::Elasticsearch,
            Role::Redis,
        ],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ReplicasUnavailable",
                messages: &["The stateful set has {int:1:2} of 3 ready replicas for {int:15:50} minutes"],
                root_cause: "The missing replica's volume lives in a zone where no node has room for it",
                advice: "Add a node in the zone of the volume",
                confidence: (0.68, 0.9),
                remedies: &[
                    remedy(&wf::GROW_POOL, 0.8, "The new node came up in another zone"),
                    remedy(
                        &wf::RESTART_POD,
                        0.2,
                        "The pod is Pending again: volume node affinity conflict",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "ReplicasUnavailable",
                messages: &["Replica {pod} does not join its peers after a restart and stays not ready"],
                root_cause: "The replica's local state is behind what its peers still keep and cannot catch up",
                advice: "Rebuild the replica from a healthy peer",
                confidence: (0.62, 0.85),
                remedies: &[
                    remedy(
                        &wf::REBUILD_REPLICA,
                        0.83,
                        "The rebuilt replica fell behind again",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.33,
                        "The replica stops at the same position after the restart",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "KubeStatefulSetUpdateNotRolledOut",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Postgres, Role::Prometheus, Role::Kafka],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "UpdateNotRolledOut",
            messages: &[
                "The update of the stateful set has not been rolled out: partition 0, {int:1:2} pods on the old revision",
            ],
            root_cause: "The ordered update waits for a pod that was already unhealthy before the update",
            advice: "Restart the unhealthy pod so that the update can go on",
            confidence: (0.66, 0.88),
            remedies: &[
                remedy(
                    &wf::RESTART_POD,
                    0.76,
                    "The pod comes back unhealthy and the update still waits",
                ),
                remedy(
                    &wf::ROLLING_RESTART,
                    0.5,
                    "The ordered update waits at the same pod",
                ),
            ],
        }],
    },
    Alert {
        name: "KubeDaemonSetRolloutStuck",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Daemon, Role::Cni],
        weight: 2.2,
        causes: &[
            Cause {
                share: 2.0,
                reason: "RolloutStuck",
                messages: &[
                    "Only {dec:60:97}% of the desired pods of the daemon set are scheduled and ready",
                ],
                root_cause: "On some nodes an old pod is stuck in Terminating and holds the host port that the new one needs",
                advice: "Restart the daemon set with force on the affected nodes",
                confidence: (0.7, 0.9),
                remedies: &[
                    remedy(
                        &wf::RESTART_DAEMONS,
                        0.82,
                        "The host port is still taken on {int:1:3} nodes",
                    ),
                    remedy(
                        &wf::RESTART_KUBELET,
                        0.6,
                        "The old pod is still Terminating after the kubelet's restart",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "Misscheduled",
                messages: &["{int:1:6} daemon pods run on nodes where they are not supposed to run"],
                root_cause: "Node labels were changed by the new machine image while the daemons were running",
                advice: "Restart the daemon set so that placement is decided again",
                confidence: (0.64, 0.86),
                remedies: &[remedy(
                    &wf::RESTART_DAEMONS,
                    0.9,
                    "The labels are still the wrong ones",
                )],
            },
        ],
    },
];
