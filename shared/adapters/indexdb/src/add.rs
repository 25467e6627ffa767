//! The order of events of an add (spec index-database §5.1).

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::Bundle;
use iib_catalog::{
    AddOptions, AlphaFeatures, Candidate, Mode, Neighbours, Overwrite, Refusal, Refusals,
    Substitutions, check_additions, check_edges, check_edges_within_call, check_reachable,
    making_room, place_by_version,
};
use iib_fbc::CatalogDiff;
use iib_ports::AddReport;
use rusqlite::Connection;

use crate::error::Fault;
use crate::{bulk, bundle_rows, graph_rows, overwrite, rows, substitute, summary};

/// Adds bundles inside a transaction; the caller rolls it back when this fails.
pub(crate) fn add(
    connection: &Connection,
    bundles: &[Bundle],
    options: &AddOptions,
) -> Result<AddReport, Fault> {
    bulk::placing(connection, || add_placed(connection, bundles, options))
}

fn add_placed(
    connection: &Connection,
    bundles: &[Bundle],
    options: &AddOptions,
) -> Result<AddReport, Fault> {
    let new = in_handling_order(bundles);
    let candidates: Vec<Candidate> = new.iter().map(|bundle| bundle.candidate()).collect();
    let touched = candidates.iter().map(|bundle| bundle.package.clone());
    let touched: BTreeSet<String> = touched.collect();
    let before = rows::packages(connection, &touched)?;
    let noted = note_overwrites(connection, &candidates, options.overwrite)?;
    check(connection, &candidates, &before, &noted)?;
    let summary = summary::of(connection, &before, &noted)?;
    match options.mode {
        Mode::Replaces => {
            write_by_replaces(connection, &new, &candidates, &noted, options.alpha)?;
        }
        Mode::Semver | Mode::SemverSkippatch => {
            write_by_version(connection, &new, &candidates, options)?;
        }
    }
    let after = rows::packages(connection, &touched)?;
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
        changes: CatalogDiff::between(&summary, &summary::of(connection, &after, &noted)?),
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
            let entries = rows::entries_named(connection, &owners)?;
            let entries = entries
                .iter()
                .map(|(package, name)| (package.as_str(), name.as_str()));
            found.extend(check_edges(&owners, entries).err());
        }
        Err(refusal) => found.push(refusal),
    }
    Ok(Refusals::check(found)?)
}

/// Step 5 in replaces mode, in the order that `iib_catalog::place_by_replaces` stands in. Refusals
/// are collected over all bundles and packages.
fn write_by_replaces(
    connection: &Connection,
    new: &[&Bundle],
    candidates: &[Candidate],
    noted: &BTreeSet<String>,
    alpha: AlphaFeatures,
) -> Result<(), Fault> {
    for bundle in making_room(candidates, noted) {
        overwrite::remove_head(connection, &bundle.package, &bundle.name)?;
    }
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
        if let Err(refusals) = graph_rows::rebuild(connection, package, &new)? {
            found.extend(refusals.iter().cloned());
        }
    }
    Ok(Refusals::check(found)?)
}

/// Step 5 in the semver modes: bundle by bundle, then the contents of what heads no channel.
fn write_by_version(
    connection: &Connection,
    new: &[&Bundle],
    candidates: &[Candidate],
    options: &AddOptions,
) -> Result<(), Fault> {
    let mut substitutions = match options.alpha {
        AlphaFeatures::On => Some(substitute::load(connection)?),
        AlphaFeatures::Off => None,
    };
    for (bundle, candidate) in new.iter().zip(candidates) {
        let package = rows::package(connection, &candidate.package)?;
        let placed = place_by_version(&package, candidate, options.mode)?;
        let substitutions = substitutions.as_mut();
        write_bundle(connection, bundle, candidate, options.alpha, substitutions)?;
        graph_rows::write(connection, &candidate.package, &placed)?;
    }
    bundle_rows::forget_contents(connection)?;
    Ok(())
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
