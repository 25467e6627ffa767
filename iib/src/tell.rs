//! What the table's stream and a schedule start on AWS, in local mode.

use std::time::Duration;

use iib_local::Notify;
use iib_notify::NotifyEvent;
use iib_pipeline::notify::NotifyDeps;
use iib_request::BatchId;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Most batches of one event, as in the template.
const BATCHES: usize = 100;
/// How often what could not be told is looked at again.
const EVERY: Duration = Duration::from_secs(60);

/// Tells others what happens to requests until `stop`. What is under way then is told again at the next start.
pub(crate) async fn tell(notify: Notify, stop: CancellationToken) {
    let Notify { deps, news } = notify;
    let telling = async {
        loop {
            let batches = news.woken(BATCHES).await;
            hand_over(&deps, of_the_stream(&batches)).await;
        }
    };
    let looking = async {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            hand_over(&deps, json!({"detail-type": "Scheduled Event"})).await;
        }
    };
    let both = async { tokio::join!(telling, looking) };
    stop.run_until_cancelled_owned(both).await;
}

async fn hand_over(deps: &NotifyDeps, event: Value) {
    let event: NotifyEvent = match serde_json::from_value(event) {
        Ok(event) => event,
        Err(error) => {
            warn!(%error, "an event was made that is none");
            return;
        }
    };
    let event = LambdaEvent::new(event, Context::default());
    if let Err(error) = iib_notify::handle(deps, event).await {
        warn!(error = iib_ports::chain(&error), "to be told again");
    }
}

/// The event in the shape the table's stream sends; the keys are those of its items.
fn of_the_stream(batches: &[BatchId]) -> Value {
    let record = |batch: &BatchId| {
        json!({
            "eventName": "MODIFY",
            "dynamodb": { "Keys": {
                "pk": { "S": "OUTBOX#00" },
                "sk": { "S": format!("{:020}#", batch.0) },
            } },
        })
    };
    json!({ "Records": batches.iter().map(record).collect::<Vec<_>>() })
}
