//! Containers that do not stay up.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubePodCrashLooping",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::Worker, Role::Model, Role::Grafana],
        weight: 10.0,
        causes: &[
            Cause {
                share: 5.0,
                reason: "CrashLoopBackOff",
                messages: &[
                    "Pod {pod} has restarted {int:5:30} times in the last {int:10:15} minutes and waits in CrashLoopBackOff; the last exit code was 1",
                    "Back-off {int:40:300}s restarting failed container in pod {pod}: the process exits {int:2:9} seconds after start with an unhandled exception",
                ],
                root_cause: "The release that was rolled out shortly before reads a setting that does not exist in this environment and aborts while it starts",
                advice: "Roll back to the previous revision and add the missing setting before the next release",
                confidence: (0.78, 0.95),
                remedies: &[
                    remedy(
                        &wf::ROLL_BACK,
                        0.88,
                        "The previous revision crashes with the same exception",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.18,
                        "The restarted pods crash as before, {int:4:9} seconds after start",
                    ),
                ],
            },
            Cause {
                share: 3.0,
                reason: "CrashLoopBackOff",
                messages: &[
                    "Pod {pod} crash loops: connecting to its database was refused {int:5:60} times before it gave up",
                ],
                root_cause: "The database that the service needs at start was being failed over, and the service exits instead of retrying",
                advice: "Restart the pods once the database accepts connections; make the service wait for it with backoff",
                confidence: (0.66, 0.88),
                remedies: &[
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.81,
                        "Connections to the database are still refused after the restart",
                    ),
                    remedy(
                        &wf::ROLL_BACK,
                        0.25,
                        "Both revisions fail on the same refused connection",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "Error",
                messages: &[
                    "The init container of pod {pod} has failed {int:4:12} times, so that its main container never starts",
                ],
                root_cause: "The init container's migration waits for a lock that an aborted earlier migration still holds",
                advice: "Restart the pod that holds the lock, then let the migration run once",
                confidence: (0.55, 0.8),
                remedies: &[
                    remedy(
                        &wf::RESTART_POD,
                        0.63,
                        "The migration lock is taken again by another pod",
                    ),
                    remedy(&wf::ROLL_BACK, 0.7, "The old revision runs the same migration"),
                ],
            },
        ],
    },
    Alert {
        name: "KubePodNotReady",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Api, Role::Model, Role::Worker],
        weight: 6.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "ReadinessProbeFailed",
                messages: &[
                    "Pod {pod} has been running but not ready for {int:15:45} minutes; its readiness endpoint answers 503",
                    "Pod {pod} left the endpoints of its service {int:3:12} times within an hour: readiness flaps",
                ],
                root_cause: "All threads of the connection pool are blocked by a slow downstream call, and the readiness check needs one of them",
                advice: "Restart the affected pods, and give the readiness check a pool of its own",
                confidence: (0.6, 0.86),
                remedies: &[
                    remedy(
                        &wf::RESTART_POD,
                        0.74,
                        "The new pod stops being ready under load too",
                    ),
                    remedy(
                        &wf::SCALE_OUT,
                        0.58,
                        "The additional replicas fill their pools with the same slow calls",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "StartupTooSlow",
                messages: &[
                    "Pod {pod} needs {int:70:240} seconds to warm its caches and is not ready in the time it is given",
                ],
                root_cause: "Start-up has become slower with the amount of data that is loaded, and now exceeds what the probes allow",
                advice: "Give the start-up probe more time",
                confidence: (0.72, 0.93),
                remedies: &[
                    remedy(
                        &wf::RELAX_PROBE,
                        0.9,
                        "Even the longer start-up time is not enough",
                    ),
                    remedy(
                        &wf::RESTART_POD,
                        0.22,
                        "The new pod runs out of start-up time in the same way",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "Unhealthy",
        source: Source::Event,
        severity: "medium",
        on: &[Role::Api, Role::Redis, Role::Grafana, Role::CertManager],
        weight: 4.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "LivenessProbeFailed",
                messages: &[
                    "Liveness probe of {pod} failed: Get \"http://{ip}:8080/healthz\": context deadline exceeded",
                    "Container in {pod} failed its liveness probe and will be restarted (exit code 143)",
                ],
                root_cause: "Long garbage collection pauses make the process miss a liveness timeout of one second",
                advice: "Raise timeout and failure threshold of the liveness probe",
                confidence: (0.63, 0.9),
                remedies: &[
                    remedy(
                        &wf::RELAX_PROBE,
                        0.85,
                        "Pauses are now longer than the relaxed probe allows",
                    ),
                    remedy(&wf::RAISE_CPU, 0.6, "The pauses are no shorter with more CPU"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "LivenessProbeFailed",
                messages: &[
                    "Liveness probe of {pod} failed: dial tcp {ip}:6379: connect: connection refused, {int:3:9} times in a row",
                ],
                root_cause: "The process hangs in a deadlock after it lost its upstream connection and no longer accepts connections",
                advice: "Restart the pod; report the deadlock with the thread dump that was saved",
                confidence: (0.5, 0.78),
                remedies: &[remedy(
                    &wf::RESTART_POD,
                    0.83,
                    "The fresh pod deadlocks in the same place",
                )],
            },
        ],
    },
    Alert {
        name: "BackOff",
        source: Source::Event,
        severity: "medium",
        on: &[Role::Worker, Role::Daemon, Role::Model],
        weight: 3.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "BackOff",
                messages: &[
                    "Back-off restarting failed container in pod {pod}_{uid}: configuration file does not parse, line {int:12:240}",
                ],
                root_cause: "An edit of the ConfigMap broke the indentation of its YAML, and every pod that restarts reads the broken file",
                advice: "Restore the last good ConfigMap and restart the pods",
                confidence: (0.8, 0.96),
                remedies: &[
                    remedy(
                        &wf::RESTORE_CONFIG,
                        0.9,
                        "The restored configuration does not parse either",
                    ),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.1,
                        "The pods read the same broken file again",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "BackOff",
                messages: &[
                    "Back-off restarting failed container: exec format error in pod {pod} on node {node}",
                ],
                root_cause: "The image was built for amd64 only and the pod was scheduled to an arm64 node",
                advice: "Pin the last image that was built for both architectures",
                confidence: (0.86, 0.98),
                remedies: &[remedy(
                    &wf::PIN_IMAGE,
                    0.87,
                    "The pinned image lacks the architecture as well",
                )],
            },
        ],
    },
];
