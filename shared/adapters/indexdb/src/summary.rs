//! Packages as far as a summary of a change needs them: their graphs, the images of their bundles,
//! and what is in those bundles that a change may touch.

use std::collections::{BTreeMap, BTreeSet};

use iib_bundle::{Typed, json_plain_string};
use iib_catalog::{Neighbours, PackageRows};
use iib_fbc::{
    BundleContents, Catalog, CatalogBundle, CatalogPackage, Channel, OtherDependencies, Property,
    RelatedImage,
};
use rusqlite::Connection;

use crate::error::Fault;
use crate::export::{self, Lookup, Row};

/// By package; those that are not there are left out. They are no catalogs: most bundles have
/// nothing but their images, and deprecated ones are among them, which an export leaves out.
///
/// `looked_into` are the bundles whose contents are read. Both sides of a comparison need the same.
pub(crate) fn of(
    connection: &Connection,
    packages: &Neighbours,
    looked_into: &BTreeSet<String>,
) -> Result<BTreeMap<String, Catalog>, Fault> {
    let lookup = match looked_into.is_empty() {
        true => None,
        false => Some(Lookup::of(connection, Some(looked_into))?),
    };
    let top = export::top(connection)?;
    let mut summaries = BTreeMap::new();
    for (name, rows) in packages {
        if rows.default_channel.is_none() && rows.channels.is_empty() {
            continue;
        }
        let mut summary = graph(rows, top);
        if let Some(lookup) = &lookup {
            let bundles = summary.bundles.iter_mut();
            for bundle in bundles.filter(|bundle| looked_into.contains(&bundle.name)) {
                let Some(row) = Row::read(connection, &bundle.name)? else {
                    continue;
                };
                let entries = summary
                    .channels
                    .iter_mut()
                    .flat_map(|found| &mut found.entries);
                for entry in entries.filter(|entry| entry.name == bundle.name) {
                    entry.skip_range.clone_from(&row.skip_range);
                }
                let known = bundle.name.clone();
                *bundle = filled(row.contents(connection, name, &known, lookup)?);
            }
        }
        summaries.insert(name.clone(), summary);
    }
    Ok(summaries)
}

/// The same without a look into any bundle.
pub(crate) fn of_rows(
    connection: &Connection,
    packages: &Neighbours,
) -> Result<BTreeMap<String, Catalog>, Fault> {
    of(connection, packages, &BTreeSet::new())
}

fn graph(rows: &PackageRows, top: i64) -> Catalog {
    let channels = rows.channels.keys().map(|name| Channel {
        name: name.clone(),
        package: rows.name.clone(),
        ..Channel::default()
    });
    let mut channels: Vec<Channel> = channels.collect();
    for ((channel, bundle), place) in export::places(rows, top) {
        // Sorted by name, as the rows are.
        if let Ok(at) = channels.binary_search_by(|found| found.name.as_str().cmp(channel))
            && let Some(found) = channels.get_mut(at)
        {
            found.entries.push(place.entry(bundle));
        }
    }
    let bundles = rows.present.iter().map(|(name, row)| CatalogBundle {
        name: name.clone(),
        package: rows.name.clone(),
        image: row.image.clone().unwrap_or_default(),
        ..CatalogBundle::default()
    });
    Catalog {
        packages: vec![CatalogPackage {
            name: rows.name.clone(),
            default_channel: rows.default_channel.clone().unwrap_or_default(),
            ..CatalogPackage::default()
        }],
        bundles: bundles.collect(),
        channels,
        others: Vec::new(),
    }
}

/// A bundle as a catalog has it. What cannot be in one must not keep a change from being made:
/// it is shown as it is stored.
fn filled(contents: BundleContents<'_>) -> CatalogBundle {
    let stored = contents.clone();
    contents
        .into_bundle(OtherDependencies::Drop)
        .unwrap_or_else(|_| as_stored(stored))
}

fn as_stored(contents: BundleContents<'_>) -> CatalogBundle {
    let rows = contents.properties.into_iter().chain(contents.dependencies);
    let distinct: BTreeSet<(String, String)> =
        rows.map(|Typed { kind, value }| (kind, value)).collect();
    // A value that is no JSON is shown as a text.
    let properties = distinct.into_iter().filter_map(|(kind, value)| {
        let property = Property::new(&kind, &value);
        let property = property.or_else(|_| Property::new(&kind, &json_plain_string(&value)));
        property.ok()
    });
    let images = contents.images.into_iter().map(|image| RelatedImage {
        name: String::new(),
        image,
    });
    CatalogBundle {
        name: contents.name.to_owned(),
        package: contents.package.to_owned(),
        image: contents.image.to_owned(),
        properties: properties.collect(),
        related_images: images.collect(),
    }
}
