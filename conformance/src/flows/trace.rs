//! What a trace records.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A request that was run through the reference's task functions.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) task: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) config: BTreeMap<String, Value>,
    pub(super) world: Circumstances,
    pub(super) images: BTreeMap<String, Simulated>,
    pub(super) events: Vec<Event>,
    pub(super) artifacts: Map<String, Value>,
    pub(super) state: String,
    pub(super) state_reason: String,
    pub(super) quirk: Option<String>,
}

/// What else is so in the world of a trace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Circumstances {
    /// Files of the branch in the Git repository of the index.
    #[serde(default)]
    pub(super) git_branch: BTreeMap<String, String>,
    /// What the validator says, by bundle.
    #[serde(default)]
    pub(super) validator_output: BTreeMap<String, String>,
    /// Patterns of commands that fail, and what they say.
    #[serde(default)]
    pub(super) failing_commands: Vec<(String, String)>,
}

/// An image without content, and what is said to be in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Simulated {
    /// Manifest or list.
    pub(super) raw: String,
    /// Of a bundle.
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, Content>,
}

/// What a file has.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    /// An index database with these bundles.
    Database(Vec<Row>),
}

/// A bundle in a database.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Row {
    pub(super) csv_name: String,
    pub(super) version: String,
    pub(super) bundle_path: String,
    pub(super) package_name: String,
}

/// What the reference did, as far as it binds us.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Value>")]
pub(super) enum Event {
    /// Told to the API.
    Patch(Value),
    /// An image was built, by these lines.
    Build { arch: String, lines: Vec<String> },
    /// A name got the result, or an image of it.
    Named(String),
    /// A commit was made in a Git repository: what it says.
    Committed(String),
    /// Of no concern here.
    Other,
}

impl TryFrom<Vec<Value>> for Event {
    type Error = String;

    fn try_from(event: Vec<Value>) -> Result<Self, String> {
        let text = |at: usize| event.get(at).and_then(Value::as_str);
        let wrong = || format!("there is no event {event:?}");
        match text(0).ok_or_else(wrong)? {
            "patch" => Ok(Self::Patch(event.get(1).cloned().ok_or_else(wrong)?)),
            "build" => {
                let lines = event.get(3).and_then(Value::as_array).ok_or_else(wrong)?;
                let lines = lines.iter().filter_map(Value::as_str).map(str::to_owned);
                Ok(Self::Build {
                    arch: text(2).ok_or_else(wrong)?.to_owned(),
                    lines: lines.collect(),
                })
            }
            "push" | "push-manifest-list" => Ok(Self::Named(text(1).ok_or_else(wrong)?.to_owned())),
            // A copy to a folder is on the way to another one.
            "copy" => match text(2).ok_or_else(wrong)?.strip_prefix("docker://") {
                Some(name) => Ok(Self::Named(name.to_owned())),
                None => Ok(Self::Other),
            },
            "git-commit" => Ok(Self::Committed(text(1).ok_or_else(wrong)?.to_owned())),
            "git-push" => Ok(Self::Other),
            _ => Err(wrong()),
        }
    }
}

impl Trace {
    /// What was told to the API.
    pub(super) fn patches(&self) -> Vec<Value> {
        let patches = self.events.iter().filter_map(|event| match event {
            Event::Patch(patch) => Some(patch.clone()),
            _ => None,
        });
        patches.collect()
    }

    /// What the commit says that is to stand in the Git repository of the index in the end; none of a request that failed.
    pub(super) fn commit(&self) -> Option<&str> {
        let mut commits = self.events.iter().rev().filter_map(|event| match event {
            Event::Committed(message) => Some(message.as_str()),
            _ => None,
        });
        commits.next().filter(|_| self.state == "complete")
    }

    /// The command that fails which copies the result over an index: which one.
    pub(super) fn copy_that_fails(&self) -> Option<&str> {
        let commands = self.world.failing_commands.iter();
        let mut copies = commands.filter_map(|(pattern, _)| {
            let to = pattern.strip_prefix("^skopeo .*copy .*docker://")?;
            to.strip_suffix('$')
        });
        copies.next()
    }

    /// The names that got a result, or an image of it. Those of images that were built on the way are the same.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let names = self.events.iter().filter_map(|event| match event {
            Event::Named(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }

    /// Labels of the result by architecture. What was built before on the way does not count.
    pub(super) fn labels(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let built = self.events.iter().filter_map(|event| match event {
            Event::Build { arch, lines } => {
                let labels = lines.iter().filter_map(|line| label(line));
                Some((arch.clone(), labels.collect()))
            }
            _ => None,
        });
        built.collect()
    }
}

/// The label that a line of a Dockerfile sets.
fn label(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("LABEL ")?.split_once('=')?;
    let quoted = value.strip_prefix('"');
    let value = quoted
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(value);
    Some((name.to_owned(), value.to_owned()))
}
