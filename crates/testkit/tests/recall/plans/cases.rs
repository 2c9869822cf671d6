//! Every filter of the list, and what passes it.

use audit_store::reader::IncidentFilter;

use crate::volumes::{MONTHS, RARE};

/// A filter, how many rows of incidents its page may read however many there are, and which incidents pass it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) most: f64,
    pub(super) filter: IncidentFilter,
    pub(super) passes: fn(i64) -> bool,
}

/// The ten incidents of a page and the one behind it, and of each month the first, which are compared.
const PAGE: f64 = 11.0 + MONTHS as f64;

fn case(name: &'static str, most: f64, set: fn(&mut IncidentFilter), passes: fn(i64) -> bool) -> Case {
    let mut filter = IncidentFilter::default();
    set(&mut filter);
    Case {
        name,
        most,
        filter,
        passes,
    }
}

fn failed(n: i64) -> bool {
    n % 3 == 0 && !open(n)
}

fn open(n: i64) -> bool {
    [7, 8].contains(&(n % RARE))
}

fn rolled_back(n: i64) -> bool {
    failed(n) && n % 9 == 0
}

/// Every filter of the list, where it lets many through and where it lets few through.
///
/// Most have an index in the order of the list and read a page. Where only every so many-th entry of an index passes,
/// so many pages are read. A namespace and a resource are of the resource and not of the incident: they are found by
/// the list's order where they are frequent, and by all of their own incidents where they are rare.
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("nothing", PAGE, |_| {}, |_| true),
        case(
            "namespace, many",
            4.0 * PAGE,
            |it| it.namespace = Some("shop".into()),
            |n| n % 4 == 0,
        ),
        case(
            "namespace, few",
            50.0 * PAGE,
            |it| it.namespace = Some("team-7".into()),
            |n| n % 50 == 7,
        ),
        case(
            "namespace, none",
            0.0,
            |it| it.namespace = Some("nowhere".into()),
            |_| false,
        ),
        case(
            "severity, few",
            PAGE,
            |it| it.severity = Some("critical".into()),
            |n| n % RARE == 2,
        ),
        case(
            "severity, many",
            PAGE,
            |it| it.severity = Some("warning".into()),
            |n| n % RARE != 2,
        ),
        case(
            "severity, none",
            0.0,
            |it| it.severity = Some("low".into()),
            |_| false,
        ),
        case(
            "cluster, few",
            PAGE,
            |it| it.cluster = Some("edge-1".into()),
            |n| n % RARE == 3,
        ),
        case(
            "cluster, many",
            PAGE,
            |it| it.cluster = Some("prod-1".into()),
            |n| n % RARE != 3,
        ),
        case(
            "environment, few",
            PAGE,
            |it| it.environment = Some("test".into()),
            |n| n % RARE == 4,
        ),
        case(
            "environment, many",
            PAGE,
            |it| it.environment = Some("production".into()),
            |n| n % RARE != 4,
        ),
        case(
            "kind",
            10.0 * PAGE,
            |it| it.kind = Some("StatefulSet".into()),
            |n| n % 10 == 0,
        ),
        case(
            "kind and name",
            // All incidents of the resource.
            40.0,
            |it| {
                it.kind = Some("Deployment".into());
                it.name = Some("api-9".into());
            },
            |n| n % 500 == 9,
        ),
        case(
            "alert, few",
            PAGE,
            |it| it.alert_name = Some("RareAlert".into()),
            |n| n % RARE == 1,
        ),
        case(
            "alert, many",
            20.0 * PAGE,
            |it| it.alert_name = Some("Alert3".into()),
            |n| n % 20 == 3,
        ),
        case(
            "fingerprint",
            PAGE,
            // MD5 of 11.
            |it| it.fingerprint = Some("6512bd43d9caa6e02c990b0a82652dca".into()),
            |n| n % RARE == 11,
        ),
        // Both open phases share an index.
        case(
            "phase Pending",
            2.0 * PAGE,
            |it| it.phase = Some("Pending".into()),
            |n| n % RARE == 7,
        ),
        case(
            "phase Processing",
            2.0 * PAGE,
            |it| it.phase = Some("Processing".into()),
            |n| n % RARE == 8,
        ),
        case(
            "phase Failed",
            PAGE,
            |it| it.phase = Some("Failed".into()),
            failed,
        ),
        case(
            "phase Completed",
            1.5 * PAGE,
            |it| it.phase = Some("Completed".into()),
            |n| n % 3 != 0 && !open(n),
        ),
        case(
            "status pending",
            2.0 * PAGE,
            |it| it.status = Some("pending".into()),
            |n| n % RARE == 7,
        ),
        case(
            "status failed",
            1.5 * PAGE,
            |it| it.status = Some("failed".into()),
            |n| failed(n) && !rolled_back(n),
        ),
        case(
            "status rolled-back",
            3.0 * PAGE,
            |it| it.status = Some("rolled-back".into()),
            rolled_back,
        ),
        case(
            "workflow, few",
            PAGE,
            |it| it.workflow = Some("rare-workflow".into()),
            |n| n % RARE == 6,
        ),
        case(
            "workflow, many",
            5.0 * PAGE,
            |it| it.workflow = Some("workflow-2".into()),
            |n| n % 5 == 2,
        ),
        case(
            "workflow, none",
            0.0,
            |it| it.workflow = Some("nothing-like-it".into()),
            |_| false,
        ),
        case(
            "action, few",
            PAGE,
            |it| it.action_type = Some("drain_node".into()),
            |n| n % RARE == 5,
        ),
        case(
            "action, many",
            PAGE,
            |it| it.action_type = Some("restart_pod".into()),
            |n| n % RARE != 5,
        ),
        // Four incidents, or a month that is smaller than its index is deep.
        case(
            "correlation",
            200.0,
            |it| it.correlation_id = Some("corr-100".into()),
            |n| n / 4 == 100,
        ),
        case(
            "severity and namespace",
            50.0 * PAGE,
            |it| {
                it.severity = Some("warning".into());
                it.namespace = Some("team-7".into());
            },
            |n| n % 50 == 7,
        ),
        case(
            "phase and workflow",
            5.0 * PAGE,
            |it| {
                it.phase = Some("Failed".into());
                it.workflow = Some("workflow-2".into());
            },
            |n| n % 5 == 2 && failed(n),
        ),
    ]
}
