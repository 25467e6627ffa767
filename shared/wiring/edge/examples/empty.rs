//! A function that does nothing: what the platform and its runtime cost by themselves. The
//! functions' cold starts are measured beside it (`infra/local/stack bench`).

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| {
        Ok::<_, Error>(Value::Null)
    }))
    .await
}
