//! A process dies at every port call of one add.

use iib_pipeline::prune;
use iib_request::{AddRequest, RequestId};
use iib_testkit::crash::LastCall;
use jiff::SignedDuration;

use crate::drive::{Ended, dying, submit, work};
use crate::platform::{From, Platform, Process};
use crate::tally::Tally;

/// More calls than an add has, so that a loop without an end is noticed.
const MANY: usize = 300;

/// Runs one add for every call it makes, with a process that dies there.
pub(crate) async fn everywhere(
    platform: &dyn Platform,
    request: &AddRequest,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let process = platform.start().await?;
    let expected = undisturbed(platform, &process, request, tally).await?;
    let first = iib_ports::PageQuery {
        page: 1,
        per_page: 1,
    };
    let mut total = process.deps.requests.list(first).await?.total;
    drop(process);
    for last in [LastCall::Lost, LastCall::Unanswered] {
        for calls in 0.. {
            anyhow::ensure!(calls < MANY, "an add makes more than {MANY} calls");
            let when = format!("{}, call {calls}, {last:?}", platform.name());
            let (died, id, process) = kill_at(platform, request, calls, last).await?;
            // The client that got no answer asks again; what it asked for first may be there too.
            let made = process.deps.requests.list(first).await?.total;
            anyhow::ensure!(made <= total + 2, "{when}: {made} requests after {total}");
            for number in total + 1..=made {
                let id = RequestId(number);
                tally
                    .check(&when, &process.deps, id, Some(&expected))
                    .await?;
            }
            if id.0 <= total || id.0 > made {
                tally.duplicated(&format!("{when}: number {id}"));
            }
            total = made;
            tally.check_total(&when, &process.deps, total).await?;
            if !died {
                break;
            }
            tally.kill_points += 1;
        }
    }
    Ok(())
}

/// The digest of the index that the request makes when nothing goes wrong.
async fn undisturbed(
    platform: &dyn Platform,
    process: &Process,
    request: &AddRequest,
    tally: &mut Tally,
) -> anyhow::Result<String> {
    let id = submit(&process.deps, request).await;
    let id = id.ok_or_else(|| anyhow::anyhow!("{} takes no request in", platform.name()))?;
    work(platform, &process.deps, None).await?;
    let digest = tally
        .check(platform.name(), &process.deps, id, None)
        .await?;
    digest.ok_or_else(|| anyhow::anyhow!("{}: {:?}", platform.name(), tally.complaints))
}

/// One add whose process dies at a call; the next process ends it. Tells whether it died at all,
/// and the request's number as the client knows it.
async fn kill_at(
    platform: &dyn Platform,
    request: &AddRequest,
    calls: usize,
    last: LastCall,
) -> anyhow::Result<(bool, RequestId, Process)> {
    let process = platform.start().await?;
    let (deps, crash) = dying(&process.deps, calls, last);
    let id = submit(&deps, request).await;
    let ended = match (id, crash.has_died()) {
        (_, true) | (None, false) => Ended::Idle,
        (Some(_), false) => work(platform, &deps, Some(&crash)).await?,
    };
    let died = crash.has_died();
    // Everything of it goes; what is left is in the stores.
    drop((deps, crash, process));
    if !died {
        let process = platform.start().await?;
        let id = id.ok_or_else(|| anyhow::anyhow!("the request was not taken in"))?;
        return Ok((false, id, process));
    }
    let seconds = i64::from(iib_request::WorkSettings::default().stage_timeout_seconds);
    // Leases end, and what nobody touched for two stages is looked for.
    platform.pass(SignedDuration::from_secs(2 * seconds + 1));
    if let Ended::Died(stage, message) = &ended {
        platform.bring_back(From::Stage(*stage), message).await?;
    }
    let process = platform.start().await?;
    let id = match id {
        Some(id) => id,
        None => submit(&process.deps, request)
            .await
            .ok_or_else(|| anyhow::anyhow!("a second call is refused"))?,
    };
    prune::run(&process.prune, None).await?;
    work(platform, &process.deps, None).await?;
    Ok((true, id, process))
}
