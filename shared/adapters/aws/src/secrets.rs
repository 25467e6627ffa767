//! Secrets of requests: KMS encrypts, DynamoDB keeps.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kms::operation::decrypt::DecryptError;
use iib_ports::{Clock, SECRET_LIMIT, Secret, SecretError, Secrets};
use iib_request::SecretRef;
use jiff::Timestamp;

use crate::failure::source;
use crate::table::{EXPIRES, Item, as_number, key, number, unique};

/// Secrets encrypted with a key of KMS, as items that expire by themselves. The reference is part
/// of what is encrypted with, so that no secret can be read under another's name.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct KmsSecrets {
    kms: aws_sdk_kms::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    key: String,
    table: String,
    clock: Arc<dyn Clock>,
}

/// What a ciphertext is bound to.
const CONTEXT: &str = "iib:secret";

impl KmsSecrets {
    /// Secrets under a KMS key (id, ARN or alias), in a table.
    pub fn new(
        kms: aws_sdk_kms::Client,
        dynamodb: aws_sdk_dynamodb::Client,
        key: impl Into<String>,
        table: impl Into<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            kms,
            dynamodb,
            key: key.into(),
            table: table.into(),
            clock,
        }
    }
}

fn place(reference: &str) -> Item {
    key(format!("SECRET#{reference}"), "SECRET")
}

fn unavailable(
    action: &'static str,
) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> SecretError {
    move |source| SecretError::Unavailable { action, source }
}

#[async_trait]
impl Secrets for KmsSecrets {
    /// Needs `kms:Encrypt` on the key and `dynamodb:PutItem`.
    async fn keep(&self, secret: &Secret, expires: Timestamp) -> Result<SecretRef, SecretError> {
        let size = secret.expose().len();
        if size > SECRET_LIMIT {
            return Err(SecretError::TooLarge { size });
        }
        let reference = unique();
        // KMS encrypts one byte at least and `SECRET_LIMIT` at most; an empty secret is kept as
        // nothing.
        let ciphertext = if size == 0 {
            Vec::new()
        } else {
            let encrypted = self
                .kms
                .encrypt()
                .key_id(&self.key)
                .plaintext(aws_sdk_kms::primitives::Blob::new(secret.expose()))
                .encryption_context(CONTEXT, &reference)
                .send()
                .await
                .map_err(source)
                .map_err(unavailable("encrypt a secret"))?;
            let blob = encrypted.ciphertext_blob.ok_or(SecretError::Altered)?;
            blob.into_inner()
        };
        let mut item = place(&reference);
        let ciphertext = AttributeValue::B(Blob::new(ciphertext));
        item.insert("ciphertext".to_owned(), ciphertext);
        item.insert(EXPIRES.to_owned(), number(expires.as_second()));
        self.dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map_err(source)
            .map_err(unavailable("keep a secret"))?;
        Ok(SecretRef(reference))
    }

    /// Needs `dynamodb:GetItem` and `kms:Decrypt` on the key.
    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
        let stored = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .set_key(Some(place(&reference.0)))
            .consistent_read(true)
            .send()
            .await
            .map_err(source)
            .map_err(unavailable("read a secret"))?;
        let Some(item) = stored.item else {
            return Ok(None);
        };
        // DynamoDB takes its time to delete what expired.
        let expires = as_number::<i64>(&item, EXPIRES).unwrap_or_default();
        if expires < self.clock.now().as_second() {
            return Ok(None);
        }
        let ciphertext = item.get("ciphertext").and_then(|value| value.as_b().ok());
        let ciphertext = ciphertext.ok_or(SecretError::Altered)?;
        if ciphertext.as_ref().is_empty() {
            return Ok(Some(Secret::new("")));
        }
        let decrypted = self
            .kms
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(aws_sdk_kms::primitives::Blob::new(ciphertext.as_ref()))
            .encryption_context(CONTEXT, &reference.0)
            .send()
            .await;
        let decrypted = match decrypted {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DecryptError::is_invalid_ciphertext_exception) =>
            {
                return Err(SecretError::Altered);
            }
            decrypted => decrypted
                .map_err(source)
                .map_err(unavailable("decrypt a secret"))?,
        };
        let plain = decrypted.plaintext.ok_or(SecretError::Altered)?;
        let plain = String::from_utf8(plain.into_inner()).map_err(|_| SecretError::Altered)?;
        Ok(Some(Secret::new(plain)))
    }

    /// Needs `dynamodb:DeleteItem`.
    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError> {
        self.dynamodb
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(place(&reference.0)))
            .send()
            .await
            .map(drop)
            .map_err(source)
            .map_err(unavailable("forget a secret"))
    }
}
