//! The checks before anything is written (spec index-database §5.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::{Candidate, PackageRows, Refusal};

/// The packages of the new bundles as they are in the index, by name.
pub type Neighbours = BTreeMap<String, PackageRows>;

/// Whether the switch is on and there is something to overwrite is decided by the caller: `noted`
/// holds the names of new bundles that exist, and is empty without the switch.
///
/// Returns the reasons found. `None` when the bundles of a package cannot be listed because one
/// has an empty path: the reference then passes over every check of this section.
pub fn check_additions(
    new: &[Candidate],
    neighbours: &Neighbours,
    noted: &BTreeSet<String>,
) -> Option<Vec<Refusal>> {
    let images: BTreeSet<&str> = new.iter().map(|bundle| bundle.image.as_str()).collect();
    let mut found = Vec::new();
    let mut overwritten: BTreeSet<&str> = BTreeSet::new();
    for bundle in new {
        let Some(rows) = neighbours.get(&bundle.package) else {
            continue;
        };
        if rows
            .present
            .values()
            .any(|row| row.image.as_deref() == Some(""))
        {
            return None;
        }
        let known = rows.present.values().filter_map(|row| row.image.as_deref());
        for _ in known.filter(|image| images.contains(image)) {
            found.push(Refusal::ImageExists {
                image: bundle.image.clone(),
            });
        }
        match standing(bundle, rows, noted) {
            Standing::New => {}
            Standing::Refused(refusal) => found.push(refusal),
            Standing::Overwrites if overwritten.insert(&bundle.package) => {}
            Standing::Overwrites => {
                found.push(Refusal::OverwriteSeveral {
                    package: bundle.package.clone(),
                });
                break;
            }
        }
    }
    Some(found)
}

enum Standing {
    New,
    Overwrites,
    Refused(Refusal),
}

fn standing(bundle: &Candidate, rows: &PackageRows, noted: &BTreeSet<String>) -> Standing {
    if !rows.present.contains_key(&bundle.name) {
        return Standing::New;
    }
    let within = rows.channels_of(&bundle.name);
    let mut standing = Standing::New;
    for channel in rows
        .channels
        .keys()
        .filter(|channel| within.contains(channel.as_str()))
    {
        if noted.is_empty() {
            return Standing::Refused(Refusal::CsvExists {
                name: bundle.name.clone(),
            });
        }
        if rows.replacer_of(&bundle.name, channel).is_some() {
            return Standing::Refused(Refusal::OverwriteNotHead {
                name: bundle.name.clone(),
                channel: channel.clone(),
            });
        }
        standing = Standing::Overwrites;
    }
    standing
}

/// The package each name of the call belongs to: names, `replaces` and `skips` of the new bundles.
///
/// # Errors
/// A name two packages of the call lay claim to.
pub fn check_edges_within_call(new: &[Candidate]) -> Result<BTreeMap<&str, &str>, Refusal> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for bundle in new {
        let edges = bundle.skips.iter().chain([&bundle.replaces, &bundle.name]);
        for name in edges.filter(|name| !name.is_empty()) {
            let before = owners.insert(name, &bundle.package);
            if let Some(before) = before.filter(|before| *before != bundle.package) {
                let (low, high) = (before.min(&bundle.package), before.max(&bundle.package));
                return Err(Refusal::NameInTwoPackages {
                    name: name.clone(),
                    low: low.to_owned(),
                    high: high.to_owned(),
                });
            }
        }
    }
    Ok(owners)
}

/// Holds the names of the call against the entries of the index, dummies included. `entries`
/// yields (package, name) for entries of packages that have a row.
///
/// # Errors
/// The first entry, by package and then name, whose name another package of the call uses.
pub fn check_edges<'a>(
    owners: &BTreeMap<&str, &str>,
    entries: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    let clash = entries
        .into_iter()
        .filter_map(|(owner, name)| {
            let package = owners.get(name).filter(|package| **package != owner)?;
            Some((owner, name, *package))
        })
        .min();
    match clash {
        None => Ok(()),
        Some((owner, name, package)) => Err(Refusal::NameInOtherPackage {
            name: name.to_owned(),
            owner: owner.to_owned(),
            package: package.to_owned(),
        }),
    }
}
