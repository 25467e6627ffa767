//! Removing a bundle that is overwritten (spec index-database §7).

use iib_catalog::Refusal;
use rusqlite::Connection;

use crate::error::Fault;
use crate::{removal, rows};

/// Takes the head `name` out of a package; the bundle below it becomes the head for the time being.
///
/// # Errors
/// Something replaces the bundle.
pub(crate) fn remove_head(connection: &Connection, package: &str, name: &str) -> Result<(), Fault> {
    let before = rows::package(connection, package)?;
    let channels = before.channels_of(name);
    for channel in &channels {
        if let Some(by) = before.replacer_of(name, channel) {
            return Err(Refusal::OverwriteReplaced {
                name: name.to_owned(),
                package: package.to_owned(),
                by: by.to_owned(),
                channel: (*channel).to_owned(),
            }
            .into());
        }
    }
    for channel in channels {
        let mut entries = before
            .entries
            .iter()
            .filter(|entry| entry.channel == *channel);
        let lowest = entries
            .clone()
            .filter(|entry| entry.bundle == name)
            .min_by_key(|entry| (entry.depth, entry.id));
        let below = lowest
            .and_then(|entry| entry.replaces)
            .and_then(|target| entries.find(|entry| entry.id == target))
            .filter(|entry| before.present.contains_key(&entry.bundle));
        match below {
            Some(below) => connection.execute(
                "UPDATE channel SET head_operatorbundle_name = ?1
                 WHERE package_name = ?2 AND name = ?3 AND head_operatorbundle_name = ?4",
                (&below.bundle, package, channel, name),
            )?,
            // Without a head the channel outlives the bundle, and with it the package row that
            // names it as default.
            None if before.default_channel.as_deref() == Some(channel) => connection.execute(
                "UPDATE channel SET head_operatorbundle_name = NULL
                 WHERE package_name = ?1 AND name = ?2",
                (package, channel),
            )?,
            None => 0,
        };
    }
    removal::bundle(connection, name)?;
    connection.execute(
        "DELETE FROM deprecated WHERE operatorbundle_name = ?1",
        [name],
    )?;
    Ok(())
}
