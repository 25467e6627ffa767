//! Reading what the rules need: rows of the packages a call touches, and single bundles by name.
//!
//! `operatorbundle` keeps contents of bundles, tens of KiB each, before most of its other columns.
//! Name, version and path are read from the index `pk`; the rest only for bundles on a chain.

use std::collections::{BTreeMap, BTreeSet};

use iib_catalog::{ChainNode, ChannelRow, Entry, Neighbours, PackageRows, PresentRow};
use rusqlite::{Connection, OptionalExtension as _};

type Sql<T> = Result<T, rusqlite::Error>;

/// The rows of a package, empty when there is none.
pub(crate) fn package(connection: &Connection, name: &str) -> Sql<PackageRows> {
    let default_channel = connection
        .prepare_cached("SELECT default_channel FROM package WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    let channels = connection
        .prepare_cached(
            "SELECT name, head_operatorbundle_name FROM channel WHERE package_name = ?1",
        )?
        .query_map([name], |row| {
            Ok((row.get(0)?, ChannelRow { head: row.get(1)? }))
        })?
        .collect::<Sql<_>>()?;
    let entries: Vec<Entry> = connection
        .prepare_cached(
            "SELECT entry_id, ifnull(channel_name, ''), ifnull(operatorbundle_name, ''), replaces,
               ifnull(depth, 0)
             FROM channel_entry WHERE package_name = ?1 ORDER BY entry_id",
        )?
        .query_map([name], |row| {
            Ok(Entry {
                id: row.get(0)?,
                channel: row.get(1)?,
                bundle: row.get(2)?,
                replaces: row.get(3)?,
                depth: row.get(4)?,
            })
        })?
        .collect::<Sql<_>>()?;
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.bundle.as_str()).collect();
    let mut present_rows = BTreeMap::new();
    for bundle in names {
        if let Some(row) = present(connection, bundle)? {
            present_rows.insert(bundle.to_owned(), row);
        }
    }
    Ok(PackageRows {
        name: name.to_owned(),
        default_channel,
        channels,
        entries,
        present: present_rows,
    })
}

/// The rows of these packages, by name.
pub(crate) fn packages(connection: &Connection, names: &BTreeSet<String>) -> Sql<Neighbours> {
    let load = |name: &String| Ok((name.clone(), package(connection, name)?));
    names.iter().map(load).collect()
}

/// The rows of every package that has one in `package`, by name.
pub(crate) fn all_packages(connection: &Connection) -> Sql<Neighbours> {
    let mut packages = Neighbours::new();
    let mut statement =
        connection.prepare("SELECT name, default_channel FROM package WHERE name IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let package = PackageRows {
            name: name.clone(),
            default_channel: row.get(1)?,
            ..PackageRows::default()
        };
        packages.insert(name, package);
    }
    let mut statement = connection.prepare(
        "SELECT package_name, name, head_operatorbundle_name FROM channel
         WHERE package_name IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(package) = packages.get_mut(&row.get::<_, String>(0)?) {
            let head = ChannelRow { head: row.get(2)? };
            package.channels.insert(row.get(1)?, head);
        }
    }
    let mut statement = connection.prepare(
        "SELECT package_name, entry_id, ifnull(channel_name, ''), ifnull(operatorbundle_name, ''),
           replaces, ifnull(depth, 0)
         FROM channel_entry WHERE package_name IS NOT NULL ORDER BY entry_id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(package) = packages.get_mut(&row.get::<_, String>(0)?) {
            package.entries.push(Entry {
                id: row.get(1)?,
                channel: row.get(2)?,
                bundle: row.get(3)?,
                replaces: row.get(4)?,
                depth: row.get(5)?,
            });
        }
    }
    let mut statement = connection.prepare(
        "SELECT DISTINCT entry.package_name, bundle.name, ifnull(bundle.version, ''),
           bundle.bundlepath
         FROM channel_entry AS entry CROSS JOIN operatorbundle AS bundle INDEXED BY pk
           ON bundle.name = entry.operatorbundle_name
         WHERE entry.package_name IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(package) = packages.get_mut(&row.get::<_, String>(0)?) {
            let present = PresentRow {
                version: row.get(2)?,
                image: row.get(3)?,
            };
            package.present.insert(row.get(1)?, present);
        }
    }
    Ok(packages)
}

pub(crate) fn has_bundles(connection: &Connection) -> Sql<bool> {
    connection
        .prepare("SELECT 1 FROM operatorbundle LIMIT 1")?
        .exists([])
}

/// Names of the bundles with these images, by image.
pub(crate) fn names_of_images(
    connection: &Connection,
    images: &BTreeSet<&str>,
) -> Sql<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    let mut statement = connection
        .prepare("SELECT bundlepath, name FROM operatorbundle INDEXED BY pk ORDER BY name DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let image: Option<String> = row.get(0)?;
        if let Some(image) = image.filter(|image| images.contains(image.as_str())) {
            names.insert(image, row.get(1)?);
        }
    }
    Ok(names)
}

/// Package and name of the bundles with these images that have an entry, by image.
pub(crate) fn placed_images(
    connection: &Connection,
    images: &BTreeSet<&str>,
) -> Sql<BTreeMap<String, (String, String)>> {
    let by_name: BTreeMap<String, String> = names_of_images(connection, images)?
        .into_iter()
        .map(|(image, name)| (name, image))
        .collect();
    let mut placed = BTreeMap::new();
    let mut statement = connection.prepare(
        "SELECT package_name, operatorbundle_name FROM channel_entry
         WHERE package_name IS NOT NULL AND operatorbundle_name IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        if let Some(image) = by_name.get(&name) {
            placed.insert(image.clone(), (row.get(0)?, name));
        }
    }
    Ok(placed)
}

/// Version and path of a bundle; `None` when there is no bundle of that name.
pub(crate) fn present(connection: &Connection, name: &str) -> Sql<Option<PresentRow>> {
    connection
        .prepare_cached(
            "SELECT version, bundlepath FROM operatorbundle INDEXED BY pk WHERE name = ?1",
        )?
        .query_row([name], |row| {
            let version: Option<String> = row.get(0)?;
            Ok(PresentRow {
                version: version.unwrap_or_default(),
                image: row.get(1)?,
            })
        })
        .optional()
}

/// Package and name of every entry with one of these names, of packages that have a row.
pub(crate) fn entries_named(
    connection: &Connection,
    names: &BTreeMap<&str, &str>,
) -> Sql<Vec<(String, String)>> {
    let mut statement = connection.prepare(
        "SELECT package_name, operatorbundle_name FROM channel_entry
         WHERE operatorbundle_name IS NOT NULL
           AND package_name IN (SELECT name FROM package)",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str()?;
        if names.contains_key(name) {
            found.push((row.get(0)?, name.to_owned()));
        }
    }
    Ok(found)
}

pub(crate) fn is_deprecated(connection: &Connection, name: &str) -> Sql<bool> {
    connection
        .prepare_cached("SELECT 1 FROM deprecated WHERE operatorbundle_name = ?1")?
        .exists([name])
}

/// What a chain has to know of a bundle; `None` when there is no bundle of that name.
pub(crate) fn chain_node(connection: &Connection, name: &str) -> Sql<Option<ChainNode>> {
    if is_deprecated(connection, name)? {
        let row = present(connection, name)?;
        return Ok(row.map(|_| ChainNode::Deprecated));
    }
    connection
        .prepare_cached("SELECT replaces, skips FROM operatorbundle WHERE name = ?1")?
        .query_row([name], |row| {
            let replaces: Option<String> = row.get(0)?;
            let skips: Option<String> = row.get(1)?;
            Ok(ChainNode::Live {
                replaces: replaces.unwrap_or_default(),
                skips: split_skips(&skips.unwrap_or_default()),
            })
        })
        .optional()
}

/// Skips as they are stored, joined with commas.
pub(crate) fn split_skips(skips: &str) -> Vec<String> {
    if skips.is_empty() {
        Vec::new()
    } else {
        skips.split(',').map(str::to_owned).collect()
    }
}
