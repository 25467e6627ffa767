//! What a request changed in the catalog of its index, kept for people to look at: the diff, and
//! the upgrade graphs of its packages. It stands below `kept/`, so it goes when the log goes.

use std::collections::{BTreeMap, BTreeSet};

use iib_fbc::{CatalogDiff, Picture};
use iib_ports::ArtifactKey;
use serde::{Deserialize, Serialize};

use crate::ending::{read_text, write_json};
use crate::job::Job;
use crate::{StageError, WorkError};

/// Most bytes of graphs that are kept for one request. Intake holds them in memory, and draws
/// from them answers that have at most 5 MiB; a package of a hundred bundles has some 20 KB.
const GRAPHS_LIMIT: usize = 8 * 1024 * 1024;

/// What a request did to the catalog. One artifact: both parts are of the same attempt, and it
/// takes one write, of which a bucket bills each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// What is not as it was.
    pub(crate) diff: CatalogDiff,
    /// The packages of its bundles as they are now, by name; `None` where one is too large to be
    /// kept.
    pub(crate) graphs: BTreeMap<String, Option<Picture>>,
    /// The packages of a catalog that were touched and are in it, whether or not anything of them is another.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) written: BTreeSet<String>,
    /// Those that are not in it any more, or never were.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) removed: BTreeSet<String>,
}

impl Changes {
    /// The changes with as many of the pictures as may be kept.
    ///
    /// # Errors
    /// [`WorkError::Write`].
    pub(crate) fn new(diff: CatalogDiff, pictures: Vec<Picture>) -> Result<Self, WorkError> {
        let graphs = within(pictures, GRAPHS_LIMIT).map_err(WorkError::Write)?;
        Ok(Self {
            diff,
            graphs,
            ..Self::default()
        })
    }

    /// What mutate stored.
    ///
    /// # Errors
    /// [`WorkError::Incomplete`] if it is not there, or cannot be read; [`StageError::Artifact`].
    pub(crate) async fn of(job: &Job<'_>) -> Result<Self, StageError> {
        let key = ArtifactKey::changes(job.record.id);
        let text = read_text(&*job.deps.artifacts, &key).await?;
        let read = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(read.ok_or(WorkError::Incomplete("mutate"))?)
    }

    /// Logs what is not as it was, and stores all of it. The same changes are the same bytes. To be done before the
    /// record goes on, so that a request which is complete always has its changes.
    ///
    /// # Errors
    /// [`WorkError::Write`] and [`StageError::Artifact`].
    pub(crate) async fn keep(&self, job: &mut Job<'_>) -> Result<(), StageError> {
        for line in self.diff.to_string().lines() {
            job.log(line);
        }
        let key = ArtifactKey::changes(job.record.id);
        write_json(&*job.deps.artifacts, &key, self).await
    }
}

/// As many of the pictures, in their order, as have at most `limit` bytes together.
fn within(
    pictures: Vec<Picture>,
    limit: usize,
) -> Result<BTreeMap<String, Option<Picture>>, serde_json::Error> {
    let (mut graphs, mut left) = (BTreeMap::new(), limit);
    for picture in pictures {
        let size = serde_json::to_vec(&picture)?.len();
        let package = picture.package.clone();
        let rest = left.checked_sub(size);
        left = rest.unwrap_or(left);
        graphs.insert(package, rest.map(|_| picture));
    }
    Ok(graphs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(package: &str) -> Picture {
        Picture {
            package: package.to_owned(),
            channels: Vec::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
        }
    }

    #[test]
    fn a_graph_that_finds_no_room_is_named_and_left_out() {
        let long = "b".repeat(100);
        let pictures = vec![empty("a"), empty(&long), empty("c")];
        let graphs = within(pictures.clone(), 150).unwrap();
        let kept = [
            ("a".to_owned(), true),
            (long, false),
            ("c".to_owned(), true),
        ];
        assert_eq!(
            graphs
                .into_iter()
                .map(|(package, picture)| (package, picture.is_some()))
                .collect::<Vec<_>>(),
            kept
        );
        let graphs = within(pictures, 1000).unwrap();
        assert!(graphs.values().all(Option::is_some));
    }
}
