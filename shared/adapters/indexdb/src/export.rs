//! From the rows to a file-based catalog (spec index-database §11).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iib_bundle::{CsvIcon, Typed, json_plain_string};
use iib_catalog::PackageRows;
use iib_fbc::{
    BundleContents, BundleForm, Catalog, CatalogPackage, Channel, ChannelEntry, ContentsFault,
    FormFault, Icon, OtherDependencies, base64_anew,
};
use rusqlite::Connection;

use crate::error::Fault;
use crate::rows;

/// An index cannot be written as a catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportFault {
    /// A package without a channel.
    #[error("package {0} not found: it has no channel, so no catalog can hold it")]
    NoChannel(String),
    /// What is in the rows of a bundle.
    #[error(transparent)]
    Contents(#[from] ContentsFault),
    /// A CSV that no metadata can be made of.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// The CSV that the icon comes from.
    #[error("populate package icons: unmarshal CSV json for bundle {bundle:?}: {problem}")]
    Icon {
        /// The bundle.
        bundle: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A row of a bundle's properties or dependencies that no catalog can hold, and that is therefore not
/// in the catalog of the index.
#[derive(Debug, thiserror::Error)]
#[error("package {package:?}, {fault}")]
pub struct LeftOut {
    /// The package.
    pub package: String,
    /// The bundle, and what is wrong; part of the message, so not a source.
    pub fault: ContentsFault,
}

/// Failures of the rows, or of what is in them.
pub(crate) type Exported<T> = Result<Result<T, ExportFault>, Fault>;

macro_rules! known {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

/// Names of the packages, sorted.
pub(crate) fn packages(connection: &Connection) -> Result<Vec<String>, Fault> {
    let mut statement =
        connection.prepare("SELECT name FROM package WHERE name IS NOT NULL ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// What is looked up once for all packages. The tables have no index by bundle, so without it
/// every bundle would cost a scan of each.
pub(crate) struct Lookup {
    top: i64,
    properties: Rows,
    dependencies: Rows,
    related_images: Rows,
}

/// Numbers of the rows of a table by bundle.
type Rows = HashMap<String, Vec<i64>>;

impl Lookup {
    /// For the bundles of these packages only; `None` for all.
    pub(crate) fn of_packages(
        connection: &Connection,
        packages: Option<&BTreeSet<String>>,
    ) -> Result<Self, Fault> {
        let Some(packages) = packages else {
            return Self::of(connection, None);
        };
        let mut statement = connection
            .prepare("SELECT operatorbundle_name FROM channel_entry WHERE package_name = ?1")?;
        let mut bundles = BTreeSet::new();
        for package in packages {
            let names = statement.query_map([package], |row| row.get::<_, Option<String>>(0))?;
            for name in names {
                bundles.extend(name?);
            }
        }
        Self::of(connection, Some(&bundles))
    }

    /// For these bundles only; `None` for all.
    pub(crate) fn of(
        connection: &Connection,
        bundles: Option<&BTreeSet<String>>,
    ) -> Result<Self, Fault> {
        let bundles = bundles.map(|names| {
            let names: Vec<String> = names.iter().map(|name| json_plain_string(name)).collect();
            format!("[{}]", names.join(","))
        });
        let rows = |table| rows_of(connection, table, bundles.as_deref());
        Ok(Self {
            top: top(connection)?,
            properties: rows("properties")?,
            dependencies: rows("dependencies")?,
            related_images: rows("related_image")?,
        })
    }
}

/// The depth of every channel's first entry: the lowest of the whole index.
pub(crate) fn top(connection: &Connection) -> Result<i64, Fault> {
    let top = connection.query_row("SELECT min(depth) FROM channel_entry", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(top.unwrap_or_default())
}

/// `bundles` is a JSON list of names.
fn rows_of(connection: &Connection, table: &str, bundles: Option<&str>) -> Result<Rows, Fault> {
    let mut found = Rows::new();
    let mut statement = connection.prepare(&format!(
        "SELECT rowid, operatorbundle_name FROM {table}
         WHERE operatorbundle_name IS NOT NULL
           AND (?1 IS NULL OR operatorbundle_name IN (SELECT value FROM json_each(?1)))"
    ))?;
    let mut rows = statement.query([bundles])?;
    while let Some(row) = rows.next()? {
        // What is no text is no bundle's name.
        let Ok(bundle) = row.get_ref(1)?.as_str() else {
            continue;
        };
        match found.get_mut(bundle) {
            Some(known) => known.push(row.get(0)?),
            None => {
                found.insert(bundle.to_owned(), vec![row.get(0)?]);
            }
        }
    }
    Ok(found)
}

/// One package as a catalog; what is left out of it goes to `left_out`.
pub(crate) fn package(
    connection: &Connection,
    name: &str,
    form: BundleForm,
    lookup: &Lookup,
    left_out: &mut Vec<LeftOut>,
) -> Exported<Catalog> {
    let package = rows::package(connection, name)?;
    if package.channels.is_empty() {
        return Ok(Err(ExportFault::NoChannel(name.to_owned())));
    }
    let mut catalog = Catalog::default();
    let places = places(&package, lookup.top);
    let mut channels: BTreeMap<&str, Vec<ChannelEntry>> = package
        .channels
        .keys()
        .map(|channel| (channel.as_str(), Vec::new()))
        .collect();
    let names: BTreeSet<&str> = places.keys().map(|(_, bundle)| *bundle).collect();
    for bundle in names {
        let Some(row) = Row::read(connection, bundle)? else {
            continue;
        };
        let contents = row.contents(connection, name, bundle, lookup)?;
        let mut kinds = contents.properties.iter().map(|found| &found.kind);
        if kinds.any(|kind| kind == "olm.deprecated") {
            continue;
        }
        for (channel, entries) in &mut channels {
            if let Some(place) = places.get(&(*channel, bundle)) {
                entries.push(ChannelEntry {
                    skip_range: row.skip_range.clone(),
                    ..place.entry(bundle)
                });
            }
        }
        let made = contents.into_readable(OtherDependencies::Drop);
        let (mut made, faults) = known!(made.map_err(ExportFault::from));
        // Most indexes are read without, and CSVs are large.
        if form != BundleForm::Objects {
            let csv = csv_text(connection, bundle)?;
            known!(made.convert_with(form, &csv).map_err(ExportFault::from));
        }
        catalog.bundles.push(made);
        left_out.extend(faults.into_iter().map(|fault| LeftOut {
            package: name.to_owned(),
            fault,
        }));
    }
    let default_channel = package.default_channel.clone().unwrap_or_default();
    let head = package
        .channels
        .get(&default_channel)
        .and_then(|channel| channel.head.as_deref());
    let icon = match head {
        Some(head) => known!(icon(connection, head)?),
        None => None,
    };
    catalog.packages.push(CatalogPackage {
        name: name.to_owned(),
        default_channel,
        icon,
        ..CatalogPackage::default()
    });
    catalog.channels = channels
        .into_iter()
        .map(|(channel, entries)| Channel {
            name: channel.to_owned(),
            package: name.to_owned(),
            entries,
            properties: Vec::new(),
        })
        .collect();
    Ok(Ok(catalog))
}

/// Where a bundle stands in a channel (§11.2).
#[derive(Default)]
pub(crate) struct Standing<'a> {
    replaces: Option<&'a str>,
    skips: Vec<&'a str>,
}

impl Standing<'_> {
    /// The entry of the bundle, without a range.
    pub(crate) fn entry(&self, bundle: &str) -> ChannelEntry {
        ChannelEntry {
            name: bundle.to_owned(),
            replaces: self.replaces.unwrap_or_default().to_owned(),
            skips: self.skips.iter().map(ToString::to_string).collect(),
            ..ChannelEntry::default()
        }
    }
}

/// By channel and bundle. What an entry on the chain points to is replaced, what any other entry
/// points to is skipped.
pub(crate) fn places(package: &PackageRows, top: i64) -> BTreeMap<(&str, &str), Standing<'_>> {
    let by_id: BTreeMap<i64, _> = package
        .entries
        .iter()
        .map(|entry| (entry.id, entry))
        .collect();
    let mut chain: BTreeSet<i64> = BTreeSet::new();
    for entry in package.entries.iter().filter(|entry| entry.depth == top) {
        let mut at = Some(entry.id);
        while let Some(id) = at
            && chain.insert(id)
        {
            at = by_id.get(&id).and_then(|entry| entry.replaces);
        }
    }
    let mut places: BTreeMap<(&str, &str), Standing<'_>> = BTreeMap::new();
    for entry in &package.entries {
        if !package.present.contains_key(&entry.bundle) {
            continue;
        }
        let place = places.entry((&entry.channel, &entry.bundle)).or_default();
        let target = entry.replaces.and_then(|target| by_id.get(&target));
        let Some(target) = target.map(|entry| entry.bundle.as_str()) else {
            continue;
        };
        if chain.contains(&entry.id) {
            place.replaces = place.replaces.max(Some(target));
        } else {
            place.skips.push(target);
        }
    }
    places
}

/// What a catalog needs of a row of `operatorbundle`.
pub(crate) struct Row {
    objects: Option<Vec<u8>>,
    image: String,
    version: String,
    pub(crate) skip_range: String,
}

impl Row {
    /// `None` for a bundle without version or image, which no catalog has.
    pub(crate) fn read(connection: &Connection, name: &str) -> Result<Option<Self>, Fault> {
        use rusqlite::OptionalExtension as _;
        let row = connection
            .prepare_cached(
                "SELECT CAST(bundle AS BLOB), CAST(bundlepath AS BLOB), CAST(version AS BLOB),
                        CAST(ifnull(skiprange, '') AS BLOB)
                 FROM operatorbundle
                 WHERE name = ?1 AND bundlepath IS NOT NULL AND version IS NOT NULL",
            )?
            .query_row([name], |row| {
                Ok(Self {
                    objects: row.get(0)?,
                    image: lossy(row, 1)?,
                    version: lossy(row, 2)?,
                    skip_range: lossy(row, 3)?,
                })
            })
            .optional()?;
        Ok(row)
    }

    /// With what the other tables have of the bundle.
    pub(crate) fn contents<'a>(
        &'a self,
        connection: &Connection,
        package: &'a str,
        bundle: &'a str,
        lookup: &Lookup,
    ) -> Result<BundleContents<'a>, Fault> {
        let dependencies = lookup.dependencies.get(bundle);
        Ok(BundleContents {
            name: bundle,
            package,
            image: &self.image,
            version: &self.version,
            properties: typed(connection, "properties", lookup.properties.get(bundle))?,
            dependencies: typed(connection, "dependencies", dependencies)?,
            objects: self.objects.as_deref().unwrap_or_default(),
            images: related_images(connection, lookup.related_images.get(bundle))?,
        })
    }
}

/// The images in these rows.
fn related_images(
    connection: &Connection,
    rows: Option<&Vec<i64>>,
) -> Result<BTreeSet<String>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT CAST(ifnull(image, '') AS BLOB) FROM related_image WHERE rowid = ?1",
    )?;
    let rows = rows.into_iter().flatten();
    let images = rows.map(|row| statement.query_row([row], |row| lossy(row, 0)));
    Ok(images.collect::<Result<_, _>>()?)
}

/// Types and values of these rows of one of the two tables that have them.
fn typed(
    connection: &Connection,
    table: &str,
    rows: Option<&Vec<i64>>,
) -> Result<Vec<Typed>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT CAST(ifnull(type, '') AS BLOB), CAST(ifnull(value, '') AS BLOB) FROM {table}
         WHERE rowid = ?1"
    ))?;
    let mut found = Vec::new();
    for row in rows.into_iter().flatten() {
        found.push(statement.query_row([row], |row| {
            Ok(Typed {
                kind: lossy(row, 0)?,
                value: lossy(row, 1)?,
            })
        })?);
    }
    Ok(found)
}

/// A text of a row. Anything may stand in one that another tool has written; what is no text
/// becomes one that shows it.
fn lossy(row: &rusqlite::Row<'_>, column: usize) -> Result<String, rusqlite::Error> {
    let text = String::from_utf8(row.get(column)?);
    Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The CSV of a bundle's row; empty for none.
fn csv_text(connection: &Connection, bundle: &str) -> Result<String, Fault> {
    use rusqlite::OptionalExtension as _;
    let text: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT CAST(csv AS BLOB) FROM operatorbundle WHERE name = ?1")?
        .query_row([bundle], |row| row.get(0))
        .optional()?;
    let text = text.flatten().unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first icon of a CSV, if it has any data (§11.6). Data that is not in base64 is no icon.
fn icon(connection: &Connection, bundle: &str) -> Exported<Option<Icon>> {
    let first = CsvIcon::first_in(&csv_text(connection, bundle)?);
    let first = known!(first.map_err(|problem| ExportFault::Icon {
        bundle: bundle.to_owned(),
        problem: problem.to_string(),
    }));
    let icon = first.and_then(
        |CsvIcon {
             mut base64data,
             mediatype,
         }| {
            base64data.retain(|found| found != ' ');
            let data = base64_anew(&base64data).filter(|data| !data.is_empty())?;
            Some(Icon {
                base64data: Some(data),
                mediatype,
            })
        },
    );
    Ok(Ok(icon))
}
