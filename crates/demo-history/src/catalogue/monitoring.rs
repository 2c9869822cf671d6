//! The monitoring itself.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "TargetDown",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Service, Role::Daemon, Role::Api, Role::Model],
        weight: 4.0,
        causes: &[
            Cause {
                share: 2.0,
                reason: "ScrapeFailed",
                messages: &[
                    "{dec:12:100}% of the targets of the job are down: Get \"http://{ip}:9090/metrics\": context deadline exceeded",
                ],
                root_cause: "Rendering the metrics takes longer than the scrape timeout, a label with user ids made their number explode",
                advice: "Roll back the release that added the label",
                confidence: (0.6, 0.85),
                remedies: &[
                    remedy(&wf::ROLL_BACK, 0.82, "Scrapes still run into the timeout"),
                    remedy(
                        &wf::ROLLING_RESTART,
                        0.4,
                        "The series are back soon after the restart",
                    ),
                ],
            },
            Cause {
                share: 1.5,
                reason: "ScrapeFailed",
                messages: &[
                    "Scrapes of {pod} fail with connect: no route to host since a network policy was applied",
                ],
                root_cause: "The network policy of the namespace does not admit the monitoring namespace",
                advice: "Admit the monitoring namespace",
                confidence: (0.78, 0.95),
                remedies: &[remedy(&wf::REPAIR_POLICY, 0.92, "Scrapes are still refused")],
            },
        ],
    },
    Alert {
        name: "PrometheusTargetMissing",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Prometheus],
        weight: 1.8,
        causes: &[Cause {
            share: 1.0,
            reason: "TargetMissing",
            messages: &[
                "A Prometheus target has disappeared: {int:1:9} exporters that were scraped an hour ago are not discovered any more",
            ],
            root_cause: "The label selector of the ServiceMonitors changed with an upgrade of the operator's chart",
            advice: "Restore the previous selector and reload",
            confidence: (0.69, 0.9),
            remedies: &[
                remedy(
                    &wf::RESTORE_AND_RELOAD,
                    0.88,
                    "The exporters are still not discovered",
                ),
                remedy(
                    &wf::RESTART_POD,
                    0.12,
                    "Discovery finds the same targets after the restart",
                ),
            ],
        }],
    },
    Alert {
        name: "PrometheusBadConfig",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Prometheus],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "ReloadFailed",
            messages: &[
                "Prometheus {pod} has failed to reload its configuration: field scrape_intervall not found in type config",
            ],
            root_cause: "A misspelt field in an additional scrape configuration",
            advice: "Restore the last valid configuration",
            confidence: (0.88, 0.98),
            remedies: &[remedy(
                &wf::RESTORE_AND_RELOAD,
                0.95,
                "Prometheus rejects the restored configuration",
            )],
        }],
    },
    Alert {
        name: "PrometheusRuleFailures",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Prometheus],
        weight: 1.3,
        causes: &[Cause {
            share: 1.0,
            reason: "RuleEvaluationFailed",
            messages: &[
                "Prometheus {pod} has failed to evaluate {int:4:90} rules in the last 5 minutes: many-to-many matching not allowed",
            ],
            root_cause: "Two exporters publish the same series during a migration and a join is no longer unique",
            advice: "Restore the previous rules until the migration is over",
            confidence: (0.66, 0.88),
            remedies: &[remedy(
                &wf::RESTORE_AND_RELOAD,
                0.8,
                "The rules still fail to evaluate",
            )],
        }],
    },
    Alert {
        name: "AlertmanagerFailedReload",
        source: Source::Prometheus,
        severity: "critical",
        on: &[Role::Alertmanager],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "ReloadFailed",
            messages: &["Configuration has failed to load for {pod}: undefined receiver used in route"],
            root_cause: "A receiver was removed although a route still refers to it",
            advice: "Restore the receiver and reload",
            confidence: (0.86, 0.98),
            remedies: &[
                remedy(
                    &wf::RESTORE_AND_RELOAD,
                    0.93,
                    "Another route refers to a missing receiver",
                ),
                remedy(&wf::RELOAD, 0.1, "The configuration on disk is the faulty one"),
            ],
        }],
    },
    Alert {
        name: "AlertmanagerFailedToSendAlerts",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Alertmanager],
        weight: 1.5,
        causes: &[Cause {
            share: 1.0,
            reason: "NotificationFailed",
            messages: &[
                "{pod} failed to send {dec:2:60}% of its notifications to the chat integration: unexpected status code 410",
            ],
            root_cause: "The webhook of the chat integration was revoked",
            advice: "Restore the integration's address from the vault and reload",
            confidence: (0.7, 0.92),
            remedies: &[remedy(
                &wf::RESTORE_AND_RELOAD,
                0.72,
                "The integration still answers with 410",
            )],
        }],
    },
    Alert {
        name: "GrafanaRequestsFailing",
        source: Source::Prometheus,
        severity: "low",
        on: &[Role::Grafana],
        weight: 1.2,
        causes: &[Cause {
            share: 1.0,
            reason: "DatabaseLocked",
            messages: &["Grafana answers {dec:51:90}% of its requests with 5xx: database is locked"],
            root_cause: "Its SQLite file lies on a network volume where locks are slow",
            advice: "Restart the pod, and give Grafana a real database",
            confidence: (0.67, 0.89),
            remedies: &[remedy(
                &wf::RESTART_POD,
                0.75,
                "The database is locked again with the first dashboard",
            )],
        }],
    },
    Alert {
        name: "FluentBitOutputErrors",
        source: Source::Prometheus,
        severity: "info",
        on: &[Role::Daemon],
        weight: 1.8,
        causes: &[Cause {
            share: 1.0,
            reason: "OutputErrors",
            messages: &[
                "{pod} could not deliver {int:200:9000} log chunks in ten minutes, its retry buffer is at {int:70:99} %",
            ],
            root_cause: "The log store rejects chunks because one field changed its type",
            advice: "Restart the agents with the previous parser configuration",
            confidence: (0.58, 0.82),
            remedies: &[
                remedy(
                    &wf::RESTORE_CONFIG,
                    0.83,
                    "Chunks are still rejected: field type conflict",
                ),
                remedy(
                    &wf::RESTART_DAEMONS,
                    0.32,
                    "The rejected chunks are retried after the restart and rejected again",
                ),
            ],
        }],
    },
];
