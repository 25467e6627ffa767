//! Blobs: bytes stored once, shown by repository.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use iib_oci::Digest;
use rusqlite::{OptionalExtension, params};

use super::{RegistryStore, blocking};
use crate::registry::fault::Fault;
use crate::registry::name::Name;

impl RegistryStore {
    /// Size of a blob, bytes.
    pub(in crate::registry) async fn blob_size(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<u64, Fault> {
        let key = (name.as_str().to_owned(), digest.to_string());
        let size = self.query("look a blob up", move |db| {
            db.prepare_cached("SELECT size FROM blobs WHERE repository = ?1 AND digest = ?2")?
                .query_row(key, |row| row.get(0))
                .optional()
        });
        size.await?.ok_or_else(|| Fault::BlobUnknown {
            name: name.clone(),
            digest: digest.clone(),
        })
    }

    /// Opens the content of a blob at an offset. Whether the repository shows it is for the
    /// caller to ask before.
    pub(in crate::registry) async fn open_blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<File, Fault> {
        let path = self.blob_path(digest);
        blocking("open a blob", move || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        })
        .await
    }

    /// Shows a blob of `from` in `to` too. `false` if `from` does not have it.
    pub(in crate::registry) async fn mount_blob(
        &self,
        to: &Name,
        from: &Name,
        digest: &Digest,
    ) -> Result<bool, Fault> {
        let [to, from] = [to, from].map(|name| name.as_str().to_owned());
        let digest = digest.to_string();
        self.query("mount a blob", move |db| {
            let transaction = db.transaction()?;
            let size: Option<u64> = transaction
                .prepare_cached("SELECT size FROM blobs WHERE repository = ?1 AND digest = ?2")?
                .query_row(params![from, digest], |row| row.get(0))
                .optional()?;
            let Some(size) = size else {
                return Ok(false);
            };
            transaction
                .prepare_cached(ADD_BLOB)?
                .execute(params![to, digest, size])?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    /// Shows a blob, whose content is in its place, in a repository.
    pub(super) async fn add_blob(
        &self,
        name: &Name,
        digest: &Digest,
        size: u64,
    ) -> Result<(), Fault> {
        let (name, digest) = (name.as_str().to_owned(), digest.to_string());
        self.query("store a blob", move |db| {
            db.prepare_cached(ADD_BLOB)?
                .execute(params![name, digest, size])
        })
        .await?;
        Ok(())
    }
}

const ADD_BLOB: &str =
    "INSERT INTO blobs (repository, digest, size) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
