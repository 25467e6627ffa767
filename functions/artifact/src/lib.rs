#![doc = include_str!("../README.md")]

use iib_edge::s3::{NoS3Event, created};
use iib_pipeline::artifact::{self, ArtifactDeps, ArtifactFault};
use iib_ports::{Class, Classify, chain};
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use tracing::{Instrument, error, info_span};

/// An event is to be delivered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventFault {
    /// It is no event of a bucket; somebody has to look at what sends it.
    #[error(transparent)]
    Event(#[from] NoS3Event),
    /// A file could not be handled now.
    #[error(transparent)]
    File(#[from] ArtifactFault),
}

impl Classify for EventFault {
    fn class(&self) -> Class {
        match self {
            Self::Event(source) => source.class(),
            Self::File(source) => source.class(),
        }
    }
}

/// Handles every file of the event; those that were handled before are no trouble when the event
/// comes again for another one.
///
/// # Errors
/// [`EventFault`], the first, so that the platform delivers the event again.
pub async fn handle(deps: &ArtifactDeps, event: LambdaEvent<Value>) -> Result<(), EventFault> {
    let mut failure = None;
    for object in created(event.payload)? {
        let span = info_span!("file", key = object.key, version = object.version);
        if let Err(fault) = artifact::run(deps, &object).instrument(span).await {
            error!(key = object.key, error = %chain(&fault), "file not handled");
            failure.get_or_insert(fault);
        }
    }
    match failure {
        None => Ok(()),
        Some(fault) => Err(fault.into()),
    }
}
