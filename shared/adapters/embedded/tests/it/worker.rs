//! Stages fed from their queues. Time jumps, so nothing here really waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use iib_embedded::{BatchFailures, SqliteQueue, StageSettings, Stopped, run_stage};
use iib_ports::Queue;
use iib_request::{RequestId, Stage, Task};
use iib_testkit::time::TimerClock;
use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::empty_folder;

const SETTINGS: StageSettings = StageSettings {
    stage: Stage::Mutate,
    batch_size: 10,
    concurrency: 1,
    visibility: SignedDuration::from_mins(30),
    grace: Duration::from_secs(10),
};

/// A queue that time jumps with, and the end of a worker's life.
struct Bench {
    queue: SqliteQueue,
    stop: CancellationToken,
    _place: TempDir,
}

fn bench(max_receive_count: u32) -> Bench {
    let (place, folder) = empty_folder();
    Bench {
        queue: folder.queue(Arc::new(TimerClock::start()), max_receive_count),
        stop: CancellationToken::new(),
        _place: place,
    }
}

async fn send(queue: &SqliteQueue, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        let task = Task::new(RequestId(id), Stage::Mutate);
        queue.send(&task).await.unwrap();
    }
}

/// What a handler answers to one message, by turns.
type Answer = fn(&[String]) -> BatchFailures;

fn done(_: &[String]) -> BatchFailures {
    BatchFailures::Messages(Vec::new())
}

/// Seconds since the beginning, and ids of the messages of each call.
type Called = mpsc::UnboundedReceiver<(u64, Vec<String>)>;

/// A handler that tells the test when it was called and for which messages, and answers as
/// planned; after that it answers that all is done.
fn handler(
    answers: impl IntoIterator<Item = Answer>,
) -> (
    impl Fn(Value) -> BoxFuture<'static, BatchFailures> + Clone + Send + Sync + 'static,
    Called,
) {
    let (calls, called) = mpsc::unbounded_channel();
    let answers: Arc<Mutex<VecDeque<Answer>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let begun = Instant::now();
    let handler = move |event: Value| {
        let (calls, answers) = (calls.clone(), answers.clone());
        async move {
            let records = event["Records"].as_array().unwrap();
            let ids: Vec<String> = records
                .iter()
                .map(|record| record["messageId"].as_str().unwrap().to_owned())
                .collect();
            calls
                .send((begun.elapsed().as_secs(), ids.clone()))
                .unwrap();
            let answer = answers.lock().unwrap().pop_front();
            answer.unwrap_or(done as Answer)(&ids)
        }
        .boxed()
    };
    (handler, called)
}

impl Bench {
    fn run<H, F>(&self, settings: StageSettings, handler: H) -> tokio::task::JoinHandle<Stopped>
    where
        H: Fn(Value) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = BatchFailures> + Send + 'static,
    {
        let (queue, stop) = (self.queue.clone(), self.stop.clone());
        tokio::spawn(run_stage(queue, settings, handler, stop))
    }

    /// Whether no message is left, not even a hidden one.
    async fn is_empty(&self) -> bool {
        let later = Duration::from_secs(24 * 3600);
        let visible = self.queue.wait(Stage::Mutate);
        tokio::time::timeout(later, visible).await.is_err()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_what_waits_up_to_its_size() {
    let bench = bench(3);
    send(&bench.queue, 1..=12).await;
    let (handler, mut called) = handler([]);
    let worker = bench.run(SETTINGS, handler);
    let sizes = [called.recv().await, called.recv().await].map(|call| call.unwrap().1.len());
    assert_eq!(sizes, [10, 2]);
    bench.stop.cancel();
    assert_eq!(worker.await.unwrap(), Stopped { unfinished: 0 });
    assert!(bench.is_empty().await);
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_message_comes_back_later_each_time() {
    let bench = bench(9);
    send(&bench.queue, [1, 2]).await;
    let first_fails: Answer = |ids| BatchFailures::Messages(vec![ids[0].clone()]);
    let (handler, mut called) = handler([first_fails; 3]);
    let worker = bench.run(SETTINGS, handler);
    let (begun, both) = called.recv().await.unwrap();
    let mut delays = Vec::new();
    for _ in 0..3 {
        let (when, ids) = called.recv().await.unwrap();
        assert_eq!(ids, [both[0].clone()]);
        delays.push(when - begun);
    }
    assert_eq!(delays, [1, 1 + 2, 1 + 2 + 4]);
    bench.stop.cancel();
    worker.await.unwrap();
    assert!(bench.is_empty().await);
}

#[tokio::test(start_paused = true)]
async fn a_panic_a_failed_function_and_an_unknown_id_fail_the_whole_batch() {
    let answers: [Answer; 3] = [
        |_| panic!("on purpose"),
        |_| BatchFailures::All,
        |_| BatchFailures::Messages(vec!["never sent".to_owned()]),
    ];
    for answer in answers {
        let bench = bench(9);
        send(&bench.queue, [1, 2]).await;
        let (handler, mut called) = handler([answer]);
        let worker = bench.run(SETTINGS, handler);
        let (_, first) = called.recv().await.unwrap();
        let (_, second) = called.recv().await.unwrap();
        assert_eq!(first, second);
        bench.stop.cancel();
        worker.await.unwrap();
        assert!(bench.is_empty().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_always_fails_ends_as_a_dead_letter() {
    let bench = bench(3);
    send(&bench.queue, [1]).await;
    let fails: Answer = |_| BatchFailures::All;
    let (handler, mut called) = handler([fails; 10]);
    let worker = bench.run(SETTINGS, handler);
    for _ in 0..3 {
        called.recv().await.unwrap();
    }
    let day = Duration::from_secs(24 * 3600);
    let fourth = tokio::time::timeout(day, called.recv()).await;
    assert!(fourth.is_err(), "it was delivered a fourth time");
    assert!(bench.is_empty().await);
    assert_eq!(bench.queue.dead_letters(10).await.unwrap().len(), 1);
    bench.stop.cancel();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn as_many_batches_run_at_once_as_allowed_and_no_more() {
    let bench = bench(3);
    send(&bench.queue, 1..=3).await;
    let (begins, mut begun) = mpsc::unbounded_channel();
    let go_on = CancellationToken::new();
    let handler = {
        let go_on = go_on.clone();
        move |_event: Value| {
            begins.send(()).unwrap();
            let go_on = go_on.clone();
            async move {
                go_on.cancelled().await;
                done(&[])
            }
        }
    };
    let settings = StageSettings {
        batch_size: 1,
        concurrency: 2,
        ..SETTINGS
    };
    let worker = bench.run(settings, handler);
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(600), begun.recv()).await;
    assert!(third.is_err(), "a third batch began");
    go_on.cancel();
    begun.recv().await.unwrap();
    bench.stop.cancel();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_work_within_the_grace_and_cuts_off_the_rest() {
    for (takes, unfinished) in [(5, 0), (60, 1)] {
        let bench = bench(3);
        send(&bench.queue, [1]).await;
        let (begins, mut begun) = mpsc::unbounded_channel();
        let handler = move |_event: Value| {
            begins.send(()).unwrap();
            async move {
                tokio::time::sleep(Duration::from_secs(takes)).await;
                done(&[])
            }
        };
        let worker = bench.run(SETTINGS, handler);
        begun.recv().await.unwrap();
        bench.stop.cancel();
        let asked = Instant::now();
        assert_eq!(worker.await.unwrap(), Stopped { unfinished }, "{takes} s");
        assert_eq!(asked.elapsed().as_secs(), takes.min(10));
        assert_eq!(bench.is_empty().await, unfinished == 0);
    }
}
