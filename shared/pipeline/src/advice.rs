//! What helps beside the reason of a request that was refused because of an index.
//!
//! Users of today's service meet "replaces nonexistent bundle" for a typo and for a bundle that was
//! merged a moment ago alike (architecture §5), and cannot tell which it is. So it is said which index was
//! read and when, whether its tag names something else by now, which request has moved it, and what name
//! may be meant.

use std::fmt::Write as _;
use std::time::Duration;

use iib_oci::{Digest, PullSpec, Reference};
use iib_ports::{StoreError, chain as causes};
use iib_request::{IndexToRead, Plan, RequestId, Stage};
use jiff::Timestamp;
use tracing::debug;

use crate::job::Job;
use crate::{Deps, ImageError, StageError, chain, line};

/// How long it may take to look how things stand. The reason stands without that, too.
const LIMIT: Duration = Duration::from_secs(10);
/// Requests in front of an index that are looked at.
const LOOKED_AT: usize = 8;

/// The reason with what helps beside it.
///
/// # Errors
/// None: what cannot be found out is not said.
pub(crate) async fn reason(job: &mut Job<'_>, error: &StageError) -> String {
    let mut reason = error.reason();
    let mut said = error.hints();
    if let StageError::Index(_) = error {
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
    // A hint may begin with the name of a bundle or a package, which stays as it is.
    let begins_with_name = hint.split(' ').next().unwrap_or_default().contains('.');
    let mut sentence: String = match begins_with_name {
        true => hint.to_owned(),
        false => first.flat_map(char::to_uppercase).chain(letters).collect(),
    };
    if !sentence.ends_with(['.', '?']) {
        sentence.push('.');
    }
    sentence
}

/// What there is to say of the indexes that were read.
async fn about_indexes(job: &mut Job<'_>) -> Vec<String> {
    let Some(Plan::Index(plan)) = job.record.plan.clone() else {
        return Vec::new();
    };
    let request = job.record.request.clone();
    let Ok(request) = chain::started(job.deps, &request).await else {
        return Vec::new();
    };
    let mut said = Vec::new();
    for (member, image) in request.images() {
        let (what, index) = match member {
            "from_index" => ("index", &plan.from),
            "source_from_index" => (member, &plan.from),
            "target_index" => (member, &plan.into),
            _ => continue,
        };
        if let Some(index) = index {
            let about = about_index(job, index, image, plan.looked_up).await;
            said.push(format!("The {what} read was {about}"));
        }
    }
    said
}

async fn about_index(
    job: &mut Job<'_>,
    index: &IndexToRead,
    named: &str,
    looked_up: Option<Timestamp>,
) -> String {
    let read = index.resolved.digest();
    let spec = named.parse::<PullSpec>().ok();
    let mut said = match (&spec, looked_up) {
        (Some(spec), Some(at)) if matches!(spec.reference(), Reference::Tag(_)) => {
            format!("{spec} as of {at:.0}, which was {read}")
        }
        _ => index.resolved.to_string(),
    };
    let since = match &spec {
        Some(spec) => tokio::time::timeout(LIMIT, since(job, spec, read)).await,
        None => Ok(Ok(None)),
    };
    match since {
        Ok(Ok(since)) => {
            let _infallible = write!(said, "{}", since.unwrap_or_default());
        }
        // It is told what is known.
        Ok(Err(error)) => debug!(error = %causes(&error), "not known how the index is now"),
        Err(_) => debug!("the registry took too long to tell how the index is now"),
    }
    said
}

/// How it stands with a tag since it was looked up, as the rest of a sentence and further ones.
async fn since(
    job: &mut Job<'_>,
    index: &PullSpec,
    read: &Digest,
) -> Result<Option<String>, StageError> {
    let Reference::Tag(tag) = index.reference() else {
        return Ok(None);
    };
    let registry = job.registry().await?;
    let now = registry.tagged(index.repository(), tag).await;
    let now = now.map_err(|source| ImageError::Inspect {
        image: index.to_string(),
        source,
    })?;
    let line = job.deps.lines.of(&line::name(index, tag)).await?;
    let Some(now) = now else {
        return Ok(Some("; there is no such tag now".to_owned()));
    };
    if now != *read {
        let mover = match line.moved_by {
            Some(id) => has_moved(job.deps, id, &now).await?,
            None => None,
        };
        return Ok(Some(match mover {
            Some((id, at)) => format!(
                ". The request {id} has overwritten it since, at {at:.0}: send this request again"
            ),
            None => format!("; it is {now} now: send this request again"),
        }));
    }
    let ahead = line.turn.into_iter().chain(line.waiting);
    let others = ahead.filter(|other| *other != job.record.id);
    for other in others.take(LOOKED_AT) {
        let record = job.deps.requests.get(other).await?;
        if record.is_some_and(|record| record.work.stage != Stage::Done) {
            return Ok(Some(format!(
                ", as it is now. The request {other}, which overwrites it, goes on: if that brings what is \
                 missing, send this request again when it is complete"
            )));
        }
    }
    Ok(Some(", as it is now".to_owned()))
}

/// Whether it was this request by which a tag names `now`, and when it was done with that.
async fn has_moved(
    deps: &Deps,
    id: RequestId,
    now: &Digest,
) -> Result<Option<(RequestId, Timestamp)>, StoreError> {
    let record = deps.requests.get(id).await?;
    let moved = record.filter(|record| {
        let overwritten = record.overwritten.as_ref();
        overwritten.is_some_and(|overwritten| overwritten.result == *now)
    });
    Ok(moved.map(|record| (id, record.updated())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_become_sentences() {
        for (hint, said) in [
            ("add it first", "Add it first."),
            ("is etcd meant?", "Is etcd meant?"),
            (
                "etcd.v1.0.0 is in the index",
                "etcd.v1.0.0 is in the index.",
            ),
            ("", "."),
        ] {
            assert_eq!(sentence(hint), said);
        }
    }
}
