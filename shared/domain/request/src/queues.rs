//! Whose requests wait where: the queues of users, as today's service has them in its settings (spec
//! rest-api §11, §12).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Request;

/// Queues of users: by `<user>`, or by `SERIAL:<user>` for requests that overwrite their index and
/// `PARALLEL:<user>` for others.
pub type UserQueues = BTreeMap<String, QueueOf>;

/// The queue of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum QueueOf {
    /// This one.
    Name(String),
    /// By index image; `all` for others.
    ByIndex(BTreeMap<String, String>),
}

impl QueueOf {
    /// The queues that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::ByIndex(names) => names.values().map(String::as_str).collect(),
        }
    }
}

/// The entry of [`QueueOf::ByIndex`] for indexes that have none.
pub const ALL_INDEXES: &str = "all";

/// The queue of a request; `None`: the default one.
pub fn queue_of<'a>(
    queues: &'a UserQueues,
    user: Option<&str>,
    request: &Request,
) -> Option<&'a str> {
    let user = user?;
    let manner = match request.overwrites() {
        true => "SERIAL",
        false => "PARALLEL",
    };
    let own = queues.get(&format!("{manner}:{user}"));
    match own.or_else(|| queues.get(user))? {
        QueueOf::Name(name) => Some(name),
        QueueOf::ByIndex(names) => {
            let index = request.queued_by();
            let own = index.and_then(|index| names.get(index));
            own.or_else(|| names.get(ALL_INDEXES)).map(String::as_str)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const INDEX: &str = "r.example/catalog/index";

    /// A request of a kind from an index with this tag.
    fn request(kind: &str, tag: &str, overwrites: bool) -> Request {
        let index = (!tag.is_empty()).then(|| format!("{INDEX}:{tag}"));
        let mut body = json!({"request_type": kind});
        let mut put = |name: &str, value: Value| body[name] = value;
        match kind {
            "merge-index-image" => {
                put("source_from_index", json!(index));
                put("overwrite_target_index", json!(overwrites));
            }
            "regenerate-bundle" | "recursive-related-bundles" => {}
            "create-empty-index" => put("from_index", json!(index)),
            _ => {
                put("from_index", json!(index));
                put("overwrite_from_index", json!(overwrites));
            }
        }
        serde_json::from_value(body).unwrap()
    }

    /// As recorded of the reference: user, kind, tag of the index, whether it overwrites, queue.
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        bool,
        Option<&'static str>,
    );

    #[track_caller]
    fn assert_queued(queues: &Value, cases: &[Case]) {
        let queues: UserQueues = serde_json::from_value(queues.clone()).unwrap();
        for (user, kind, tag, overwrites, expected) in cases {
            let request = request(kind, tag, *overwrites);
            let queue = queue_of(&queues, Some(user), &request);
            assert_eq!(queue, *expected, "{user} {kind} {tag} {overwrites}");
            assert_eq!(queue_of(&queues, None, &request), None);
        }
    }

    #[test]
    fn a_user_has_a_queue_or_two() {
        let queues = json!({
            "PARALLEL:alice@A": "alice-parallel", "SERIAL:alice@A": "alice-serial",
            "bob@A": "bob-queue",
        });
        assert_queued(
            &queues,
            &[
                ("alice@A", "add", "v4.15", false, Some("alice-parallel")),
                ("alice@A", "add", "v4.15", true, Some("alice-serial")),
                ("bob@A", "add", "v4.15", false, Some("bob-queue")),
                ("bob@A", "add", "v4.15", true, Some("bob-queue")),
                ("eve@A", "add", "v4.15", false, None),
                ("alice@A", "rm", "v4.15", true, Some("alice-serial")),
                (
                    "alice@A",
                    "regenerate-bundle",
                    "",
                    false,
                    Some("alice-parallel"),
                ),
                (
                    "alice@A",
                    "merge-index-image",
                    "v4.14",
                    true,
                    Some("alice-serial"),
                ),
                (
                    "alice@A",
                    "create-empty-index",
                    "v4.15",
                    false,
                    Some("alice-parallel"),
                ),
                (
                    "bob@A",
                    "recursive-related-bundles",
                    "",
                    false,
                    Some("bob-queue"),
                ),
                (
                    "alice@A",
                    "fbc-operations",
                    "v4.15",
                    true,
                    Some("alice-serial"),
                ),
                (
                    "alice@A",
                    "add-deprecations",
                    "v4.15",
                    true,
                    Some("alice-serial"),
                ),
            ],
        );
    }

    #[test]
    fn a_queue_may_be_of_one_index() {
        let at = |tag: &str| format!("{INDEX}:{tag}");
        let queues = json!({
            "PARALLEL:alice@A": {"all": "alice-parallel", at("v4.14"): "alice-parallel-414"},
            "SERIAL:alice@A": {
                "all": "alice-serial", at("v4.14"): "alice-serial-414", at("v4.15"): "alice-serial-415",
            },
            "bob@A": {"all": "bob-all", at("v4.15"): "bob-415"},
            "carol@A": "carol-queue",
        });
        assert_queued(
            &queues,
            &[
                ("alice@A", "add", "v4.14", false, Some("alice-parallel-414")),
                ("alice@A", "add", "v4.15", false, Some("alice-parallel")),
                ("alice@A", "add", "v4.14", true, Some("alice-serial-414")),
                ("alice@A", "rm", "v4.15", true, Some("alice-serial-415")),
                ("alice@A", "rm", "v4.13", true, Some("alice-serial")),
                ("alice@A", "add", "", false, Some("alice-parallel")),
                ("bob@A", "fbc-operations", "v4.15", false, Some("bob-415")),
                ("bob@A", "add-deprecations", "v4.14", false, Some("bob-all")),
                // These have no index there.
                (
                    "bob@A",
                    "create-empty-index",
                    "v4.15",
                    false,
                    Some("bob-all"),
                ),
                (
                    "bob@A",
                    "merge-index-image",
                    "v4.15",
                    false,
                    Some("bob-all"),
                ),
                ("bob@A", "regenerate-bundle", "", false, Some("bob-all")),
                ("carol@A", "add", "v4.15", false, Some("carol-queue")),
                ("nobody@A", "add", "v4.15", false, None),
            ],
        );
    }
}
