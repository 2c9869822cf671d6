//! The workflows: which steps, in which order, and which of them is the remedy.

use super::action::Action;
use super::action_table as act;

/// One step of a workflow.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) action: &'static Action,
}

/// A workflow. Its last step finds out whether the remedy helped.
#[derive(Debug)]
pub(super) struct Workflow {
    pub(super) name: &'static str,
    /// The index of the step that is the remedy; the ones before it prepare it.
    pub(super) remedy: usize,
    pub(super) steps: &'static [Step],
    /// Whether it is risky enough to need somebody's approval in production.
    pub(super) guarded: bool,
}

impl Workflow {
    /// The action that the workflow is about.
    pub(super) fn action(&self) -> &'static Action {
        self.steps[self.remedy].action
    }
}

const fn step(name: &'static str, action: &'static Action) -> Step {
    Step { name, action }
}

const INSPECT: Step = step("collect-diagnostics", &act::COLLECT_DIAGNOSTICS);
const VERIFY: Step = step("verify", &act::VERIFY_HEALTH);
const ROLLOUT: Step = step("watch-rollout", &act::WAIT_FOR_ROLLOUT);
const CORDON: Step = step("cordon", &act::CORDON_NODE);
const DRAIN: Step = step("drain", &act::DRAIN_NODE);
const UNCORDON: Step = step("uncordon", &act::UNCORDON_NODE);

/// One constant per workflow: name, index of the remedy, whether it is guarded, steps.
macro_rules! workflows {
    ($($id:ident = $name:literal, $remedy:literal, $guarded:literal, [$($step:expr),+ $(,)?];)+) => {
        $(pub(super) const $id: Workflow =
            Workflow { name: $name, remedy: $remedy, guarded: $guarded, steps: &[$($step),+] };)+
    };
}

workflows! {
    // Pods and rollouts.
    RESTART_POD = "restart-pod", 1, false, [INSPECT, step("restart-pod", &act::RESTART_POD), VERIFY];
    ROLLING_RESTART = "rolling-restart", 1, false, [INSPECT, step("restart", &act::ROLLOUT_RESTART), ROLLOUT, VERIFY];
    ROLL_BACK = "roll-back-release", 1, true, [INSPECT, step("roll-back", &act::ROLLBACK_DEPLOYMENT), ROLLOUT, VERIFY];
    RAISE_MEMORY = "raise-memory-limit", 1, false, [INSPECT, step("raise-limit", &act::INCREASE_MEMORY_LIMIT), ROLLOUT, VERIFY];
    RAISE_CPU = "raise-cpu-limit", 0, false, [step("raise-limit", &act::INCREASE_CPU_LIMIT), ROLLOUT, VERIFY];
    RELAX_PROBE = "relax-probe", 1, false, [INSPECT, step("patch-probe", &act::ADJUST_PROBE), ROLLOUT];
    PIN_IMAGE = "pin-last-good-image", 0, true, [step("pin-digest", &act::SET_IMAGE), ROLLOUT, VERIFY];
    RENEW_PULL_SECRET = "renew-pull-secret", 0, false, [step("refresh-secret", &act::REFRESH_PULL_SECRET), step("restart-pod", &act::RESTART_POD), VERIFY];
    RESTORE_CONFIG = "restore-configuration", 1, true, [INSPECT, step("restore-config", &act::UPDATE_CONFIG), step("restart", &act::ROLLOUT_RESTART), VERIFY];
    SWEEP_EVICTED = "sweep-evicted-pods", 0, false, [step("delete-evicted", &act::DELETE_EVICTED_PODS), VERIFY];
    LOOSEN_BUDGET = "loosen-disruption-budget", 0, true, [step("adjust-budget", &act::ADJUST_PDB), ROLLOUT];
    SCALE_OUT = "scale-out", 0, false, [step("scale", &act::SCALE_DEPLOYMENT), ROLLOUT, VERIFY];
    RESTART_DAEMONS = "restart-daemonset", 1, false, [INSPECT, step("restart-daemons", &act::RESTART_DAEMONSET), VERIFY];

    // Nodes.
    RECYCLE_NODE = "drain-and-reboot-node", 2, true, [CORDON, DRAIN, step("reboot", &act::REBOOT_NODE), UNCORDON, VERIFY];
    REPLACE_NODE = "replace-node", 2, true, [CORDON, DRAIN, step("replace", &act::REPLACE_NODE), VERIFY];
    RESTART_KUBELET = "restart-kubelet", 1, false, [INSPECT, step("restart-kubelet", &act::RESTART_KUBELET), VERIFY];
    RESTART_RUNTIME = "restart-container-runtime", 1, false, [CORDON, step("restart-runtime", &act::RESTART_RUNTIME), UNCORDON, VERIFY];
    EASE_NODE = "move-load-off-node", 1, false, [CORDON, DRAIN, UNCORDON, VERIFY];
    FREE_NODE_DISK = "free-node-disk", 0, false, [step("clean-up", &act::CLEAN_UP_DISK), VERIFY];
    PRUNE_AND_CLEAN = "prune-images-and-logs", 0, false, [step("prune-images", &act::PRUNE_IMAGES), step("clean-up", &act::CLEAN_UP_DISK), VERIFY];
    SYNC_CLOCK = "resync-node-clock", 0, false, [step("resync", &act::SYNC_CLOCK), VERIFY];
    WIDEN_CONNTRACK = "widen-conntrack-table", 0, false, [step("raise-conntrack", &act::RAISE_CONNTRACK), VERIFY];
    GROW_POOL = "grow-node-pool", 0, false, [step("add-nodes", &act::SCALE_NODE_POOL), VERIFY];
    APPROVE_KUBELET_CERT = "approve-kubelet-certificate", 0, true, [step("approve-csr", &act::APPROVE_CSR), VERIFY];

    // Storage.
    EXPAND_VOLUME = "expand-volume", 0, false, [step("expand", &act::EXPAND_PVC), VERIFY];
    PURGE_OLD_DATA = "purge-old-data", 1, true, [INSPECT, step("purge", &act::PURGE_DATA), VERIFY];
    REATTACH_VOLUME = "reattach-volume", 1, false, [CORDON, step("detach", &act::DETACH_VOLUME), step("restart-pod", &act::RESTART_POD), UNCORDON, VERIFY];

    // Certificates and configuration.
    RENEW_CERTIFICATE = "renew-certificate", 1, false, [INSPECT, step("renew", &act::RENEW_CERTIFICATE), VERIFY];
    RESTART_ISSUER = "restart-issuer-and-renew", 1, false, [step("restart", &act::ROLLOUT_RESTART), step("renew", &act::RENEW_CERTIFICATE), VERIFY];
    RELOAD = "reload-configuration", 0, false, [step("reload", &act::RELOAD_CONFIGURATION), VERIFY];
    RESTORE_AND_RELOAD = "restore-and-reload", 0, false, [step("restore-config", &act::UPDATE_CONFIG), step("reload", &act::RELOAD_CONFIGURATION), VERIFY];
    RAISE_QUOTA = "raise-namespace-quota", 0, true, [step("raise-quota", &act::INCREASE_QUOTA), VERIFY];

    // Scaling and jobs.
    RAISE_HPA = "raise-autoscaler-ceiling", 0, false, [step("raise-ceiling", &act::UPDATE_HPA), VERIFY];
    RERUN_JOB = "rerun-job", 1, false, [INSPECT, step("rerun", &act::RERUN_JOB)];
    CLEAR_STUCK_JOB = "clear-stuck-job", 0, false, [step("delete-run", &act::DELETE_STUCK_JOB), step("rerun", &act::RERUN_JOB)];
    SUSPEND_SCHEDULE = "suspend-schedule", 0, true, [step("suspend", &act::SUSPEND_CRONJOB), VERIFY];

    // Data services.
    SWITCH_PRIMARY = "switch-database-primary", 1, true, [INSPECT, step("switch-over", &act::FAILOVER_PRIMARY), VERIFY];
    REBUILD_REPLICA = "rebuild-replica", 1, true, [INSPECT, step("rebuild", &act::REBUILD_REPLICA), VERIFY];
    END_IDLE_SESSIONS = "end-idle-sessions", 0, false, [step("end-sessions", &act::TERMINATE_SESSIONS), VERIFY];
    ASSIGN_SHARDS = "assign-shards", 1, false, [INSPECT, step("reroute", &act::REROUTE_SHARDS), VERIFY];
    ADD_REPLICA = "add-cluster-member", 0, true, [step("scale", &act::SCALE_STATEFULSET), VERIFY];
    ADD_CONSUMERS = "add-consumers", 0, false, [step("scale-consumers", &act::SCALE_CONSUMERS), VERIFY];
    DEFRAGMENT = "defragment-etcd", 1, true, [INSPECT, step("defragment", &act::DEFRAGMENT_ETCD), VERIFY];

    // Network.
    REPAIR_POLICY = "repair-network-policy", 1, true, [INSPECT, step("patch-policy", &act::UPDATE_NETWORK_POLICY), VERIFY];
    LIMIT_CLIENT = "limit-noisy-client", 1, false, [INSPECT, step("throttle", &act::THROTTLE_CLIENTS), VERIFY];
}
