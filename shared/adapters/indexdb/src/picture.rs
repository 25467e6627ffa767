//! The upgrade graphs of packages, for people to look at.

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::Bundle;
use iib_catalog::PackageRows;
use iib_fbc::{Catalog, CatalogBundle, CatalogPackage, Channel, Picture, Property};
use rusqlite::Connection;

use crate::error::Fault;
use crate::{export, rows};

/// The graphs of these packages; those that are not there are left out.
pub(crate) fn pictures(
    connection: &Connection,
    packages: &BTreeSet<String>,
) -> Result<Vec<Picture>, Fault> {
    let top = export::top(connection)?;
    let mut pictures = Vec::new();
    for name in packages {
        let package = rows::package(connection, name)?;
        if package.default_channel.is_none() && package.channels.is_empty() {
            continue;
        }
        let catalog = skeleton(connection, &package, top)?;
        pictures.extend(Picture::of(&catalog, name));
    }
    Ok(pictures)
}

/// As much of a package as there is to draw. It is no catalog: bundles have neither images nor
/// contents, and deprecated ones are in it, which an export leaves out, so that they can be told
/// apart.
fn skeleton(connection: &Connection, package: &PackageRows, top: i64) -> Result<Catalog, Fault> {
    let mut channels: BTreeMap<&str, Channel> = BTreeMap::new();
    for name in package.channels.keys() {
        let channel = Channel {
            name: name.clone(),
            package: package.name.clone(),
            ..Channel::default()
        };
        channels.insert(name, channel);
    }
    for ((channel, bundle), place) in export::places(package, top) {
        if let Some(channel) = channels.get_mut(channel) {
            channel.entries.push(place.entry(bundle));
        }
    }
    let mut bundles = Vec::new();
    for (name, row) in &package.present {
        let version = Bundle::package_property(&package.name, &row.version);
        // Both are JSON; a property that were none would only be missing in the picture.
        let mut properties: Vec<Property> = Vec::new();
        properties.extend(Property::new("olm.package", &version));
        if rows::is_deprecated(connection, name)? {
            properties.extend(Property::new("olm.deprecated", "{}"));
        }
        bundles.push(CatalogBundle {
            name: name.clone(),
            package: package.name.clone(),
            properties,
            ..CatalogBundle::default()
        });
    }
    Ok(Catalog {
        packages: vec![CatalogPackage {
            name: package.name.clone(),
            default_channel: package.default_channel.clone().unwrap_or_default(),
            ..CatalogPackage::default()
        }],
        channels: channels.into_values().collect(),
        bundles,
        others: Vec::new(),
    })
}
