//! What the SDK says when a call fails, in a form that fits the ports.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use iib_ports::StoreError;

/// What services call a call that the caller's role may not make.
const DENIALS: [&str; 4] = [
    "AccessDeniedException",
    "AccessDenied",
    "AuthorizationError",
    "AuthorizationErrorException",
];

/// A call that the function's role may not make.
#[derive(Debug, thiserror::Error)]
#[error("the function's role lacks {right}: {} ({said})", advice(.right))]
struct Forbidden {
    /// The action, as policies name it.
    right: String,
    /// Who asked for it and what it is about, and which kind of policy refuses it.
    said: String,
}

/// Whether a call failed because the role lacks a right.
pub(crate) fn is_denied(error: &impl ProvideErrorMetadata) -> bool {
    error.code().is_some_and(|code| DENIALS.contains(&code))
}

/// The right that is lacking, which AWS names in what it says.
pub(crate) fn right(said: &str) -> &str {
    let named = said.split_once("not authorized to perform: ");
    let right = named.and_then(|(_, rest)| rest.split_whitespace().next());
    right.unwrap_or("a right")
}

/// What gives a role that right: a parameter of the template, where one does.
pub(crate) fn advice(right: &str) -> &'static str {
    match right {
        "ecr:CreateRepository" => {
            "with EcrCreateRepositories=true push may create the repositories that EcrOverwriteRepositories names"
        }
        "ecr:BatchGetImage" | "ecr:BatchCheckLayerAvailability" | "ecr:GetDownloadUrlForLayer" => {
            "EcrReadRepositories has to name the repository, unless that is empty and the repository is of the stack's account; one of another account also has to let the role in by its own policy"
        }
        "ecr:BatchDeleteImage"
        | "ecr:CompleteLayerUpload"
        | "ecr:InitiateLayerUpload"
        | "ecr:PutImage"
        | "ecr:UploadLayerPart" => {
            "EcrOverwriteRepositories has to name the repository; one of another account also has to let the role in by its own policy"
        }
        "secretsmanager:GetSecretValue" => {
            "RegistryAuthSecretArn, GitTokensSecretArn or MessagingSecretArn has to name the secret, and the account's own key to encrypt it"
        }
        "sns:Publish" => {
            "NotificationTopicArn has to name the topic, and the topic's own policy to let the role in"
        }
        _ => {
            "template.yaml grants what functions need: deploy it anew, and look for a policy of the account that denies it"
        }
    }
}

/// The error of a call as the ports carry it. What the SDK adds to it for debugging (request and
/// response) is left out: there may be secrets in it.
pub(crate) fn source<E, R>(error: SdkError<E, R>) -> Box<dyn Error + Send + Sync>
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(context) if is_denied(context.err()) => {
            let said = context.err().message().unwrap_or_default();
            Box::new(Forbidden {
                right: right(said).to_owned(),
                said: said.to_owned(),
            })
        }
        SdkError::ServiceError(context) => context.into_err().into(),
        SdkError::ConstructionFailure(_) => "the call could not be built".into(),
        SdkError::TimeoutError(_) => "no answer in time".into(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            // It cannot be taken out; its own causes are what tells anything.
            Some(cause) => iib_ports::chain(cause).into(),
            None => "the call could not be sent".into(),
        },
        SdkError::ResponseError(_) => "an answer that cannot be read".into(),
        _ => "a failure of an unknown kind".into(),
    }
}

/// The same as a store has it whose action failed.
pub(crate) fn unavailable<E, R>(action: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| StoreError::Unavailable {
        action,
        source: source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_is_lacking_is_told_with_the_parameter_that_grants_it() {
        for (said, expected) in [
            (
                "User: arn:aws:sts::123456789012:assumed-role/push/iib-push is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:us-east-1:123456789012:repository/x because no identity-based policy allows the ecr:PutImage action",
                "the function's role lacks ecr:PutImage: EcrOverwriteRepositories has to name the repository;",
            ),
            (
                "User: x is not authorized to perform: sns:Publish on resource: y",
                "the function's role lacks sns:Publish: NotificationTopicArn has to name the topic",
            ),
            (
                "User: x is not authorized to perform: dynamodb:GetItem on resource: y",
                "the function's role lacks dynamodb:GetItem: template.yaml grants what functions need:",
            ),
            (
                "Access to KMS is not allowed",
                "the function's role lacks a right: template.yaml",
            ),
        ] {
            let text = Forbidden {
                right: right(said).to_owned(),
                said: said.to_owned(),
            }
            .to_string();
            assert!(text.starts_with(expected), "{text}");
            assert!(text.ends_with(&format!("({said})")), "{text}");
        }
    }
}
