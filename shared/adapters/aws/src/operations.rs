//! Every call as a trace line.

use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Writes a line for each attempt of a call at level DEBUG, target `iib_aws::operations`, with
/// the service and the operation, and for S3 the folder of the bucket. `RUST_LOG=iib_aws::operations=debug` shows what a function
/// does; the stack test holds it against what the function may do.
#[derive(Debug)]
pub(crate) struct TraceOperations;

impl Intercept for TraceOperations {
    fn name(&self) -> &'static str {
        "TraceOperations"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(called) = settings.load::<Metadata>() {
            let (service, operation) = (called.service(), called.name());
            let folder = match service {
                "S3" => folder(context.request().uri()),
                _ => None,
            };
            tracing::debug!(service, operation, folder, "call");
        }
        Ok(())
    }
}

/// The folders of the bucket; rights are granted by them.
const FOLDERS: [&str; 6] = ["inbox", "uploads", "results", "work", "kept", "records"];

/// The folder that an S3 call is about: the first part of the key, or of the prefix of a listing.
/// The bucket stands before it in the path, or in the host's name.
fn folder(uri: &str) -> Option<&'static str> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let prefix = query.split('&').find_map(|one| one.strip_prefix("prefix="));
    let parts: Vec<&str> = match prefix {
        Some(prefix) => prefix.split("%2F").take(1).collect(),
        None => path.split('/').take(3).collect(),
    };
    let known = |name: &&&str| parts.contains(*name);
    FOLDERS.iter().find(known).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_call_is_told() {
        for (uri, expected) in [
            (
                "http://127.0.0.1:4566/bucket/kept/1/build.log?x-id=GetObject",
                Some("kept"),
            ),
            (
                "https://bucket.s3.eu-central-1.amazonaws.com/work/1/layer.tar.gz",
                Some("work"),
            ),
            ("/bucket/records/1/2-x.json", Some("records")),
            (
                "http://h/bucket?list-type=2&max-keys=7&prefix=inbox%2F",
                Some("inbox"),
            ),
            ("http://h/bucket/?list-type=2", None),
        ] {
            assert_eq!(folder(uri), expected, "{uri}");
        }
    }
}
