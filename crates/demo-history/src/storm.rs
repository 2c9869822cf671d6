//! Incident storms: one event in the world, many alerts within the hour.

use super::catalogue::alerts;
use super::inventory::{Cluster, targets};
use super::rng::Rng;
use super::trouble::Spot;

/// A storm.
#[derive(Debug)]
pub(super) struct Storm {
    /// The value of the label that its incidents carry.
    pub(super) name: &'static str,
    /// When, as a part of the history.
    pub(super) when: f64,
    /// Over how many minutes its incidents begin.
    pub(super) minutes: i64,
    /// What the odds of remedies are multiplied by while it lasts.
    pub(super) luck: f64,
    alerts: &'static [&'static str],
}

/// In the order in which they happen.
pub(super) const STORMS: &[Storm] = &[
    Storm {
        name: "disk-pressure-wave",
        when: 0.12,
        minutes: 150,
        luck: 0.8,
        alerts: &[
            "NodeFilesystemSpaceFillingUp",
            "NodeFilesystemAlmostOutOfSpace",
            "NodeHasDiskPressure",
            "Evicted",
            "FluentBitOutputErrors",
        ],
    },
    Storm {
        name: "registry-outage",
        when: 0.34,
        minutes: 75,
        luck: 0.45,
        alerts: &[
            "ImagePullBackOff",
            "KubeDeploymentReplicasMismatch",
            "KubeDeploymentRolloutStuck",
        ],
    },
    Storm {
        name: "zone-network-loss",
        when: 0.55,
        minutes: 40,
        luck: 0.6,
        alerts: &[
            "KubeNodeNotReady",
            "NetworkUnavailable",
            "etcdNoLeader",
            "FailedAttachVolume",
            "KubeStatefulSetReplicasMismatch",
            "KafkaUnderReplicatedPartitions",
            "CiliumAgentUnreachableNodes",
        ],
    },
    Storm {
        name: "campaign-peak",
        when: 0.76,
        minutes: 180,
        luck: 0.9,
        alerts: &[
            "KubeHpaMaxedOut",
            "KubeContainerOOMKilled",
            "CPUThrottlingHigh",
            "KafkaConsumerGroupLag",
            "PostgreSQLTooManyConnections",
            "NodeHighNumberConntrackEntriesUsed",
        ],
    },
    Storm {
        name: "dns-outage",
        when: 0.93,
        minutes: 50,
        luck: 0.65,
        alerts: &[
            "CoreDNSErrorsHigh",
            "CoreDNSLatencyHigh",
            "KubePodNotReady",
            "NginxIngressHigh5xxRate",
            "ServiceEndpointsMissing",
            "TargetDown",
            "KubePodCrashLooping",
        ],
    },
];

impl Storm {
    /// What it hits, at most `size` spots, all in production.
    pub(super) fn spots(&self, size: usize, rng: &mut Rng) -> Vec<Spot> {
        let mut hit = Vec::new();
        for alert in alerts().filter(|alert| self.alerts.contains(&alert.name)) {
            for target in targets() {
                if target.cluster == Cluster::Production && alert.on.contains(&target.role) {
                    hit.push(Spot::new(alert, target, rng));
                }
            }
        }
        while hit.len() > size {
            let index = rng.index(hit.len());
            hit.remove(index);
        }
        hit
    }
}
