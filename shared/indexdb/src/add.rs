//! The order of events of an add (spec index-database §5.1).

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::Bundle;
use iib_catalog::{
    AddOptions, AlphaFeatures, Candidate, CatalogDiff, CatalogShape, Mode, Neighbours, Overwrite,
    PackageRows, Refusal, Refusals, Substitutions, Version, check_additions, check_edges,
    check_edges_within_call, check_reachable,
};
use iib_ports::AddReport;
use rusqlite::Connection;

use crate::error::Fault;
use crate::{bundle_rows, graph_rows, outline, overwrite, rows, substitute};

/// Adds bundles inside a transaction; the caller rolls it back when this fails.
pub(crate) fn add(
    connection: &Connection,
    bundles: &[Bundle],
    options: &AddOptions,
) -> Result<AddReport, Fault> {
    let new = in_handling_order(bundles);
    let candidates: Vec<Candidate> = new.iter().map(|bundle| bundle.candidate()).collect();
    let before = load_packages(connection, &candidates)?;
    let noted = note_overwrites(connection, &candidates, options.overwrite)?;
    check(connection, &candidates, &before, &noted)?;
    if options.mode != Mode::Replaces {
        return Err(refuse_mode(&candidates, options.mode));
    }
    overwrite_first(connection, &candidates, &noted)?;
    write(connection, &new, &candidates, options.alpha)?;
    let after = load_packages(connection, &candidates)?;
    let unreachable = after.values().flat_map(|rows| {
        check_reachable(
            rows,
            candidates
                .iter()
                .filter(|bundle| bundle.package == rows.name),
        )
    });
    Refusals::check(unreachable.collect())?;
    Ok(AddReport {
        added: candidates.into_iter().map(|bundle| bundle.name).collect(),
        changes: CatalogDiff::between(&outline_of(&before), &outline_of(&after)),
    })
}

/// Each image once, in an order that does not depend on the one given.
fn in_handling_order(bundles: &[Bundle]) -> Vec<&Bundle> {
    let mut seen = BTreeSet::new();
    let mut keyed: Vec<(Candidate, &Bundle)> = bundles
        .iter()
        .filter(|bundle| seen.insert(bundle.image.as_str()))
        .map(|bundle| (bundle.candidate(), bundle))
        .collect();
    keyed.sort_by(|(low, _), (high, _)| low.handling_cmp(high));
    keyed.into_iter().map(|(_, bundle)| bundle).collect()
}

fn load_packages(connection: &Connection, new: &[Candidate]) -> Result<Neighbours, Fault> {
    let names: BTreeSet<&String> = new.iter().map(|bundle| &bundle.package).collect();
    let load = |name: &String| Ok((name.clone(), rows::package(connection, name)?));
    names.into_iter().map(load).collect()
}

fn outline_of(packages: &BTreeMap<String, PackageRows>) -> CatalogShape {
    let shapes = packages
        .iter()
        .filter_map(|(name, rows)| Some((name.clone(), outline::package_shape(rows)?)));
    CatalogShape {
        packages: shapes.collect(),
    }
}

/// Step 3: new bundles whose name exists, when they may overwrite.
fn note_overwrites(
    connection: &Connection,
    new: &[Candidate],
    overwrite: Overwrite,
) -> Result<BTreeSet<String>, Fault> {
    let mut noted = BTreeSet::new();
    if overwrite == Overwrite::Refuse {
        return Ok(noted);
    }
    for bundle in new {
        let Some(row) = rows::present(connection, &bundle.name)? else {
            continue;
        };
        if row.image.unwrap_or_default().is_empty() {
            return Err(Refusal::OverwriteWithoutImage {
                name: bundle.name.clone(),
            }
            .into());
        }
        noted.insert(bundle.name.clone());
    }
    Ok(noted)
}

/// Step 4.
fn check(
    connection: &Connection,
    new: &[Candidate],
    before: &Neighbours,
    noted: &BTreeSet<String>,
) -> Result<(), Fault> {
    let Some(mut found) = check_additions(new, before, noted) else {
        return Ok(());
    };
    match check_edges_within_call(new) {
        Ok(owners) => {
            let entries = rows::all_entries(connection)?;
            let entries = entries
                .iter()
                .map(|(package, name)| (package.as_str(), name.as_str()));
            found.extend(check_edges(&owners, entries).err());
        }
        Err(refusal) => found.push(refusal),
    }
    Ok(Refusals::check(found)?)
}

/// Semver modes look at the versions first (spec §5.4 step 2); the rest of them is not built.
fn refuse_mode(new: &[Candidate], mode: Mode) -> Fault {
    let bad = new
        .iter()
        .find(|bundle| Version::parse(&bundle.version).is_err());
    match bad {
        Some(bundle) => Refusal::SemverBadVersion {
            name: bundle.name.clone(),
            version: bundle.version.clone(),
        }
        .into(),
        None => Fault::NotBuilt(mode),
    }
}

/// Step 5.3.1: of each package the first bundle noted makes room.
fn overwrite_first(
    connection: &Connection,
    new: &[Candidate],
    noted: &BTreeSet<String>,
) -> Result<(), Fault> {
    let mut done = BTreeSet::new();
    for bundle in new.iter().filter(|bundle| noted.contains(&bundle.name)) {
        if done.insert(&bundle.package) {
            overwrite::remove_head(connection, &bundle.package, &bundle.name)?;
        }
    }
    Ok(())
}

/// Steps 5.3.2 and 5.3.3: rows of every bundle, then the graph of every package that got one.
/// Refusals are collected over all of them.
fn write(
    connection: &Connection,
    new: &[&Bundle],
    candidates: &[Candidate],
    alpha: AlphaFeatures,
) -> Result<(), Fault> {
    let mut found = Vec::new();
    let mut packages: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    let mut substitutions = match alpha {
        AlphaFeatures::On => Some(substitute::load(connection)?),
        AlphaFeatures::Off => None,
    };
    for (bundle, candidate) in new.iter().zip(candidates) {
        match write_bundle(connection, bundle, candidate, alpha, substitutions.as_mut()) {
            Ok(()) => packages
                .entry(&candidate.package)
                .or_default()
                .push(candidate),
            Err(Fault::Refused(refusals)) => found.extend(refusals.iter().cloned()),
            Err(other) => return Err(other),
        }
    }
    for (package, new) in packages {
        found.extend(graph_rows::rebuild(connection, package, &new)?);
    }
    Ok(Refusals::check(found)?)
}

fn write_bundle(
    connection: &Connection,
    bundle: &Bundle,
    candidate: &Candidate,
    alpha: AlphaFeatures,
    substitutions: Option<&mut Substitutions>,
) -> Result<(), Fault> {
    bundle_rows::insert(connection, bundle, alpha)?;
    if let Some(substitutions) = substitutions {
        let edits = substitutions.apply(candidate)?;
        substitute::write(connection, &edits)?;
    }
    Ok(())
}
