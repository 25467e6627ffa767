//! Manifests and tags.

use iib_oci::MediaType;
use iib_oci::{Digest, RawManifest};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::RegistryStore;
use super::document::references;
use crate::registry::fault::Fault;
use crate::registry::name::{ManifestName, Name};

/// A manifest as it was pushed.
#[derive(Debug)]
pub(in crate::registry) struct StoredManifest {
    pub(in crate::registry) digest: Digest,
    pub(in crate::registry) manifest: RawManifest,
}

impl RegistryStore {
    /// Reads a manifest by tag or digest.
    pub(in crate::registry) async fn manifest(
        &self,
        name: &Name,
        reference: &ManifestName,
    ) -> Result<StoredManifest, Fault> {
        let (repository, wanted) = (name.as_str().to_owned(), reference.clone());
        let found = self.query("read a manifest", move |db| {
            let (sql, wanted) = match &wanted {
                ManifestName::Digest(digest) => (BY_DIGEST, digest.as_str()),
                ManifestName::Tag(tag) => (BY_TAG, tag.as_str()),
            };
            db.prepare_cached(sql)?
                .query_row(params![repository, wanted], |row| {
                    let media_type: String = row.get(0)?;
                    Ok((MediaType::new(&media_type), row.get(1)?))
                })
                .optional()
        });
        let (media_type, bytes) = found.await?.ok_or_else(|| Fault::ManifestUnknown {
            name: name.clone(),
            reference: reference.clone(),
        })?;
        let manifest = RawManifest { media_type, bytes };
        let digest = match reference {
            ManifestName::Digest(digest) => digest.clone(),
            ManifestName::Tag(_) => manifest.digest(),
        };
        Ok(StoredManifest { digest, manifest })
    }

    /// Stores a manifest whose references are all in the repository, under its digest and, if
    /// asked for by one, under a tag.
    pub(in crate::registry) async fn put_manifest(
        &self,
        name: &Name,
        reference: &ManifestName,
        manifest: RawManifest,
    ) -> Result<Digest, Fault> {
        let digest = manifest.digest();
        let tag = match reference {
            ManifestName::Tag(tag) => Some(tag.clone()),
            ManifestName::Digest(expected) if *expected == digest => None,
            ManifestName::Digest(expected) => {
                return Err(Fault::DigestMismatch {
                    expected: expected.clone(),
                    got: digest,
                });
            }
        };
        let references = references(&manifest.media_type, &manifest.bytes)?;
        let (repository, stored) = (name.as_str().to_owned(), digest.clone());
        let missing = self
            .query("store a manifest", move |db| {
                let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let mut missing = missing(&transaction, HAS_BLOB, &repository, references.blobs)?;
                let manifests = references.manifests;
                missing.extend(self::missing(
                    &transaction,
                    HAS_MANIFEST,
                    &repository,
                    manifests,
                )?);
                if !missing.is_empty() {
                    return Ok(missing);
                }
                transaction.prepare_cached(PUT_MANIFEST)?.execute(params![
                    repository,
                    stored.as_str(),
                    manifest.media_type.as_str(),
                    manifest.bytes
                ])?;
                if let Some(tag) = tag {
                    transaction.prepare_cached(PUT_TAG)?.execute(params![
                        repository,
                        tag,
                        stored.as_str()
                    ])?;
                }
                transaction.commit()?;
                Ok(missing)
            })
            .await?;
        if !missing.is_empty() {
            return Err(Fault::ManifestReferences {
                name: name.clone(),
                missing,
            });
        }
        Ok(digest)
    }

    /// Removes a tag, or a manifest with all its tags.
    pub(in crate::registry) async fn delete_manifest(
        &self,
        name: &Name,
        reference: &ManifestName,
    ) -> Result<(), Fault> {
        let (repository, wanted) = (name.as_str().to_owned(), reference.clone());
        let removed = self
            .query("remove a manifest", move |db| match &wanted {
                ManifestName::Digest(digest) => db
                    .prepare_cached("DELETE FROM manifests WHERE repository = ?1 AND digest = ?2")?
                    .execute(params![repository, digest.as_str()]),
                ManifestName::Tag(tag) => db
                    .prepare_cached("DELETE FROM tags WHERE repository = ?1 AND tag = ?2")?
                    .execute(params![repository, tag]),
            })
            .await?;
        if removed == 0 {
            return Err(Fault::ManifestUnknown {
                name: name.clone(),
                reference: reference.clone(),
            });
        }
        Ok(())
    }
}

const BY_DIGEST: &str =
    "SELECT media_type, content FROM manifests WHERE repository = ?1 AND digest = ?2";
const BY_TAG: &str =
    "SELECT media_type, content FROM manifests JOIN tags USING (repository, digest)
     WHERE repository = ?1 AND tag = ?2";
const HAS_BLOB: &str = "SELECT 1 FROM blobs WHERE repository = ?1 AND digest = ?2";
const HAS_MANIFEST: &str = "SELECT 1 FROM manifests WHERE repository = ?1 AND digest = ?2";
const PUT_MANIFEST: &str = "INSERT INTO manifests (repository, digest, media_type, content)
     VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT DO UPDATE SET media_type = excluded.media_type";
const PUT_TAG: &str = "INSERT INTO tags (repository, tag, digest) VALUES (?1, ?2, ?3)
     ON CONFLICT DO UPDATE SET digest = excluded.digest";

/// Those of the digests that the repository does not have.
fn missing(
    transaction: &Transaction<'_>,
    exists: &str,
    repository: &str,
    digests: Vec<Digest>,
) -> rusqlite::Result<Vec<Digest>> {
    let mut statement = transaction.prepare_cached(exists)?;
    let mut missing = Vec::new();
    for digest in digests {
        if !statement.exists(params![repository, digest.as_str()])? {
            missing.push(digest);
        }
    }
    Ok(missing)
}
