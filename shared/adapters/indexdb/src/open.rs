//! Which files are index databases, and how they are opened.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iib_ports::IndexDbError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};

use crate::damage::Damage;
use crate::error::Fault;
use crate::schema::{self, Found};
use crate::{migrate, objects};

#[cfg(test)]
mod tests;

/// Page cache of a connection in KiB. Rows other than contents of bundles fit in it for the
/// largest indexes known; the contents are written past it.
const CACHE_KIB: i64 = 16 * 1024;

/// Time for one call. The largest indexes known take seconds; a file that takes this long was made
/// to, or is damaged in a way that sends the engine in circles. Less than the 5 min a stage has, so
/// that the request fails with a reason.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Instructions of the engine between two looks at the clock: well below a millisecond.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// The file is written anew when more than one page of so many is free.
const VACUUM_PART: i64 = 4;

/// How a connection is used.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

/// Reads an index. Files with an older schema are brought up to date in a copy.
///
/// # Errors
/// Besides what the work meets: the file is no index database, holds what none does, or `limit` is
/// over.
pub(crate) fn read<T>(
    db: &Path,
    limit: Duration,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, IndexDbError> {
    let call = Call::start(db, limit);
    match call.look()? {
        // An empty index is read like any other.
        None => {
            let connection = Connection::open_in_memory();
            let connection = connection.map_err(|error| call.failed(error.into()))?;
            schema::create(&connection).map_err(|error| call.failed(error.into()))?;
            work(&connection)
        }
        Some(schema::VERSION) => call
            .open(db, Access::Read)
            .and_then(|connection| work(&connection)),
        Some(older) => {
            let scratch = Scratch::beside(db)?;
            call.open(&scratch.path, Access::Write)
                .and_then(|connection| {
                    migrate::copy(&connection, db, older)?;
                    work(&connection)
                })
        }
    }
    .map_err(|fault| call.failed(fault))
}

/// Changes an index in one transaction. After a failure the file's content is what it was: the
/// transaction is rolled back, and files that are absent, empty or of an older schema are left alone
/// until a new file takes their place at the end.
///
/// # Errors
/// As of [`read`].
pub(crate) fn change<T>(
    db: &Path,
    limit: Duration,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, IndexDbError> {
    let call = Call::start(db, limit);
    let found = call.look()?;
    if found == Some(schema::VERSION) {
        let smaller = Scratch::beside(db)?;
        let (done, shrunk) = call
            .open(db, Access::Write)
            .and_then(|mut connection| {
                let done = in_transaction(&mut connection, work)?;
                Ok((done, shrunk_into(&connection, &smaller.path)))
            })
            .map_err(|fault| call.failed(fault))?;
        if shrunk {
            fs::rename(&smaller.path, db).map_err(|source| io_error(db, "replace", source))?;
        }
        return Ok(done);
    }
    let scratch = Scratch::beside(db)?;
    let done = call
        .open(&scratch.path, Access::Write)
        .and_then(|mut connection| {
            match found {
                None => schema::create(&connection)?,
                Some(older) => migrate::copy(&connection, db, older)?,
            }
            in_transaction(&mut connection, work)
        })
        .map_err(|fault| call.failed(fault))?;
    fs::rename(&scratch.path, db).map_err(|source| io_error(db, "replace", source))?;
    Ok(done)
}

/// Puts an index without anything in the place of what is there.
///
/// # Errors
/// As of [`read`].
pub(crate) fn replace_with_empty(db: &Path, limit: Duration) -> Result<(), IndexDbError> {
    let call = Call::start(db, limit);
    let scratch = Scratch::beside(db)?;
    call.open(&scratch.path, Access::Write)
        .and_then(|connection| Ok(schema::create(&connection)?))
        .map_err(|fault| call.failed(fault))?;
    fs::rename(&scratch.path, db).map_err(|source| io_error(db, "replace", source))
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction()?;
    // Dropped without a commit, a transaction is rolled back.
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Writes the index anew, without its free pages, when they are a large part of the file or were not
/// zeroed; tells whether it did. Fewer of them stay, and are zero, so that the layer hardly grows by them; the
/// whole file is not written anew for a small change.
fn shrunk_into(connection: &Connection, path: &Path) -> bool {
    let count = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (Ok(free), Ok(pages)) = (count("freelist_count"), count("page_count")) else {
        return false;
    };
    let is_zeroed = count("secure_delete").is_ok_and(|secure| secure == 1);
    if free == 0 || (is_zeroed && free <= pages / VACUUM_PART) {
        return false;
    }
    let Some(path) = path.to_str() else {
        return false;
    };
    // It only saves room, and without enough of it for a second file it fails: what was changed is
    // in the file. The new file is attached while it is written.
    let attach = [
        DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE,
        DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE,
    ];
    let allowed = attach.map(|setting| connection.set_db_config(setting, true).is_ok());
    allowed == [true; 2] && connection.execute("VACUUM INTO ?1", [path]).is_ok()
}

/// One call on an index.
#[derive(Clone, Copy)]
struct Call<'a> {
    db: &'a Path,
    begun: Instant,
    limit: Duration,
}

impl<'a> Call<'a> {
    fn start(db: &'a Path, limit: Duration) -> Self {
        Self {
            db,
            begun: Instant::now(),
            limit,
        }
    }

    /// The schema of the file; `None` when it is absent or holds nothing. What the file holds is
    /// looked at here, before any other statement meets it: nobody else changes it meanwhile.
    fn look(&self) -> Result<Option<i64>, IndexDbError> {
        let db = self.db;
        let mut file = match File::open(db) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(db, "open", error)),
        };
        let mut head = Vec::new();
        file.by_ref()
            .take(16)
            .read_to_end(&mut head)
            .map_err(|error| io_error(db, "read", error))?;
        if head.is_empty() {
            return Ok(None);
        }
        if head != b"SQLite format 3\0" {
            return Err(IndexDbError::NotAnIndex {
                path: db.to_owned(),
            });
        }
        let found = self
            .open(db, Access::Read)
            .and_then(|connection| objects::inspect(&connection));
        match found.map_err(|fault| self.failed(fault))? {
            Found::Nothing => Ok(None),
            Found::Schema(version) => Ok(Some(version)),
        }
    }

    fn open(&self, path: &Path, access: Access) -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
            | match access {
                Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
                Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            };
        let mut connection = Connection::open_with_flags(path, flags)?;
        let Self { begun, limit, .. } = *self;
        connection.progress_handler(
            INSTRUCTIONS_PER_LOOK,
            Some(move || begun.elapsed() >= limit),
        )?;
        distrust(&connection, access)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // Much of what the tables do on deletion is foreign-key cascade (spec §2).
        connection.pragma_update(None, "foreign_keys", true)?;
        if access == Access::Write {
            // The file is a private copy of the caller: it need not survive a crash of this
            // process, only a rollback.
            connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", false)?;
            connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
            connection.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
        }
        Ok(connection)
    }

    /// The failure of the call; only its time limit interrupts the engine.
    fn failed(&self, fault: Fault) -> IndexDbError {
        let fault = match fault {
            Fault::Sql(error)
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
            {
                Damage::Endless { limit: self.limit }.into()
            }
            fault => fault,
        };
        fault.on(self.db)
    }
}

/// Settings for files of strangers, as SQLite's own advice on them has it. Objects are looked at as
/// well ([`objects::inspect`]); these hold should one be overlooked.
fn distrust(connection: &Connection, access: Access) -> Result<(), Fault> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (
            DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
            access == Access::Write,
        ),
        // Files of older schemas are attached, and only read.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> IndexDbError {
    IndexDbError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

/// A file beside another one, removed in the end unless it took that one's place.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn beside(db: &Path) -> Result<Self, IndexDbError> {
        let mut name = OsString::from(db);
        name.push(".scratch");
        let path = PathBuf::from(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(&path, "remove", error)),
        }
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Renamed away or never made: nothing to remove then.
        let _ = fs::remove_file(&self.path);
    }
}
