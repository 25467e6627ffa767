//! The SDK clients of a process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::operations::TraceOperations;

/// How often a call is tried in all. With the SDK's waits this sits out some seconds of
/// throttling; what lasts longer is the queue's to wait for.
const ATTEMPTS: u32 = 5;
/// How long a connection may take to come about. Services of the same region answer in
/// milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt may take, except where bytes are streamed. A DynamoDB or SQS call that
/// takes seconds is lost; another attempt is quicker than waiting.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for calls that carry a part of a layer.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(60);

/// The SDK clients, made once for a process and shared. Region, credentials and endpoints come
/// from the environment as the SDK reads it (`AWS_ENDPOINT_URL` names an emulator). Cloning is
/// cheap.
#[derive(Debug, Clone)]
pub struct Clients {
    settings: SdkConfig,
}

impl Clients {
    /// Reads the environment. Nothing is called yet.
    pub async fn from_env() -> Self {
        let settings = aws_config::defaults(BehaviorVersion::latest()).load().await;
        Self::with(settings)
    }

    /// Clients with these settings, for tests that choose an endpoint.
    pub fn with(settings: SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let settings = settings
            .into_builder()
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            .build();
        Self { settings }
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let settings = aws_sdk_dynamodb::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_dynamodb::Client::from_conf(settings)
    }

    /// SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let settings = aws_sdk_sqs::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_sqs::Client::from_conf(settings)
    }

    /// S3. An emulator has no host name for each bucket, so there the bucket is part of the path.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let settings = aws_sdk_s3::config::Builder::from(&self.settings)
            .force_path_style(self.settings.endpoint_url().is_some())
            .timeout_config(transfers())
            .interceptor(TraceOperations)
            .build();
        aws_sdk_s3::Client::from_conf(settings)
    }

    /// KMS.
    pub fn kms(&self) -> aws_sdk_kms::Client {
        let settings = aws_sdk_kms::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_kms::Client::from_conf(settings)
    }

    /// EventBridge.
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        let settings = aws_sdk_eventbridge::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_eventbridge::Client::from_conf(settings)
    }

    /// SNS.
    pub fn sns(&self) -> aws_sdk_sns::Client {
        let settings = aws_sdk_sns::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_sns::Client::from_conf(settings)
    }

    /// Secrets Manager.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let settings = aws_sdk_secretsmanager::config::Builder::from(&self.settings)
            .interceptor(TraceOperations)
            .build();
        aws_sdk_secretsmanager::Client::from_conf(settings)
    }

    /// ECR of a region; `None`: the process's own.
    pub(crate) fn ecr(&self, region: Option<&str>) -> aws_sdk_ecr::Client {
        let mut settings = aws_sdk_ecr::config::Builder::from(&self.settings)
            .timeout_config(transfers())
            .interceptor(TraceOperations);
        if let Some(region) = region {
            settings.set_region(Some(aws_sdk_ecr::config::Region::new(region.to_owned())));
        }
        aws_sdk_ecr::Client::from_conf(settings.build())
    }
}

fn transfers() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(TRANSFER_TIMEOUT)
        .build()
}
