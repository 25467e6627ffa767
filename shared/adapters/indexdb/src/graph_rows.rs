//! Writing a package's graph: rebuilt in replaces mode, or by versions (spec index-database §5.3,
//! §5.4).

use iib_bundle::Bundle;
use iib_catalog::{
    Candidate, Member, NewEntry, PackageRows, Refusal, VersionedChannel, VersionedPackage, Walk,
    choose_heads, walk_channel,
};
use rusqlite::Connection;

use crate::bundle_rows::insert_property;
use crate::error::Fault;
use crate::rows;

/// Rebuilds a package from its existing bundles and the new ones, whose rows are written.
///
/// # Errors
/// Every reason the rules find; rows may be half-written then.
pub(crate) fn rebuild(
    connection: &Connection,
    package: &str,
    new: &[&Candidate],
) -> Result<Vec<Refusal>, Fault> {
    let before = rows::package(connection, package)?;
    let heads = match choose_heads(package, &members(&before, new)) {
        Ok(heads) => heads,
        Err(refusal) => return Ok(vec![refusal]),
    };
    begin_anew(connection, package)?;
    let mut channels = Vec::new();
    let mut found = Vec::new();
    for (channel, head) in &heads.heads {
        if rows::is_deprecated(connection, head)? {
            continue;
        }
        insert_channel(connection, package, channel, head)?;
        channels.push((channel, head));
    }
    if channels
        .iter()
        .any(|(channel, _)| **channel == heads.default_channel)
    {
        set_default(connection, package, &heads.default_channel)?;
    } else {
        found.push(Refusal::NoDefaultChannel {
            package: package.to_owned(),
        });
    }
    let nodes = rows::chains(connection, channels.iter().map(|(_, head)| *head))?;
    for (channel, head) in channels {
        match walk_channel(head, &nodes) {
            Ok(walk) => write_walk(connection, package, channel, &walk)?,
            Err(refusal) => found.push(refusal),
        }
    }
    Ok(found)
}

fn members(before: &PackageRows, new: &[&Candidate]) -> Vec<Member> {
    let default_channel = before.default_channel.clone().unwrap_or_default();
    let existing = before.present.iter().map(|(name, row)| Member {
        name: name.clone(),
        version: row.version.clone(),
        channels: before
            .channels_of(name)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        default_channel: default_channel.clone(),
    });
    let new = new.iter().map(|bundle| Member {
        name: bundle.name.clone(),
        version: bundle.version.clone(),
        channels: bundle.channels.clone(),
        default_channel: bundle.default_channel.clone(),
    });
    existing.chain(new).collect()
}

/// Writes a package whose graph goes by versions (§5.4 step 6).
pub(crate) fn write_versioned(
    connection: &Connection,
    package: &str,
    graph: &VersionedPackage,
) -> Result<(), rusqlite::Error> {
    begin_anew(connection, package)?;
    for (channel, VersionedChannel { head, .. }) in &graph.channels {
        insert_channel(connection, package, channel, head)?;
    }
    set_default(connection, package, &graph.default_channel)?;
    for (channel, VersionedChannel { entries, .. }) in &graph.channels {
        insert_entries(connection, package, channel, entries)?;
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

fn write_walk(
    connection: &Connection,
    package: &str,
    channel: &str,
    walk: &Walk,
) -> Result<(), rusqlite::Error> {
    insert_entries(connection, package, channel, &walk.entries)?;
    for name in &walk.chain {
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
