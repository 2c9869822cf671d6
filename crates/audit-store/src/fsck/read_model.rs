//! The read model against the fold of the ledger, and against the ledger itself.

use sqlx::PgConnection;

use super::Options;
use super::report::{Check, Report, ask};
use crate::StoreError;

/// A table that is folded from the ledger, as it is compared: by natural keys, since surrogate ones differ.
struct Folded {
    check: Check,
    table: &'static str,
    /// The natural key of a row.
    key: &'static str,
    /// What else is folded, as a JSON object: references by the natural key of what they point to. Words are left out: they
    /// are generated from the others, in no order that means anything.
    state: &'static str,
    /// What `key` and `state` are taken from, beside the table itself, which is `t`; `{side}` stands before each table.
    joined: &'static str,
}

const HISTORY_OF_ROW: &str = "LEFT JOIN {side}action_histories h ON h.id = t.action_history_id
     LEFT JOIN {side}resource_references r ON r.id = h.resource_id";
const HISTORY_AND_INCIDENT_OF_ROW: &str = "LEFT JOIN {side}action_histories h ON h.id = t.action_history_id
     LEFT JOIN {side}resource_references r ON r.id = h.resource_id
     LEFT JOIN {side}remediation_requests k ON (k.id, k.namespace, k.name, k.created_at)
             = (t.id, t.remediation_namespace, t.remediation_name, t.action_timestamp)";

const FOLDED: [Folded; 7] = [
    Folded {
        check: Check::error(
            "read_model.resource_references",
            "every resource is one that the ledger names, and the other way round",
        ),
        table: "resource_references",
        key: "jsonb_build_array(t.cluster_name, t.namespace, t.kind, t.name)",
        state: "to_jsonb(t) - '{id,created_at}'::text[]",
        joined: "",
    },
    Folded {
        check: Check::error(
            "read_model.action_histories",
            "every action history is the fold of the ledger",
        ),
        table: "action_histories",
        key: "jsonb_build_array(r.cluster_name, r.namespace, r.kind, r.name, t.workflow_id, t.action_type)",
        state: "to_jsonb(t) - '{id,created_at,resource_id}'::text[]",
        joined: "LEFT JOIN {side}resource_references r ON r.id = t.resource_id",
    },
    Folded {
        check: Check::error(
            "read_model.remediation_requests",
            "every instance of a remediation request has an incident id, and nothing else has",
        ),
        table: "remediation_requests",
        key: "jsonb_build_array(t.namespace, t.name, t.created_at)",
        state: "to_jsonb(t) - '{id}'::text[]",
        joined: "",
    },
    Folded {
        check: Check::error(
            "read_model.resource_action_traces",
            "every incident is the fold of the ledger, under the id of its remediation request",
        ),
        table: "resource_action_traces",
        key: "jsonb_build_array(t.remediation_namespace, t.remediation_name, t.action_timestamp)",
        state: "to_jsonb(t) - '{id,created_at,action_history_id,words}'::text[]
                || jsonb_build_object('id', k.id IS NOT NULL, 'action_history_id',
                       jsonb_build_array(r.cluster_name, r.namespace, r.kind, r.name, h.workflow_id, h.action_type))",
        joined: HISTORY_AND_INCIDENT_OF_ROW,
    },
    Folded {
        check: Check::error("read_model.ai_analyses", "every analysis is the fold of the ledger"),
        table: "ai_analyses",
        key: "jsonb_build_array(t.namespace, t.name, t.record_created_at)",
        state: "to_jsonb(t) - '{id,created_at,words}'::text[]",
        joined: "",
    },
    Folded {
        check: Check::error(
            "read_model.workflow_executions",
            "every workflow execution is the fold of the ledger",
        ),
        table: "workflow_executions",
        key: "jsonb_build_array(t.namespace, t.name, t.record_created_at)",
        state: "to_jsonb(t) - '{id,created_at,words}'::text[]",
        joined: "",
    },
    Folded {
        check: Check::error(
            "read_model.action_executions",
            "every action execution is the fold of the ledger",
        ),
        table: "action_executions",
        key: "jsonb_build_array(t.namespace, t.name, t.record_created_at)",
        state: "to_jsonb(t) - '{id,created_at,action_history_id,words}'::text[]
                || jsonb_build_object('action_history_id',
                       jsonb_build_array(r.cluster_name, r.namespace, r.kind, r.name, h.workflow_id, h.action_type))",
        joined: HISTORY_OF_ROW,
    },
];

impl Folded {
    fn side(&self, side: &str) -> String {
        format!(
            "SELECT t.id, {} AS key, {} AS state FROM {side}{} t {}",
            self.key,
            self.state,
            self.table,
            self.joined.replace("{side}", side)
        )
    }

    fn differences(&self) -> String {
        let (table, live, scratch) = (self.table, self.side(""), self.side("pg_temp."));
        format!(
            "SELECT '{table} ' || coalesce(l.key, s.key)::text,
                    CASE WHEN l.key IS NULL THEN 'missing'
                         WHEN s.key IS NULL THEN 'not in the ledger (id ' || l.id || ')'
                         ELSE 'differs in ' || (
                                  SELECT string_agg(c, ', ' ORDER BY c) FROM jsonb_object_keys(l.state || s.state) c
                                  WHERE l.state -> c IS DISTINCT FROM s.state -> c)
                              || ' (id ' || l.id || ')' END
             FROM ({live}) l FULL JOIN ({scratch}) s ON l.key = s.key
             WHERE l.key IS NULL OR s.key IS NULL OR l.state <> s.state
             ORDER BY l.id, s.id"
        )
    }
}

/// A table with the states of one kind of record.
struct States {
    kind: &'static str,
    table: &'static str,
    namespace: &'static str,
    name: &'static str,
    time: &'static str,
}

const STATES: [States; 4] = [
    States {
        kind: "remediation",
        table: "resource_action_traces",
        namespace: "remediation_namespace",
        name: "remediation_name",
        time: "action_timestamp",
    },
    States {
        kind: "aianalysis",
        table: "ai_analyses",
        namespace: "namespace",
        name: "name",
        time: "record_created_at",
    },
    States {
        kind: "workflow",
        table: "workflow_executions",
        namespace: "namespace",
        name: "name",
        time: "record_created_at",
    },
    States {
        kind: "execution",
        table: "action_executions",
        namespace: "namespace",
        name: "name",
        time: "record_created_at",
    },
];

/// Says what a state is without the help of the fold.
const LATEST: Check = Check::error(
    "read_model.latest_state",
    "every state is that of its instance's event with the greatest (phase rank, ledger id)",
);

impl States {
    fn not_latest(&self) -> String {
        let Self {
            kind,
            table,
            namespace,
            name,
            time,
        } = self;
        format!(
            "SELECT '{table} ' || t.id, 'is of event ' || t.last_event_id || ', the greatest is ' || e.id
             FROM {table} t
             JOIN (SELECT DISTINCT ON (namespace, name, event_time) namespace, name, event_time, id
                   FROM audit_events WHERE record_kind = '{kind}'
                   ORDER BY namespace, name, event_time, phase_rank DESC, id DESC) e
               ON (e.namespace, e.name, e.event_time) = (t.{namespace}, t.{name}, t.{time})
             WHERE e.id <> t.last_event_id"
        )
    }
}

pub(super) async fn run(
    connection: &mut PgConnection,
    options: &Options,
    report: &mut Report,
) -> Result<(), StoreError> {
    for folded in &FOLDED {
        let differences = folded.differences();
        report
            .checks
            .push(ask(connection, folded.check, options.examples, &differences).await?);
    }
    let not_latest = STATES.map(|states| states.not_latest()).join(" UNION ALL ");
    report
        .checks
        .push(ask(connection, LATEST, options.examples, &not_latest).await?);
    Ok(())
}
