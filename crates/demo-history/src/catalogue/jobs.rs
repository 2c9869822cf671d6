//! Jobs and schedules.

use super::{Alert, Cause, Source, remedy};
use crate::inventory::Role;
use crate::workflow as wf;

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubeJobFailed",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Job, Role::CronJob],
        weight: 6.0,
        causes: &[
            Cause {
                share: 3.0,
                reason: "BackoffLimitExceeded",
                messages: &[
                    "The job failed to complete: it has reached the specified backoff limit after {int:3:6} pods",
                ],
                root_cause: "The source system was in its maintenance window and answered with 503",
                advice: "Run the job again after the window",
                confidence: (0.66, 0.88),
                remedies: &[
                    remedy(&wf::RERUN_JOB, 0.85, "The source still answers with 503"),
                    remedy(&wf::SUSPEND_SCHEDULE, 0.3, "The missed run was not made up for"),
                ],
            },
            Cause {
                share: 2.0,
                reason: "DeadlineExceeded",
                messages: &["The job was active longer than the specified deadline of {int:30:120} minutes"],
                root_cause: "The input has grown and one pod cannot process it within the deadline",
                advice: "Give the job more CPU and a longer deadline",
                confidence: (0.62, 0.85),
                remedies: &[
                    remedy(&wf::RAISE_CPU, 0.67, "The run was as slow with twice the CPU"),
                    remedy(
                        &wf::RERUN_JOB,
                        0.28,
                        "The run hit the deadline again at {int:60:95} % of its input",
                    ),
                ],
            },
            Cause {
                share: 1.0,
                reason: "PodFailurePolicy",
                messages: &[
                    "A pod of the job ended with exit code {int:2:3}: the input has a column that the job does not know",
                ],
                root_cause: "The supplier changed the format of the file without notice",
                advice: "Suspend the schedule until the job understands the new format",
                confidence: (0.7, 0.92),
                remedies: &[
                    remedy(&wf::SUSPEND_SCHEDULE, 0.84, "The schedule is active again"),
                    remedy(&wf::RERUN_JOB, 0.07, "The run stops at the unknown column"),
                ],
            },
        ],
    },
    Alert {
        name: "KubeJobNotCompleted",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::Job, Role::CronJob],
        weight: 2.5,
        causes: &[Cause {
            share: 1.0,
            reason: "JobRunning",
            messages: &[
                "The job is taking more than 12 hours to complete; its log has been silent for {int:3:11} hours",
            ],
            root_cause: "The run waits for a table lock that a forgotten interactive session holds",
            advice: "End the idle session or start the run anew",
            confidence: (0.58, 0.82),
            remedies: &[
                remedy(
                    &wf::END_IDLE_SESSIONS,
                    0.72,
                    "The lock was taken by the next session in line",
                ),
                remedy(&wf::CLEAR_STUCK_JOB, 0.6, "The new run waits for the same lock"),
            ],
        }],
    },
    Alert {
        name: "KubeCronJobRunning",
        source: Source::Prometheus,
        severity: "warning",
        on: &[Role::CronJob],
        weight: 3.0,
        causes: &[Cause {
            share: 1.0,
            reason: "CronJobRunning",
            messages: &[
                "The scheduled run takes more than 1h to complete, usually it takes {int:6:25} minutes",
                "A run of the schedule overlaps the next one; concurrencyPolicy Forbid skipped {int:2:7} runs",
            ],
            root_cause: "An HTTP call of the run has no timeout and the other side never answered",
            advice: "Delete the run that hangs and set a timeout",
            confidence: (0.65, 0.87),
            remedies: &[
                remedy(&wf::CLEAR_STUCK_JOB, 0.87, "The next run hangs in the same call"),
                remedy(
                    &wf::SUSPEND_SCHEDULE,
                    0.4,
                    "The run that hangs goes on although the schedule is suspended",
                ),
            ],
        }],
    },
    Alert {
        name: "FailedNeedsStart",
        source: Source::Event,
        severity: "medium",
        on: &[Role::CronJob],
        weight: 1.0,
        causes: &[Cause {
            share: 1.0,
            reason: "FailedNeedsStart",
            messages: &[
                "Cannot determine if the job needs to be started: too many missed start times (> 100)",
            ],
            root_cause: "The schedule was suspended for days and has no starting deadline, so that missed runs piled up",
            advice: "Set a starting deadline and start one run by hand",
            confidence: (0.8, 0.95),
            remedies: &[remedy(
                &wf::CLEAR_STUCK_JOB,
                0.88,
                "The controller still counts the missed start times",
            )],
        }],
    },
    Alert {
        name: "BackupTooOld",
        source: Source::Prometheus,
        severity: "high",
        on: &[Role::CronJob, Role::Postgres],
        weight: 1.4,
        causes: &[Cause {
            share: 1.0,
            reason: "BackupMissing",
            messages: &["The last successful backup is {int:26:80} hours old"],
            root_cause: "Uploads to the object store fail with 403 since the bucket's policy was tightened",
            advice: "Restore the bucket's policy and run the backup again",
            confidence: (0.7, 0.9),
            remedies: &[
                remedy(&wf::RERUN_JOB, 0.58, "The upload is refused with 403 again"),
                remedy(
                    &wf::RESTORE_CONFIG,
                    0.8,
                    "The backup still writes to the old bucket",
                ),
            ],
        }],
    },
];
