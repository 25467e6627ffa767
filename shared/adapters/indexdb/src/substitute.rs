//! Rows of substitutions (spec index-database §6).

use iib_catalog::{SubstitutionEdit, Substitutions};
use rusqlite::Connection;

use crate::rows::split_skips;

/// All bundles of the index that substitute for another, in row order.
///
/// For a row whose `substitutesfor` is empty or null the engine answers from the row's header,
/// without reading past the contents before it.
pub(crate) fn load(connection: &Connection) -> Result<Substitutions, rusqlite::Error> {
    let mut known = Substitutions::default();
    let mut statement = connection.prepare(
        "SELECT name, substitutesfor, ifnull(version, ''), ifnull(skips, '')
         FROM operatorbundle WHERE substitutesfor <> '' ORDER BY rowid",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let skips: String = row.get(3)?;
        known.insert(row.get(0)?, row.get(1)?, row.get(2)?, split_skips(&skips));
    }
    Ok(known)
}

pub(crate) fn write(
    connection: &Connection,
    edits: &[SubstitutionEdit],
) -> Result<(), rusqlite::Error> {
    for edit in edits {
        match edit {
            SubstitutionEdit::RedirectReplaces { from, to } => connection.execute(
                "UPDATE operatorbundle SET replaces = ?1 WHERE replaces = ?2",
                (to, from),
            )?,
            SubstitutionEdit::SetSubstitutesFor {
                name,
                substitutes_for,
            } => connection.execute(
                "UPDATE operatorbundle SET substitutesfor = ?1 WHERE name = ?2",
                (substitutes_for, name),
            )?,
            SubstitutionEdit::SetSkips { name, skips } => connection.execute(
                "UPDATE operatorbundle SET skips = ?1 WHERE name = ?2",
                (skips.join(","), name),
            )?,
            SubstitutionEdit::SetEdges {
                name,
                replaces,
                skips,
            } => connection.execute(
                "UPDATE operatorbundle SET replaces = ?1, skips = ?2 WHERE name = ?3",
                (replaces, skips.join(","), name),
            )?,
        };
    }
    Ok(())
}
