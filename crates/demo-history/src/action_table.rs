//! The actions that the workflows are made of.

use super::action::Action;

// Looking.
pub(super) const COLLECT_DIAGNOSTICS: Action = Action::looking(
    "collect_diagnostics",
    (3, 25),
    &[("logLines", "500"), ("includeEvents", "true")],
    "Saved logs, events and the last container states",
    &["The kubelet did not answer the log request: dial tcp {ip}:10250: i/o timeout"],
);
pub(super) const VERIFY_HEALTH: Action = Action::looking(
    "verify_health",
    (121, 300),
    &[("quietSeconds", "120")],
    "The signal stayed quiet for the observation window",
    &["The signal was raised again during the observation window"],
);
pub(super) const WAIT_FOR_ROLLOUT: Action = Action::looking(
    "wait_for_rollout",
    (25, 240),
    &[("timeoutSeconds", "240")],
    "All replicas are updated and available",
    &["Gave up waiting: {int:1:4} of the updated replicas are still unavailable"],
);

// Pods and rollouts.
pub(super) const RESTART_POD: Action = Action::changing(
    "restart_pod",
    (4, 40),
    &[("pod", "{pod}"), ("gracePeriodSeconds", "30")],
    "Deleted pod {pod}; its controller made a new one",
    &[
        "Pod {pod} is stuck in Terminating, its finalizer was not removed",
        "Eviction refused by the disruption budget",
    ],
);
pub(super) const ROLLOUT_RESTART: Action = Action::changing(
    "rollout_restart",
    (20, 150),
    &[("maxUnavailable", "1")],
    "Restarted the workload pod by pod",
    &[
        "New pods did not become ready within the progress deadline",
        "Conflict: the object has been modified since it was read",
    ],
);
pub(super) const SCALE_DEPLOYMENT: Action = Action::changing(
    "scale_deployment",
    (10, 90),
    &[("replicas", "{int:5:12}"), ("previousReplicas", "{int:2:4}")],
    "Scaled out and all new replicas are serving",
    &[
        "New replicas stay Pending: no node has enough free CPU",
        "The autoscaler set the replica count back at once",
    ],
)
.reversible();
pub(super) const SCALE_STATEFULSET: Action = Action::changing(
    "scale_statefulset",
    (30, 240),
    &[("replicas", "{int:4:6}"), ("previousReplicas", "3")],
    "Added replicas and they joined the cluster",
    &["The new replica cannot bind its volume claim in this zone"],
)
.reversible();
pub(super) const ROLLBACK_DEPLOYMENT: Action = Action::changing(
    "rollback_deployment",
    (20, 160),
    &[("toRevision", "{int:12:90}")],
    "Rolled back to the previous revision",
    &[
        "The previous revision is no longer in the history",
        "The old revision fails too: the database schema has moved on",
    ],
)
.reversible();
pub(super) const INCREASE_MEMORY_LIMIT: Action = Action::changing(
    "increase_memory_limit",
    (15, 120),
    &[
        ("memoryLimit", "{int:768:2048}Mi"),
        ("previousMemoryLimit", "512Mi"),
    ],
    "Raised the memory limit and rolled the pods",
    &[
        "Refused by the LimitRange: maximum memory per container exceeded",
        "Exceeds the namespace quota for limits.memory",
    ],
)
.reversible();
pub(super) const INCREASE_CPU_LIMIT: Action = Action::changing(
    "increase_cpu_limit",
    (15, 120),
    &[("cpuLimit", "{int:900:2000}m"), ("previousCpuLimit", "500m")],
    "Raised the CPU limit and rolled the pods",
    &["Exceeds the namespace quota for limits.cpu"],
)
.reversible();
pub(super) const ADJUST_PROBE: Action = Action::changing(
    "adjust_probe",
    (12, 90),
    &[
        ("initialDelaySeconds", "{int:30:120}"),
        ("failureThreshold", "{int:5:10}"),
    ],
    "Gave the probe more time and rolled the pods",
    &["An admission webhook refused the patch: probes are managed by the chart"],
)
.reversible();
pub(super) const SET_IMAGE: Action = Action::changing(
    "set_image",
    (15, 150),
    &[("digest", "sha256:{hex:64}")],
    "Pinned the image to the last digest that was pulled successfully",
    &["The pinned digest is gone from the registry: manifest unknown"],
)
.reversible();
pub(super) const REFRESH_PULL_SECRET: Action = Action::changing(
    "refresh_pull_secret",
    (3, 20),
    &[("secretName", "registry-pull")],
    "Copied the current registry login into the namespace",
    &["The source of the registry login is itself out of date"],
);
pub(super) const DELETE_EVICTED_PODS: Action = Action::changing(
    "delete_evicted_pods",
    (3, 30),
    &[("olderThanMinutes", "{int:5:60}")],
    "Removed {int:3:60} pods in phase Failed with reason Evicted",
    &["The API server throttled the deletion: too many requests"],
);
pub(super) const RESTART_DAEMONSET: Action = Action::changing(
    "restart_daemonset",
    (30, 240),
    &[("maxUnavailable", "10%")],
    "Restarted the daemon on every node",
    &["The daemon does not start on {int:1:5} nodes: host port in use"],
);
pub(super) const ADJUST_PDB: Action = Action::changing(
    "adjust_pdb",
    (2, 12),
    &[("maxUnavailable", "1")],
    "The disruption budget now allows one unavailable pod",
    &["Two disruption budgets select the same pods; eviction is not possible"],
)
.reversible();
pub(super) const UPDATE_CONFIG: Action = Action::changing(
    "update_configmap",
    (3, 30),
    &[("restoreRevision", "{int:10:400}")],
    "Restored the last configuration that was known to work",
    &["The configuration is managed by GitOps and was reverted at the next sync"],
)
.reversible();

// Nodes.
pub(super) const CORDON_NODE: Action = Action::changing(
    "cordon_node",
    (1, 6),
    &[("node", "{node}")],
    "Node {node} takes no new pods",
    &["The API server refused the patch of the node: leader changed"],
)
.reversible();
pub(super) const DRAIN_NODE: Action = Action::changing(
    "drain_node",
    (40, 420),
    &[
        ("node", "{node}"),
        ("ignoreDaemonSets", "true"),
        ("timeoutSeconds", "600"),
    ],
    "Evicted {int:8:45} pods from {node}",
    &[
        "Drain timed out: a disruption budget allows no further eviction",
        "A pod with local storage cannot be evicted",
    ],
)
.reversible();
pub(super) const UNCORDON_NODE: Action = Action::changing(
    "uncordon_node",
    (1, 6),
    &[("node", "{node}")],
    "Node {node} is schedulable again",
    &["The node is still tainted as unreachable"],
);
pub(super) const REBOOT_NODE: Action = Action::changing(
    "reboot_node",
    (90, 400),
    &[("node", "{node}"), ("method", "cloud-api")],
    "Node {node} rebooted and registered again",
    &["The instance did not come back in time"],
);
pub(super) const REPLACE_NODE: Action = Action::changing(
    "replace_node",
    (150, 620),
    &[("node", "{node}"), ("nodePool", "general-{int:1:3}")],
    "A new instance joined the pool, the old one was terminated",
    &["The cloud has no capacity for this instance type in the zone"],
);
pub(super) const SCALE_NODE_POOL: Action = Action::changing(
    "scale_node_pool",
    (100, 480),
    &[("nodePool", "general-{int:1:3}"), ("addNodes", "{int:1:3}")],
    "New nodes joined the pool and are ready",
    &[
        "The node pool is at its maximum size",
        "The cloud quota for virtual CPUs is used up",
    ],
)
.reversible();
pub(super) const RESTART_KUBELET: Action = Action::changing(
    "restart_kubelet",
    (8, 60),
    &[("node", "{node}")],
    "The kubelet restarted and posts its status again",
    &["systemd reports the kubelet as failed: start request repeated too quickly"],
);
pub(super) const RESTART_RUNTIME: Action = Action::changing(
    "restart_container_runtime",
    (10, 80),
    &[("node", "{node}"), ("unit", "containerd.service")],
    "containerd restarted; running containers were kept",
    &["containerd does not stop: shim processes hang in uninterruptible sleep"],
);
pub(super) const CLEAN_UP_DISK: Action = Action::changing(
    "clean_up_disk",
    (10, 150),
    &[
        ("paths", "/var/log,/var/lib/containerd"),
        ("olderThanHours", "{int:24:96}"),
    ],
    "Freed {int:4:38} GiB of rotated logs and dead container layers",
    &["Only {int:50:400} MiB could be freed; the rest is in use"],
);
pub(super) const PRUNE_IMAGES: Action = Action::changing(
    "prune_images",
    (12, 120),
    &[("node", "{node}"), ("keepLastHours", "24")],
    "Removed {int:12:80} unused images from {node}",
    &["The runtime refused: the images are referenced by stopped containers"],
);
pub(super) const SYNC_CLOCK: Action = Action::changing(
    "resync_clock",
    (3, 30),
    &[("node", "{node}"), ("maxStepSeconds", "1")],
    "chrony stepped the clock by {int:80:2400} ms and is synchronised",
    &["No time source is reachable from {node}"],
);
pub(super) const RAISE_CONNTRACK: Action = Action::changing(
    "increase_conntrack_limit",
    (2, 15),
    &[
        ("sysctl", "net.netfilter.nf_conntrack_max"),
        ("value", "{int:262144:1048576}"),
    ],
    "Raised nf_conntrack_max on {node}",
    &["The sysctl is read-only in this mount namespace"],
)
.reversible();
pub(super) const APPROVE_CSR: Action = Action::changing(
    "approve_csr",
    (2, 20),
    &[
        ("csr", "csr-{hex:5}"),
        ("signer", "kubernetes.io/kubelet-serving"),
    ],
    "Approved the pending signing request; the kubelet picked up its new certificate",
    &["The requested subject does not match the node"],
);

// Storage.
pub(super) const EXPAND_PVC: Action = Action::changing(
    "expand_pvc",
    (30, 300),
    &[("newSize", "{int:120:800}Gi")],
    "The volume and its file system have grown",
    &[
        "The storage class does not allow expansion",
        "Volume modification refused: last change less than 6 hours ago",
    ],
);
pub(super) const DETACH_VOLUME: Action = Action::changing(
    "force_detach_volume",
    (15, 180),
    &[("volumeId", "vol-{hex:17}"), ("node", "{node}")],
    "Detached the volume from the old node; it attached to the new one",
    &["The volume is still busy on the old node"],
);
pub(super) const PURGE_DATA: Action = Action::changing(
    "purge_old_data",
    (20, 300),
    &[("olderThanDays", "{int:7:45}")],
    "Deleted data past its retention",
    &["Nothing is past its retention; no space was freed"],
);

// Certificates and configuration.
pub(super) const RENEW_CERTIFICATE: Action = Action::changing(
    "renew_certificate",
    (10, 150),
    &[("forceRenewal", "true")],
    "A new certificate was issued and stored in its secret",
    &[
        "The ACME server refused the order: rate limit for this domain reached",
        "The DNS-01 challenge was not visible in time",
    ],
);
pub(super) const RELOAD_CONFIGURATION: Action = Action::changing(
    "reload_configuration",
    (2, 25),
    &[("signal", "SIGHUP")],
    "The process accepted the configuration",
    &["The process rejected the configuration and kept the old one"],
);
pub(super) const INCREASE_QUOTA: Action = Action::changing(
    "increase_quota",
    (2, 15),
    &[("resource", "requests.memory"), ("factor", "1.{int:2:5}")],
    "Raised the namespace quota",
    &["The quota is capped by the platform policy"],
)
.reversible();

// Scaling and jobs.
pub(super) const UPDATE_HPA: Action = Action::changing(
    "update_hpa",
    (3, 40),
    &[
        ("maxReplicas", "{int:14:40}"),
        ("previousMaxReplicas", "{int:6:12}"),
    ],
    "Raised maxReplicas; the autoscaler added pods",
    &["The autoscaler cannot read its metric: no matches for custom.metrics.k8s.io"],
)
.reversible();
pub(super) const RERUN_JOB: Action = Action::changing(
    "rerun_job",
    (20, 420),
    &[("backoffLimit", "3")],
    "Started the job again and it finished",
    &["The job failed again with exit code {int:1:3}"],
);
pub(super) const DELETE_STUCK_JOB: Action = Action::changing(
    "delete_stuck_job",
    (3, 30),
    &[("propagationPolicy", "Background")],
    "Deleted the run that hung; the schedule goes on",
    &["The job's pod ignores SIGTERM and its node is unreachable"],
);
pub(super) const SUSPEND_CRONJOB: Action = Action::changing(
    "suspend_cronjob",
    (1, 8),
    &[("suspend", "true")],
    "Suspended the schedule until the cause is fixed",
    &["The schedule is managed by GitOps and was resumed at the next sync"],
)
.reversible();

// Data services.
pub(super) const FAILOVER_PRIMARY: Action = Action::changing(
    "failover_primary",
    (15, 120),
    &[("candidate", "{pod}"), ("mode", "switchover")],
    "A replica was promoted and clients follow it",
    &["No replica is close enough to be promoted without loss"],
);
pub(super) const REBUILD_REPLICA: Action = Action::changing(
    "rebuild_replica",
    (120, 900),
    &[("method", "basebackup")],
    "The replica was copied anew and streams again",
    &["The copy was aborted: the primary removed a segment that was still needed"],
);
pub(super) const TERMINATE_SESSIONS: Action = Action::changing(
    "terminate_idle_sessions",
    (2, 20),
    &[("idleMinutes", "{int:10:60}")],
    "Ended {int:12:180} idle sessions",
    &["New sessions replaced the ended ones within seconds"],
);
pub(super) const REROUTE_SHARDS: Action = Action::changing(
    "reroute_shards",
    (30, 420),
    &[("retryFailed", "true")],
    "All shards are assigned again",
    &["Allocation refused: the remaining nodes are above the high watermark"],
);
pub(super) const SCALE_CONSUMERS: Action = Action::changing(
    "scale_consumers",
    (15, 180),
    &[("consumers", "{int:6:16}"), ("previousConsumers", "{int:2:5}")],
    "Added consumers and the backlog shrinks",
    &["There are more consumers than partitions; the extra ones are idle"],
)
.reversible();
pub(super) const DEFRAGMENT_ETCD: Action = Action::changing(
    "defragment_etcd",
    (20, 150),
    &[("compactFirst", "true")],
    "Compacted and defragmented the member; it gave back {int:400:2600} MiB",
    &["The member did not answer while it was defragmented and lost its leadership"],
);

// Network.
pub(super) const UPDATE_NETWORK_POLICY: Action = Action::changing(
    "update_network_policy",
    (2, 25),
    &[("allowNamespace", "kube-system")],
    "The policy lets the traffic pass again",
    &["A cluster-wide policy still denies the traffic"],
)
.reversible();
pub(super) const THROTTLE_CLIENTS: Action = Action::changing(
    "throttle_clients",
    (3, 30),
    &[("priorityLevel", "workload-low"), ("maxInflight", "{int:20:120}")],
    "Limited the noisy client to its share",
    &["The client authenticates as a system user and is exempt"],
)
.reversible();
