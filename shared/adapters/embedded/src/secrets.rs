//! Secrets of requests in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use iib_ports::{Clock, SECRET_LIMIT, Secret, SecretError, Secrets};
use iib_request::SecretRef;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::database::{Database, DatabaseError, write_back};
use crate::folder::FolderLock;

/// Secrets in a table of the data folder, in clear: whoever can read the folder can also read the
/// auth files of its owner.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct SqliteSecrets {
    database: Database,
    clock: Arc<dyn Clock>,
    /// Whoever can write must own the folder.
    _lock: Arc<FolderLock>,
}

impl SqliteSecrets {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, lock: Arc<FolderLock>) -> Self {
        Self {
            database,
            clock,
            _lock: lock,
        }
    }

    async fn run<T, W>(&self, action: &'static str, work: W) -> Result<T, SecretError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |source: DatabaseError| SecretError::Unavailable {
            action,
            source: source.into(),
        };
        self.database.run(work).await.map_err(failed)
    }
}

#[async_trait]
impl Secrets for SqliteSecrets {
    async fn keep(&self, secret: &Secret, expires: Timestamp) -> Result<SecretRef, SecretError> {
        let size = secret.expose().len();
        if size > SECRET_LIMIT {
            return Err(SecretError::TooLarge { size });
        }
        let (secret, expires) = (secret.clone(), expires.as_microsecond());
        let now = self.clock.now().as_microsecond();
        self.run("keep a secret", move |db| {
            db.prepare_cached("DELETE FROM secrets WHERE expires_at < ?1")?
                .execute([now])?;
            db.prepare_cached(
                "INSERT INTO secrets (reference, secret, expires_at)
                 VALUES (lower(hex(randomblob(16))), ?1, ?2) RETURNING reference",
            )?
            .query_row(params![secret.expose(), expires], |row| row.get(0))
            .map(SecretRef)
        })
        .await
    }

    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
        let reference = reference.0.clone();
        self.run("read a secret", move |db| {
            db.prepare_cached("SELECT secret FROM secrets WHERE reference = ?1")?
                .query_row([reference], |row| row.get::<_, String>(0).map(Secret::new))
                .optional()
        })
        .await
    }

    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError> {
        let reference = reference.0.clone();
        self.run("forget a secret", move |db| {
            let gone = db
                .prepare_cached("DELETE FROM secrets WHERE reference = ?1")?
                .execute([reference])?;
            match gone {
                0 => Ok(()),
                _ => write_back(db),
            }
        })
        .await
    }
}
