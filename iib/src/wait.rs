//! Following a request until it ends.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use iib_ports::Backoff;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::Client;
use crate::say;

/// Pauses before a service is asked again that does not let the call wait. Requests take seconds; a person does not notice
/// less than the first. Who waits long does not notice seconds, and a service that bills and limits calls does:
/// after ten looks and some six seconds the pause is the longest.
const PAUSES: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_secs(2)).growing_by(4.0 / 3.0);

/// Time after which an answer without news is one that was waited for.
const WAITED: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// On standard error: a moving line on a terminal, plain lines elsewhere.
    Progress,
    /// On standard output, one JSON object a line.
    Json,
}

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// The request is final; its document.
    Final(Value),
    /// The time is over; the request goes on.
    TimedOut,
}

/// Follows a request to its end, showing states and log lines as they come.
pub(crate) async fn wait(
    client: &Client,
    id: u64,
    limit: Duration,
    show: Show,
) -> anyhow::Result<Waited> {
    let deadline = Instant::now() + limit;
    let (mut view, mut looks) = (View::new(show), Looks::at(client, id));
    loop {
        let (document, log) = match timeout_at(deadline, looks.next()).await {
            Ok(Ok(seen)) => seen,
            // The service may be restarting; the request goes on, and so does the waiting.
            Ok(Err(_)) => continue,
            Err(_) => {
                view.clear();
                return Ok(Waited::TimedOut);
            }
        };
        view.update(&document, &log)?;
        if is_final(&document) {
            view.clear();
            return Ok(Waited::Final(document));
        }
    }
}

/// Whether a request has ended, by its document.
pub(crate) fn is_final(document: &Value) -> bool {
    let state = document.get("state").and_then(Value::as_str);
    matches!(state, Some("complete" | "failed"))
}

/// Looks at a request, one after the other. Each waits for a change where the service lets it; elsewhere there are pauses
/// between them.
pub(crate) struct Looks<'c> {
    client: &'c Client,
    id: u64,
    /// The version that was seen last.
    known: Option<u64>,
    /// Looks one after the other for which the service did not wait.
    in_vain: u32,
}

impl<'c> Looks<'c> {
    pub(crate) fn at(client: &'c Client, id: u64) -> Self {
        Self {
            client,
            id,
            known: None,
            in_vain: 0,
        }
    }

    /// The document of the request and its log. The document first: a log read after a final state is the whole log.
    pub(crate) async fn next(&mut self) -> anyhow::Result<(Value, String)> {
        let asked = Instant::now();
        if self.in_vain > 0 {
            sleep(PAUSES.after(self.in_vain)).await;
        }
        // Until it is known to be news: an error is none.
        self.in_vain = self.in_vain.saturating_add(1);
        let seen = self.client.newer(self.id, self.known).await?;
        let log = self.client.live_log(self.id).await?;
        let is_news = seen.version.is_some() && seen.version != self.known;
        if is_news || asked.elapsed() >= WAITED {
            self.in_vain = 0;
        }
        self.known = seen.version;
        Ok((seen.document, log))
    }
}

/// What was shown already, and how.
struct View {
    show: Show,
    bar: Option<ProgressBar>,
    started: Instant,
    log_bytes: usize,
    states: BTreeSet<String>,
}

impl View {
    fn new(show: Show) -> Self {
        let terminal = show == Show::Progress && std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            show,
            bar,
            started: Instant::now(),
            log_bytes: 0,
            states: BTreeSet::new(),
        }
    }

    fn update(&mut self, document: &Value, log: &str) -> io::Result<()> {
        let mut history: Vec<&Value> = document
            .get("state_history")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        history.reverse();
        for entry in history {
            let text = |field| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let key = format!("{} {}", text("state"), text("state_reason"));
            if self.states.insert(key) {
                self.state(entry, text("state_reason"))?;
            }
        }
        // Only whole lines: the rest comes with the next look.
        let new = log.get(self.log_bytes..).unwrap_or_default();
        if let Some(end) = new.rfind('\n') {
            let (lines, _) = new.split_at(end + 1);
            self.log_bytes += lines.len();
            lines.lines().try_for_each(|line| self.log_line(line))?;
        }
        Ok(())
    }

    /// A new state. Off a terminal the log says the same, with its time, so only JSON has both.
    fn state(&self, entry: &Value, reason: &str) -> io::Result<()> {
        match (&self.bar, self.show) {
            (Some(bar), _) => bar.set_message(reason.to_owned()),
            (None, Show::Json) => say::line(json!({ "change": entry }))?,
            (None, Show::Progress) => {}
        }
        Ok(())
    }

    fn log_line(&self, line: &str) -> io::Result<()> {
        // A person watching wants to know how long, not when.
        let text = line.split_once(' ').map_or(line, |(_time, text)| text);
        let seconds = self.started.elapsed().as_secs_f64();
        match (&self.bar, self.show) {
            (Some(bar), _) => bar.println(format!("{seconds:6.1}s  {text}")),
            (None, Show::Json) => say::line(json!({ "log": line }))?,
            (None, Show::Progress) => say::aside(format_args!("{seconds:6.1}s  {text}")),
        }
        Ok(())
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
