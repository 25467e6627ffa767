//! What `olm.substitutesFor` does to the graph (spec index-database §6).

use std::collections::BTreeSet;

use crate::{Candidate, Refusal, Version};

/// A change of a stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubstitutionEdit {
    /// Every bundle whose `replaces` is the first name gets the second.
    RedirectReplaces {
        /// The substituted name.
        from: String,
        /// Its substitute.
        to: String,
    },
    /// A bundle substitutes for another name than it says.
    SetSubstitutesFor {
        /// The bundle.
        name: String,
        /// The new value.
        substitutes_for: String,
    },
    /// A bundle's skips.
    SetSkips {
        /// The bundle.
        name: String,
        /// The new value.
        skips: Vec<String>,
    },
    /// The new bundle's own edges.
    SetEdges {
        /// The bundle.
        name: String,
        /// The new `replaces`.
        replaces: String,
        /// The new `skips`.
        skips: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Substitute {
    name: String,
    substitutes_for: String,
    version: String,
    skips: Vec<String>,
}

/// All bundles of the index that substitute for another, in the order of their rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Substitutions {
    rows: Vec<Substitute>,
}

/// More than one bundle where the reference expects one: it stops there without an error, and
/// what it wrote until then stays.
struct Ambiguous;

impl Substitutions {
    /// Notes a stored bundle that substitutes for another.
    pub fn insert(
        &mut self,
        name: String,
        substitutes_for: String,
        version: String,
        skips: Vec<String>,
    ) {
        if !substitutes_for.is_empty() {
            self.rows.push(Substitute {
                name,
                substitutes_for,
                version,
                skips,
            });
        }
    }

    /// Forgets a bundle that is removed.
    pub fn remove(&mut self, name: &str) {
        self.rows.retain(|row| row.name != name);
    }

    fn of(&self, name: &str) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| row.substitutes_for == name);
        rows.map(|row| row.name.clone()).collect()
    }

    /// The one substitute of a name, if it has any.
    fn single(&self, name: &str) -> Result<Option<String>, Ambiguous> {
        let mut all = self.of(name);
        if all.len() > 1 {
            Err(Ambiguous)
        } else {
            Ok(all.pop())
        }
    }

    fn target(&self, name: &str) -> Option<String> {
        self.rows
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.substitutes_for.clone())
    }

    fn row_mut(&mut self, name: &str) -> Option<&mut Substitute> {
        self.rows.iter_mut().find(|row| row.name == name)
    }

    /// Takes in a new bundle whose rows are written, and tells what else has to change. To be
    /// called for every bundle when alpha features are on, substituting or not: duplicate skips
    /// disappear here.
    ///
    /// # Errors
    /// Two substitutes with one version, or a version that is none.
    pub fn apply(&mut self, new: &Candidate) -> Result<Vec<SubstitutionEdit>, Refusal> {
        let name = new.name.as_str();
        self.insert(
            new.name.clone(),
            new.substitutes_for.clone(),
            new.version.clone(),
            new.skips.clone(),
        );
        let mut edits = Vec::new();
        if !new.substitutes_for.is_empty() {
            edits.push(SubstitutionEdit::RedirectReplaces {
                from: new.substitutes_for.clone(),
                to: new.name.clone(),
            });
            self.order_rivals(new, &mut edits)?;
        }
        let mut skips = new.skips.clone();
        let mut seen = BTreeSet::from([new.name.clone()]);
        let mut below = self.target(name);
        while let Some(target) = below {
            below = if seen.insert(target.clone()) {
                self.target(&target)
            } else {
                None
            };
            skips.push(target);
        }
        // An ambiguity ends the work early, with the edits made so far.
        let _ = self.settle(new, skips, &mut edits);
        Ok(edits)
    }

    /// Step 1b: puts the new bundle among the other substitutes of the same name by version.
    fn order_rivals(
        &mut self,
        new: &Candidate,
        edits: &mut Vec<SubstitutionEdit>,
    ) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        let mut waiting = std::collections::VecDeque::from(self.of(&new.substitutes_for));
        while let Some(other) = waiting.pop_front() {
            if other == new.name || !seen.insert(other.clone()) {
                continue;
            }
            let version = self
                .row_mut(&other)
                .map(|row| row.version.clone())
                .unwrap_or_default();
            let theirs = parse(&other, &version)?;
            let ours = parse(&new.name, &new.version)?;
            let order = theirs
                .build_cmp(&ours)
                .map_err(|fault| Refusal::SubstituteVersion {
                    name: other.clone(),
                    fault,
                })?;
            match order {
                std::cmp::Ordering::Less => {
                    self.set_target(&new.name, &other, edits);
                    waiting.extend(self.of(&other));
                }
                std::cmp::Ordering::Greater => {
                    self.set_target(&other, &new.name, edits);
                    self.append_skips(&other, &new.skips, &new.name, edits);
                    if self.of(&new.name).len() > 1 {
                        return Err(Refusal::SubstitutedTwice {
                            name: new.name.clone(),
                        });
                    }
                }
                std::cmp::Ordering::Equal => {
                    return Err(Refusal::SubstitutionUnclear {
                        name: new.name.clone(),
                        other,
                    });
                }
            }
        }
        Ok(())
    }

    /// Steps 3 to 6.
    fn settle(
        &mut self,
        new: &Candidate,
        skips: Vec<String>,
        edits: &mut Vec<SubstitutionEdit>,
    ) -> Result<(), Ambiguous> {
        let name = new.name.as_str();
        let mut seen = BTreeSet::new();
        let mut above = self.single(name)?;
        while let Some(substitute) = above.filter(|substitute| seen.insert(substitute.clone())) {
            self.append_skips(&substitute, &skips, name, edits);
            above = self.single(&substitute)?;
        }
        let mut set = Vec::new();
        for skip in skips {
            push_new(&mut set, &skip);
            let mut seen = BTreeSet::new();
            let mut line = self.single(&skip)?;
            while let Some(substitute) =
                line.filter(|substitute| substitute != name && seen.insert(substitute.clone()))
            {
                push_new(&mut set, &substitute);
                line = self.single(&substitute)?;
            }
        }
        let mut replaces = new.replaces.clone();
        let mut seen = BTreeSet::new();
        // Only here the reference takes the first of several.
        let mut line = if replaces.is_empty() {
            Vec::new()
        } else {
            self.of(&replaces)
        };
        while let Some(substitute) = line.into_iter().next() {
            if !seen.insert(substitute.clone()) {
                break;
            }
            replaces = substitute;
            line = self.of(&replaces);
            if line.len() > 1 {
                return Err(Ambiguous);
            }
        }
        if let Some(row) = self.row_mut(name) {
            row.skips.clone_from(&set);
        }
        edits.push(SubstitutionEdit::SetEdges {
            name: name.to_owned(),
            replaces,
            skips: set,
        });
        Ok(())
    }

    fn set_target(&mut self, name: &str, target: &str, edits: &mut Vec<SubstitutionEdit>) {
        if let Some(row) = self.row_mut(name) {
            target.clone_into(&mut row.substitutes_for);
        }
        edits.push(SubstitutionEdit::SetSubstitutesFor {
            name: name.to_owned(),
            substitutes_for: target.to_owned(),
        });
    }

    /// Adds `skips` and then `last` to a substitute's skips, as far as they are not there; what
    /// is repeated among them is repeated there too, as in the reference.
    fn append_skips(
        &mut self,
        name: &str,
        skips: &[String],
        last: &str,
        edits: &mut Vec<SubstitutionEdit>,
    ) {
        let Some(row) = self.row_mut(name) else {
            return;
        };
        let before: BTreeSet<String> = row.skips.iter().cloned().collect();
        let added = skips.iter().map(String::as_str).chain([last]);
        row.skips.extend(
            added
                .filter(|skip| !before.contains(*skip))
                .map(str::to_owned),
        );
        let skips = row.skips.clone();
        edits.push(SubstitutionEdit::SetSkips {
            name: name.to_owned(),
            skips,
        });
    }
}

fn push_new(set: &mut Vec<String>, name: &str) {
    if !set.iter().any(|known| known == name) {
        set.push(name.to_owned());
    }
}

fn parse(name: &str, version: &str) -> Result<Version, Refusal> {
    Version::parse(version).map_err(|fault| Refusal::SubstituteVersion {
        name: name.to_owned(),
        fault,
    })
}

#[cfg(test)]
mod tests;
