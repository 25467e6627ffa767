//! Names of what the functions use on AWS.

use std::collections::BTreeSet;

use iib_request::BaseUrl;
use serde::Deserialize;

use super::Config;
use super::origin::Faults;
use super::registries::check_hosts;

/// Names of what the functions use on AWS. The template sets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The DynamoDB table.
    pub table: String,
    /// The S3 bucket.
    pub bucket: String,
    /// URL of the queue of pin.
    pub pin_queue_url: String,
    /// URL of the queue of mutate.
    pub mutate_queue_url: String,
    /// URL of the queue of push.
    pub push_queue_url: String,
    /// The KMS key for secrets of requests: id, ARN or alias.
    pub secret_key: String,
    /// The secret of Secrets Manager with logins of registries that are no ECR: name or ARN; empty
    /// for none.
    pub registry_auth_secret: String,
    /// The secret of Secrets Manager with the tokens of the Git repositories of indexes: name or ARN; empty for
    /// none.
    pub git_tokens_secret: String,
    /// The bus of EventBridge that is told of requests: name or ARN; empty for none.
    pub event_bus: String,
    /// The topic of SNS that is told of requests: its ARN; empty for none.
    pub topic: String,
    /// The secret of Secrets Manager with what the message broker is spoken to with: name or ARN; empty
    /// for none.
    pub messaging_secret: String,
    /// Registries that are ECR although their names do not say so: an emulator's.
    pub ecr_registries: BTreeSet<String>,
    /// Whether a missing repository of ECR is created when something is pushed to it.
    pub ecr_create_repositories: bool,
}

pub(super) fn check(aws: &Aws, faults: &mut Faults) {
    for (place, url) in [
        ("aws.pin_queue_url", &aws.pin_queue_url),
        ("aws.mutate_queue_url", &aws.mutate_queue_url),
        ("aws.push_queue_url", &aws.push_queue_url),
    ] {
        // A queue's URL has no more parts than the address of a service.
        if !url.is_empty() && url.parse::<BaseUrl>().is_err() {
            let text = format!(
                "`{url}` is no URL of a queue: write it as SQS tells it, https://host/account/name"
            );
            faults.of_value(place, text);
        }
    }
    if !aws.topic.is_empty() && !aws.topic.starts_with("arn:") {
        faults.of_value(
            "aws.topic",
            "is no ARN of a topic: write it as SNS tells it, arn:aws:sns:…",
        );
    }
    check_hosts("aws.ecr_registries", &aws.ecr_registries, faults);
}

/// What local mode has defaults for and AWS has not, and the other way round.
pub(super) fn check_required(config: &Config, faults: &mut Faults) {
    for (place, folder) in [
        ("api.logs_folder", &config.api.logs_folder),
        (
            "api.related_bundles_folder",
            &config.api.related_bundles_folder,
        ),
        (
            "api.nested_bundles_folder",
            &config.api.nested_bundles_folder,
        ),
    ] {
        if folder.is_some() {
            faults.of_value(place, "on AWS documents are in the bucket: leave it away");
        }
    }
    let messaging = &config.messaging;
    for (place, file) in [
        ("messaging.ca", &messaging.ca),
        ("messaging.certificate", &messaging.certificate),
        ("messaging.login_file", &messaging.login_file),
    ] {
        if !file.as_os_str().is_empty() {
            faults.of_value(
                place,
                "on AWS it is in the secret of `aws.messaging_secret`: leave it away",
            );
        }
    }
    if config.work.git_tokens_file.is_some() {
        let text = "on AWS they are in the secret of `aws.git_tokens_secret`: leave it away";
        faults.of_value("work.git_tokens_file", text);
    }
    let aws = &config.aws;
    for (place, value) in [
        ("aws.table", &aws.table),
        ("aws.bucket", &aws.bucket),
        ("aws.pin_queue_url", &aws.pin_queue_url),
        ("aws.mutate_queue_url", &aws.mutate_queue_url),
        ("aws.push_queue_url", &aws.push_queue_url),
        ("aws.secret_key", &aws.secret_key),
        ("work.registry", &config.work.registry),
    ] {
        if value.is_empty() {
            faults.of_value(
                place,
                "is not set; on AWS it must be, and the template sets it",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_checked, vars};
    use super::*;

    #[test]
    fn queues_and_registries_are_named_as_they_are_called() {
        for name in [
            "IIB_PIN_QUEUE_URL",
            "IIB_MUTATE_QUEUE_URL",
            "IIB_PUSH_QUEUE_URL",
        ] {
            assert_checked(&[
                (
                    name,
                    "https://sqs.eu-central-1.amazonaws.com/123456789012/iib-pin",
                    None,
                ),
                (name, "http://127.0.0.1:4566/123456789012/iib-pin", None),
                (
                    name,
                    "arn:aws:sqs:eu-central-1:123456789012:iib-pin",
                    Some("is no URL of"),
                ),
                (name, "iib-pin", Some("`iib-pin` is no URL of a queue")),
            ]);
        }
        const NAME: &str = "IIB_ECR_REGISTRIES";
        assert_checked(&[
            (NAME, "localhost:4510, ecr.example", None),
            (
                NAME,
                "https://ecr.example",
                Some("`https://ecr.example` is not a host"),
            ),
            (
                NAME,
                "ecr.example/team",
                Some("`ecr.example/team` is not a host"),
            ),
        ]);
    }

    #[test]
    fn on_aws_everything_the_template_sets_has_to_be_set_and_is_told_with_all_else() {
        let environment = vars(&[("IIB_BUCKET", ""), ("IIB_MAX_ATTEMPTS", "0")]);
        let text = Config::load_for_aws(&environment).unwrap_err().to_string();
        for name in [
            "aws.table (IIB_TABLE): is not set",
            "aws.bucket (IIB_BUCKET)",
            "IIB_PIN_QUEUE_URL",
            "IIB_MUTATE_QUEUE_URL",
            "IIB_PUSH_QUEUE_URL",
            "IIB_SECRET_KEY",
            "work.registry (IIB_REGISTRY)",
            "IIB_MAX_ATTEMPTS (work.max_attempts): must be",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert_eq!(text.lines().count(), 9, "{text}");
    }

    #[test]
    fn what_is_set_to_a_wrong_type_is_not_told_as_missing_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[aws]\ntable = 3\n").unwrap();
        let environment = vars(&[("IIB_CONFIG", file.path().to_str().unwrap())]);
        let text = Config::load_for_aws(&environment).unwrap_err().to_string();
        assert_eq!(text.matches("aws.table").count(), 1, "{text}");
        assert!(text.contains("aws.table: invalid type"), "{text}");
    }
}
