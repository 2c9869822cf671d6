-- A page of the incidents of one cluster costs what it gives.

-- Incident list by cluster: GET /api/v1/incidents?cluster=. The index it had put environment and severity before the
-- time, which each have their own index since, so that a page read every incident of the cluster and sorted them. Legal
-- holds of a cluster find its incidents by it too.
CREATE INDEX resource_action_traces_by_cluster ON resource_action_traces (cluster_name, action_timestamp DESC, id DESC);
DROP INDEX resource_action_traces_by_scope;
