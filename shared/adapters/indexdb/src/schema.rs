//! Schema 13 (spec index-database §2). Column order matters to tools that read `select *`.

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::Fault;

/// The schema that is written.
pub(crate) const VERSION: i64 = 13;

/// Written where the schema's version is: the row would otherwise carry the time of day, and equal
/// inputs give equal files.
pub(crate) const TIMESTAMP: &str = "1970-01-01 00:00:00";

pub(crate) const VERSION_TABLE: &str = "
CREATE TABLE IF NOT EXISTS schema_migrations (
  version bigint NOT NULL,
  timestamp DATETIME DEFAULT CURRENT_TIMESTAMP);";

const TABLES: &str = "
CREATE TABLE operatorbundle (
  name TEXT PRIMARY KEY, csv TEXT, bundle TEXT, bundlepath TEXT,
  skiprange TEXT, version TEXT, replaces TEXT, skips TEXT, substitutesfor TEXT);
CREATE UNIQUE INDEX pk ON operatorbundle(name, version, bundlepath);
CREATE TABLE package (
  name TEXT PRIMARY KEY, default_channel TEXT,
  FOREIGN KEY(name, default_channel) REFERENCES channel(package_name, name) ON DELETE CASCADE);
CREATE TABLE channel (
  name TEXT, package_name TEXT, head_operatorbundle_name TEXT,
  PRIMARY KEY(name, package_name),
  FOREIGN KEY(head_operatorbundle_name) REFERENCES operatorbundle(name) ON DELETE CASCADE);
CREATE TABLE channel_entry (
  entry_id INTEGER PRIMARY KEY, channel_name TEXT, package_name TEXT,
  operatorbundle_name TEXT, replaces INTEGER, depth INTEGER,
  FOREIGN KEY(replaces) REFERENCES channel_entry(entry_id) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY(channel_name, package_name) REFERENCES channel(name, package_name)
    ON DELETE CASCADE);
CREATE TABLE api (
  group_name TEXT, version TEXT, kind TEXT, plural TEXT NOT NULL,
  PRIMARY KEY(group_name, version, kind));
CREATE TABLE related_image (
  image TEXT, operatorbundle_name TEXT,
  FOREIGN KEY(operatorbundle_name) REFERENCES operatorbundle(name) ON DELETE CASCADE);
CREATE TABLE deprecated (operatorbundle_name TEXT PRIMARY KEY);";

/// The table of provided or of required APIs.
pub(crate) fn api_table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (
  group_name TEXT, version TEXT, kind TEXT,
  operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT,
  FOREIGN KEY(operatorbundle_name, operatorbundle_version, operatorbundle_path)
    REFERENCES operatorbundle(name, version, bundlepath)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY(group_name, version, kind) REFERENCES api(group_name, version, kind)
    ON DELETE CASCADE);"
    )
}

/// The table of dependencies or of properties.
pub(crate) fn typed_table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (
  type TEXT, value TEXT,
  operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT,
  FOREIGN KEY(operatorbundle_name, operatorbundle_version, operatorbundle_path)
    REFERENCES operatorbundle(name, version, bundlepath) ON DELETE CASCADE);"
    )
}

/// The trigger that deletes an `api` row with its last provider or requirer. The join has no
/// condition of its own, so it is empty as soon as one of the tables is; golden results contain
/// what follows from that (spec §2), so it stays.
pub(crate) fn cleanup_trigger(table: &str) -> String {
    let same = |side: &str| {
        format!(
            "({side}.group_name=OLD.group_name AND {side}.version=OLD.version \
             AND {side}.kind=OLD.kind)"
        )
    };
    format!(
        "CREATE TRIGGER {table}_cleanup AFTER DELETE ON {table}
WHEN NOT EXISTS (SELECT 1 FROM api_provider JOIN api_requirer WHERE {} OR {})
BEGIN
  DELETE FROM api WHERE group_name=OLD.group_name AND version=OLD.version AND kind=OLD.kind;
END;",
        same("api_provider"),
        same("api_requirer")
    )
}

/// Makes an empty file an empty index.
pub(crate) fn create(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(VERSION_TABLE)?;
    connection.execute_batch(TABLES)?;
    for table in ["api_provider", "api_requirer"] {
        connection.execute_batch(&api_table(table))?;
    }
    for table in ["dependencies", "properties"] {
        connection.execute_batch(&typed_table(table))?;
    }
    for table in ["api_provider", "api_requirer"] {
        connection.execute_batch(&cleanup_trigger(table))?;
    }
    set_version(connection, VERSION)
}

/// Notes the schema's version: one row, made anew.
pub(crate) fn set_version(connection: &Connection, version: i64) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM schema_migrations", [])?;
    connection.execute(
        "INSERT INTO schema_migrations(version, timestamp) VALUES (?1, ?2)",
        (version, TIMESTAMP),
    )?;
    Ok(())
}

/// What a database file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// No tables.
    Nothing,
    /// An index with this schema; -1 for one that has tables but no version, from before
    /// versions were noted.
    Schema(i64),
}

/// Looks at a database.
///
/// # Errors
/// It is a database of something else, or newer.
pub(crate) fn found(connection: &Connection) -> Result<Found, Fault> {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // The reference leaves the version's table alone behind when it ends early.
    if names.is_empty() || names == ["schema_migrations"] {
        return Ok(Found::Nothing);
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    let version = if has("schema_migrations") {
        connection
            .query_row("SELECT version FROM schema_migrations LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?
            .unwrap_or(-1)
    } else {
        -1
    };
    if version > VERSION {
        return Err(Fault::NewerSchema(version));
    }
    let mut wanted = vec![
        "operatorbundle",
        "package",
        "channel",
        "channel_entry",
        "api",
    ];
    if version == VERSION {
        wanted.extend([
            "api_provider",
            "api_requirer",
            "related_image",
            "dependencies",
        ]);
        wanted.extend(["properties", "deprecated"]);
    }
    if !wanted.into_iter().all(has) {
        return Err(Fault::NotAnIndex);
    }
    Ok(Found::Schema(version))
}
