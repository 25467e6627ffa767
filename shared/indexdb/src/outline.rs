//! Bundles and shape of an index.

use std::collections::BTreeMap;

use iib_catalog::{CatalogShape, Neighbours, PackageRows, PackageShape};
use iib_ports::PresentBundle;
use rusqlite::Connection;

use crate::error::Fault;

/// The bundles an index serves (spec index-database §11.2, §11.3). Names, versions and paths come
/// from the index `pk`, so no contents are read.
pub(crate) fn bundles(connection: &Connection) -> Result<Vec<PresentBundle>, Fault> {
    let mut statement = connection.prepare(
        "WITH served(package, name) AS (
           SELECT DISTINCT package_name, operatorbundle_name FROM channel_entry
           WHERE package_name IN (SELECT name FROM package))
         SELECT served.package, served.name, bundle.bundlepath, bundle.version
         FROM served CROSS JOIN operatorbundle AS bundle INDEXED BY pk
           ON bundle.name = served.name
         WHERE bundle.bundlepath IS NOT NULL AND bundle.version IS NOT NULL
           AND served.name NOT IN (
             SELECT operatorbundle_name FROM properties
             WHERE type = 'olm.deprecated' AND operatorbundle_name IS NOT NULL)
         ORDER BY served.package, served.name",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(PresentBundle {
            package: row.get(0)?,
            name: row.get(1)?,
            image: row.get(2)?,
            version: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The whole index in outline.
pub(crate) fn shape(connection: &Connection) -> Result<CatalogShape, Fault> {
    let mut packages: BTreeMap<String, PackageShape> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT name, default_channel FROM package")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let default_channel = row.get(1)?;
        packages.insert(
            row.get(0)?,
            PackageShape {
                default_channel,
                ..PackageShape::default()
            },
        );
    }
    let mut statement =
        connection.prepare("SELECT package_name, name, head_operatorbundle_name FROM channel")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let package: String = row.get(0)?;
        if let Some(package) = packages.get_mut(&package) {
            package.channels.insert(row.get(1)?, row.get(2)?);
        }
    }
    let mut statement = connection.prepare(
        "SELECT DISTINCT entry.package_name, entry.operatorbundle_name
         FROM channel_entry AS entry CROSS JOIN operatorbundle AS bundle INDEXED BY pk
           ON bundle.name = entry.operatorbundle_name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let package: String = row.get(0)?;
        if let Some(package) = packages.get_mut(&package) {
            package.bundles.insert(row.get(1)?);
        }
    }
    Ok(CatalogShape { packages })
}

/// These packages in outline.
pub(crate) fn of(packages: &Neighbours) -> CatalogShape {
    let shapes = packages
        .iter()
        .filter_map(|(name, rows)| Some((name.clone(), package_shape(rows)?)));
    CatalogShape {
        packages: shapes.collect(),
    }
}

/// One package in outline; `None` when the index does not have it.
fn package_shape(rows: &PackageRows) -> Option<PackageShape> {
    if rows.default_channel.is_none() && rows.channels.is_empty() {
        return None;
    }
    Some(PackageShape {
        default_channel: rows.default_channel.clone(),
        channels: rows
            .channels
            .iter()
            .map(|(name, channel)| (name.clone(), channel.head.clone()))
            .collect(),
        bundles: rows.present.keys().cloned().collect(),
    })
}
