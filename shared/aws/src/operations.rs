//! Every call as a trace line.

use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Writes a line for each attempt of a call at level DEBUG, target `iib_aws::operations`, with
/// the service and the operation. `RUST_LOG=iib_aws::operations=debug` shows what a function
/// does; the stack test holds it against what the function may do.
#[derive(Debug)]
pub(crate) struct TraceOperations;

impl Intercept for TraceOperations {
    fn name(&self) -> &'static str {
        "TraceOperations"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(called) = settings.load::<Metadata>() {
            let (service, operation) = (called.service(), called.name());
            tracing::debug!(service, operation, "call");
        }
        Ok(())
    }
}
