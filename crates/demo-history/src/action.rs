//! What a step of a workflow can do to a cluster.

/// One type of action.
#[derive(Debug, PartialEq)]
pub(super) struct Action {
    /// The action type of the records.
    pub(super) name: &'static str,
    /// What it reports when it worked (a template).
    pub(super) done: &'static str,
    /// What it reports when it did not (templates, the first one likelier).
    pub(super) failures: &'static [&'static str],
    /// Its parameters: name and template; what looks like a number becomes one.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// How long it takes, in seconds.
    pub(super) seconds: (i64, i64),
    /// Whether it changes anything, or only looks.
    pub(super) changes: bool,
    /// Whether what it changed can be put back.
    pub(super) reversible: bool,
}

impl Action {
    /// An action that only looks and waits.
    pub(super) const fn looking(
        name: &'static str,
        seconds: (i64, i64),
        parameters: &'static [(&'static str, &'static str)],
        done: &'static str,
        failures: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            done,
            failures,
            parameters,
            seconds,
            changes: false,
            reversible: false,
        }
    }

    /// An action that changes something for good.
    pub(super) const fn changing(
        name: &'static str,
        seconds: (i64, i64),
        parameters: &'static [(&'static str, &'static str)],
        done: &'static str,
        failures: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            done,
            failures,
            parameters,
            seconds,
            changes: true,
            reversible: false,
        }
    }

    /// Whether it acts on a node, also when the incident is another resource's: its parameters then name the node.
    pub(super) fn on_node(&self) -> bool {
        self.parameters.iter().any(|(_, template)| *template == "{node}")
    }

    /// The same action, known to be reversible.
    pub(super) const fn reversible(mut self) -> Self {
        self.reversible = true;
        self
    }
}
