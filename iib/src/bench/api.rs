//! `iib bench api`: the API over the embedded stores, beside empty ones and beside full ones.
//!
//! The router is asked over HTTP on loopback, by clients in this process, so that the figures have
//! theirs in them; no stage runs. Each kind of call is made by several clients for a while. Full stores
//! are filled first, with users, indexes and states as a service has them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use iib_edge::Config;
use iib_intake::Api;
use iib_local::Local;
use iib_pipeline::Deps;
use iib_ports::{NewBatch, NewRequest};
use iib_request::{AddRequest, Facts, RmRequest, State, Update};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::Exit;
use crate::cli::BenchApiOptions;
use crate::say;

/// Clients that ask at the same time.
const CLIENTS: usize = 8;
/// Clients that wait for a change at the same time.
const WAITING: usize = 100;
/// Time in which they have all come.
const SETTLE: Duration = Duration::from_millis(500);
/// Requests stored in one go while the stores are filled.
const AT_ONCE: usize = 500;
/// Users and indexes in full stores.
const USERS: usize = 20;
const INDEXES: usize = 10;

/// What a kind of call came to.
#[derive(Debug, Serialize)]
struct Row {
    stored: u64,
    call: &'static str,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Calls a second, as a share of those with empty stores; for POST beside a listing client, of those alone.
    ratio: Option<f64>,
    /// Processors that are taken while nothing happens, clients included.
    cores: Option<f64>,
}

/// Runs the benchmark and prints its table.
pub(crate) async fn run(options: &BenchApiOptions) -> anyhow::Result<Exit> {
    let seconds = Duration::from_secs_f64(options.seconds);
    let mut rows: Vec<Row> = Vec::new();
    for stored in [0, options.stored] {
        let folder = tempfile::Builder::new().prefix("iib-bench-").tempdir()?;
        let mut config = Config::load(None, &Default::default())?;
        config.data_folder = folder.path().to_owned();
        let local = Local::open(&config)?;
        say::aside(format_args!("{stored} requests: storing them"));
        fill(&local.deps, stored).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let router = iib_intake::router(Api {
            intake: Arc::new(local.deps.clone().into()),
            listing: local.listing.clone(),
            watch: local.watch.clone(),
            tokens: None,
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await });
        let asker = Asker::new(base, stored)?;
        for call in CALLS {
            let measured = asker.measure(call, seconds, CLIENTS).await?;
            let empty = rows
                .iter()
                .find(|row| row.stored == 0 && row.call == call.name);
            let ratio = empty.map(|empty| measured.per_second / empty.per_second);
            rows.push(measured.into_row(stored, call.name, ratio));
        }
        let (beside, ratio) = beside_and_alone(&asker, seconds).await?;
        rows.push(beside.into_row(stored, "POST, and a client that lists", Some(ratio)));
        let (changed, cores) = asker.wait_for_changes(&local.deps, seconds).await?;
        rows.push(Row {
            cores: Some(cores),
            ..changed.into_row(stored, "a change, to 100 who wait", None)
        });
        serving.abort();
    }
    match options.json {
        true => say::line(serde_json::to_string_pretty(&rows)?)?,
        false => say::text(table(&rows))?,
    }
    Ok(Exit::Done)
}

/// POSTs beside a listing client and alone, in turns: the last of the former, and the middle of the
/// shares.
async fn beside_and_alone(asker: &Asker, lasts: Duration) -> anyhow::Result<(Measured, f64)> {
    let mut shares = Vec::new();
    loop {
        let alone = asker.measure(&POST, lasts, CLIENTS).await?;
        let beside = asker.beside_a_listing(lasts).await?;
        shares.push(beside.per_second / alone.per_second);
        if let [first, second, third] = *shares {
            let middle = first.max(second).min(first.min(second).max(third));
            return Ok((beside, middle));
        }
    }
}

fn table(rows: &[Row]) -> String {
    let header = "stored   call                                     a second   p50 ms   p99 ms   ratio   cores\n";
    let line = |row: &Row| {
        let ratio = row
            .ratio
            .map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let cores = row
            .cores
            .map_or(String::new(), |cores| format!("{cores:.3}"));
        format!(
            "{:>7}  {:<40} {:>8.0} {:>8.2} {:>8.2} {ratio:>7} {cores:>7}\n",
            row.stored, row.call, row.per_second, row.p50_ms, row.p99_ms
        )
    };
    header.to_owned() + &rows.iter().map(line).collect::<String>()
}

/// Stores requests of some users, indexes and kinds, most of them complete.
async fn fill(deps: &Deps, count: u64) -> anyhow::Result<()> {
    let (requests, clock) = (&deps.requests, &deps.clock);
    let mut stored = 0;
    while stored < count {
        let these = AT_ONCE.min(usize::try_from(count - stored)?);
        let number = usize::try_from(stored)? / AT_ONCE;
        let user = format!("user-{}@example.com", number % USERS);
        let index = format!("registry.example.com/catalog/index:v4.{}", number % INDEXES);
        let request = |place: usize| NewRequest {
            request: match place % 5 {
                0 => RmRequest {
                    operators: vec!["lantern".to_owned()],
                    from_index: index.clone(),
                    ..RmRequest::default()
                }
                .into(),
                _ => AddRequest {
                    bundles: vec![format!("registry.example.com/ops/bundle:{number}.{place}")],
                    from_index: Some(index.clone()),
                    ..AddRequest::default()
                }
                .into(),
            },
            queue: None,
            traceparent: None,
            secrets: Default::default(),
        };
        let mut batch = NewBatch::of(Some(user), AddRequest::default().into(), clock.now());
        batch.requests = (0..these).map(request).collect();
        for (place, mut record) in requests
            .create(batch)
            .await?
            .into_records()
            .into_iter()
            .enumerate()
        {
            let state = match place % 10 {
                0 => State::Failed,
                1 => continue,
                _ => State::Complete,
            };
            let facts = Facts {
                index_image: Some(format!("registry.example.com/iib-build:{}", record.id)),
                ..Facts::default()
            };
            record.apply(&Update::state(state, "done").with(facts), clock.now());
            requests.replace(record).await?;
        }
        stored += these as u64;
    }
    Ok(())
}

/// A kind of call: its name and what is asked for, with the number of the call.
struct Call {
    name: &'static str,
    path: fn(u64, u64) -> String,
}

/// The one that is sent and not asked.
const POST: Call = Call {
    name: "POST add",
    path: |_, _| String::new(),
};

const CALLS: &[Call] = &[
    POST,
    Call {
        name: "GET one",
        path: |number, stored| format!("{BUILDS}/{}", 1 + number % stored.max(1)),
    },
    Call {
        name: "GET a page",
        path: |_, _| BUILDS.to_owned(),
    },
    Call {
        name: "GET a page far behind",
        path: |number, stored| {
            format!("{BUILDS}?page={}", 1 + (number * 37) % (stored / 20).max(1))
        },
    },
    Call {
        name: "GET ?state=",
        path: |_, _| format!("{BUILDS}?state=in_progress"),
    },
    Call {
        name: "GET ?user=",
        path: |number, _| format!("{BUILDS}?user=user-{}@example.com", number % USERS as u64),
    },
    Call {
        name: "GET ?user=&from_index=&state=",
        path: |number, _| {
            let (user, index) = (number % USERS as u64, number % INDEXES as u64);
            format!(
                "{BUILDS}?user=user-{user}@example.com&from_index={BASE}:v4.{index}&state=complete"
            )
        },
    },
    Call {
        name: "GET ?from_index_startswith=",
        path: |_, _| format!("{BUILDS}?from_index_startswith={BASE}"),
    },
    Call {
        name: "GET ?request_type=&page=",
        path: |number, _| format!("{BUILDS}?request_type=add&page={}", 1 + number % 20),
    },
    Call {
        name: "GET the list, for people",
        path: |_, _| "/".to_owned(),
    },
    Call {
        name: "GET the list far behind, for people",
        path: |number, stored| format!("/?cursor={}", 1 + (number * 37) % stored.max(1)),
    },
    Call {
        name: "GET one, for people",
        path: |number, stored| format!("/requests/{}", 1 + number % stored.max(1)),
    },
];

const BUILDS: &str = "/api/v1/builds";

const BASE: &str = "registry.example.com/catalog/index";

/// How fast calls were.
struct Measured {
    per_second: f64,
    /// Seconds each, sorted.
    took: Vec<f64>,
}

impl Measured {
    fn into_row(self, stored: u64, call: &'static str, ratio: Option<f64>) -> Row {
        let at = |share: usize| {
            let place = self.took.len().saturating_sub(1) * share / 100;
            1000.0 * self.took.get(place).copied().unwrap_or_default()
        };
        Row {
            stored,
            call,
            per_second: self.per_second,
            p50_ms: at(50),
            p99_ms: at(99),
            ratio,
            cores: None,
        }
    }
}

/// Clients of the service.
struct Asker {
    client: reqwest::Client,
    base: String,
    stored: u64,
    calls: Arc<AtomicU64>,
}

impl Asker {
    fn new(base: String, stored: u64) -> anyhow::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base,
            stored,
            calls: Arc::new(AtomicU64::new(0)),
        })
    }

    async fn ask(&self, call: &Call) -> anyhow::Result<()> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let request = if call.name == POST.name {
            let body = json!({
                "bundles": [format!("registry.example.com/ops/bundle:{number}")],
                "from_index": format!("{BASE}:v4.{}", number % INDEXES as u64),
                "binary_image": "registry.example.com/opm:v4.6",
            });
            self.client
                .post(format!("{}{BUILDS}/add", self.base))
                .json(&body)
        } else {
            let path = (call.path)(number, self.stored);
            self.client.get(format!("{}{path}", self.base))
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        // Nothing is listed that nobody has used, and no page is there past the end.
        let is_empty = self.stored == 0 && matches!(status.as_u16(), 400 | 404);
        if !status.is_success() && !is_empty {
            bail!("{}: {status} {text}", call.name);
        }
        Ok(())
    }

    /// Makes calls of one kind for so long, by so many clients.
    async fn measure(
        &self,
        call: &Call,
        lasts: Duration,
        clients: usize,
    ) -> anyhow::Result<Measured> {
        let begun = Instant::now();
        let client = async || -> anyhow::Result<Vec<f64>> {
            let mut took = Vec::new();
            while begun.elapsed() < lasts {
                let asked = Instant::now();
                self.ask(call).await?;
                took.push(asked.elapsed().as_secs_f64());
            }
            Ok(took)
        };
        let took = try_join_all((0..clients).map(|_| client())).await?;
        let mut took: Vec<f64> = took.into_iter().flatten().collect();
        let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
        took.sort_by(f64::total_cmp);
        Ok(Measured { per_second, took })
    }

    /// Lets many clients wait for a request: what that takes while nothing happens, and how long a change is on its way
    /// to each of them.
    async fn wait_for_changes(
        &self,
        deps: &Deps,
        lasts: Duration,
    ) -> anyhow::Result<(Measured, f64)> {
        let new = NewBatch::of(None, AddRequest::default().into(), deps.clock.now());
        let created = deps.requests.create(new).await?.into_records();
        let mut record = created.into_iter().next().context("it was stored")?;
        let (begun, mut took, mut idle) = (Instant::now(), Vec::new(), Vec::new());
        while begun.elapsed() < lasts {
            let url = format!(
                "{}{BUILDS}/{}?after={}&wait=20",
                self.base, record.id, record.version
            );
            let wait = async || -> anyhow::Result<Instant> {
                let answer = self.client.get(&url).send().await?.error_for_status()?;
                answer.bytes().await?;
                Ok(Instant::now())
            };
            let waiting = try_join_all((0..WAITING).map(|_| wait()));
            let change = async {
                // Until all have come, and then while nothing happens.
                tokio::time::sleep(SETTLE).await;
                let (before, since) = (processor_seconds()?, Instant::now());
                tokio::time::sleep(lasts).await;
                idle.push((processor_seconds()? - before) / since.elapsed().as_secs_f64());
                record.apply(
                    &Update::doing(format!("{}", record.version)),
                    deps.clock.now(),
                );
                let written = Instant::now();
                record = deps.requests.replace(record.clone()).await?;
                anyhow::Ok(written)
            };
            let (answered, written) = tokio::try_join!(waiting, change)?;
            let late = answered.into_iter().map(|at| (at - written).as_secs_f64());
            took.extend(late);
        }
        took.sort_by(f64::total_cmp);
        let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
        let least = idle.into_iter().min_by(f64::total_cmp);
        Ok((Measured { per_second, took }, least.unwrap_or_default()))
    }

    /// POSTs while one more client lists, page after page.
    async fn beside_a_listing(&self, lasts: Duration) -> anyhow::Result<Measured> {
        let page = CALLS
            .iter()
            .find(|call| call.name == "GET a page far behind");
        let page = page.context("there is such a call")?;
        let (posts, _) = tokio::try_join!(
            self.measure(&POST, lasts, CLIENTS),
            self.measure(page, lasts, 1)
        )?;
        Ok(posts)
    }
}

/// Seconds of processors that this process has taken.
fn processor_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may have anything in it.
    let (_, rest) = stat.rsplit_once(')').context("a name")?;
    let field = |place: usize| -> anyhow::Result<f64> {
        let ticks = rest.split_whitespace().nth(place).context("a field")?;
        Ok(ticks.parse::<f64>()? / TICKS)
    };
    // `utime` and `stime` (proc_pid_stat(5)).
    Ok(field(11)? + field(12)?)
}

/// Ticks of a second, as the kernel tells them to programs.
const TICKS: f64 = 100.0;
