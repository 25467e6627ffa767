//! Secrets in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::{SECRET_LIMIT, Secret, SecretError, Secrets};
use iib_request::SecretRef;
use jiff::Timestamp;

use super::lock;

/// Secrets by reference. They never expire: tests are over sooner.
#[derive(Debug, Default)]
pub struct MemorySecrets {
    kept: Mutex<BTreeMap<SecretRef, Secret>>,
    last: Mutex<u64>,
}

impl MemorySecrets {
    /// How many are kept.
    pub fn count(&self) -> usize {
        lock(&self.kept).len()
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn keep(&self, secret: &Secret, _expires: Timestamp) -> Result<SecretRef, SecretError> {
        let size = secret.expose().len();
        if size > SECRET_LIMIT {
            return Err(SecretError::TooLarge { size });
        }
        let mut last = lock(&self.last);
        *last += 1;
        let reference = SecretRef(last.to_string());
        lock(&self.kept).insert(reference.clone(), secret.clone());
        Ok(reference)
    }

    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
        Ok(lock(&self.kept).get(reference).cloned())
    }

    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError> {
        lock(&self.kept).remove(reference);
        Ok(())
    }
}
