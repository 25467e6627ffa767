//! Removing bundles and packages, and what nothing names any more (spec index-database §8).

use std::collections::BTreeSet;

use iib_bundle::Bundle;
use iib_catalog::{Missing, Refusal, nearest_package};
use iib_fbc::CatalogDiff;
use rusqlite::Connection;

use crate::ChangeReport;
use crate::error::Fault;
use crate::{bulk, export, rows, summary};

type Sql<T> = Result<T, rusqlite::Error>;

/// Removes packages in their order.
///
/// # Errors
/// A package that is not there, if those are refused; one that comes twice is not there any more.
pub(crate) fn packages(
    connection: &Connection,
    names: &[String],
    missing: Missing,
) -> Result<ChangeReport, Fault> {
    let touched: BTreeSet<String> = names.iter().cloned().collect();
    let before = rows::packages(connection, &touched)?;
    let summary = summary::of_rows(connection, &before)?;
    let mut passed_over = Vec::new();
    let bundles = before.values().map(|rows| rows.present.len()).sum();
    bulk::removing(connection, bundles, || {
        for name in names {
            if !package(connection, name)? {
                match missing {
                    Missing::Refuse => return Err(no_package(connection, name)),
                    Missing::PassOver => passed_over.push(name.clone()),
                }
            }
        }
        Ok(sweep(connection)?)
    })?;
    let after = rows::packages(connection, &touched)?;
    Ok(ChangeReport {
        changes: CatalogDiff::between(&summary, &summary::of_rows(connection, &after)?),
        passed_over,
    })
}

/// Removes every package that is not named. If there is none, stranded bundles stay.
///
/// # Errors
/// A name that is no package, if those are refused.
pub(crate) fn all_but(
    connection: &Connection,
    keep: &[String],
    missing: Missing,
) -> Result<ChangeReport, Fault> {
    let before = rows::all_packages(connection)?;
    let summary = summary::of_rows(connection, &before)?;
    let unknown = keep.iter().filter(|name| !before.contains_key(*name));
    let passed_over: Vec<String> = unknown.cloned().collect();
    if let (Missing::Refuse, Some(name)) = (missing, passed_over.first()) {
        return Err(no_package(connection, name));
    }
    let doomed = before.iter();
    let doomed = doomed.filter(|(name, _)| !keep.contains(name));
    let bundles = doomed.clone().map(|(_, package)| package.present.len());
    bulk::removing(connection, bundles.sum(), || {
        let mut removed = false;
        for (name, _) in doomed {
            removed |= package(connection, name)?;
        }
        if removed {
            sweep(connection)?;
        }
        Ok(())
    })?;
    let after = rows::all_packages(connection)?;
    Ok(ChangeReport {
        changes: CatalogDiff::between(&summary, &summary::of_rows(connection, &after)?),
        passed_over,
    })
}

/// Removes what no channel and no deprecation names.
pub(crate) fn stranded(connection: &Connection) -> Result<ChangeReport, Fault> {
    let remove = || {
        bulk::removing(connection, stranded_names(connection)?.len(), || {
            Ok(sweep(connection)?)
        })
    };
    // What no channel names was not served, so the catalog stays as it is.
    if homeless_names(connection)?.is_empty() {
        remove()?;
        return Ok(ChangeReport::default());
    }
    let before = rows::all_packages(connection)?;
    let before = summary::of_rows(connection, &before)?;
    remove()?;
    let after = rows::all_packages(connection)?;
    Ok(ChangeReport {
        changes: CatalogDiff::between(&before, &summary::of_rows(connection, &after)?),
        passed_over: Vec::new(),
    })
}

/// Says that there is no such package, and which one may be meant.
pub(crate) fn no_package(connection: &Connection, name: &str) -> Fault {
    match export::packages(connection) {
        Ok(known) => Refusal::NoPackage {
            package: name.to_owned(),
            near: nearest_package(name, known.iter().map(String::as_str)).map(str::to_owned),
        }
        .into(),
        Err(fault) => fault,
    }
}

/// Removes a package with the bundles that have an entry in it (§8.2, steps 1 and 2); `false` if
/// there are none. [`sweep`] is to follow.
pub(crate) fn package(connection: &Connection, name: &str) -> Sql<bool> {
    let bundles: Vec<String> = connection
        .prepare_cached(
            "SELECT DISTINCT operatorbundle_name FROM channel_entry
             WHERE package_name = ?1 AND operatorbundle_name IS NOT NULL
             ORDER BY operatorbundle_name",
        )?
        .query_map([name], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    if bundles.is_empty() {
        return Ok(false);
    }
    let mut forget =
        connection.prepare_cached("DELETE FROM deprecated WHERE operatorbundle_name = ?1")?;
    for bundle in &bundles {
        forget.execute([bundle])?;
    }
    for name in &bundles {
        bundle(connection, name)?;
    }
    for statement in [
        "DELETE FROM package WHERE name = ?1",
        "DELETE FROM channel WHERE package_name = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([name])?;
    }
    Ok(true)
}

/// Removes a bundle (§8.1): most goes by cascade, what may have a null in its key by name.
pub(crate) fn bundle(connection: &Connection, name: &str) -> Sql<()> {
    for statement in [
        "DELETE FROM operatorbundle WHERE name = ?1",
        "DELETE FROM api_provider WHERE operatorbundle_name = ?1",
        "DELETE FROM api_requirer WHERE operatorbundle_name = ?1",
        "DELETE FROM channel_entry WHERE operatorbundle_name = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([name])?;
    }
    Ok(())
}

/// Removes bundles of the whole index that have neither an entry nor a deprecation, and tidies
/// (§8.2, step 3).
pub(crate) fn sweep(connection: &Connection) -> Sql<()> {
    for name in &stranded_names(connection)? {
        bundle(connection, name)?;
    }
    tidy(connection)
}

fn stranded_names(connection: &Connection) -> Sql<Vec<String>> {
    connection
        .prepare(
            "SELECT name FROM operatorbundle INDEXED BY pk
             WHERE name NOT IN (SELECT operatorbundle_name FROM channel_entry
                                WHERE operatorbundle_name IS NOT NULL)
               AND name NOT IN (SELECT operatorbundle_name FROM deprecated
                                WHERE operatorbundle_name IS NOT NULL)
             ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Removes bundles that say they are of a package that is not there, and deprecations of bundles
/// that are not there (§8.2, step 3).
pub(crate) fn tidy(connection: &Connection) -> Sql<()> {
    for name in &homeless_names(connection)? {
        bundle(connection, name)?;
    }
    connection.execute(
        "DELETE FROM deprecated WHERE operatorbundle_name NOT IN (SELECT name FROM operatorbundle)",
        [],
    )?;
    Ok(())
}

/// Bundles that say they are of a package that is not there.
fn homeless_names(connection: &Connection) -> Sql<BTreeSet<String>> {
    let packages: BTreeSet<String> = connection
        .prepare("SELECT name FROM package WHERE name IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    let mut homeless = BTreeSet::new();
    let mut statement = connection.prepare(
        "SELECT operatorbundle_name, CAST(value AS BLOB) FROM properties
         WHERE type = 'olm.package' AND operatorbundle_name IS NOT NULL AND value IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value: Vec<u8> = row.get(1)?;
        let value = String::from_utf8_lossy(&value);
        if Bundle::package_of_property(&value).is_some_and(|name| !packages.contains(&name)) {
            homeless.insert(row.get::<_, String>(0)?);
        }
    }
    Ok(homeless)
}
