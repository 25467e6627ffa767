//! Removing a bundle that is overwritten (spec index-database §7).

use iib_catalog::make_room;
use rusqlite::Connection;

use crate::error::Fault;
use crate::{removal, rows};

/// Takes the head `name` out of a package; the bundle below it becomes the head for the time being.
///
/// # Errors
/// Something replaces the bundle.
pub(crate) fn remove_head(connection: &Connection, package: &str, name: &str) -> Result<(), Fault> {
    let before = rows::package(connection, package)?;
    for interim in make_room(&before, name)? {
        connection.execute(
            "UPDATE channel SET head_operatorbundle_name = ?1 WHERE package_name = ?2 AND name = ?3",
            (&interim.head, package, &interim.channel),
        )?;
    }
    removal::bundle(connection, name)?;
    connection.execute(
        "DELETE FROM deprecated WHERE operatorbundle_name = ?1",
        [name],
    )?;
    Ok(())
}
