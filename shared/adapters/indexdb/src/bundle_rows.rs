//! The rows of one bundle (spec index-database §4).

use std::collections::BTreeSet;

use iib_bundle::{ApiKey, Bundle, Typed};
use iib_catalog::{AlphaFeatures, Refusal};
use rusqlite::Connection;

use crate::error::Fault;
use crate::rows;

/// Null for an empty text: with a null part a foreign key does not apply.
fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Writes a bundle's rows.
///
/// # Errors
/// The name exists already, or the bundle substitutes for another with alpha features off.
pub(crate) fn insert(
    connection: &Connection,
    bundle: &Bundle,
    alpha: AlphaFeatures,
) -> Result<(), Fault> {
    if !bundle.substitutes_for.is_empty() && alpha == AlphaFeatures::Off {
        return Err(Refusal::AlphaNeeded {
            name: bundle.name.clone(),
        }
        .into());
    }
    if rows::present(connection, &bundle.name)?.is_some() {
        return Err(Refusal::NameExists {
            name: bundle.name.clone(),
        }
        .into());
    }
    connection
        .prepare_cached(
            "INSERT INTO operatorbundle(name, csv, bundle, bundlepath, version, skiprange,
               replaces, skips, substitutesfor)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            &bundle.name,
            bundle.csv_text.as_bytes(),
            bundle.objects_text.as_bytes(),
            &bundle.image,
            &bundle.version,
            &bundle.skip_range,
            &bundle.replaces,
            bundle.skips.join(","),
            &bundle.substitutes_for,
        ))?;
    let mut image_row = connection
        .prepare_cached("INSERT INTO related_image(image, operatorbundle_name) VALUES (?1, ?2)")?;
    for image in &bundle.related_images {
        image_row.execute((image, &bundle.name))?;
    }
    for Typed { kind, value } in &bundle.dependencies {
        connection
            .prepare_cached(
                "INSERT INTO dependencies(type, value, operatorbundle_name,
                   operatorbundle_version, operatorbundle_path) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((
                kind,
                filled(value).map(str::as_bytes),
                &bundle.name,
                filled(&bundle.version),
                filled(&bundle.image),
            ))?;
    }
    for Typed { kind, value } in &bundle.properties {
        insert_property(
            connection,
            kind,
            value,
            &bundle.name,
            &bundle.version,
            &bundle.image,
        )?;
    }
    let deprecated = Typed {
        kind: "olm.deprecated".to_owned(),
        value: "{}".to_owned(),
    };
    if rows::is_deprecated(connection, &bundle.name)? && !bundle.properties.contains(&deprecated) {
        let Typed { kind, value } = deprecated;
        insert_property(
            connection,
            &kind,
            &value,
            &bundle.name,
            &bundle.version,
            &bundle.image,
        )?;
    }
    insert_apis(
        connection,
        bundle,
        "api_provider",
        bundle.provided_apis.iter(),
    )?;
    insert_apis(
        connection,
        bundle,
        "api_requirer",
        bundle.required_apis.iter(),
    )?;
    Ok(())
}

/// Drops the contents of every image that heads no channel, as adding by version does (§5.4).
pub(crate) fn forget_contents(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute(
        "UPDATE operatorbundle SET csv = NULL, bundle = NULL
         WHERE bundlepath IS NOT NULL AND bundlepath != ''
           AND (csv IS NOT NULL OR bundle IS NOT NULL)
           AND name NOT IN (SELECT head_operatorbundle_name FROM channel
                            WHERE head_operatorbundle_name IS NOT NULL)",
        [],
    )?;
    Ok(())
}

/// Writes a property by hand, for each of the bundles with these images (§10).
///
/// # Errors
/// Images that no bundle has.
pub(crate) fn add_property(
    connection: &Connection,
    images: &[String],
    property: &Typed,
) -> Result<(), Fault> {
    let wanted: BTreeSet<&str> = images.iter().map(String::as_str).collect();
    let known = rows::names_of_images(connection, &wanted)?;
    let missing: Vec<String> = images
        .iter()
        .filter(|image| !known.contains_key(image.as_str()))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::NoSuchImages { images: missing }.into());
    }
    for image in wanted {
        let Some(name) = known.get(image) else {
            continue;
        };
        let row = rows::present(connection, name)?.unwrap_or_default();
        let Typed { kind, value } = property;
        insert_property(connection, kind, value, name, &row.version, image)?;
    }
    Ok(())
}

/// Writes a row of `properties`.
pub(crate) fn insert_property(
    connection: &Connection,
    kind: &str,
    value: &str,
    name: &str,
    version: &str,
    image: &str,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO properties(type, value, operatorbundle_name, operatorbundle_version,
               operatorbundle_path) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((kind, value, name, filled(version), filled(image)))?;
    Ok(())
}

fn insert_apis<'a>(
    connection: &Connection,
    bundle: &Bundle,
    table: &str,
    apis: impl Iterator<Item = &'a ApiKey>,
) -> Result<(), rusqlite::Error> {
    let mut api_row = connection.prepare_cached(
        "INSERT OR IGNORE INTO api(group_name, version, kind, plural) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut use_row = connection.prepare_cached(&format!(
        "INSERT INTO {table}(group_name, version, kind, operatorbundle_name,
           operatorbundle_version, operatorbundle_path) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    ))?;
    for ApiKey {
        group,
        version,
        kind,
        plural,
    } in apis
    {
        api_row.execute((group, version, kind, plural))?;
        use_row.execute((
            group,
            version,
            kind,
            &bundle.name,
            filled(&bundle.version),
            filled(&bundle.image),
        ))?;
    }
    Ok(())
}
