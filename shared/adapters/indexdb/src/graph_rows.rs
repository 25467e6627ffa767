//! Writing a package's graph (spec index-database §5.3, §5.4), whatever mode placed its bundles.

use iib_bundle::Bundle;
use iib_catalog::{Candidate, NewEntry, PlacedPackage, Refusals, place_by_replaces};
use rusqlite::Connection;

use crate::bundle_rows::insert_property;
use crate::rows;

/// Rebuilds a package in replaces mode from its existing bundles and the new ones, whose rows are
/// written; unless there are reasons to refuse, which are returned.
pub(crate) fn rebuild(
    connection: &Connection,
    package: &str,
    new: &[&Candidate],
) -> Result<Result<(), Refusals>, rusqlite::Error> {
    let before = rows::package(connection, package)?;
    let placed = place_by_replaces(&before, new, |name| rows::chain_node(connection, name))?;
    match placed {
        Ok(placed) => write(connection, package, &placed).map(Ok),
        Err(refusals) => {
            let there = before.present.keys();
            let names = there.chain(new.iter().map(|bundle| &bundle.name));
            let names: Vec<&str> = names.map(String::as_str).collect();
            Ok(Err(refusals.with_nearest(&names)))
        }
    }
}

/// Writes a package in place of all rows of its graph.
pub(crate) fn write(
    connection: &Connection,
    package: &str,
    placed: &PlacedPackage,
) -> Result<(), rusqlite::Error> {
    begin_anew(connection, package)?;
    for (channel, placed) in &placed.channels {
        insert_channel(connection, package, channel, &placed.head)?;
    }
    set_default(connection, package, &placed.default_channel)?;
    for (channel, placed) in &placed.channels {
        insert_entries(connection, package, channel, &placed.entries)?;
        insert_properties(connection, package, &placed.properties_for)?;
    }
    Ok(())
}

fn insert_channel(
    connection: &Connection,
    package: &str,
    channel: &str,
    head: &str,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO channel(name, package_name, head_operatorbundle_name)
             VALUES (?1, ?2, ?3)",
        )?
        .execute((channel, package, head))?;
    Ok(())
}

fn set_default(
    connection: &Connection,
    package: &str,
    channel: &str,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("UPDATE package SET default_channel = ?1 WHERE name = ?2")?
        .execute((channel, package))?;
    Ok(())
}

/// Clears a package's graph, and leaves a row for the package.
fn begin_anew(connection: &Connection, package: &str) -> Result<(), rusqlite::Error> {
    // Entries before the channels they would follow by cascade: one pass over the table, not one
    // per channel.
    for statement in [
        "DELETE FROM package WHERE name = ?1",
        "DELETE FROM channel_entry WHERE package_name = ?1",
        "DELETE FROM channel WHERE package_name = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([package])?;
    }
    connection
        .prepare_cached("INSERT INTO package(name) VALUES (?1)")?
        .execute([package])?;
    Ok(())
}

fn insert_entries(
    connection: &Connection,
    package: &str,
    channel: &str,
    entries: &[NewEntry],
) -> Result<(), rusqlite::Error> {
    // Entries are numbered as the engine would, so that an entry can name one that comes later.
    let first: i64 = connection
        .prepare_cached("SELECT ifnull(max(entry_id), 0) + 1 FROM channel_entry")?
        .query_row([], |row| row.get(0))?;
    let number = |at: usize| first + i64::try_from(at).unwrap_or(i64::MAX - first);
    for (at, entry) in entries.iter().enumerate() {
        connection
            .prepare_cached(
                "INSERT INTO channel_entry(entry_id, channel_name, package_name,
                   operatorbundle_name, replaces, depth) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                number(at),
                channel,
                package,
                &entry.bundle,
                entry.replaces.map(number),
                entry.depth,
            ))?;
    }
    Ok(())
}

/// Writes another `olm.package` property for each of these bundles.
fn insert_properties(
    connection: &Connection,
    package: &str,
    bundles: &[String],
) -> Result<(), rusqlite::Error> {
    for name in bundles {
        let row = rows::present(connection, name)?.unwrap_or_default();
        let value = Bundle::package_property(package, &row.version);
        let image = row.image.unwrap_or_default();
        insert_property(
            connection,
            "olm.package",
            &value,
            name,
            &row.version,
            &image,
        )?;
    }
    Ok(())
}
