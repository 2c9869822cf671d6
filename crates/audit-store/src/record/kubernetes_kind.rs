//! Kubernetes kinds in their canonical case.

/// The kinds of Kubernetes itself and of the operators most met in remediations.
const KNOWN: [&str; 62] = [
    "Alertmanager",
    "APIService",
    "Certificate",
    "CertificateRequest",
    "CertificateSigningRequest",
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "ControllerRevision",
    "CronJob",
    "CSIDriver",
    "CSINode",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "DeploymentConfig",
    "Endpoints",
    "EndpointSlice",
    "Event",
    "FlowSchema",
    "Gateway",
    "GatewayClass",
    "HelmRelease",
    "HorizontalPodAutoscaler",
    "HTTPRoute",
    "Ingress",
    "IngressClass",
    "Issuer",
    "Job",
    "Kustomization",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "Node",
    "NodePool",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PodTemplate",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "Prometheus",
    "PrometheusRule",
    "ReplicaSet",
    "ReplicationController",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Rollout",
    "RuntimeClass",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "StatefulSet",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// The kind in the case Kubernetes writes it, so that `deployment` and `Deployment` are one kind. An unknown kind is
/// left as it is.
#[must_use]
pub fn canonical_kind(kind: &str) -> String {
    KNOWN
        .iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
        .map_or(kind, |known| known)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_get_their_case_and_unknown_ones_keep_theirs() {
        assert_eq!(canonical_kind("statefulset"), "StatefulSet");
        assert_eq!(canonical_kind("PERSISTENTVOLUMECLAIM"), "PersistentVolumeClaim");
        assert_eq!(canonical_kind("Pod"), "Pod");
        assert_eq!(canonical_kind("kafkaTopic"), "kafkaTopic");
    }
}
