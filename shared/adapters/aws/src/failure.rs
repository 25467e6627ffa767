//! What the SDK says when a call fails, in a form that fits the ports.

use std::error::Error;

use aws_sdk_dynamodb::error::SdkError;
use iib_ports::StoreError;

/// The error of a call as the ports carry it. What the SDK adds to it for debugging (request and
/// response) is left out: there may be secrets in it.
pub(crate) fn source<E, R>(error: SdkError<E, R>) -> Box<dyn Error + Send + Sync>
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error {
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
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| StoreError::Unavailable {
        action,
        source: source(error),
    }
}
