//! What a schedule starts on AWS, in local mode.

use std::time::Duration;

use iib_pipeline::prune::PruneDeps;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the service is cleared up: a request whose message was lost waits no longer than
/// users look at it.
const EVERY: Duration = Duration::from_secs(60);

/// Clears up time and again until `stop`; a run that is under way then is cut off, which does no
/// harm.
pub(crate) async fn clear_up(deps: PruneDeps, stop: CancellationToken) {
    let runs = async {
        let mut ticks = tokio::time::interval(EVERY);
        // A long round is followed by a pause, not by those that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let event = LambdaEvent::new(event(&deps), Context::default());
            let run = Box::pin(iib_prune::handle(&deps, event));
            if let Err(error) = run.await {
                warn!(error = iib_ports::chain(&error), "to be cleared up again");
            }
        }
    };
    stop.run_until_cancelled_owned(runs).await;
}

/// The event in the shape EventBridge sends.
fn event(deps: &PruneDeps) -> Value {
    json!({
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": format!("{:.0}", deps.clock.now()),
        "region": "local",
        "resources": ["arn:aws:events:local:000000000000:rule/iib-prune"],
        "detail": {},
    })
}
