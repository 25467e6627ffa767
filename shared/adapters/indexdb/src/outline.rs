//! Bundles and shape of an index.

use iib_catalog::{CatalogShape, PackageShape};
use iib_ports::PresentBundle;
use rusqlite::Connection;

use crate::error::Fault;
use crate::rows;

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
    let packages = rows::all_packages(connection)?;
    let shapes = packages.into_iter().map(|(name, rows)| {
        let channels = rows.channels.into_iter();
        let shape = PackageShape {
            default_channel: rows.default_channel,
            channels: channels.map(|(name, row)| (name, row.head)).collect(),
            bundles: rows.present.into_keys().collect(),
        };
        (name, shape)
    });
    Ok(CatalogShape {
        packages: shapes.collect(),
    })
}
