//! Memory and CPU of containers.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubeContainerOOMKilled",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Api, Role::Worker, Role::Model],
        weight: 9.0,
        causes: &[
            Cause {
                share: 4.0,
                reason: "OOMKilled",
                messages: &[
                    "A container of pod {pod} was OOMKilled {int:2:9} times in {int:10:60} minutes (exit code 137); its memory limit is 512Mi",
                    "Pod {pod}: last state Terminated, reason OOMKilled, exit code 137; the working set had reached {int:97:100} % of the limit",
                ],
                root_cause: "The memory limit is below the real working set since the traffic doubled; the process does not leak",
                advice: "Raise the memory limit to about one and a half times the observed peak",
                confidence: (0.8, 0.97),
                remedies: &[
                    remedy(
                        &wf::RAISE_MEMORY,
                        0.92,
                        "OOMKilled again {int:20:110} seconds after the limit was raised",
                    ),
                    remedy(
                        &wf::SCALE_OUT,
                        0.55,
                        "Each replica still needs more memory than its limit",
                    ),
                ],
            },
            Cause {
                share: 3.0,
                reason: "OOMKilled",
                messages: &[
                    "Memory of pod {pod} grows by {int:15:90} MiB per hour until the kernel kills it with signal 9 (OOMKilled)",
                ],
                root_cause: "A memory leak in the HTTP client of the current release: response bodies are never closed",
                advice: "Roll back to the release before the leak",
                confidence: (0.68, 0.9),
                remedies: &[
                    remedy(
                        &wf::ROLL_BACK,
                        0.84,
                        "Memory grows at the same rate in the older release",
                    ),
                    remedy(
                        &wf::RAISE_MEMORY,
                        0.31,
                        "The leak filled the larger limit too and the container was OOMKilled",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "OOMKilled",
                messages: &[
                    "Pod {pod} exceeded its memory limit while it loaded a batch of {int:20:400} thousand rows; exit code 137",
                ],
                root_cause: "One unusually large batch is read into memory as a whole",
                advice: "Raise the limit for now and read the batch in pages",
                confidence: (0.6, 0.85),
                remedies: &[
                    remedy(
                        &wf::RAISE_MEMORY,
                        0.76,
                        "The batch does not fit into the raised limit either",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.28,
                        "The restarted pod took the same batch and was OOMKilled",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "OOMKilling",
        source: Source::Event,
        severity: "high",
        on: &[Role::Worker, Role::Model, Role::Redis, Role::Node],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "OOMKilling",
                messages: &[
                    "Memory cgroup out of memory: killed process {int:1200:99000} (total-vm:{int:900000:9000000}kB, anon-rss:{int:400000:2000000}kB)",
                ],
                root_cause: "The heap of the runtime is sized to the node and not to the container's cgroup",
                advice: "Raise the memory limit above the configured heap",
                confidence: (0.7, 0.92),
                remedies: &[
                    remedy(
                        &wf::RAISE_MEMORY,
                        0.86,
                        "The heap grew with the limit and hit it again",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.3,
                        "The kernel killed the process again after the restart",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "SystemOOM",
                messages: &[
                    "System OOM encountered on {node}, victim process with pid {int:1200:99000}; the node itself ran out of memory",
                ],
                root_cause: "Pods without memory limits overcommit the node",
                advice: "Drain the node to spread its pods, and set limits for the best-effort pods",
                confidence: (0.62, 0.84),
                remedies: &[
                    remedy(&wf::EASE_NODE, 0.7, "The same pods came back to the node"),
                    remedy(
                        &wf::GROW_POOL,
                        0.75,
                        "The scheduler still prefers the crowded node",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "CPUThrottlingHigh",
        source: Source::Prometheus,
        severity: "info",
        on: &[Role::Api, Role::Model, Role::Daemon, Role::Alertmanager],
        weight: 6.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "CPUThrottling",
                messages: &[
                    "{dec:25:92}% throttling of CPU in a container of pod {pod} over the last 15 minutes",
                    "CFS periods of {pod} are throttled in {dec:30:88}% of all cases and its p99 latency has tripled",
                ],
                root_cause: "The CPU limit is tight and the process starts one thread per core of the node",
                advice: "Raise the CPU limit or remove it, and bound the number of threads",
                confidence: (0.74, 0.94),
                remedies: &[
                    remedy(
                        &wf::RAISE_CPU,
                        0.9,
                        "Throttling stays above 25 % with the new limit",
                    ),
                    remedy(
                        &wf::SCALE_OUT,
                        0.64,
                        "Throttling does not depend on the number of replicas",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "CPUThrottling",
                messages: &[
                    "A container of {pod} used its CPU quota up in {int:60:99} of 100 periods since the last deployment",
                ],
                root_cause: "The new release logs every request at debug level and spends its CPU on formatting",
                advice: "Roll back, or set the log level back to info",
                confidence: (0.58, 0.82),
                remedies: &[
                    remedy(&wf::ROLL_BACK, 0.82, "CPU use of the previous release is as high"),
                    remedy(
                        &wf::RESTORE_CONFIG,
                        0.77,
                        "The log level is not read from the configuration",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "ContainerMemoryNearLimit",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Model, Role::Elasticsearch, Role::Grafana, Role::Worker],
        weight: 3.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "MemoryPressure",
                messages: &[
                    "The working set of {pod} has been above {int:90:98} % of its memory limit for {int:10:50} minutes",
                ],
                root_cause: "The in-process cache has no upper bound and grows with the number of distinct keys",
                advice: "Restart the pods to empty the cache and bound its size",
                confidence: (0.6, 0.83),
                remedies: &[
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.79,
                        "The cache is back at nearly its old size",
                    ),
                    remedy(
                        &wf::RAISE_MEMORY,
                        0.72,
                        "The cache grew into the additional memory",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "MemoryPressure",
                messages: &[
                    "Off-heap memory of {pod} rises steadily; {int:20:120} MiB are left below the limit",
                ],
                root_cause: "Memory-mapped segments are counted against the container's limit",
                advice: "Raise the limit to leave room for the page cache",
                confidence: (0.55, 0.8),
                remedies: &[remedy(
                    &wf::RAISE_MEMORY,
                    0.88,
                    "The page cache took the new room within minutes",
                )],
            },
        ],
    },
];
