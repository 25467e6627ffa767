//! A request as it goes on, as server-sent events. Only where a process answers: a function's answer is one piece.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, stream};
use iib_pipeline::intake::{self, IntakeDeps, LogContent, LogPart};
use iib_ports::{Waited, Watch};
use iib_request::{Form, Record, RequestId};
use serde_json::json;

use crate::api::Api;
use crate::endpoint::Endpoints;
use crate::frame;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};

/// How long one look for a change takes at most; then another begins.
const LOOK: Duration = Duration::from_secs(20);
/// After which time a browser connects again that was cut off, or was not let in.
const AGAIN: Duration = Duration::from_secs(3);
/// How often a comment says that the connection is good.
const ALIVE: Duration = Duration::from_secs(15);

/// What answers `GET /builds/<id>/events`, beside [`crate::router`].
pub fn events(api: Api) -> Router {
    Endpoints::of_a_process()
        .router(&api)
        .method_not_allowed_fallback(crate::not_allowed)
        .layer(from_fn(frame::frame))
        .with_state(api)
}

/// `GET /builds/<id>/events`: `state` with the request's document for each change, `log` with the lines that came
/// since, and `end`.
pub(crate) async fn follow(
    State(deps): State<Arc<IntakeDeps>>,
    State(watch): State<Arc<dyn Watch>>,
    Id(id): Id,
    BuildsUrl(builds): BuildsUrl,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    // One that is not there is told as ever.
    intake::get(&deps, id).await?;
    let follower = Follower {
        deps,
        watch,
        id,
        builds,
        known: 0,
        log_bytes: 0,
        is_over: false,
    };
    let pieces = stream::unfold(follower, |mut follower| async {
        let pieces = follower.next().await?;
        Some((stream::iter(pieces.into_iter().map(Ok)), follower))
    });
    let events = futures::StreamExt::flatten(pieces);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// Who follows a request, and what was sent.
struct Follower {
    deps: Arc<IntakeDeps>,
    watch: Arc<dyn Watch>,
    id: RequestId,
    builds: String,
    /// The version that was sent last.
    known: u64,
    log_bytes: usize,
    is_over: bool,
}

impl Follower {
    /// The events of the next change; nothing when all is told, or nobody may wait now.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.is_over {
            return None;
        }
        loop {
            let first = self.known == 0;
            // How it stands now nobody has to wait for. A browser comes again when the connection ends.
            if !first {
                match self.watch.changed(self.id, self.known, LOOK).await.ok()? {
                    Waited::Changed => {}
                    Waited::Unchanged => continue,
                    Waited::Refused => return None,
                }
            }
            let record = intake::get(&self.deps, self.id).await.ok()?;
            self.known = record.version;
            self.is_over = record.state().is_final();
            let mut events = Vec::new();
            events.extend(first.then(|| Event::default().retry(AGAIN)));
            events.push(self.state(&record).await?);
            events.extend(self.log().await);
            events.extend(
                self.is_over
                    .then(|| Event::default().event("end").data("{}")),
            );
            return Some(events);
        }
    }

    async fn state(&self, record: &Record) -> Option<Event> {
        let builds = BuildsUrl(self.builds.clone());
        let shower = Shower::new(&self.deps, [record], builds).await.ok()?;
        let document = serde_json::to_string(&shower.show(record, Form::Verbose)).ok()?;
        let event = Event::default().event("state").data(document);
        Some(event.id(record.version.to_string()))
    }

    /// The lines that came since the last look.
    async fn log(&mut self) -> Option<Event> {
        let log = intake::logs(&self.deps, self.id, LogPart::SoFar)
            .await
            .ok()?;
        let text = match log {
            LogContent::Text(text) => text,
            // Whoever wants all of it follows the link.
            LogContent::At(_) => return None,
        };
        // Of one that has become very large only the end is read, and what came since cannot be told.
        if intake::is_cut(&text) {
            return None;
        }
        let new = text.get(self.log_bytes..).unwrap_or_default();
        let (lines, _) = new.rsplit_once('\n')?;
        self.log_bytes += lines.len() + 1;
        Some(Event::default().event("log").data(json!(lines).to_string()))
    }
}
