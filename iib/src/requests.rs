//! Looking at the requests of a running service: `iib list`, `iib show`, `iib logs`, `iib open`.

use anyhow::Context as _;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::Exit;
use crate::cli::{ListOptions, LogsOptions, OpenOptions, ServiceAddress, ShowOptions};
use crate::client::Client;
use crate::output::{plain, print, table};
use crate::say;
use crate::shown::ShownPages;
use crate::wait::{Looks, is_final};

/// Requests asked for at once; the service may give fewer.
const PIECE: usize = 20;

/// Characters of a reason in a list.
const REASON: usize = 60;

/// Lists requests, the newest first.
pub(crate) async fn list(options: &ListOptions) -> anyhow::Result<Exit> {
    let client = client(&options.service)?;
    let batch = options.batch.map(|batch| batch.to_string());
    let filters = [
        ("state", options.state.as_deref()),
        ("request_type", options.request_type.as_deref()),
        ("user", options.user.as_deref()),
        ("batch", batch.as_deref()),
        ("from_index", options.from_index.as_deref()),
        ("dry_run", options.dry_runs.then_some("true")),
    ];
    let given = filters.into_iter();
    let mut query: Vec<(String, String)> = given
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    query.push(("cursor".to_owned(), String::new()));
    query.push(("per_page".to_owned(), options.limit.min(PIECE).to_string()));
    let mut requests = Vec::new();
    let mut next = Some(query);
    while let Some(query) = next.take().filter(|_| requests.len() < options.limit) {
        let (items, further) = client.list(&query).await?;
        requests.extend(items);
        next = further;
    }
    requests.truncate(options.limit);
    let rows = || requests.iter().map(row).collect::<Vec<_>>();
    let headings = ["ID", "STATE", "TYPE", "USER", "UPDATED", "REASON"];
    let form = options.output.form();
    print(&json!(requests), form, || table(&headings, &rows()))?;
    Ok(Exit::Done)
}

fn row(request: &Value) -> Vec<String> {
    let text = |member: &str| plain(&of(request, member));
    let reason: String = text("state_reason").chars().take(REASON).collect();
    vec![
        text("id"),
        text("state"),
        text("request_type"),
        text("user"),
        text("updated"),
        reason,
    ]
}

/// A member as people read it; nothing for one that is not there.
fn of(request: &Value, member: &str) -> String {
    match request.get(member) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Shows a request.
pub(crate) async fn show(options: &ShowOptions) -> anyhow::Result<Exit> {
    let client = client(&options.service)?;
    let request = client.get(options.request).await?;
    print(&request, options.output.form(), || lines(&request))?;
    Ok(Exit::Done)
}

/// A request as lines for people: what is known of it, and how it went, the latest last.
fn lines(request: &Value) -> String {
    let members = request.as_object().into_iter().flatten();
    let is_shown = |(name, value): &(&String, &Value)| {
        let is_empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        !is_empty && *name != "state_history"
    };
    let rows: Vec<Vec<String>> = members
        .filter(is_shown)
        .map(|(name, value)| {
            let said = match value {
                Value::Array(items) => {
                    let items = items.iter().map(|item| match item {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    });
                    items.collect::<Vec<_>>().join(", ")
                }
                Value::Object(document) => match document.get("url").and_then(Value::as_str) {
                    Some(url) => url.to_owned(),
                    None => value.to_string(),
                },
                _ => of(request, name),
            };
            vec![name.clone(), plain(&said)]
        })
        .collect();
    let history = request.get("state_history").and_then(Value::as_array);
    let history = history.into_iter().flatten().rev();
    let steps: Vec<Vec<String>> = history
        .map(|entry| {
            let text = |member: &str| plain(&of(entry, member));
            vec![text("updated"), text("state"), text("state_reason")]
        })
        .collect();
    format!("{}\n{}", table(&[], &rows), table(&[], &steps))
}

/// Prints the log of a request, with `--follow` until it ends.
pub(crate) async fn logs(options: &LogsOptions) -> anyhow::Result<Exit> {
    let client = client(&options.service)?;
    let mut looks = Looks::at(&client, options.request);
    // That it is not there is told; later the service may be restarting.
    let mut seen = Some(looks.next().await?);
    let mut printed = 0;
    loop {
        if let Some((document, log)) = seen {
            let new = log.get(printed..).unwrap_or_default();
            say::text(new)?;
            printed += new.len();
            if !options.follow || is_final(&document) {
                return Ok(Exit::Done);
            }
        }
        seen = looks.next().await.ok();
    }
}

/// Opens a page of the service in a browser. Where the service wants to know who asks, it is shown on this machine,
/// until the command is ended.
pub(crate) async fn open(options: &OpenOptions) -> anyhow::Result<Exit> {
    let named = client(&options.service)?;
    let page = named.page(options.request)?;
    // As a browser would.
    let nobody = Client::new(&options.service.url, None)?;
    let answer = nobody.look(page.clone(), HeaderMap::new()).await?;
    let is_refused = matches!(
        answer.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    let shown_by = if nobody.signs() {
        Some(nobody)
    } else if is_refused && (options.service.token.is_some() || !asks_browsers(&answer)) {
        Some(named)
    } else {
        None
    };
    if let Some(client) = shown_by.as_ref().filter(|_| is_refused) {
        // Why nobody is let in is said to programs only.
        client
            .list(&[("per_page".to_owned(), "1".to_owned())].into())
            .await?;
    }
    let Some(client) = shown_by else {
        hand_out(page.as_str(), options.print)?;
        return Ok(Exit::Done);
    };
    let pages = ShownPages::new(client, &page).await?;
    hand_out(pages.begin(), options.print)?;
    say::aside(format_args!(
        "{page} wants to know who asks: it is shown at the address above with your login, until you end this command (Ctrl-C)"
    ));
    tokio::select! {
        served = pages.serve() => served?,
        ended = tokio::signal::ctrl_c() => ended?,
    }
    Ok(Exit::Done)
}

/// Whether an answer asks for a login that browsers know themselves, such as a proxy's in front of the service.
fn asks_browsers(answer: &reqwest::Response) -> bool {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut challenges = challenges.filter_map(|challenge| challenge.to_str().ok());
    challenges.any(|challenge| !challenge.to_ascii_lowercase().starts_with("bearer"))
}

/// Prints an address, for whoever has no browser here, and has one opened.
fn hand_out(address: &str, only_print: bool) -> anyhow::Result<()> {
    say::line(address)?;
    if !only_print {
        open::that_detached(address)
            .context("no browser could be started: open that address in one")?;
    }
    Ok(())
}

fn client(service: &ServiceAddress) -> anyhow::Result<Client> {
    Client::new(&service.url, service.token.as_ref())
}
