//! What the service needs on AWS, and what it is called.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;
use iib_aws::Clients;
use serde_json::{Value, json};

/// Deliveries of a message, as in `template.yaml`.
const MAX_RECEIVE_COUNT: u32 = 50;

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

    /// New ones, shaped as in `template.yaml`, under a name that nobody has.
    pub(crate) async fn create(clients: &Clients) -> anyhow::Result<Self> {
        let name = format!("iib-faults-{:08x}", fastrand::u32(..));
        create_table(clients, &name).await?;
        let bucket = clients.s3().create_bucket().bucket(&name);
        bucket.send().await.context("no bucket")?;
        let key = clients.kms().create_key().send().await.context("no key")?;
        let key = key.key_metadata.context("a key without a name")?;
        let sqs = clients.sqs();
        let dead_letters = queue(&sqs, &format!("{name}-dead-letter"), None).await?;
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(&dead_letters)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        let attributes = attributes.attributes.unwrap_or_default();
        let arn = attributes.get(&QueueAttributeName::QueueArn);
        let arn = arn.context("a queue without a name")?;
        let of = |stage: &str| format!("{name}-{stage}");
        Ok(Self {
            pin: queue(&sqs, &of("pin"), Some(arn)).await?,
            mutate: queue(&sqs, &of("mutate"), Some(arn)).await?,
            push: queue(&sqs, &of("push"), Some(arn)).await?,
            dead_letters,
            secret_key: key.key_id,
            table: name.clone(),
            bucket: name,
        })
    }
}

async fn queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    dead_letters: Option<&String>,
) -> anyhow::Result<String> {
    let mut create = sqs.create_queue().queue_name(name);
    if let Some(arn) = dead_letters {
        let redrive = json!({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT});
        create = create.attributes(QueueAttributeName::RedrivePolicy, redrive.to_string());
    }
    let created = create.send().await.context("no queue")?;
    created.queue_url.context("a queue without an address")
}

async fn create_table(clients: &Clients, name: &str) -> anyhow::Result<()> {
    let attribute = |name: &str, kind| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(kind).build()
    };
    let key = |name: &str, kind| {
        let key = KeySchemaElement::builder().attribute_name(name);
        key.key_type(kind).build()
    };
    let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
    let phase = GlobalSecondaryIndex::builder()
        .index_name("phase")
        .key_schema(key("phase", KeyType::Hash)?)
        .key_schema(key("rank", KeyType::Range)?)
        .projection(keys_only.build())
        .build()?;
    let create = clients.dynamodb().create_table();
    create
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("sk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("phase", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("rank", ScalarAttributeType::N)?)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?)
        .global_secondary_indexes(phase)
        .send()
        .await
        .context("no table")?;
    Ok(())
}
