//! What the service needs on AWS, and what it is called.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// Names of a stack's resources.
#[derive(Debug, Clone)]
pub(crate) struct Resources {
    pub(crate) table: String,
    pub(crate) bucket: String,
    pub(crate) pin: String,
    pub(crate) mutate: String,
    pub(crate) push: String,
    pub(crate) dead_letters: String,
    pub(crate) secret_key: String,
}

impl Resources {
    /// Those of a stack that was deployed, from a file with its outputs.
    pub(crate) fn of_outputs(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let outputs: Value = serde_json::from_str(&text)?;
        let outputs: BTreeMap<String, String> = serde_json::from_value(outputs)?;
        let output = |name: &str| {
            let output = outputs.get(name).cloned();
            output.with_context(|| format!("the stack has no output {name}"))
        };
        Ok(Self {
            table: output("TableName")?,
            bucket: output("BucketName")?,
            pin: output("PinQueueUrl")?,
            mutate: output("MutateQueueUrl")?,
            push: output("PushQueueUrl")?,
            dead_letters: output("DeadLetterQueueUrl")?,
            secret_key: output("SecretKeyArn")?,
        })
    }
}
