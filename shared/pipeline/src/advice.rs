//! What helps beside the reason of a request that was refused because of an index.
//!
//! Users of today's service meet "replaces nonexistent bundle" for a typo and for a bundle that was
//! merged a moment ago alike (architecture §5), and cannot tell which it is. So it is said which index was
//! read and when, whether its tag names something else by now, which request has moved it, and what name
//! may be meant.

use std::time::Duration;

use futures::future::join_all;
use iib_oci::{Digest, Pinned, PullSpec, Reference};
use iib_ports::{Moved, Registry, RegistryError};
use iib_request::{Plan, RequestId, Stage};
use jiff::Timestamp;
use tracing::debug;

use crate::job::Job;
use crate::{Deps, StageError, chain, line};

/// How long it may take to look how things stand. The reason stands without that, too.
const LIMIT: Duration = Duration::from_secs(10);

/// The reason with what helps beside it. What cannot be found out is not said.
pub(crate) async fn reason(job: &mut Job<'_>, error: &StageError) -> String {
    let mut reason = error.reason();
    let mut said = error.hints();
    if error.is_of_an_index() {
        said.extend(about_indexes(job).await);
    }
    if said.is_empty() {
        return reason;
    }
    let said = said.iter().map(|hint| sentence(hint));
    let said = said.collect::<Vec<_>>().join(" ");
    if job.deps.work.plain_reasons {
        job.log(said);
        return reason;
    }
    // Names that are to be copied stand at the end of many reasons, so there is no stop behind them.
    let between = if reason.ends_with('.') { " " } else { " - " };
    reason.push_str(between);
    reason.push_str(&said);
    reason
}

/// A hint as a sentence of its own.
fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    let first = letters.next().into_iter();
    let mut sentence: String = first.flat_map(char::to_uppercase).chain(letters).collect();
    if !sentence.ends_with(['.', '?']) {
        sentence.push('.');
    }
    sentence
}

/// An index that was read.
struct Read<'a> {
    /// What the request calls it.
    what: &'a str,
    /// As it is named there.
    named: PullSpec,
    /// What that was.
    resolved: &'a Pinned,
    /// When it was looked up.
    at: Option<Timestamp>,
}

/// What there is to say of the indexes that were read.
async fn about_indexes(job: &mut Job<'_>) -> Vec<String> {
    let Some(Plan::Index(plan)) = job.record.plan.clone() else {
        return Vec::new();
    };
    // Nobody renews the lease any more, and it ends with the stage's time at the latest.
    let left = job.deadline.duration_since(job.deps.clock.now());
    let left = Duration::try_from(left).unwrap_or_default() / 2;
    let look = async {
        let deps = job.deps;
        let request = job.record.request.clone();
        let request = chain::started(deps, &request).await.ok()?;
        let registry = job.registry().await.ok()?;
        let members = request.images().into_iter();
        let read = members.filter_map(|(member, image)| {
            let (what, index) = match member {
                "from_index" => ("index", &plan.from),
                "source_from_index" => (member, &plan.from),
                "target_index" => (member, &plan.into),
                _ => return None,
            };
            Some(Read {
                what,
                named: image.parse().ok()?,
                resolved: &index.as_ref()?.resolved,
                at: plan.looked_up,
            })
        });
        let id = job.record.id;
        let told = read.map(async |read| read.told(deps, &*registry, id).await);
        Some(join_all(told).await)
    };
    match tokio::time::timeout(LIMIT.min(left), look).await {
        Ok(said) => said.unwrap_or_default(),
        Err(_) => {
            debug!("it took too long to see how the index is now");
            let read = plan.from.iter().chain(&plan.into);
            read.map(|read| format!("{} was read", read.resolved))
                .collect()
        }
    }
}

/// How it stands with a tag since it was looked up.
enum Since {
    /// It is not known, or not a tag.
    Unknown,
    /// It names the same; this request is about to move it, if one is.
    Same(Option<RequestId>),
    /// A request of ours has moved it.
    MovedBy(Moved),
    /// Somebody has moved it to that.
    MovedTo(Digest),
    /// It is gone.
    Gone,
}

impl Read<'_> {
    /// What there is to say of it to the user of a request.
    async fn told(&self, deps: &Deps, registry: &dyn Registry, id: RequestId) -> String {
        let Self {
            what,
            named,
            resolved,
            at,
        } = self;
        let read = match (named.reference(), at) {
            (Reference::Tag(_), Some(at)) => {
                let digest = resolved.digest();
                format!("the {what} read was {named} as of {at:.0}, which was {digest}")
            }
            _ => format!("the {what} read was {resolved}"),
        };
        let again = format!("if that mends it, send the request {id} again");
        match self.since(deps, registry, id).await {
            Since::Unknown => read,
            Since::Same(None) => format!("{read}, as it is now"),
            Since::Same(Some(other)) => format!(
                "{read}, as it is now. The request {other}, which overwrites it, goes on: {again} when that is \
                 complete"
            ),
            Since::MovedBy(Moved { by, at }) => {
                format!("{read}. The request {by} has overwritten it since, at {at:.0}: {again}")
            }
            Since::MovedTo(now) => format!("{read}; it is {now} now: {again}"),
            Since::Gone => format!("{read}; there is no such tag now"),
        }
    }

    async fn since(&self, deps: &Deps, registry: &dyn Registry, id: RequestId) -> Since {
        let Reference::Tag(tag) = self.named.reference() else {
            return Since::Unknown;
        };
        // With the rights to read, which may be all there are.
        let repository = self.named.repository();
        let now = registry.manifest(repository, self.named.reference()).await;
        let line = line::name(&self.named, tag);
        // After the tag was looked at, so that whoever has moved it is noted or still has the turn.
        let line = deps.lines.of(&line).await.unwrap_or_default();
        let moved = line.moved.filter(|moved| {
            let is_since = self.at.is_some_and(|at| moved.at > at);
            is_since && moved.by != id
        });
        match (now, moved) {
            (Err(RegistryError::NotFound { .. }), _) => Since::Gone,
            (_, Some(moved)) => Since::MovedBy(moved),
            (Err(_), None) => Since::Unknown,
            (Ok(now), None) if now.digest() != *self.resolved.digest() => {
                Since::MovedTo(now.digest())
            }
            (Ok(_), None) => {
                let other = line.turn.or(line.waiting.first().copied());
                Since::Same(goes_on(deps, other.filter(|other| *other != id)).await)
            }
        }
    }
}

/// The request, if it goes on.
async fn goes_on(deps: &Deps, id: Option<RequestId>) -> Option<RequestId> {
    let record = deps.requests.get(id?).await.ok()??;
    (record.work.stage != Stage::Done).then_some(record.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_become_sentences() {
        for (hint, said) in [
            ("add it first", "Add it first."),
            ("is etcd meant?", "Is etcd meant?"),
            ("it is there. It stays", "It is there. It stays."),
            ("", "."),
        ] {
            assert_eq!(sentence(hint), said);
        }
    }
}
