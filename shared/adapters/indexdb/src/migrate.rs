//! From older schemas to the present one.
//!
//! Schemas 0 to 12 differ in tables, columns and keys. Instead of thirteen steps in place, the
//! content is copied into a new database of schema 13, and what an older schema does not have is
//! derived from what it has, as the reference's steps do:
//!
//! | since | new there |
//! |---|---|
//! | 1 | `related_image` (from the CSVs) |
//! | 2 | `operatorbundle.bundlepath` (null) |
//! | 3 | `api_requirer` (from the CSVs) |
//! | 4 | cascades; other keys |
//! | 5 | `version`, `skiprange` (from the CSVs) |
//! | 6 | providers and requirers name bundles, not channel entries |
//! | 7 | `replaces`, `skips` (from the channel entries), triggers |
//! | 8 | `dependencies` (from requirers) |
//! | 9 | `properties` (from providers); dependency values without their type |
//! | 10 | properties carry the bundle's path |
//! | 11 | `substitutesfor` (null) |
//! | 12 | `deprecated` (from properties) |
//! | 13 | no `deprecated` rows without a bundle |
//!
//! Two slips of the reference are not repeated: step 5 writes versions into rows of their own
//! instead of the bundles', and step 9 gives every dependency the value of the first one.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Fault;
use crate::schema;

/// Copies the index in `old`, which has the schema `version`, into the empty database of
/// `connection`.
pub(crate) fn copy(connection: &Connection, old: &Path, version: i64) -> Result<(), Fault> {
    // Keys are checked row by row, but parents are not always copied before their children.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute("ATTACH DATABASE ?1 AS old", [old.to_string_lossy()])?;
    connection.execute_batch("BEGIN")?;
    schema::create(connection)?;
    for statement in statements(version) {
        connection.execute_batch(&statement)?;
    }
    connection.execute_batch("COMMIT; DETACH DATABASE old")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// The tables of an older schema and their columns, as far as they are copied.
pub(crate) fn copied(version: i64) -> Vec<(&'static str, Vec<&'static str>)> {
    const OWNER: [&str; 3] = [
        "operatorbundle_name",
        "operatorbundle_version",
        "operatorbundle_path",
    ];
    let mut bundle = vec!["name", "csv", "bundle"];
    for (since, columns) in [
        (2, &["bundlepath"][..]),
        (5, &["skiprange", "version"]),
        (7, &["replaces", "skips"]),
        (11, &["substitutesfor"]),
    ] {
        if version >= since {
            bundle.extend(columns);
        }
    }
    let mut api = vec!["group_name", "version", "kind"];
    if version >= 6 {
        api.extend(OWNER);
    } else {
        api.push("channel_entry_id");
    }
    let typed = [&["type", "value"][..], &OWNER].concat();
    let entry = [
        "entry_id",
        "channel_name",
        "package_name",
        "operatorbundle_name",
        "replaces",
        "depth",
    ];
    let channel = ["name", "package_name", "head_operatorbundle_name"];
    [
        (i64::MIN, "operatorbundle", bundle),
        (i64::MIN, "package", vec!["name", "default_channel"]),
        (i64::MIN, "channel", channel.to_vec()),
        (i64::MIN, "channel_entry", entry.to_vec()),
        (
            i64::MIN,
            "api",
            vec!["group_name", "version", "kind", "plural"],
        ),
        (i64::MIN, "api_provider", api.clone()),
        (1, "related_image", vec!["image", "operatorbundle_name"]),
        (3, "api_requirer", api),
        (8, "dependencies", typed.clone()),
        (9, "properties", typed),
        (12, "deprecated", vec!["operatorbundle_name"]),
    ]
    .into_iter()
    .filter(|(since, ..)| version >= *since)
    .map(|(_, table, columns)| (table, columns))
    .collect()
}

/// The statements that copy an index of a schema, in order.
fn statements(version: i64) -> Vec<String> {
    let mut statements = vec![
        bundles(version),
        "INSERT INTO package SELECT name, default_channel FROM old.package;
         INSERT INTO channel SELECT name, package_name, head_operatorbundle_name FROM old.channel;
         INSERT INTO channel_entry
           SELECT entry_id, channel_name, package_name, operatorbundle_name, replaces, depth
           FROM old.channel_entry;
         INSERT INTO api SELECT group_name, version, kind, plural FROM old.api;"
            .to_owned(),
    ];
    if version < 7 {
        statements.push(EDGES_FROM_ENTRIES.to_owned());
    }
    statements.push(if version < 1 {
        IMAGES_FROM_CSVS.to_owned()
    } else {
        "INSERT INTO related_image SELECT image, operatorbundle_name FROM old.related_image"
            .to_owned()
    });
    statements.push(apis("api_provider", version));
    statements.push(if version < 3 {
        REQUIRERS_FROM_CSVS.to_owned()
    } else {
        apis("api_requirer", version)
    });
    statements.push(match version {
        ..8 => typed_from_apis("dependencies", "api_requirer", "CAST", "AS BLOB"),
        8 => typed_copy(
            "dependencies",
            "CAST(json_remove(CAST(value AS TEXT), '$.type') AS BLOB)",
        ),
        _ => typed_copy("dependencies", "value"),
    });
    if version < 9 {
        statements.push(PACKAGE_PROPERTIES.to_owned());
        statements.push(typed_from_apis("properties", "api_provider", "", ""));
    } else {
        statements.push(typed_copy("properties", "value"));
    }
    if version == 9 {
        statements.push(PATHS_OF_PROPERTIES.to_owned());
    }
    statements.push(if version < 12 {
        "INSERT OR IGNORE INTO deprecated SELECT operatorbundle_name FROM properties
         WHERE type = 'olm.deprecated'"
            .to_owned()
    } else {
        "INSERT INTO deprecated SELECT operatorbundle_name FROM old.deprecated".to_owned()
    });
    statements.push(
        "DELETE FROM deprecated WHERE operatorbundle_name NOT IN (
           SELECT name FROM operatorbundle WHERE name IS NOT NULL)"
            .to_owned(),
    );
    statements
}

/// The text of a CSV column where it is JSON, else an empty object.
const CSV_JSON: &str =
    "CASE WHEN json_valid(CAST(csv AS TEXT)) THEN CAST(csv AS TEXT) ELSE '{}' END";

fn bundles(version: i64) -> String {
    let path = if version < 2 { "NULL" } else { "bundlepath" };
    let (range, number) = if version < 5 {
        (
            format!(
                "ifnull(json_extract({CSV_JSON}, '$.metadata.annotations.\"olm.skipRange\"'), '')"
            ),
            format!("ifnull(json_extract({CSV_JSON}, '$.spec.version'), '')"),
        )
    } else {
        ("skiprange".to_owned(), "version".to_owned())
    };
    let edges = if version < 7 {
        "'', ''"
    } else {
        "replaces, skips"
    };
    let substitutes = if version < 11 {
        "NULL"
    } else {
        "substitutesfor"
    };
    format!(
        "INSERT INTO operatorbundle(name, csv, bundle, bundlepath, skiprange, version, replaces,
           skips, substitutesfor)
         SELECT name, csv, bundle, {path}, {range}, {number}, {edges}, {substitutes}
         FROM old.operatorbundle ORDER BY rowid"
    )
}

/// The edges of a bundle are its entries' targets, each once, lowest entry first; the first is what
/// it replaces, the others are skips. An entry without a target counts as one, so a bundle whose
/// lowest entry replaces nothing replaces nothing.
const EDGES_FROM_ENTRIES: &str = "
CREATE TEMP TABLE edge AS
  SELECT name, target, row_number() OVER (PARTITION BY name ORDER BY depth, id) AS place
  FROM (SELECT entry.operatorbundle_name AS name, target.operatorbundle_name AS target,
          min(entry.depth) AS depth, min(entry.entry_id) AS id
        FROM old.channel_entry AS entry
          LEFT JOIN old.channel_entry AS target ON entry.replaces = target.entry_id
        GROUP BY 1, 2);
CREATE INDEX temp.edge_name ON edge(name, place);
UPDATE operatorbundle SET
  replaces = ifnull((SELECT target FROM edge
    WHERE edge.name = operatorbundle.name AND place = 1), ''),
  skips = ifnull((SELECT group_concat(target, ',') FROM (SELECT target FROM edge
    WHERE edge.name = operatorbundle.name AND place > 1 AND target IS NOT NULL
    ORDER BY place)), '')
WHERE name IN (SELECT name FROM edge);
DROP TABLE edge;";

const IMAGES_FROM_CSVS: &str = "
INSERT INTO related_image(image, operatorbundle_name)
WITH source(name, csv) AS (
  SELECT name, CASE WHEN json_valid(CAST(csv AS TEXT)) THEN CAST(csv AS TEXT) ELSE '{}' END
  FROM operatorbundle),
pod(name, spec) AS (
  SELECT name, json_extract(deployment.value, '$.spec.template.spec')
  FROM source, json_each(csv, '$.spec.install.spec.deployments') AS deployment
  WHERE json_extract(csv, '$.spec.install.strategy') = 'deployment')
SELECT DISTINCT image, name FROM (
  SELECT json_extract(entry.value, '$.image') AS image, name
    FROM source, json_each(csv, '$.spec.relatedImages') AS entry
  UNION ALL
  SELECT json_extract(container.value, '$.image'), name
    FROM pod, json_each(spec, '$.containers') AS container
  UNION ALL
  SELECT json_extract(container.value, '$.image'), name
    FROM pod, json_each(spec, '$.initContainers') AS container)
WHERE image IS NOT NULL ORDER BY name, image;";

/// Providers or requirers: taken over, or found by way of the channel entries.
fn apis(table: &str, version: i64) -> String {
    if version >= 6 {
        return format!(
            "INSERT INTO {table} SELECT group_name, version, kind, operatorbundle_name,
               operatorbundle_version, operatorbundle_path FROM old.{table} ORDER BY rowid"
        );
    }
    format!(
        "INSERT INTO {table}
         SELECT DISTINCT used.group_name, used.version, used.kind, bundle.name,
           nullif(bundle.version, ''), bundle.bundlepath
         FROM old.{table} AS used
           JOIN old.channel_entry AS entry ON entry.entry_id = used.channel_entry_id
           JOIN operatorbundle AS bundle ON bundle.name = entry.operatorbundle_name
         ORDER BY bundle.name, used.group_name, used.version, used.kind"
    )
}

const REQUIRERS_FROM_CSVS: &str = "
CREATE TEMP TABLE required AS
WITH source(name, bundle_version, bundle_path, csv) AS (
  SELECT name, nullif(version, ''), bundlepath,
    CASE WHEN json_valid(CAST(csv AS TEXT)) THEN CAST(csv AS TEXT) ELSE '{}' END
  FROM operatorbundle WHERE name IN (SELECT operatorbundle_name FROM channel_entry))
SELECT name, bundle_version, bundle_path,
    substr(json_extract(entry.value, '$.name'),
      instr(json_extract(entry.value, '$.name'), '.') + 1) AS group_name,
    json_extract(entry.value, '$.version') AS version,
    json_extract(entry.value, '$.kind') AS kind,
    substr(json_extract(entry.value, '$.name'), 1,
      instr(json_extract(entry.value, '$.name'), '.') - 1) AS plural
  FROM source, json_each(csv, '$.spec.customresourcedefinitions.required') AS entry
  WHERE instr(json_extract(entry.value, '$.name'), '.') > 0
UNION
SELECT name, bundle_version, bundle_path, json_extract(entry.value, '$.group'),
    json_extract(entry.value, '$.version'), json_extract(entry.value, '$.kind'),
    ifnull(json_extract(entry.value, '$.name'), '')
  FROM source, json_each(csv, '$.spec.apiservicedefinitions.required') AS entry;
INSERT OR IGNORE INTO api SELECT group_name, version, kind, plural FROM required
  ORDER BY group_name, version, kind, plural;
INSERT INTO api_requirer SELECT DISTINCT group_name, version, kind, name, bundle_version, bundle_path
  FROM required ORDER BY name, group_name, version, kind;
DROP TABLE required;";

/// `olm.gvk` rows made from providers or requirers, which are copied by then.
fn typed_from_apis(table: &str, source: &str, open: &str, close: &str) -> String {
    format!(
        "INSERT INTO {table}
         SELECT DISTINCT 'olm.gvk',
           {open}(json_object('group', group_name, 'kind', kind, 'version', version) {close}),
           operatorbundle_name, operatorbundle_version, operatorbundle_path
         FROM {source} ORDER BY operatorbundle_name, group_name, version, kind"
    )
}

fn typed_copy(table: &str, value: &str) -> String {
    format!(
        "INSERT INTO {table} SELECT type, {value}, operatorbundle_name, operatorbundle_version,
           operatorbundle_path FROM old.{table} ORDER BY rowid"
    )
}

/// Bundles that provide an API get the property that names their package.
const PACKAGE_PROPERTIES: &str = "
INSERT INTO properties
SELECT DISTINCT 'olm.package',
  json_object('packageName', ifnull((SELECT package_name FROM channel_entry
      WHERE channel_entry.operatorbundle_name = api_provider.operatorbundle_name
      ORDER BY entry_id LIMIT 1), ''),
    'version', ifnull(operatorbundle_version, '')),
  operatorbundle_name, operatorbundle_version, operatorbundle_path
FROM api_provider ORDER BY operatorbundle_name;";

const PATHS_OF_PROPERTIES: &str = "
UPDATE properties SET operatorbundle_path = (SELECT bundlepath FROM operatorbundle
  WHERE operatorbundle.name = operatorbundle_name
    AND operatorbundle.version = operatorbundle_version);";
