//! Certificates and their renewal.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "CertManagerCertExpirySoon",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Certificate],
        weight: 3.5,
        causes: &[
            Cause {
                share: 3.0,
                reason: "RenewalFailed",
                messages: &[
                    "The certificate expires in {int:3:20} days and was not renewed: the ACME order is in state invalid",
                ],
                root_cause: "The DNS-01 challenge fails since the zone's credentials lost their write permission",
                advice: "Restore the permission and request the renewal again",
                confidence: (0.72, 0.92),
                remedies: &[
                    remedy(
                        &wf::RENEW_CERTIFICATE,
                        0.7,
                        "The ACME challenge is still not validated",
                    ),
                    remedy(
                        &wf::RESTART_ISSUER,
                        0.56,
                        "The new order ended in state invalid as well",
                    ),
                ],
            },
            Cause {
                share: 2.0,
                reason: "RenewalPending",
                messages: &[
                    "TLS certificate reaches its notAfter date in {int:2:14} days; its last renewal attempt was {int:10:40} days ago",
                ],
                root_cause: "The cert-manager controller lost its leader election and processed no renewals since",
                advice: "Restart cert-manager and trigger the renewal",
                confidence: (0.64, 0.87),
                remedies: &[
                    remedy(
                        &wf::RESTART_ISSUER,
                        0.9,
                        "No renewal was started after the restart",
                    ),
                    remedy(
                        &wf::RENEW_CERTIFICATE,
                        0.48,
                        "The request for renewal is not being processed",
                    ),
                ],
            },
        ],
    },
    Alert {
        name: "CertManagerCertNotReady",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Certificate],
        weight: 2.5,
        causes: &[
            Cause {
                share: 2.0,
                reason: "Issuing",
                messages: &[
                    "The certificate has not been ready to serve traffic for {int:10:90} minutes: issuing waits for a challenge",
                ],
                root_cause: "The HTTP-01 solver is not reachable because a redirect to HTTPS answers the challenge path",
                advice: "Exempt the challenge path from the redirect and issue again",
                confidence: (0.68, 0.9),
                remedies: &[
                    remedy(&wf::RENEW_CERTIFICATE, 0.66, "The solver's path still redirects"),
                    remedy(
                        &wf::REPAIR_POLICY,
                        0.5,
                        "The traffic is allowed now and the challenge still fails",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "DoesNotExist",
                messages: &["Issuing certificate as its secret does not exist"],
                root_cause: "The secret was removed by a clean-up of the namespace",
                advice: "Issue the certificate again",
                confidence: (0.8, 0.95),
                remedies: &[remedy(
                    &wf::RENEW_CERTIFICATE,
                    0.93,
                    "The secret was removed again",
                )],
            },
        ],
    },
    Alert {
        name: "CertManagerHittingRateLimits",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::CertManager],
        weight: 0.9,
        causes: &[Cause {
            share: 1.0,
            reason: "RateLimited",
            messages: &[
                "cert-manager is hitting ACME rate limits: {int:12:80} responses with status 429 in five minutes",
            ],
            root_cause: "A certificate whose validation cannot succeed is ordered again every minute",
            advice: "Restore the certificate's previous specification so that ordering stops",
            confidence: (0.66, 0.88),
            remedies: &[
                remedy(&wf::RESTORE_CONFIG, 0.71, "Orders are still placed every minute"),
                remedy(&wf::ROLLING_RESTART, 0.25, "The rate limit is still in force"),
            ],
        }],
    },
    Alert {
        name: "KubeClientCertificateExpiration",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::ApiServer],
        weight: 1.0,
        causes: &[Cause {
            share: 1.0,
            reason: "ClientCertificateExpiration",
            messages: &[
                "A client certificate used to authenticate to the API server expires in less than {int:2:23} hours",
            ],
            root_cause: "A controller outside the cluster uses a client certificate of one year that nothing rotates",
            advice: "Issue a new client certificate and move the controller to short-lived credentials",
            confidence: (0.7, 0.9),
            remedies: &[remedy(
                &wf::RENEW_CERTIFICATE,
                0.76,
                "The controller still presents its old certificate",
            )],
        }],
    },
    Alert {
        name: "KubeletClientCertificateRenewalErrors",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Node],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "CertificateRenewalFailed",
            messages: &[
                "The kubelet on {node} has failed to renew its client certificate ({int:2:14} errors in the last 5 minutes)",
            ],
            root_cause: "Signing requests are no longer approved since the approver's role was changed",
            advice: "Approve the pending request and restore the approver's role",
            confidence: (0.74, 0.93),
            remedies: &[
                remedy(
                    &wf::APPROVE_KUBELET_CERT,
                    0.9,
                    "The kubelet made a new request that is pending again",
                ),
                remedy(
                    &wf::RESTART_KUBELET,
                    0.24,
                    "The restarted kubelet fails to renew as before",
                ),
            ],
        }],
    },
    Alert {
        name: "ProbeSSLCertificateExpiry",
        source: Source::Prometheus,
        severity: "high",
        on: &[Role::Ingress],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "StaleCertificateServed",
            messages: &[
                "The endpoint presents a certificate chain that is valid for another {int:1:9} days only",
            ],
            root_cause: "The certificate was renewed in time, but the ingress controller still serves the copy it loaded at start",
            advice: "Reload the ingress controller",
            confidence: (0.62, 0.86),
            remedies: &[
                remedy(&wf::RELOAD, 0.88, "The endpoint still presents the old chain"),
                remedy(
                    &wf::RENEW_CERTIFICATE,
                    0.35,
                    "Renewed once more, and the endpoint still presents the old chain",
                ),
            ],
        }],
    },
];
