-- The recovery context knows a remediation request by its name, often without its namespace. The unique key of instances
-- begins with the namespace and cannot serve that.

-- Instances of remediation requests of one name in all namespaces, newest first.
CREATE INDEX resource_action_traces_by_remediation_name
    ON resource_action_traces (remediation_name, action_timestamp DESC);
