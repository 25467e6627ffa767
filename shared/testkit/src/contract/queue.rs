//! The contract of [`iib_ports::Queue`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use iib_ports::{Delivery, Queue};
use iib_request::{RequestId, Stage, Task};

/// The other end of a queue. Receiving is no port, so each adapter's tests bring their own.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Receives and removes everything that waits in the queue of a stage.
    async fn take_all(&self, stage: Stage) -> Vec<Task>;

    /// Receives one message that can be received now, and hides it for an hour. `None` always
    /// where messages are not hidden from anybody.
    async fn receive(&self, _stage: Stage) -> Option<(Task, Delivery)> {
        None
    }
}

/// Runs the suite; `make` gives empty queues and their other end.
pub async fn queue<Q: Queue + 'static, I: Inbox>(make: impl AsyncFn() -> (Arc<Q>, Arc<I>)) {
    let (queue, inbox) = make().await;
    a_task_arrives_unchanged_at_its_stage_only(&*queue, &*inbox).await;
    let (queue, inbox) = make().await;
    a_task_sent_again_arrives_after_each_send(&*queue, &*inbox).await;
    let (queue, inbox) = make().await;
    tasks_sent_at_once_all_arrive(queue, &*inbox).await;
    let (queue, inbox) = make().await;
    a_stage_without_a_function_has_no_queue(&*queue, &*inbox).await;
    let (queue, inbox) = make().await;
    of_many_tasks_those_that_cannot_be_sent_are_named(&*queue, &*inbox).await;
    let (queue, inbox) = make().await;
    a_message_comes_back_when_it_was_put_off_to(&*queue, &*inbox).await;
}

const WORKED_ON: [Stage; 3] = [Stage::Pin, Stage::Mutate, Stage::Push];

async fn a_task_arrives_unchanged_at_its_stage_only(queue: &dyn Queue, inbox: &dyn Inbox) {
    for (id, stage) in (1..).zip(WORKED_ON) {
        let task = Task {
            group: Some("ü@EXAMPLE.TEST \u{1F980}".to_owned()),
            request_id: RequestId(id),
            stage,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                .parse()
                .ok(),
        };
        queue.send(&task).await.unwrap();
        for other in WORKED_ON.into_iter().filter(|other| *other != stage) {
            assert_eq!(inbox.take_all(other).await, [], "{stage} at {other}");
        }
        assert_eq!(inbox.take_all(stage).await, [task]);
        assert_eq!(inbox.take_all(stage).await, [], "after it was removed");
    }
}

/// How often is left to the queue while nobody receives: a platform's queue keeps every message,
/// one of ours need not.
async fn a_task_sent_again_arrives_after_each_send(queue: &dyn Queue, inbox: &dyn Inbox) {
    let task = Task::new(RequestId(1), Stage::Pin);
    for sends in [1, 2, 1] {
        for _ in 0..sends {
            queue.send(&task).await.unwrap();
        }
        let arrived = inbox.take_all(Stage::Pin).await;
        assert!((1..=sends).contains(&arrived.len()), "{sends}: {arrived:?}");
        assert!(arrived.iter().all(|other| *other == task), "{arrived:?}");
    }
}

async fn tasks_sent_at_once_all_arrive(queue: Arc<dyn Queue>, inbox: &dyn Inbox) {
    const MANY: u64 = 50;
    let tasks = (1..=MANY).map(|id| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let task = Task::new(RequestId(id), Stage::Mutate);
            queue.send(&task).await.unwrap();
        })
    });
    for sent in join_all(tasks).await {
        sent.unwrap();
    }
    let arrived = inbox.take_all(Stage::Mutate).await;
    let ids: BTreeSet<u64> = arrived.iter().map(|task| task.request_id.0).collect();
    assert_eq!(arrived.len(), 50);
    assert_eq!(ids, (1..=MANY).collect());
}

async fn a_stage_without_a_function_has_no_queue(queue: &dyn Queue, inbox: &dyn Inbox) {
    for stage in [Stage::Queued, Stage::Done] {
        let refused = queue
            .send(&Task::new(RequestId(3), stage))
            .await
            .unwrap_err();
        assert_eq!((refused.request_id, refused.stage), (RequestId(3), stage));
    }
    for stage in WORKED_ON {
        assert_eq!(inbox.take_all(stage).await, [], "{stage}");
    }
}

async fn of_many_tasks_those_that_cannot_be_sent_are_named(queue: &dyn Queue, inbox: &dyn Inbox) {
    assert!(queue.send_all(&[]).await.is_empty());
    // More than a platform's queue takes at once, for all stages, some of which have none.
    let stages = [
        Stage::Pin,
        Stage::Done,
        Stage::Mutate,
        Stage::Push,
        Stage::Queued,
    ];
    let tasks: Vec<Task> = (1..=60)
        .zip(stages.into_iter().cycle())
        .map(|(id, stage)| Task::new(RequestId(id), stage))
        .collect();
    let failures = queue.send_all(&tasks).await;
    let mut failed: Vec<_> = failures
        .iter()
        .map(|failure| (failure.request_id, failure.stage))
        .collect();
    failed.sort_unstable();
    let without = |stage: Stage| !WORKED_ON.contains(&stage);
    let expected = tasks.iter().filter(|task| without(task.stage));
    let expected: Vec<_> = expected.map(|task| (task.request_id, task.stage)).collect();
    assert_eq!(failed, expected);
    for stage in WORKED_ON {
        let arrived: BTreeSet<u64> = inbox
            .take_all(stage)
            .await
            .iter()
            .map(|task| task.request_id.0)
            .collect();
        let sent = tasks.iter().filter(|task| task.stage == stage);
        let sent: BTreeSet<u64> = sent.map(|task| task.request_id.0).collect();
        assert_eq!(arrived, sent, "{stage}");
    }
}

async fn a_message_comes_back_when_it_was_put_off_to(queue: &dyn Queue, inbox: &dyn Inbox) {
    let task = Task::new(RequestId(1), Stage::Push);
    queue.send(&task).await.unwrap();
    let Some((received, delivery)) = inbox.receive(Stage::Push).await else {
        return;
    };
    assert_eq!(received, task);
    assert_eq!(inbox.receive(Stage::Push).await, None, "it is hidden");
    queue.put_off(&delivery, Duration::ZERO).await.unwrap();
    let (again, latest) = inbox.receive(Stage::Push).await.unwrap();
    assert_eq!(again, task);
    let long = Duration::from_secs(600);
    queue.put_off(&latest, long).await.unwrap();
    assert_eq!(inbox.receive(Stage::Push).await, None, "it was put off");
    // What is longer than any platform hides a message is as long as it does.
    queue
        .send(&Task::new(RequestId(2), Stage::Push))
        .await
        .unwrap();
    let (_, other) = inbox.receive(Stage::Push).await.unwrap();
    let longest = Duration::from_secs(1_000_000);
    queue.put_off(&other, longest).await.unwrap();
    assert_eq!(inbox.receive(Stage::Push).await, None);
}
