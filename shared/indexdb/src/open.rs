//! Which files are index databases, and how they are opened.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use iib_ports::IndexDbError;
use rusqlite::{Connection, OpenFlags, Transaction};

use crate::error::Fault;
use crate::migrate;
use crate::schema::{self, Found};

/// Page cache of a connection in KiB. Rows other than contents of bundles fit in it for the
/// largest indexes known; the contents are written past it.
const CACHE_KIB: i64 = 16 * 1024;

/// How a connection is used.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

/// Reads an index. Files with an older schema are brought up to date in a copy.
pub(crate) fn read<T>(
    db: &Path,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, IndexDbError> {
    match look(db)? {
        // An empty index is read like any other.
        None => {
            let connection = Connection::open_in_memory();
            let connection = connection.map_err(|error| Fault::from(error).on(db))?;
            schema::create(&connection).map_err(|error| Fault::from(error).on(db))?;
            work(&connection).map_err(|fault| fault.on(db))
        }
        Some(schema::VERSION) => open(db, Access::Read)
            .and_then(|connection| work(&connection))
            .map_err(|fault| fault.on(db)),
        Some(older) => {
            let scratch = Scratch::beside(db)?;
            open(&scratch.path, Access::Write)
                .and_then(|connection| {
                    migrate::copy(&connection, db, older)?;
                    work(&connection)
                })
                .map_err(|fault| fault.on(db))
        }
    }
}

/// Changes an index in one transaction. After a failure the file's content is what it was: the
/// transaction is rolled back, and files that are absent, empty or of an older schema are left alone
/// until a new file takes their place at the end.
pub(crate) fn change<T>(
    db: &Path,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, IndexDbError> {
    let found = look(db)?;
    if found == Some(schema::VERSION) {
        return open(db, Access::Write)
            .and_then(|mut connection| in_transaction(&mut connection, work))
            .map_err(|fault| fault.on(db));
    }
    let scratch = Scratch::beside(db)?;
    let done = open(&scratch.path, Access::Write)
        .and_then(|mut connection| {
            match found {
                None => schema::create(&connection)?,
                Some(older) => migrate::copy(&connection, db, older)?,
            }
            in_transaction(&mut connection, work)
        })
        .map_err(|fault| fault.on(db))?;
    fs::rename(&scratch.path, db).map_err(|source| io_error(db, "replace", source))?;
    Ok(done)
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

/// The schema of a file; `None` when it is absent or holds nothing.
fn look(db: &Path) -> Result<Option<i64>, IndexDbError> {
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
    let found = open(db, Access::Read).and_then(|connection| schema::found(&connection));
    match found.map_err(|fault| fault.on(db))? {
        Found::Nothing => Ok(None),
        Found::Schema(version) => Ok(Some(version)),
    }
}

fn open(path: &Path, access: Access) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // Much of what the tables do on deletion is foreign-key cascade (spec §2).
    connection.pragma_update(None, "foreign_keys", true)?;
    if access == Access::Write {
        // The file is a private copy of the caller: it need not survive a crash of this process,
        // only a rollback.
        connection.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", false)?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    }
    Ok(connection)
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
