//! Deprecating bundles, and cutting off what is below them (spec index-database §9).

use std::collections::BTreeSet;

use iib_catalog::{
    DefaultHeads, DeprecateOptions, Missing, Neighbours, PackageRemoval, PresentRow, Refusal,
    Refusals, Truncation, heads_to_remove, truncate,
};
use iib_fbc::CatalogDiff;
use rusqlite::Connection;

use crate::ChangeReport;
use crate::bundle_rows::insert_property;
use crate::error::Fault;
use crate::{removal, rows, summary};

/// Deprecates the bundles with these images, in their order. In an index without bundles all are
/// passed over, as in the reference.
///
/// # Errors
/// Images that are not in the index, if those are refused; heads of default channels.
pub(crate) fn deprecate(
    connection: &Connection,
    images: &[String],
    options: &DeprecateOptions,
) -> Result<ChangeReport, Fault> {
    if !rows::has_bundles(connection)? {
        return Ok(ChangeReport {
            passed_over: images.to_vec(),
            ..ChangeReport::default()
        });
    }
    let wanted: BTreeSet<&str> = images.iter().map(String::as_str).collect();
    let known = rows::placed_images(connection, &wanted)?;
    let (mut images, missing): (Vec<&String>, Vec<&String>) = images
        .iter()
        .partition(|image| known.contains_key(image.as_str()));
    let mut passed_over: Vec<String> = missing.into_iter().cloned().collect();
    if !passed_over.is_empty() && options.missing == Missing::Refuse {
        let images = passed_over;
        return Err(Refusal::DeprecateMissing { images }.into());
    }
    let touched: BTreeSet<String> = known.values().map(|(package, _)| package.clone()).collect();
    let named: BTreeSet<String> = known.values().map(|(_, bundle)| bundle.clone()).collect();
    let before = rows::packages(connection, &touched)?;
    let summary = summary::of(connection, &before, &named)?;
    if options.package_removal == PackageRemoval::Allowed {
        let gone = match remove_packages(connection, &before, &wanted) {
            Err(Fault::Refused(_)) if options.default_heads == DefaultHeads::PassOver => {
                BTreeSet::new()
            }
            gone => gone?,
        };
        images.retain(|image| !gone.contains(*image));
    }
    let mut found = Vec::new();
    for image in images {
        let Some((package, name)) = known.get(image.as_str()) else {
            continue;
        };
        // What went with a package, or with a bundle above it, is done.
        let Some(row) = rows::present(connection, name)? else {
            continue;
        };
        match truncate(&rows::package(connection, package)?, name) {
            Ok(cut) => write(connection, package, name, &row, &cut)?,
            Err(_) if options.default_heads == DefaultHeads::PassOver => {
                passed_over.push(image.clone());
            }
            Err(_) => found.push(Refusal::DeprecateDefaultHead {
                image: image.clone(),
            }),
        }
    }
    Refusals::check(found)?;
    removal::tidy(connection)?;
    let after = rows::packages(connection, &touched)?;
    Ok(ChangeReport {
        changes: CatalogDiff::between(&summary, &summary::of(connection, &after, &named)?),
        passed_over,
    })
}

/// Removes the packages whose heads are all deprecated, and tells the images of the heads.
fn remove_packages(
    connection: &Connection,
    packages: &Neighbours,
    images: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, Fault> {
    let mut doomed = Vec::new();
    for (name, rows) in packages {
        if let Some(heads) = heads_to_remove(rows, images)? {
            doomed.push((name, heads));
        }
    }
    let mut gone = BTreeSet::new();
    for (name, heads) in doomed {
        removal::package(connection, name)?;
        gone.extend(heads);
    }
    if !gone.is_empty() {
        removal::sweep(connection)?;
    }
    Ok(gone)
}

fn write(
    connection: &Connection,
    package: &str,
    name: &str,
    row: &PresentRow,
    cut: &Truncation,
) -> Result<(), Fault> {
    for (statement, ids) in [
        (
            "UPDATE channel_entry SET replaces = NULL WHERE entry_id = ?1",
            &cut.unlinked,
        ),
        (
            "DELETE FROM channel_entry WHERE entry_id = ?1",
            &cut.dropped,
        ),
    ] {
        let mut statement = connection.prepare_cached(statement)?;
        for id in ids {
            statement.execute([id])?;
        }
    }
    for bundle in &cut.removed {
        removal::bundle(connection, bundle)?;
    }
    for channel in &cut.channels {
        connection
            .prepare_cached("DELETE FROM channel WHERE name = ?1 AND package_name = ?2")?
            .execute([channel.as_str(), package])?;
    }
    let image = row.image.as_deref().unwrap_or_default();
    insert_property(
        connection,
        "olm.deprecated",
        "{}",
        name,
        &row.version,
        image,
    )?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO deprecated(operatorbundle_name) VALUES (?1)")?
        .execute([name])?;
    Ok(())
}
