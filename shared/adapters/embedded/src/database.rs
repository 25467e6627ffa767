//! One SQLite file, used off the async threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iib_ports::{Class, Classify};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::EmbeddedError;

/// Only this process writes, so the file is locked by others for as long as somebody looks into
/// it with the `sqlite3` command; a longer wait would only hide a forgotten transaction there.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read gives way.
const GIVE_WAY: Duration = Duration::from_millis(1);

/// Statements kept prepared; more than there are different ones in a store.
const STATEMENTS: usize = 64;

/// A call to the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// SQLite refused or failed.
    #[error("the database refused the call")]
    Sqlite(#[from] rusqlite::Error),
    /// The thread the call ran on ended before the call did.
    #[error("the call to the database did not end")]
    Unfinished(#[from] tokio::task::JoinError),
}

impl Classify for DatabaseError {
    fn class(&self) -> Class {
        match self {
            Self::Sqlite(_) => Class::Retry,
            Self::Unfinished(_) => Class::Bug,
        }
    }
}

/// A database file. One connection writes, so no call ever meets a locked database; others read
/// beside it, each for one call at a time, so that whoever reads much holds up nobody who writes.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
    readers: Arc<Readers>,
    /// Calls that write, or wait to.
    writers: Arc<AtomicUsize>,
}

/// Connections that only read and that nobody uses at the moment.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Counts as one who writes until it is dropped, also by a panic.
struct Writing(Arc<AtomicUsize>);

impl Writing {
    fn begin(writers: &Arc<AtomicUsize>) -> Self {
        writers.fetch_add(1, Ordering::Relaxed);
        Self(writers.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reading connections that are kept for later calls. More calls at once than that open their own.
const KEPT_READERS: usize = 8;

impl Database {
    /// Opens or creates the file. `layout` are the steps that led to the present layout, each a
    /// script; the file's `user_version` counts those it has behind it.
    pub(crate) fn open(path: &Path, layout: &[&str]) -> Result<Self, EmbeddedError> {
        let failed = |action| {
            move |source: rusqlite::Error| EmbeddedError::Database {
                path: path.to_owned(),
                action,
                source: source.into(),
            }
        };
        let mut connection = Connection::open(path).map_err(failed("opened"))?;
        prepare(&connection).map_err(failed("opened"))?;
        let known = u32::try_from(layout.len()).unwrap_or(u32::MAX);
        let found: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(failed("opened"))?;
        if found > known {
            return Err(EmbeddedError::Newer {
                path: path.to_owned(),
                found,
                known,
            });
        }
        for (step, script) in (1u32..).zip(layout).skip(found as usize) {
            take_step(&mut connection, step, script).map_err(failed("brought up to date"))?;
        }
        // A process that was killed may have left secrets there that it had forgotten.
        write_back(&connection).map_err(failed("opened"))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            writers: Arc::default(),
            readers: Arc::new(Readers {
                path: path.to_owned(),
                idle: Mutex::new(Vec::new()),
            }),
        })
    }

    /// Runs `work`, which only reads, on a thread made for blocking, beside whoever writes. It sees
    /// everything that was written before it began.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let readers = self.readers.clone();
        tokio::task::spawn_blocking(move || readers.run(work)).await?
    }

    /// Runs `work` with the connection on a thread made for blocking. It runs to its end even
    /// if the caller goes away.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let database = self.clone();
        let writing = Writing::begin(&self.writers);
        let run = move || {
            let _writing = writing;
            database.run_here(work)
        };
        tokio::task::spawn_blocking(run).await?
    }

    /// Lets those go first who write, if there are any: for reads that are much work and come again at once, such as
    /// pages. On few cores they would take the processor from those who wait for an answer once.
    pub(crate) async fn give_way(&self) {
        if self.writers.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(GIVE_WAY).await;
        }
    }

    /// Runs `work` on this thread, for use before there are async threads.
    pub(crate) fn run_here<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        // A panic in `work` rolled its transaction back, so the connection is still good.
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut connection)?)
    }
}

impl Readers {
    fn run<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let done = work(&mut connection)?;
        let mut idle = idle();
        if idle.len() < KEPT_READERS {
            idle.push(connection);
        }
        Ok(done)
    }
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Empties the write-ahead log, so that what was removed is not in it either. Where somebody reads at this moment, a part of
/// it may stay until the next time.
pub(crate) fn write_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Settings of the connection that writes.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // With a write-ahead log, NORMAL leaves a confirmed transaction in the system's page cache,
    // which outlives the process: `kill -9` loses nothing. Only a power cut may take the latest
    // ones, and it leaves the file whole. FULL would cost a disk flush for each call.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A secret that was forgotten is to be gone from the file, too.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

fn take_step(connection: &mut Connection, step: u32, script: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(script)?;
    transaction.pragma_update(None, "user_version", step)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER) STRICT;";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER;";

    #[test]
    fn an_older_file_takes_the_missing_steps_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(Database::open(&path, &[FIRST]).unwrap());
        let both = Database::open(&path, &[FIRST, SECOND]).unwrap();
        both.run_here(|db| db.execute("INSERT INTO a (x, y) VALUES (1, 2)", []))
            .unwrap();
        drop(both);
        let error = Database::open(&path, &[FIRST]).unwrap_err();
        assert!(
            matches!(
                error,
                EmbeddedError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        std::fs::write(&path, "not a database, but longer than a header").unwrap();
        let error = Database::open(&path, &[FIRST]).unwrap_err();
        assert!(error.to_string().contains("x.db"), "{error}");
    }

    #[tokio::test]
    async fn a_panic_in_a_call_is_an_error_and_leaves_the_database_usable() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[FIRST]).unwrap();
        let failed = database
            .run(|db| -> rusqlite::Result<()> {
                let transaction = db.transaction()?;
                transaction.execute("INSERT INTO a (x) VALUES (1)", [])?;
                panic!("on purpose");
            })
            .await;
        assert!(matches!(failed, Err(DatabaseError::Unfinished(_))));
        let rows: i64 = database
            .run(|db| db.query_row("SELECT count(*) FROM a", [], |row| row.get(0)))
            .await
            .unwrap();
        assert_eq!(rows, 0);
        assert_eq!(database.writers.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn reads_that_give_way_wait_only_while_somebody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[FIRST]).unwrap();
        assert!(database.give_way().now_or_never().is_some());
        let (goes_on, waits) = std::sync::mpsc::channel();
        let mut writing = std::pin::pin!(database.run(move |_| Ok(waits.recv().is_ok())));
        assert!((&mut writing).now_or_never().is_none());
        assert!(database.give_way().now_or_never().is_none());
        goes_on.send(()).unwrap();
        assert!(writing.await.unwrap());
        assert!(database.give_way().now_or_never().is_some());
    }
}
