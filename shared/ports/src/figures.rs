//! Figures for those who run the service: how it stands, and what happened to its requests.

use std::collections::BTreeMap;
use std::time::Duration;

use iib_request::{Record, Stage};
use jiff::Timestamp;

use crate::{Class, Transferred};

/// Takes figures to where they are looked at. Failing to is never a reason to fail what they are about, so there is no
/// error, and nothing waits for it.
pub trait Figures: Send + Sync {
    /// Publishes what was found out at once.
    fn publish(&self, at: Timestamp, samples: &[Sample]);
}

/// Nobody looks at figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFigures;

impl Figures for NoFigures {
    fn publish(&self, _: Timestamp, _: &[Sample]) {}
}

/// Figures about one and the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What they are about, from the general to the particular: `Class`, `Kind`. Each is a dimension in CloudWatch and a
    /// label for Prometheus, and has few values.
    pub about: Vec<(Dimension, &'static str)>,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// What a figure may be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The kind of a request, as it is called in the API.
    Kind,
    /// The class of the error that a request failed with.
    Class,
    /// A stage.
    Stage,
    /// How an attempt ended.
    Result,
    /// A function.
    Function,
}

impl Dimension {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "Kind",
            Self::Class => "Class",
            Self::Stage => "Stage",
            Self::Result => "Result",
            Self::Function => "Function",
        }
    }

    /// The same as a label for Prometheus, where they are written small.
    pub fn label(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Class => "class",
            Self::Stage => "stage",
            Self::Result => "result",
            Self::Function => "function",
        }
    }
}

/// A figure as those see it who run the service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its name, in CloudWatch and everywhere else.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What becomes of several of it.
    pub form: Form,
    /// What it says.
    pub about: &'static str,
    /// The figure.
    pub value: f64,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A time.
    Seconds,
    /// An amount of data.
    Bytes,
}

impl Unit {
    /// Its name in CloudWatch.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
        }
    }
}

/// What becomes of several of the same figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The last one counts.
    Stands,
    /// They are added up.
    Counts,
    /// One asks how they are spread: a median, a percentile.
    Spreads,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no figure comes near 2^53, and none is calculated with"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn count(name: &'static str, value: u64, about: &'static str) -> Figure {
    Figure {
        name,
        unit: Unit::Count,
        form: Form::Counts,
        about,
        value: number(value),
    }
}

fn seconds(name: &'static str, value: Duration, about: &'static str) -> Figure {
    Figure {
        name,
        unit: Unit::Seconds,
        form: Form::Spreads,
        about,
        value: value.as_secs_f64(),
    }
}

/// From one time to a later one; nothing if clocks of two machines have it the other way round.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// How the service stands, and what the last clearing up did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceGauges {
    /// Requests that are not done, by stage; a stage without any may be left out.
    pub live: BTreeMap<Stage, u64>,
    /// Age of the oldest of them in seconds; 0 if there is none.
    pub oldest_live_seconds: u64,
    /// Requests that are not done and whose records this version cannot read.
    pub unreadable: u64,
    /// Requests whose lost message was sent again.
    pub resent: u64,
    /// Requests whose data was removed because its time had come.
    pub expired: u64,
    /// Artifacts that were removed.
    pub removed_objects: u64,
}

impl ServiceGauges {
    /// All figures, about the service as a whole.
    pub fn sample(&self) -> Sample {
        let live = |stage| self.live.get(&stage).copied().unwrap_or_default();
        let stands = |name, value, about| Figure {
            form: Form::Stands,
            ..count(name, value, about)
        };
        Sample {
            about: Vec::new(),
            figures: vec![
                stands(
                    "LiveQueued",
                    live(Stage::Queued),
                    "Requests that wait for their first stage.",
                ),
                stands("LivePin", live(Stage::Pin), "Requests in the stage pin."),
                stands(
                    "LiveMutate",
                    live(Stage::Mutate),
                    "Requests in the stage mutate.",
                ),
                stands("LivePush", live(Stage::Push), "Requests in the stage push."),
                Figure {
                    unit: Unit::Seconds,
                    ..stands(
                        "OldestLiveSeconds",
                        self.oldest_live_seconds,
                        "Age of the oldest request that goes on.",
                    )
                },
                stands(
                    "Unreadable",
                    self.unreadable,
                    "Requests that go on whose records this version cannot read.",
                ),
                count(
                    "Resent",
                    self.resent,
                    "Requests whose lost message was sent again.",
                ),
                count(
                    "Expired",
                    self.expired,
                    "Requests whose data was removed because its time had come.",
                ),
                count(
                    "RemovedObjects",
                    self.removed_objects,
                    "Artifacts that were removed.",
                ),
            ],
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what it was asked for.
    Completed,
    /// Somebody took it back.
    Cancelled,
    /// It failed. [`Class::Reject`] is what its user can do something about; the others are ours.
    Failed(Class),
}

impl End {
    /// The figures of a request that has just ended so.
    pub fn sample(self, record: &Record, now: Timestamp) -> Sample {
        let kind = (Dimension::Kind, record.request.name());
        match self {
            Self::Completed => Sample {
                about: vec![kind],
                figures: vec![
                    count(
                        "RequestsCompleted",
                        1,
                        "Requests that did what they were asked for.",
                    ),
                    seconds(
                        "RequestSeconds",
                        between(record.created(), now),
                        "Time from the call to the end, of requests that completed.",
                    ),
                ],
            },
            Self::Cancelled => Sample {
                about: vec![kind],
                figures: vec![count(
                    "RequestsCancelled",
                    1,
                    "Requests that somebody took back.",
                )],
            },
            Self::Failed(class) => Sample {
                about: vec![(Dimension::Class, class.name()), kind],
                figures: vec![count(
                    "RequestsFailed",
                    1,
                    "Requests that failed, by the class of the error: reject is the caller's.",
                )],
            },
        }
    }
}

/// An attempt at the work of a stage that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The stage.
    pub stage: Stage,
    /// How it ended.
    pub result: AttemptResult,
    /// How long it took.
    pub took: Duration,
    /// How long its message waited for it; nothing for one that came too early.
    pub waited: Duration,
    /// What the process read from registries and wrote to them meanwhile, for other attempts too.
    pub transferred: Transferred,
    /// Bytes that were free on the scratch disk when it ended, if that is known.
    pub free_scratch: Option<u64>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// With its work done.
    Done,
    /// With an error of this class.
    Failed(Class),
    /// The request had ended meanwhile, or somebody else had taken it over.
    Lost,
}

impl AttemptResult {
    /// Its name in figures and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(class) => class.name(),
            Self::Lost => "lost",
        }
    }
}

impl Attempt {
    /// Its figures.
    pub fn samples(&self) -> [Sample; 2] {
        let stage = (Dimension::Stage, self.stage.as_str());
        let bytes = |name, value, about| Figure {
            unit: Unit::Bytes,
            ..count(name, value, about)
        };
        let free = self.free_scratch.map(|free| Figure {
            form: Form::Stands,
            ..bytes(
                "FreeScratchBytes",
                free,
                "Free space on the scratch disk at the end of the last attempt.",
            )
        });
        let mut figures = vec![
            seconds("StageSeconds", self.took, "Time of an attempt at a stage."),
            seconds(
                "WaitingSeconds",
                self.waited,
                "Time that requests waited for an attempt at a stage.",
            ),
            bytes(
                "BytesRead",
                self.transferred.read,
                "Blobs read from registries.",
            ),
            bytes(
                "BytesWritten",
                self.transferred.written,
                "Blobs written to registries.",
            ),
        ];
        figures.extend(free);
        let attempts = count(
            "Attempts",
            1,
            "Attempts at the work of a stage, by how they ended.",
        );
        [
            Sample {
                about: vec![stage],
                figures,
            },
            Sample {
                about: vec![stage, (Dimension::Result, self.result.name())],
                figures: vec![attempts],
            },
        ]
    }
}

/// The figures of a message that its queue gave up.
pub fn given_up() -> Sample {
    Sample {
        about: Vec::new(),
        figures: vec![count(
            "GivenUpMessages",
            1,
            "Messages that a queue gave up, for which a request was ended or nobody could be told.",
        )],
    }
}

/// The figures of a function's process that gets its first event.
pub fn cold_start(function: &'static str) -> Sample {
    Sample {
        about: vec![(Dimension::Function, function)],
        figures: vec![count(
            "ColdStarts",
            1,
            "Processes of a function that were started.",
        )],
    }
}

#[cfg(test)]
mod tests {
    use iib_request::{AddRequest, BatchId, Request, RequestId};

    use super::*;

    /// The table is what people look names up in, and what COST.md counts metrics by.
    #[test]
    fn the_runbook_has_all_figures_as_they_are() {
        let gauges = ServiceGauges {
            live: BTreeMap::new(),
            oldest_live_seconds: 0,
            unreadable: 0,
            resent: 0,
            expired: 0,
            removed_objects: 0,
        };
        let attempt = Attempt {
            stage: Stage::Pin,
            result: AttemptResult::Done,
            took: Duration::ZERO,
            waited: Duration::ZERO,
            transferred: Transferred::default(),
            free_scratch: Some(0),
        };
        let request = Request::Add(AddRequest::default());
        let (id, batch) = (RequestId(1), BatchId(1));
        let record = Record::new(id, batch, None, request, Timestamp::UNIX_EPOCH);
        let mut samples = vec![gauges.sample()];
        for end in [End::Completed, End::Cancelled, End::Failed(Class::Bug)] {
            samples.push(end.sample(&record, Timestamp::UNIX_EPOCH));
        }
        samples.extend(attempt.samples());
        samples.extend([given_up(), cold_start("pin")]);
        let rows = samples.iter().flat_map(|sample| {
            let about: Vec<_> = sample.about.iter().map(|(of, _)| of.name()).collect();
            let about = match about.join(", ") {
                none if none.is_empty() => none,
                some => format!(" {some}"),
            };
            let figures = sample.figures.iter();
            figures.map(move |figure| {
                let (name, unit, text) = (figure.name, figure.unit.name(), figure.about);
                format!("| `{name}` | {unit} |{about} | {text} |")
            })
        });
        let rows: Vec<_> = rows.collect();
        let runbook = include_str!("../../../docs/RUNBOOK.md");
        let section = runbook.split("\n## Figures\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let table: Vec<_> = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(table, rows);
    }

    #[test]
    fn what_is_free_is_left_out_where_nobody_knows_it() {
        let attempt = Attempt {
            stage: Stage::Pin,
            result: AttemptResult::Failed(Class::Bug),
            took: Duration::from_millis(1500),
            waited: Duration::ZERO,
            transferred: Transferred::default(),
            free_scratch: None,
        };
        let names = |attempt: &Attempt| -> Vec<_> {
            let samples = attempt.samples();
            let figures = samples.iter().flat_map(|sample| &sample.figures);
            figures.map(|figure| figure.name).collect()
        };
        let all = [
            "StageSeconds",
            "WaitingSeconds",
            "BytesRead",
            "BytesWritten",
            "Attempts",
        ];
        assert_eq!(names(&attempt), all);
        let known = Attempt {
            free_scratch: Some(7),
            ..attempt
        };
        assert!(names(&known).contains(&"FreeScratchBytes"));
        let about = &attempt.samples()[1].about;
        assert_eq!(
            about,
            &[(Dimension::Stage, "pin"), (Dimension::Result, "bug")]
        );
    }
}
