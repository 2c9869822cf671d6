//! The rows of the inventory, cluster by cluster.

use super::inventory::{Cluster, Role, Target};

const fn prod(namespace: &'static str, kind: &'static str, name: &'static str, role: Role) -> Target {
    Target {
        cluster: Cluster::Production,
        namespace: Some(namespace),
        kind,
        name,
        role,
    }
}

const fn staging(namespace: &'static str, kind: &'static str, name: &'static str, role: Role) -> Target {
    Target {
        cluster: Cluster::Staging,
        namespace: Some(namespace),
        kind,
        name,
        role,
    }
}

const fn node(cluster: Cluster, name: &'static str) -> Target {
    Target {
        cluster,
        namespace: None,
        kind: "Node",
        name,
        role: Role::Node,
    }
}

/// Ordered as the history is drawn from it: another order is another history.
pub(super) const ROWS: &[Target] = &[
    // Shop.
    prod("shop-checkout", "Deployment", "checkout-api", Role::Api),
    prod("shop-checkout", "Deployment", "cart-service", Role::Api),
    prod("shop-checkout", "Deployment", "order-worker", Role::Worker),
    prod("shop-checkout", "StatefulSet", "postgres-orders", Role::Postgres),
    prod("shop-checkout", "StatefulSet", "redis-cart", Role::Redis),
    prod(
        "shop-checkout",
        "HorizontalPodAutoscaler",
        "checkout-api",
        Role::Autoscaler,
    ),
    prod("shop-checkout", "Service", "checkout-api", Role::Service),
    prod("shop-checkout", "Ingress", "checkout", Role::Ingress),
    prod("shop-checkout", "Certificate", "checkout-tls", Role::Certificate),
    prod(
        "shop-checkout",
        "PersistentVolumeClaim",
        "data-postgres-orders-0",
        Role::Claim,
    ),
    prod("shop-catalog", "Deployment", "catalog-api", Role::Api),
    prod("shop-catalog", "Deployment", "image-resizer", Role::Worker),
    prod("shop-catalog", "CronJob", "price-import", Role::CronJob),
    prod(
        "shop-catalog",
        "HorizontalPodAutoscaler",
        "catalog-api",
        Role::Autoscaler,
    ),
    prod("shop-catalog", "Ingress", "catalog", Role::Ingress),
    // Money.
    prod("payments", "Deployment", "payment-gateway", Role::Api),
    prod("payments", "Deployment", "fraud-scoring", Role::Model),
    prod("payments", "Deployment", "settlement-worker", Role::Worker),
    prod("payments", "StatefulSet", "postgres-ledger", Role::Postgres),
    prod("payments", "CronJob", "settlement-export", Role::CronJob),
    prod("payments", "Service", "payment-gateway", Role::Service),
    prod("payments", "Certificate", "payments-mtls", Role::Certificate),
    prod(
        "payments",
        "PersistentVolumeClaim",
        "data-postgres-ledger-0",
        Role::Claim,
    ),
    // Search and recommendations.
    prod("search", "Deployment", "search-api", Role::Api),
    prod("search", "Deployment", "search-indexer", Role::Worker),
    prod("search", "StatefulSet", "elasticsearch-data", Role::Elasticsearch),
    prod(
        "search",
        "HorizontalPodAutoscaler",
        "search-api",
        Role::Autoscaler,
    ),
    prod(
        "search",
        "PersistentVolumeClaim",
        "data-elasticsearch-data-1",
        Role::Claim,
    ),
    prod("ml-serving", "Deployment", "recommender", Role::Model),
    prod("ml-serving", "Deployment", "embedding-server", Role::Model),
    prod("ml-serving", "Job", "ranker-training", Role::Job),
    prod("ml-serving", "ResourceQuota", "gpu-and-memory", Role::Quota),
    // People.
    prod("identity", "Deployment", "login-service", Role::Api),
    prod("identity", "StatefulSet", "redis-sessions", Role::Redis),
    prod("identity", "Certificate", "login-tls", Role::Certificate),
    prod("notifications", "Deployment", "mail-dispatcher", Role::Worker),
    prod("notifications", "Deployment", "push-gateway", Role::Api),
    prod("notifications", "CronJob", "digest-mailer", Role::CronJob),
    // Data.
    prod("data-platform", "StatefulSet", "kafka", Role::Kafka),
    prod("data-platform", "Deployment", "event-enricher", Role::Worker),
    prod("data-platform", "Job", "warehouse-backfill", Role::Job),
    prod("data-platform", "CronJob", "warehouse-compaction", Role::CronJob),
    prod(
        "data-platform",
        "PersistentVolumeClaim",
        "data-kafka-2",
        Role::Claim,
    ),
    prod("data-platform", "ResourceQuota", "compute", Role::Quota),
    prod("messaging", "StatefulSet", "rabbitmq", Role::RabbitMq),
    prod("backup", "CronJob", "etcd-snapshot", Role::CronJob),
    // Platform.
    prod("monitoring", "StatefulSet", "prometheus-main", Role::Prometheus),
    prod(
        "monitoring",
        "StatefulSet",
        "alertmanager-main",
        Role::Alertmanager,
    ),
    prod("monitoring", "Deployment", "grafana", Role::Grafana),
    prod("monitoring", "DaemonSet", "node-exporter", Role::Daemon),
    prod(
        "monitoring",
        "PersistentVolumeClaim",
        "db-prometheus-main-0",
        Role::Claim,
    ),
    prod("logging", "DaemonSet", "fluent-bit", Role::Daemon),
    prod(
        "ingress-nginx",
        "Deployment",
        "ingress-nginx-controller",
        Role::IngressController,
    ),
    prod("cert-manager", "Deployment", "cert-manager", Role::CertManager),
    prod("kube-system", "Deployment", "coredns", Role::CoreDns),
    prod("kube-system", "DaemonSet", "cilium", Role::Cni),
    prod(
        "kube-system",
        "Pod",
        "kube-apiserver-ip-10-40-1-10",
        Role::ApiServer,
    ),
    prod("kube-system", "Pod", "etcd-ip-10-40-1-10", Role::Etcd),
    prod("kube-system", "Pod", "etcd-ip-10-40-2-10", Role::Etcd),
    prod(
        "kube-system",
        "Pod",
        "kube-scheduler-ip-10-40-1-10",
        Role::Scheduler,
    ),
    node(Cluster::Production, "ip-10-40-1-87.eu-central-1.compute.internal"),
    node(
        Cluster::Production,
        "ip-10-40-1-142.eu-central-1.compute.internal",
    ),
    node(Cluster::Production, "ip-10-40-2-31.eu-central-1.compute.internal"),
    node(
        Cluster::Production,
        "ip-10-40-2-219.eu-central-1.compute.internal",
    ),
    node(Cluster::Production, "ip-10-40-3-64.eu-central-1.compute.internal"),
    // Staging, smaller and less well kept.
    staging("shop-checkout", "Deployment", "checkout-api", Role::Api),
    staging("shop-checkout", "StatefulSet", "postgres-orders", Role::Postgres),
    staging("payments", "Deployment", "payment-gateway", Role::Api),
    staging("payments", "Certificate", "payments-mtls", Role::Certificate),
    staging("search", "StatefulSet", "elasticsearch-data", Role::Elasticsearch),
    staging("data-platform", "StatefulSet", "kafka", Role::Kafka),
    staging("data-platform", "CronJob", "warehouse-compaction", Role::CronJob),
    staging("messaging", "StatefulSet", "rabbitmq", Role::RabbitMq),
    staging("monitoring", "StatefulSet", "prometheus-main", Role::Prometheus),
    staging(
        "monitoring",
        "PersistentVolumeClaim",
        "db-prometheus-main-0",
        Role::Claim,
    ),
    staging(
        "ingress-nginx",
        "Deployment",
        "ingress-nginx-controller",
        Role::IngressController,
    ),
    staging("kube-system", "Deployment", "coredns", Role::CoreDns),
    staging("kube-system", "DaemonSet", "cilium", Role::Cni),
    staging("kube-system", "Pod", "etcd-ip-10-52-1-10", Role::Etcd),
    node(Cluster::Staging, "ip-10-52-1-23.eu-central-1.compute.internal"),
    node(Cluster::Staging, "ip-10-52-2-118.eu-central-1.compute.internal"),
    // Development.
    staging("dev-shop", "Deployment", "checkout-api", Role::Api),
    staging("dev-shop", "Deployment", "order-worker", Role::Worker),
    staging("dev-search", "Deployment", "search-api", Role::Api),
    staging("dev-search", "ResourceQuota", "compute", Role::Quota),
    staging("dev-ml", "Deployment", "recommender", Role::Model),
    staging("dev-ml", "Job", "ranker-training", Role::Job),
];
