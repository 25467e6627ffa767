//! Work that touches many rows at once.
//!
//! The tables have no index by package, bundle or API. So every entry of a graph that is written anew
//! costs a scan of all entries, because another one might replace it; the cascades of every single
//! bundle scan most of the database, and the triggers on APIs join two tables for every row. For the
//! length of a bulk there are indexes, and triggers that decide the same with them. Afterwards the
//! schema is, word for word, what it was.

use rusqlite::Connection;

use crate::error::Fault;

/// From how many bundles on the indexes cost less than the scans.
const MANY: usize = 5;

/// When more than one bundle of so many goes, the pages they had are not zeroed: otherwise all of
/// them would be in memory until the end, for a rollback.
const LARGE_PART: i64 = 4;

/// From how many entries on.
const MANY_ENTRIES: i64 = 500;

/// Table and columns of each index for graphs.
const OF_GRAPHS: [(&str, &str); 2] = [
    ("channel_entry", "package_name, channel_name"),
    ("channel_entry", "replaces"),
];

/// The same for removals.
const OF_REMOVALS: [(&str, &str); 12] = [
    ("api_provider", "group_name, version, kind"),
    ("api_requirer", "group_name, version, kind"),
    ("channel", "head_operatorbundle_name"),
    ("channel_entry", "operatorbundle_name"),
    ("channel_entry", "package_name, channel_name"),
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

/// Does work that writes graphs anew, inside a transaction, as [`removing`] does.
pub(crate) fn placing<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let entries = connection.query_row("SELECT count(*) FROM channel_entry", [], |row| {
        row.get::<_, i64>(0)
    })?;
    match entries < MANY_ENTRIES {
        true => work(),
        false => with_indexes(connection, &OF_GRAPHS, work),
    }
}

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
    let all = connection.query_row("SELECT count(*) FROM operatorbundle", [], |row| {
        row.get::<_, i64>(0)
    })?;
    if i64::try_from(bundles).is_ok_and(|bundles| bundles > all / LARGE_PART) {
        // Nobody reads the pages that become free: the file is written anew without them.
        connection.query_row("PRAGMA secure_delete = OFF", [], |_| Ok(()))?;
    }
    let triggers = triggers(connection)?;
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    if !triggers.is_empty() {
        for table in API_TABLES {
            connection.execute_batch(&fast_trigger(table))?;
        }
    }
    let done = with_indexes(connection, &OF_REMOVALS, work)?;
    for table in API_TABLES {
        connection.execute_batch(&format!("DROP TRIGGER IF EXISTS iib_bulk_{table}_cleanup"))?;
    }
    for (_, sql) in &triggers {
        connection.execute_batch(sql)?;
    }
    Ok(done)
}

fn with_indexes<T>(
    connection: &Connection,
    indexes: &[(&str, &str)],
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    for (at, (table, columns)) in indexes.iter().enumerate() {
        connection.execute_batch(&format!("CREATE INDEX iib_bulk_{at} ON {table}({columns})"))?;
    }
    let done = work()?;
    for at in 0..indexes.len() {
        connection.execute_batch(&format!("DROP INDEX iib_bulk_{at}"))?;
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
