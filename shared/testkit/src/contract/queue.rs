//! The contract of [`iib_ports::Queue`].

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use iib_ports::Queue;
use iib_request::{RequestId, Stage, Task};

/// The other end of a queue. Receiving is no port, so each adapter's tests bring their own.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Receives and removes everything that waits in the queue of a stage.
    async fn take_all(&self, stage: Stage) -> Vec<Task>;
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
}

const WORKED_ON: [Stage; 3] = [Stage::Pin, Stage::Mutate, Stage::Push];

async fn a_task_arrives_unchanged_at_its_stage_only(queue: &dyn Queue, inbox: &dyn Inbox) {
    for (id, stage) in (1..).zip(WORKED_ON) {
        let task = Task {
            request_id: RequestId(id),
            stage,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
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
