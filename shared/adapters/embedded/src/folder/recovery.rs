//! What a killed process had begun becomes free.

use std::path::Path;

use iib_request::Record;
use rusqlite::params;

use crate::EmbeddedError;
use crate::database::Database;
use crate::requests::stored_text;

/// What the opening of a folder freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Requests whose lease was given back.
    pub leases: usize,
    /// Messages that somebody was working on.
    pub messages: usize,
    /// Live requests whose records cannot be read by this version, and are left as they are.
    pub unreadable: usize,
}

/// Frees leases and messages of the former owner, who is gone for good: this process has the
/// lock. Neither counts as an attempt, because a stop is not the request's fault.
pub(super) fn free_former_work(database: &Database, file: &Path) -> Result<Freed, EmbeddedError> {
    let failed = |source| EmbeddedError::Database {
        path: file.to_owned(),
        action: "cleared of the former owner's work",
        source,
    };
    let live = database.run_here(live_records).map_err(failed)?;
    let (mut released, mut unreadable) = (Vec::new(), 0);
    for (id, text) in live {
        // One that cannot be read is left alone, by everybody; it must not keep the others waiting.
        let Ok(mut record) = Record::from_stored(&text) else {
            unreadable += 1;
            continue;
        };
        if record.work.lease.is_some() {
            record.release();
            record.version += 1;
            if let Ok(text) = record.to_stored() {
                released.push((id, record.version, text));
            }
        }
    }
    let messages = database
        .run_here(|db| {
            let transaction = db.transaction()?;
            for (id, version, text) in &released {
                transaction.execute(
                    "UPDATE requests SET version = ?2, record = ?3 WHERE id = ?1",
                    params![id, version, text],
                )?;
            }
            // The beginning of time is before every clock's now.
            let messages = transaction.execute(
                "UPDATE messages
                 SET visible_at = 0, receive_count = max(receive_count - 1, 0), receipt = NULL
                 WHERE receipt IS NOT NULL",
                [],
            )?;
            transaction.commit()?;
            Ok(messages)
        })
        .map_err(failed)?;
    Ok(Freed {
        leases: released.len(),
        messages,
        unreadable,
    })
}

fn live_records(db: &mut rusqlite::Connection) -> rusqlite::Result<Vec<(u64, String)>> {
    db.prepare("SELECT id, record FROM requests WHERE done = 0 ORDER BY id")?
        .query_map([], |row| {
            Ok((row.get(0)?, stored_text(row.get_ref(1)?).to_owned()))
        })?
        .collect()
}
