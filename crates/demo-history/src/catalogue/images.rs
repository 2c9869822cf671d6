//! Images that cannot be pulled and containers that cannot be created.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "ImagePullBackOff",
        source: Source::Event,
        severity: "high",
        on: &[Role::Api, Role::Worker, Role::Model, Role::Job],
        weight: 6.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "ImagePullBackOff",
                messages: &[
                    "Back-off pulling image for pod {pod}: manifest for tag v{int:1:4}.{int:0:60}.{int:0:9} not found",
                ],
                root_cause: "The tag was deployed before the build pipeline had pushed it to the registry",
                advice: "Pin the last digest that exists and deploy again after the push",
                confidence: (0.84, 0.97),
                remedies: &[
                    remedy(
                        &wf::PIN_IMAGE,
                        0.9,
                        "The deployment tool put the missing tag back",
                    ),
                    remedy(
                        &wf::ROLL_BACK,
                        0.86,
                        "The older tag was removed by the registry's retention",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "ErrImagePull",
                messages: &[
                    "Failed to pull image for {pod}: unexpected status from HEAD request: 401 Unauthorized",
                    "Pod {pod} cannot start, the registry answers 403 Forbidden to its pull",
                ],
                root_cause: "The registry login in the namespace was rotated everywhere but here",
                advice: "Refresh the pull secret of the namespace",
                confidence: (0.8, 0.95),
                remedies: &[
                    remedy(
                        &wf::RENEW_PULL_SECRET,
                        0.91,
                        "The registry still answers 401 with the new login",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.08,
                        "The new pod is refused by the registry as well",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ErrImagePull",
                messages: &[
                    "Pulling the image for {pod} failed after {int:3:8} attempts: toomanyrequests, the registry's pull limit is reached",
                ],
                root_cause: "Many nodes pulled large images at the same moment through one address and ran into the registry's limit",
                advice: "Pin the image that is already on the nodes and pull through the mirror",
                confidence: (0.6, 0.85),
                remedies: &[remedy(
                    &wf::PIN_IMAGE,
                    0.62,
                    "The pinned image is not cached on this node",
                )],
            },
        ],
    },
    Alert {
        name: "KubeContainerWaiting",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::Worker, Role::Alertmanager],
        weight: 2.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "CreateContainerConfigError",
                messages: &[
                    "A container of pod {pod} has been waiting for {int:1:5} hours: CreateContainerConfigError, a referenced secret is missing",
                ],
                root_cause: "The secret that the pod refers to was renamed and the workload still uses the old name",
                advice: "Restore the reference to the secret under its old name, then rename both together",
                confidence: (0.82, 0.96),
                remedies: &[
                    remedy(
                        &wf::RESTORE_CONFIG,
                        0.84,
                        "The referenced secret is still not found",
                    ),
                    remedy(
                        &wf::ROLL_BACK,
                        0.79,
                        "The previous revision refers to a deleted secret too",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ContainerCreating",
                messages: &[
                    "A container of pod {pod} has been in ContainerCreating for {int:61:200} minutes on {node}",
                ],
                root_cause: "The container runtime on the node hangs on a stale sandbox and creates no new containers",
                advice: "Restart the container runtime of the node",
                confidence: (0.58, 0.84),
                remedies: &[
                    remedy(
                        &wf::RESTART_RUNTIME,
                        0.77,
                        "Sandboxes are still not created after the restart",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.35,
                        "The new pod landed on the same node and hangs as well",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "FailedCreatePodSandBox",
        source: Source::Event,
        severity: "high",
        on: &[Role::Api, Role::CoreDns, Role::Daemon],
        weight: 2.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "FailedCreatePodSandBox",
                messages: &[
                    "Failed to create pod sandbox for {pod}: plugin type=\"cilium-cni\" failed (add): no address left in the range of {node}",
                ],
                root_cause: "Addresses of deleted pods were not given back after a runtime restart, and the node's range is used up",
                advice: "Restart the CNI agent so that it releases leaked addresses",
                confidence: (0.7, 0.9),
                remedies: &[
                    remedy(
                        &wf::RESTART_DAEMONS,
                        0.72,
                        "The agent found no leaked addresses to release",
                    ),
                    remedy(&wf::REPLACE_NODE, 0.9, "The new node's range was used up at once"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "FailedCreatePodSandBox",
                messages: &[
                    "Sandbox of {pod} could not be started: failed to reserve sandbox name, it is in use by {hex:64}",
                ],
                root_cause: "A container start timed out under heavy disk load and left its name reserved in containerd",
                advice: "Restart containerd on the node",
                confidence: (0.66, 0.86),
                remedies: &[remedy(
                    &wf::RESTART_RUNTIME,
                    0.88,
                    "The name is still reserved after the restart",
                )],
            },
        ],
    },
];
