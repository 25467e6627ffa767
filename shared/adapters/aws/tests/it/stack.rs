//! Stores in an emulator: a table, a bucket and queues for each, as `infra/stores.yaml` and `infra/service.yaml` have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use iib_aws::{
    Clients, DynamoLines, DynamoLogs, DynamoRequests, DynamoWatch, KmsSecrets, QueueUrls,
    S3Artifacts, SqsQueue,
};
use iib_ports::{Delivery, SystemClock};
use iib_request::{Stage, Task};
use iib_testkit::contract::Inbox;
use iib_testkit::ministack::Ministack;
use iib_testkit::second_opinion::{CREDENTIALS, Dynoxide, S3sFs};

/// What the indexes of the listing hold beside their keys.
const FACETS: [&str; 7] = [
    "state",
    "kind",
    "user",
    "batch",
    "from_index",
    "index_image",
    "hidden",
];

/// Clients of an emulator.
pub(crate) async fn clients_at(endpoint: &str) -> Clients {
    let (key, secret) = CREDENTIALS;
    let settings = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .endpoint_url(endpoint)
        .load()
        .await;
    Clients::with(settings)
}

/// Emulators, and how many names were given out in them.
pub(crate) struct Stack<Emulators = Ministack> {
    pub(crate) emulators: Emulators,
    dynamodb: Clients,
    s3: Clients,
    names: AtomicU64,
}

impl Stack<(Dynoxide, S3sFs)> {
    /// Another emulator for each of the two stores.
    pub(crate) async fn of_second_opinions() -> Self {
        let (dynoxide, s3s) = tokio::join!(Dynoxide::start(), S3sFs::start());
        let dynamodb = clients_at(&dynoxide.endpoint()).await;
        let s3 = clients_at(&s3s.endpoint()).await;
        Self::new((dynoxide, s3s), dynamodb, s3)
    }
}

impl<Emulators> Stack<Emulators> {
    fn new(emulators: Emulators, dynamodb: Clients, s3: Clients) -> Self {
        Self {
            emulators,
            dynamodb,
            s3,
            names: AtomicU64::new(0),
        }
    }

    fn name(&self) -> String {
        format!("iib-{}", self.names.fetch_add(1, Ordering::SeqCst))
    }

    pub(crate) async fn requests(&self) -> Arc<DynamoRequests> {
        let table = self.table().await;
        self.requests_in(&table).await
    }

    async fn requests_in(&self, table: &str) -> Arc<DynamoRequests> {
        let (dynamodb, bucket) = (self.dynamodb.dynamodb(), self.bucket().await);
        let requests = DynamoRequests::new(dynamodb, table, self.s3.s3(), bucket);
        Arc::new(requests)
    }

    pub(crate) async fn announcing_requests(&self) -> Arc<DynamoRequests> {
        let requests = self.requests().await;
        Arc::new(DynamoRequests::clone(&requests).announcing())
    }

    pub(crate) async fn watched_requests(&self) -> (Arc<DynamoRequests>, Arc<DynamoWatch>) {
        let (dynamodb, table) = (self.dynamodb.dynamodb(), self.table().await);
        let requests = self.requests_in(&table).await;
        (requests, Arc::new(DynamoWatch::new(dynamodb, table, 2)))
    }

    pub(crate) async fn logs(&self) -> Arc<DynamoLogs> {
        let (dynamodb, table) = (self.dynamodb.dynamodb(), self.table().await);
        Arc::new(DynamoLogs::new(dynamodb, table, Arc::new(SystemClock)))
    }

    pub(crate) async fn lines(&self) -> Arc<DynamoLines> {
        let (dynamodb, table) = (self.dynamodb.dynamodb(), self.table().await);
        Arc::new(DynamoLines::new(dynamodb, table))
    }

    pub(crate) async fn artifacts(&self) -> Arc<S3Artifacts> {
        Arc::new(S3Artifacts::new(self.s3.s3(), self.bucket().await))
    }

    async fn bucket(&self) -> String {
        let name = self.name();
        let create = self.s3.s3().create_bucket().bucket(&name);
        create.send().await.unwrap();
        name
    }

    async fn table(&self) -> String {
        let name = self.name();
        let attribute = |name: &str, kind| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(kind).build().unwrap()
        };
        let key = |name: &str, kind| {
            let key = KeySchemaElement::builder().attribute_name(name);
            key.key_type(kind).build().unwrap()
        };
        let index = |name: &str, partition: &str, sort: &str, projection: Projection| {
            GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(key(partition, KeyType::Hash))
                .key_schema(key(sort, KeyType::Range))
                .projection(projection)
                .build()
                .unwrap()
        };
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let found_by = |facet: &str| {
            let others = FACETS.into_iter().filter(|other| *other != facet);
            let others = others.map(str::to_owned).collect();
            let others = Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(others));
            index(&format!("by_{facet}"), facet, "number", others.build())
        };
        let mut indexes = vec![index("phase", "phase", "rank", keys_only.build())];
        indexes.extend(["state", "user", "batch", "from_index", "asked"].map(found_by));
        let (text, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
        self.dynamodb
            .dynamodb()
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", text.clone()))
            .attribute_definitions(attribute("sk", text.clone()))
            .attribute_definitions(attribute("phase", text.clone()))
            .attribute_definitions(attribute("rank", number.clone()))
            .attribute_definitions(attribute("number", number.clone()))
            .attribute_definitions(attribute("batch", number))
            .attribute_definitions(attribute("state", text.clone()))
            .attribute_definitions(attribute("user", text.clone()))
            .attribute_definitions(attribute("from_index", text.clone()))
            .attribute_definitions(attribute("asked", text))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .set_global_secondary_indexes(Some(indexes))
            .send()
            .await
            .unwrap();
        name
    }
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let emulator = Ministack::start().await;
        let clients = clients_at(emulator.endpoint()).await;
        Self::new(emulator, clients.clone(), clients)
    }

    pub(crate) async fn clients(&self) -> Clients {
        clients_at(self.emulators.endpoint()).await
    }

    pub(crate) async fn secrets(&self) -> Arc<KmsSecrets> {
        let (clients, table) = (self.clients().await, self.table().await);
        let kms = clients.kms();
        let key = kms.create_key().send().await.unwrap();
        let key = key.key_metadata.unwrap().key_id;
        let dynamodb = clients.dynamodb();
        Arc::new(KmsSecrets::new(
            kms,
            dynamodb,
            key,
            table,
            Arc::new(SystemClock),
        ))
    }

    pub(crate) async fn queue(&self) -> (Arc<SqsQueue>, Arc<Receiver>) {
        let client = self.clients().await.sqs();
        let mut urls = Vec::new();
        for _ in 0..3 {
            let created = client.create_queue().queue_name(self.name());
            urls.push(created.send().await.unwrap().queue_url.unwrap());
        }
        let urls = QueueUrls {
            pin: urls[0].clone(),
            mutate: urls[1].clone(),
            push: urls[2].clone(),
        };
        let queue = SqsQueue::new(client.clone(), urls.clone());
        (Arc::new(queue), Arc::new(Receiver { client, urls }))
    }
}

/// The receiving half of queues.
pub(crate) struct Receiver {
    client: aws_sdk_sqs::Client,
    urls: QueueUrls,
}

impl Receiver {
    fn url(&self, stage: Stage) -> &str {
        match stage {
            Stage::Pin => &self.urls.pin,
            Stage::Mutate => &self.urls.mutate,
            Stage::Push => &self.urls.push,
            Stage::Queued | Stage::Done => panic!("{stage} has no queue"),
        }
    }

    async fn receive(&self, stage: Stage, most: i32) -> Vec<(Task, String)> {
        let received = self
            .client
            .receive_message()
            .queue_url(self.url(stage))
            .max_number_of_messages(most)
            .visibility_timeout(3600)
            .send()
            .await
            .unwrap();
        let messages = received.messages.unwrap_or_default().into_iter();
        messages
            .map(|message| {
                let task = serde_json::from_str(&message.body.unwrap()).unwrap();
                (task, message.receipt_handle.unwrap())
            })
            .collect()
    }
}

#[async_trait]
impl Inbox for Receiver {
    async fn take_all(&self, stage: Stage) -> Vec<Task> {
        let mut tasks = Vec::new();
        loop {
            let batch = self.receive(stage, 10).await;
            if batch.is_empty() {
                return tasks;
            }
            for (task, receipt) in batch {
                let delete = self.client.delete_message().queue_url(self.url(stage));
                delete.receipt_handle(receipt).send().await.unwrap();
                tasks.push(task);
            }
        }
    }

    async fn receive(&self, stage: Stage) -> Option<(Task, Delivery)> {
        let (task, receipt) = Receiver::receive(self, stage, 1).await.pop()?;
        Some((task, Delivery { stage, receipt }))
    }
}
