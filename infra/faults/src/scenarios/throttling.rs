//! Requests while a service refuses calls.

use anyhow::{Context as _, ensure};

use crate::check;
use crate::drive::{start, submit, total, work};
use crate::input::Input;
use crate::resources::Resources;
use crate::stack::EmulatedStack;
use crate::tally::Tally;
use crate::throttle::{Pattern, Proxy, Throttled};

/// An add over an emulator that throttles calls of a service in this way.
pub(crate) async fn throttled(
    (endpoint, resources): (&str, &Resources),
    registry: &str,
    (input, digest): (&Input, &str),
    (service, pattern): (Throttled, Pattern),
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let when = format!("the stack: {service:?} throttled, {pattern:?}");
    let proxy = Proxy::start(endpoint, service, pattern).await?;
    let stack = EmulatedStack::new(resources.clone(), &proxy.endpoint, registry).await?;
    let process = start(&stack, &input.repository()).await?;
    let before = total(&process).await?;
    proxy.begin();
    let id = submit(&process.deps, &input.request).await;
    let id = id.context("the request is not taken in")?;
    let worked = work(&stack, &process.deps, None, None).await?;
    let refused = proxy.end();
    check::complete(tally, &when, &process.deps, id, Some(digest)).await?;
    check::all_ended(tally, &when, &process, before + 1).await?;
    ensure!(refused > 0, "no call was refused");
    if pattern.outlasts_retries() {
        let again = worked
            .done
            .iter()
            .any(|(_, message)| message.deliveries > 1);
        ensure!(
            again,
            "no message came back, although {refused} calls were refused in a row"
        );
    }
    Ok(1)
}
