//! The receiving half of the queues, as SQS behaves.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use iib_embedded::{SqliteQueue, dead_letter_event};
use iib_ports::Queue;
use iib_request::{RequestId, Stage, Task};
use iib_testkit::time::{ManualClock, TimerClock};
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::empty_folder;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn queue(max_receive_count: u32) -> (TempDir, Arc<ManualClock>, SqliteQueue) {
    let (place, folder) = empty_folder();
    let clock = Arc::new(ManualClock::default());
    let queue = folder.queue(clock.clone(), max_receive_count);
    (place, clock, queue)
}

async fn send(queue: &SqliteQueue, id: u64) {
    let task = Task::new(RequestId(id), Stage::Pin);
    queue.send(&task).await.unwrap();
}

async fn counts(queue: &SqliteQueue) -> Vec<u32> {
    let received = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    received
        .iter()
        .map(|message| message.receive_count)
        .collect()
}

#[tokio::test]
async fn a_received_message_is_hidden_until_its_time_is_over() {
    let (_place, clock, queue) = queue(3);
    send(&queue, 1).await;
    let first = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    clock.advance(MINUTE - SECOND);
    assert_eq!(counts(&queue).await, [0_u32; 0]);
    clock.advance(SECOND);
    let second = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    assert_eq!(second[0].message_id, first[0].message_id);
    assert_eq!(second[0].receive_count, 2);
    assert_eq!(second[0].first_received_at, first[0].first_received_at);
    // The slow first receiver must not take it away from the second.
    assert!(!queue.delete(&first[0].receipt_handle).await.unwrap());
    assert!(
        !queue
            .return_after(&first[0].receipt_handle, SECOND)
            .await
            .unwrap()
    );
    assert!(queue.delete(&second[0].receipt_handle).await.unwrap());
    assert!(!queue.delete(&second[0].receipt_handle).await.unwrap());
    clock.advance(MINUTE);
    assert_eq!(counts(&queue).await, [0_u32; 0]);
}

async fn send_of(queue: &SqliteQueue, group: &str, ids: std::ops::Range<u64>) {
    for id in ids {
        let task = Task {
            group: Some(group.to_owned()),
            ..Task::new(RequestId(id), Stage::Pin)
        };
        queue.send(&task).await.unwrap();
    }
}

/// The requests of the next messages; those that are `done` are dealt with at once.
async fn next(queue: &SqliteQueue, max: u32, done: bool) -> Vec<u64> {
    let received = queue.receive(Stage::Pin, max, MINUTE).await.unwrap();
    let mut ids = Vec::new();
    for message in received {
        let task: Task = serde_json::from_str(&message.body).unwrap();
        ids.push(task.request_id.0);
        if done {
            assert!(queue.delete(&message.receipt_handle).await.unwrap());
        }
    }
    ids
}

#[tokio::test]
async fn who_sends_much_lets_others_have_their_turns() {
    let (_place, clock, queue) = queue(9);
    send_of(&queue, "ann", 1..6).await;
    clock.advance(SECOND);
    send_of(&queue, "bob", 11..13).await;
    send(&queue, 21).await;
    // Several at once are of several.
    assert_eq!(next(&queue, 4, true).await, [1, 11, 21, 2]);
    // One after the other, too, also when nothing is in work.
    assert_eq!(next(&queue, 1, true).await, [12]);
    // Who comes anew does not wait for those who were there before.
    send_of(&queue, "eve", 31..33).await;
    assert_eq!(next(&queue, 1, false).await, [31]);
    // Who has fewer in work is first.
    assert_eq!(next(&queue, 2, false).await, [3, 32]);
    assert_eq!(next(&queue, 9, false).await, [4, 5]);
    assert_eq!(next(&queue, 9, false).await, [0_u64; 0]);
}

#[tokio::test]
async fn a_message_given_back_waits_for_its_delay() {
    let (_place, clock, queue) = queue(9);
    send(&queue, 1).await;
    let first = queue.receive(Stage::Pin, 1, MINUTE).await.unwrap();
    assert!(
        queue
            .return_after(&first[0].receipt_handle, SECOND * 5)
            .await
            .unwrap()
    );
    clock.advance(SECOND * 4);
    assert_eq!(counts(&queue).await, [0_u32; 0]);
    clock.advance(SECOND);
    assert_eq!(counts(&queue).await, [2]);
}

/// Messages that wait to be received, now or later.
async fn waiting(queue: &SqliteQueue, clock: &ManualClock) -> usize {
    clock.advance(SignedDuration::from_hours(1));
    counts(queue).await.len()
}

#[tokio::test]
async fn a_message_that_waits_already_is_not_stored_again() {
    let (_place, clock, queue) = queue(9);
    for _ in 0..3 {
        send(&queue, 1).await;
    }
    let other_stage = Task::new(RequestId(1), Stage::Mutate);
    queue.send(&other_stage).await.unwrap();
    send(&queue, 2).await;
    let received = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    assert_eq!(received.len(), 2, "one for each request");
    let mutate = queue.receive(Stage::Mutate, 10, MINUTE).await.unwrap();
    assert_eq!(mutate.len(), 1, "the other stage's queue is its own");
    assert_eq!(waiting(&queue, &clock).await, 2, "nothing else is there");
}

#[tokio::test]
async fn a_message_whose_like_is_handed_out_is_stored_once() {
    let (_place, clock, queue) = queue(9);
    send(&queue, 1).await;
    let first = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    for _ in 0..2 {
        send(&queue, 1).await;
    }
    let second = queue.receive(Stage::Pin, 10, MINUTE * 9).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].message_id, first[0].message_id);
    // Its time is over, but its slow receiver may still end it.
    clock.advance(MINUTE);
    send(&queue, 1).await;
    assert!(queue.delete(&first[0].receipt_handle).await.unwrap());
    assert_eq!(counts(&queue).await, [1]);
}

#[tokio::test]
async fn a_message_that_waits_for_its_delay_keeps_it() {
    let (_place, clock, queue) = queue(9);
    send(&queue, 1).await;
    let first = queue.receive(Stage::Pin, 1, MINUTE).await.unwrap();
    let receipt = &first[0].receipt_handle;
    assert!(queue.return_after(receipt, SECOND * 5).await.unwrap());
    send(&queue, 1).await;
    clock.advance(SECOND * 4);
    assert_eq!(counts(&queue).await, [0_u32; 0]);
    clock.advance(SECOND);
    assert_eq!(counts(&queue).await, [2]);
}

#[tokio::test]
async fn a_message_without_deliveries_left_does_not_stand_for_a_new_one() {
    let (_place, _clock, queue) = queue(1);
    send(&queue, 1).await;
    let first = queue.receive(Stage::Pin, 1, MINUTE).await.unwrap();
    let receipt = &first[0].receipt_handle;
    assert!(
        queue
            .return_after(receipt, SignedDuration::ZERO)
            .await
            .unwrap()
    );
    send(&queue, 1).await;
    assert_eq!(counts(&queue).await, [1]);
    assert_eq!(queue.dead_letters(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn messages_come_oldest_first_and_never_more_than_asked_for() {
    let (_place, clock, queue) = queue(3);
    for id in 1..=5 {
        send(&queue, id).await;
        clock.advance(SECOND);
    }
    let mut ids = Vec::new();
    for expected in [2, 2, 1, 0] {
        let received = queue.receive(Stage::Pin, 2, MINUTE).await.unwrap();
        assert_eq!(received.len(), expected);
        for message in received {
            let task: Task = serde_json::from_str(&message.body).unwrap();
            ids.push(task.request_id.0);
        }
    }
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_message_received_too_often_becomes_a_dead_letter() {
    let (_place, clock, queue) = queue(2);
    send(&queue, 1).await;
    for count in [1, 2] {
        assert_eq!(counts(&queue).await, [count]);
        assert_eq!(queue.dead_letters(10).await.unwrap(), []);
        clock.advance(MINUTE);
    }
    send(&queue, 2).await;
    let received = queue.receive(Stage::Pin, 10, MINUTE).await.unwrap();
    assert_eq!(received.len(), 1, "the other message is not held up");
    let dead = queue.dead_letters(10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].stage.as_str(), dead[0].receive_count), ("pin", 2));
    let task: Task = serde_json::from_str(&dead[0].body).unwrap();
    assert_eq!(task.request_id, RequestId(1));
    assert_ne!(dead[0].message_id, received[0].message_id);

    let event = dead_letter_event(&dead);
    let event: SqsEvent = serde_json::from_value(event).unwrap();
    let letter = &event.records[0];
    assert_eq!(letter.body.as_ref(), Some(&dead[0].body));
    assert_eq!(letter.attributes["ApproximateReceiveCount"], "2");
    let source = &letter.attributes["DeadLetterQueueSourceArn"];
    assert!(source.ends_with(":pin"), "{source}");
    for _ in 0..2 {
        queue.delete_dead_letter(&dead[0]).await.unwrap();
        assert_eq!(queue.dead_letters(10).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_at_once_never_share_a_message() {
    let (_place, _clock, queue) = queue(3);
    for id in 1..=40 {
        send(&queue, id).await;
    }
    let receivers = (0..8).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.receive(Stage::Pin, 5, MINUTE).await.unwrap() })
    });
    let mut ids = Vec::new();
    for received in futures::future::join_all(receivers).await {
        ids.extend(
            received
                .unwrap()
                .into_iter()
                .map(|message| message.message_id),
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receiver_wakes_for_a_new_message_and_for_the_end_of_a_delay() {
    let (_place, folder) = empty_folder();
    let clock = Arc::new(TimerClock::start());
    let queue = folder.queue(clock, 9);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.wait(Stage::Pin).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    send(&queue, 1).await;
    waiting.await.unwrap().unwrap();

    let received = queue.receive(Stage::Pin, 1, MINUTE).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(
        queue
            .return_after(&received[0].receipt_handle, SECOND * 45)
            .await
            .unwrap()
    );
    queue.wait(Stage::Pin).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 45);
    assert_eq!(counts(&queue).await, [2]);
}
