//! The bundles behind a bundle, level by level (worker flows §13).

use std::mem;

/// There are more of them than may be, or they go round in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Max number of related bundles exceeded. Potential DOS attack!")]
pub struct TooManyBundles;

/// A walk from a bundle to those behind it. Nobody is left out who comes twice: the document says how often.
#[derive(Debug, Clone)]
pub struct NestedBundles {
    parent: String,
    limit: usize,
    level: Vec<String>,
    next: Vec<String>,
    found: Vec<String>,
}

impl NestedBundles {
    /// A walk that begins with `parent`, and ends where `limit` bundles are found behind it.
    pub fn behind(parent: String, limit: usize) -> Self {
        Self {
            level: vec![parent.clone()],
            next: Vec::new(),
            found: Vec::new(),
            parent,
            limit,
        }
    }

    /// The bundles whose related bundles are wanted now; none once all are found.
    pub fn level(&self) -> &[String] {
        &self.level
    }

    /// Takes the related bundles of the next bundle of the level.
    ///
    /// # Errors
    /// [`TooManyBundles`].
    pub fn add(&mut self, related: &[String]) -> Result<(), TooManyBundles> {
        self.next.extend_from_slice(related);
        self.found.extend_from_slice(related);
        match self.found.len() >= self.limit {
            true => Err(TooManyBundles),
            false => Ok(()),
        }
    }

    /// Goes on to what was found in this level.
    pub fn descend(&mut self) {
        self.level = mem::take(&mut self.next);
    }

    /// All of them, the deepest first and the parent last.
    pub fn document(self) -> Vec<String> {
        let found = self.found.into_iter().rev();
        found.chain([self.parent]).collect()
    }
}
