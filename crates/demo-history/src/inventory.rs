//! The clusters of the imaginary company: what runs where, under which name.

use super::inventory_table::ROWS;
use super::rng::Rng;

/// What a resource does, which decides what can go wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    /// A stateless service that answers requests.
    Api,
    /// A stateless consumer of queues.
    Worker,
    /// A model server, large and hungry.
    Model,
    Postgres,
    Redis,
    Kafka,
    RabbitMq,
    Elasticsearch,
    /// The NGINX ingress controller.
    IngressController,
    CoreDns,
    Prometheus,
    Alertmanager,
    Grafana,
    CertManager,
    /// A daemon that every node runs.
    Daemon,
    /// The CNI's daemon.
    Cni,
    /// The network route of a whole cluster's pods to a service.
    Service,
    Ingress,
    Node,
    Claim,
    Certificate,
    Autoscaler,
    CronJob,
    Job,
    ApiServer,
    Etcd,
    Scheduler,
    Quota,
}

/// One of the two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cluster {
    Production,
    Staging,
}

impl Cluster {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Production => "prod-eu-1",
            Self::Staging => "staging-eu-1",
        }
    }

    /// The second octet of the cluster's nodes.
    fn subnet(self) -> i64 {
        match self {
            Self::Production => 40,
            Self::Staging => 52,
        }
    }
}

/// One resource that incidents happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) cluster: Cluster,
    /// Absent for what is cluster-scoped.
    pub(super) namespace: Option<&'static str>,
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) role: Role,
}

impl Target {
    /// Development shares the staging cluster, in namespaces of its own.
    pub(super) fn environment(&self) -> &'static str {
        match (self.cluster, self.namespace) {
            (Cluster::Production, _) => "production",
            (Cluster::Staging, Some(namespace)) if namespace.starts_with("dev-") => "development",
            (Cluster::Staging, _) => "staging",
        }
    }

    /// The tier label of its workload.
    pub(super) fn tier(&self) -> &'static str {
        match self.role {
            Role::Api | Role::Ingress | Role::IngressController | Role::Service | Role::Autoscaler => {
                "frontend"
            }
            Role::Worker | Role::Model | Role::CronJob | Role::Job => "backend",
            Role::Postgres
            | Role::Redis
            | Role::Kafka
            | Role::RabbitMq
            | Role::Elasticsearch
            | Role::Claim => "data",
            _ => "platform",
        }
    }

    /// A pod of it, named as its controller would name it.
    pub(super) fn pod(&self, rng: &mut Rng) -> String {
        let name = self.name;
        match self.kind {
            "Pod" | "Node" => name.to_owned(),
            "StatefulSet" => format!("{name}-{}", rng.int(0, 2)),
            "DaemonSet" | "Job" => format!("{name}-{}", rng.suffix()),
            "CronJob" => format!("{name}-{}-{}", rng.int(28_900_000, 29_400_000), rng.suffix()),
            _ => format!(
                "{name}-{}{}-{}",
                rng.pick(&["5", "6", "7"]),
                rng.hex(8),
                rng.suffix()
            ),
        }
    }

    /// The node that it runs on.
    pub(super) fn node(&self, rng: &mut Rng) -> String {
        if self.role == Role::Node {
            return self.name.to_owned();
        }
        let (subnet, zone, host) = (self.cluster.subnet(), rng.int(1, 3), rng.int(11, 240));
        format!("ip-10-{subnet}-{zone}-{host}.eu-central-1.compute.internal")
    }
}

/// Everything that runs.
pub(super) fn targets() -> &'static [Target] {
    ROWS
}
