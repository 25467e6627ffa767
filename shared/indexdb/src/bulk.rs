//! Removing many bundles at once.
//!
//! The tables have no index by bundle or by API, so the cascades of every single bundle scan most of
//! the database, and the triggers on APIs join two tables for every row. For the length of a bulk
//! there are indexes, and triggers that decide the same with them. Afterwards the schema is, word
//! for word, what it was.

use rusqlite::Connection;

use crate::error::Fault;

/// From how many bundles on the indexes cost less than the scans.
const MANY: usize = 20;

/// Table and columns of each index.
const INDEXES: [(&str, &str); 10] = [
    ("channel", "head_operatorbundle_name"),
    ("channel_entry", "operatorbundle_name"),
    ("channel_entry", "channel_name, package_name"),
    ("channel_entry", "replaces"),
    ("related_image", "operatorbundle_name"),
    ("dependencies", "operatorbundle_name"),
    ("properties", "operatorbundle_name"),
    ("api_provider", "operatorbundle_name"),
    ("api_requirer", "operatorbundle_name"),
    ("package", "name, default_channel"),
];

/// The tables with triggers on APIs.
const API_TABLES: [&str; 2] = ["api_provider", "api_requirer"];

/// Does work that removes about so many bundles, inside a transaction: when it fails, the caller's
/// rollback takes the indexes and triggers away, too.
pub(crate) fn removing<T>(
    connection: &Connection,
    bundles: usize,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    if bundles < MANY {
        return work();
    }
    let triggers = triggers(connection)?;
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    for table in API_TABLES {
        connection.execute_batch(&format!(
            "CREATE INDEX iib_bulk_{table} ON {table}(group_name, version, kind)"
        ))?;
    }
    if !triggers.is_empty() {
        for table in API_TABLES {
            connection.execute_batch(&fast_trigger(table))?;
        }
    }
    for (at, (table, columns)) in INDEXES.iter().enumerate() {
        connection.execute_batch(&format!("CREATE INDEX iib_bulk_{at} ON {table}({columns})"))?;
    }
    let done = work()?;
    for at in 0..INDEXES.len() {
        connection.execute_batch(&format!("DROP INDEX iib_bulk_{at}"))?;
    }
    for table in API_TABLES {
        connection.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS iib_bulk_{table}_cleanup; DROP INDEX iib_bulk_{table}"
        ))?;
    }
    for (_, sql) in &triggers {
        connection.execute_batch(sql)?;
    }
    Ok(done)
}

/// Names and definitions of the triggers; only those of the schema are in a file.
fn triggers(connection: &Connection) -> Result<Vec<(String, String)>, Fault> {
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes an API under the condition of the schema's trigger (spec index-database §2): its join
/// without restriction finds a row when one of the tables has the API and the other has any row.
fn fast_trigger(table: &str) -> String {
    let has = |table: &str| {
        format!(
            "EXISTS (SELECT 1 FROM {table} WHERE group_name = OLD.group_name
               AND version = OLD.version AND kind = OLD.kind)"
        )
    };
    let (provided, required) = (has("api_provider"), has("api_requirer"));
    format!(
        "CREATE TRIGGER iib_bulk_{table}_cleanup AFTER DELETE ON {table}
         WHEN NOT (({provided} AND EXISTS (SELECT 1 FROM api_requirer))
                OR ({required} AND EXISTS (SELECT 1 FROM api_provider)))
         BEGIN
           DELETE FROM api WHERE group_name = OLD.group_name AND version = OLD.version
             AND kind = OLD.kind;
         END"
    )
}
