//! DNS, ingress, services and the network of nodes.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "CoreDNSErrorsHigh",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::CoreDns],
        weight: 3.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ServfailHigh",
                messages: &["CoreDNS returns SERVFAIL for {dec:3:38}% of the requests"],
                root_cause: "The upstream resolver of the network drops queries above its packet limit per interface",
                advice: "Spread CoreDNS over more nodes so that the limit applies to each of them",
                confidence: (0.64, 0.87),
                remedies: &[
                    remedy(&wf::SCALE_OUT, 0.79, "The new replicas run on the same interface"),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.35,
                        "SERVFAIL answers are back after {int:30:90} seconds",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ForwardLoop",
                messages: &[
                    "CoreDNS detected a forwarding loop for zone \".\" and exits; lookups time out in the whole cluster",
                ],
                root_cause: "A changed resolv.conf on the nodes points back to the cluster's own resolver",
                advice: "Restore the previous Corefile with explicit upstream addresses",
                confidence: (0.8, 0.95),
                remedies: &[remedy(
                    &wf::RESTORE_CONFIG,
                    0.9,
                    "The loop is detected with the restored Corefile too",
                )],
            },
        ],
    },
    Alert {
        name: "CoreDNSLatencyHigh",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::CoreDns],
        weight: 1.8,
        causes: &[Cause {
            share: 1.0,
            reason: "LookupSlow",
            messages: &["DNS lookups take {dec:2:6} s at the 99th percentile for zone cluster.local"],
            root_cause: "ndots 5 multiplies every external lookup by six and overloads the resolvers",
            advice: "Scale the resolvers and lower ndots for the busiest clients",
            confidence: (0.66, 0.88),
            remedies: &[
                remedy(&wf::SCALE_OUT, 0.84, "Lookups are as slow with more resolvers"),
                remedy(&wf::RAISE_CPU, 0.6, "The resolvers were not short of CPU"),
            ],
        }],
    },
    Alert {
        name: "NginxIngressHigh5xxRate",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Ingress, Role::IngressController],
        weight: 5.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "UpstreamErrors",
                messages: &[
                    "{dec:5:45}% of the requests through the ingress are answered with 502 or 504 for {int:5:25} minutes",
                ],
                root_cause: "Upstream pods close idle connections earlier than the proxy expects, so that requests hit closed connections",
                advice: "Set the proxy's keep-alive below the upstream's, reload",
                confidence: (0.58, 0.83),
                remedies: &[
                    remedy(
                        &wf::RESTORE_AND_RELOAD,
                        0.76,
                        "Upstreams still close connections early",
                    ),
                    remedy(
                        &wf::SCALE_OUT,
                        0.4,
                        "The share of failed requests is the same with more replicas",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "NoEndpoints",
                messages: &[
                    "The ingress answers 503 Service Temporarily Unavailable: its service has no active endpoint",
                ],
                root_cause: "A release changed the pods' labels and the service's selector matches none of them",
                advice: "Roll the release back",
                confidence: (0.8, 0.96),
                remedies: &[
                    remedy(&wf::ROLL_BACK, 0.92, "The service still has no endpoint"),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.08,
                        "The restarted pods carry the same labels",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "NginxIngressConfigReloadFailed",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::IngressController],
        weight: 1.3,
        causes: &[Cause {
            share: 1.0,
            reason: "ReloadFailed",
            messages: &[
                "Reload of the ingress controller failed on {pod}: nginx: [emerg] unexpected end of file in configuration",
            ],
            root_cause: "A configuration snippet in an annotation has an unbalanced brace, and no later change is served any more",
            advice: "Restore the annotation and reload",
            confidence: (0.84, 0.97),
            remedies: &[
                remedy(
                    &wf::RESTORE_AND_RELOAD,
                    0.91,
                    "nginx still rejects the generated configuration",
                ),
                remedy(
                    &wf::RESTART_POD,
                    0.06,
                    "The new controller pod does not start with this configuration",
                ),
            ],
        }],
    },
    Alert {
        name: "ServiceEndpointsMissing",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Service],
        weight: 2.5,
        causes: &[
            Cause {
                share: 1.0,
                reason: "NoEndpoints",
                messages: &[
                    "The service has had no ready endpoint for {int:2:15} minutes, clients get connection refused",
                ],
                root_cause: "All pods failed their readiness check together when the shared cache was restarted",
                advice: "Restart the pods one by one and do not let readiness depend on the cache",
                confidence: (0.6, 0.84),
                remedies: &[
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.82,
                        "Endpoints are still empty after the restart",
                    ),
                    remedy(&wf::SCALE_OUT, 0.37, "None of the added pods becomes ready"),
                ],
            },
            Cause {
                share: 1.0,
                reason: "NetworkPolicyDenied",
                messages: &[
                    "Connections to the service time out from {int:2:6} namespaces, endpoints are healthy; flows are dropped with verdict DENIED",
                ],
                root_cause: "A new default-deny network policy forgot the callers from other namespaces",
                advice: "Allow the callers in the network policy",
                confidence: (0.77, 0.95),
                remedies: &[remedy(&wf::REPAIR_POLICY, 0.9, "Flows are still dropped")],
            },
        ],
    },
    Alert {
        name: "NetworkUnavailable",
        source: Source::Event,
        severity: "critical",
        on: &[Role::Node],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "NetworkPluginNotReady",
            messages: &["Node {node} has condition NetworkUnavailable: cni plugin not initialized"],
            root_cause: "The CNI agent did not start on the node because its image could not be pulled in time",
            advice: "Restart the agent on the node",
            confidence: (0.7, 0.9),
            remedies: &[
                remedy(
                    &wf::RESTART_DAEMONS,
                    0.85,
                    "The plugin is not initialised after the agent's restart",
                ),
                remedy(
                    &wf::REPLACE_NODE,
                    0.9,
                    "The plugin does not come up on the new node either",
                ),
            ],
        }],
    },
    Alert {
        name: "NodeNetworkReceiveErrs",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "NetworkErrors",
            messages: &[
                "{node} interface eth0 has encountered {int:40:9000} receive errors in the last two minutes",
            ],
            root_cause: "The receive ring of the interface is too small for bursts of small packets",
            advice: "Move the traffic away, and enlarge the ring in the machine image",
            confidence: (0.5, 0.77),
            remedies: &[
                remedy(&wf::RECYCLE_NODE, 0.58, "Receive errors go on after the reboot"),
                remedy(
                    &wf::REPLACE_NODE,
                    0.85,
                    "The new node's interface shows the same errors",
                ),
            ],
        }],
    },
    Alert {
        name: "NodeHighNumberConntrackEntriesUsed",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 2.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ConntrackTableFull",
                messages: &["{dec:80:99.6}% of the conntrack entries of {node} are used"],
                root_cause: "A client opens a new connection for every request and leaves thousands of them in TIME_WAIT",
                advice: "Raise the conntrack limit, and let the client reuse its connections",
                confidence: (0.7, 0.91),
                remedies: &[
                    remedy(
                        &wf::WIDEN_CONNTRACK,
                        0.88,
                        "The larger table is {int:85:99} % full",
                    ),
                    remedy(
                        &wf::LIMIT_CLIENT,
                        0.45,
                        "Connections do not go through the API server",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "ConntrackTableFull",
                messages: &[
                    "nf_conntrack on {node}: table full, dropping packet ({int:200:9000} drops per minute)",
                ],
                root_cause: "UDP lookups without an answer occupy entries until they time out",
                advice: "Raise the limit and use a node-local DNS cache",
                confidence: (0.6, 0.83),
                remedies: &[remedy(&wf::WIDEN_CONNTRACK, 0.82, "Packets are still dropped")],
            },
        ],
    },
    Alert {
        name: "CiliumAgentUnreachableNodes",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Cni],
        weight: 1.6,
        causes: &[Cause {
            share: 1.0,
            reason: "NodeUnreachable",
            messages: &["The CNI agent {pod} cannot reach {int:1:6} nodes over the overlay"],
            root_cause: "Stale tunnel entries point to addresses of nodes that were replaced",
            advice: "Restart the agents so that they learn the nodes anew",
            confidence: (0.65, 0.88),
            remedies: &[remedy(
                &wf::RESTART_DAEMONS,
                0.83,
                "The same nodes are still unreachable",
            )],
        }],
    },
];
