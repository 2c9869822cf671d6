//! What `up` tells its user.

use std::net::SocketAddr;

/// Where the services listen.
pub(super) struct Addresses {
    pub(super) data_storage: SocketAddr,
    pub(super) context_api: SocketAddr,
    pub(super) data_storage_metrics: SocketAddr,
    pub(super) context_api_metrics: SocketAddr,
}

/// What runs where.
pub(super) fn services(addresses: &Addresses, database: &str) {
    let Addresses {
        data_storage,
        context_api,
        data_storage_metrics,
        context_api_metrics,
    } = addresses;
    println!("PostgreSQL    {database}");
    println!(
        "Data Storage  http://{data_storage}/api/v1/audit/{{remediation,aianalysis,workflow,execution}}"
    );
    println!("              metrics http://{data_storage_metrics}/metrics");
    println!("Context API   http://{context_api}/api/v1/{{incidents,incidents/ID,context/match}}");
    println!("              metrics http://{context_api_metrics}/metrics");
}

/// Commands to begin with.
pub(super) fn things_to_try(addresses: &Addresses, demo: bool) {
    let Addresses {
        data_storage,
        context_api,
        ..
    } = addresses;
    println!("\nThings to try:");
    if !demo {
        println!(
            r#"
  # record that something happened
  curl -sS http://{data_storage}/api/v1/audit/remediation -H 'content-type: application/json' -d '{{
    "name": "rr-1", "namespace": "kubernaut-system", "signalType": "prometheus", "signalName": "KubePodCrashLooping",
    "targetType": "Deployment", "targetName": "checkout", "targetNamespace": "shop", "phase": "Completed",
    "message": "container was OOMKilled, exit code 137", "createdAt": "2026-01-01T00:00:00Z", "correlationId": "first" }}'"#
        );
    }
    println!(
        r#"
  # the newest incidents, and those of one kind
  curl -sS 'http://{context_api}/api/v1/incidents?limit=3'
  curl -sS 'http://{context_api}/api/v1/incidents?severity=critical&environment=production&phase=Failed&since=7d'

  # one incident with everything recorded about it
  curl -sS http://{context_api}/api/v1/incidents/1

  # what looked like this before?
  curl -sS http://{context_api}/api/v1/context/match -H 'content-type: application/json' \
    -d '{{"description": "containers keep dying because they use too much memory", "maxResults": 5}}'
  curl -sS http://{context_api}/api/v1/context/match -H 'content-type: application/json' \
    -d '{{"description": "the disk of a node is filling up", "environment": "production", "maxResults": 5}}'

Ctrl-C stops everything; the data stays.
"#
    );
}
