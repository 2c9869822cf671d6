//! What a request does, in the words of Kubernetes' authorisation.

use std::fmt;

/// A verb on a resource of an API group, in all namespaces: what a role must grant.
///
/// ```
/// # use service_kit::auth::Access;
/// const RECORD: Access = Access { verb: "create", group: "kubernaut.ai", resource: "auditrecords" };
/// assert_eq!(RECORD.to_string(), "`create` on `auditrecords` in API group `kubernaut.ai`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The verb, such as `create`.
    pub verb: &'static str,
    /// The API group, such as `kubernaut.ai`. The resource need not exist there: roles may name any.
    pub group: &'static str,
    /// The resource, in the plural and in lower case.
    pub resource: &'static str,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            group,
            resource,
        } = self;
        write!(f, "`{verb}` on `{resource}` in API group `{group}`")
    }
}
