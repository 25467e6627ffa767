//! The contract of [`iib_ports::Lines`].

use std::sync::Arc;

use futures::future::join_all;
use iib_ports::{Line, Lines, Moved};
use iib_request::RequestId;
use jiff::Timestamp;

const INDEX: &str = "registry.example:5000/team/index:v4.16";

/// Runs the suite; `make` gives a store without lines.
pub async fn lines<S: Lines + 'static>(make: impl AsyncFn() -> Arc<S>) {
    one_after_the_other(&*make().await).await;
    every_call_may_come_twice(&*make().await).await;
    indexes_have_lines_of_their_own(&*make().await).await;
    who_waits_may_go(&*make().await).await;
    of_many_at_once_one_has_the_turn(make().await).await;
    nobody_waits_for_a_turn_that_has_ended(make().await).await;
    who_moved_the_tag_last_is_known(&*make().await).await;
}

fn line(turn: Option<u64>, waiting: &[u64]) -> Line {
    Line {
        turn: turn.map(RequestId),
        waiting: waiting.iter().copied().map(RequestId).collect(),
        moved: None,
    }
}

async fn one_after_the_other(lines: &dyn Lines) {
    assert_eq!(lines.of(INDEX).await.unwrap(), Line::default());
    // Numbers are sorted as numbers.
    for id in [9, 100, 10] {
        lines.join(INDEX, RequestId(id)).await.unwrap();
    }
    assert_eq!(lines.of(INDEX).await.unwrap(), line(None, &[9, 10, 100]));
    for id in [9, 10, 100] {
        assert_eq!(lines.take(INDEX, RequestId(id)).await.unwrap().0, 9);
    }
    assert_eq!(lines.of(INDEX).await.unwrap(), line(Some(9), &[10, 100]));
    let next = lines.leave(INDEX, RequestId(9)).await.unwrap();
    assert_eq!(next, Some(RequestId(10)));
    assert_eq!(lines.of(INDEX).await.unwrap(), line(None, &[10, 100]));
    assert_eq!(lines.take(INDEX, RequestId(10)).await.unwrap().0, 10);
    let next = lines.leave(INDEX, RequestId(10)).await.unwrap();
    assert_eq!(next, Some(RequestId(100)));
    assert_eq!(lines.take(INDEX, RequestId(100)).await.unwrap().0, 100);
    assert_eq!(lines.leave(INDEX, RequestId(100)).await.unwrap(), None);
    assert_eq!(lines.of(INDEX).await.unwrap(), Line::default());
}

async fn every_call_may_come_twice(lines: &dyn Lines) {
    for _ in 0..2 {
        lines.join(INDEX, RequestId(1)).await.unwrap();
        lines.join(INDEX, RequestId(2)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(lines.take(INDEX, RequestId(1)).await.unwrap().0, 1);
        assert_eq!(lines.take(INDEX, RequestId(2)).await.unwrap().0, 1);
    }
    // Who has the turn does not wait, also when it joins again.
    lines.join(INDEX, RequestId(1)).await.unwrap();
    assert_eq!(lines.of(INDEX).await.unwrap(), line(Some(1), &[2]));
    for _ in 0..2 {
        let next = lines.leave(INDEX, RequestId(1)).await.unwrap();
        assert_eq!(next, Some(RequestId(2)));
    }
    assert_eq!(lines.take(INDEX, RequestId(2)).await.unwrap().0, 2);
    // One that has left ends nobody else's turn.
    assert_eq!(lines.leave(INDEX, RequestId(1)).await.unwrap(), None);
    assert_eq!(lines.of(INDEX).await.unwrap(), line(Some(2), &[]));
}

async fn indexes_have_lines_of_their_own(lines: &dyn Lines) {
    let long = format!("registry.example/{}:v1", "long/".repeat(60));
    for index in [INDEX, &long] {
        lines.join(index, RequestId(1)).await.unwrap();
        assert_eq!(lines.take(index, RequestId(1)).await.unwrap().0, 1);
    }
    assert_eq!(lines.leave(INDEX, RequestId(1)).await.unwrap(), None);
    assert_eq!(lines.of(&long).await.unwrap(), line(Some(1), &[]));
}

async fn who_waits_may_go(lines: &dyn Lines) {
    for id in [1, 2, 3] {
        lines.join(INDEX, RequestId(id)).await.unwrap();
        lines.take(INDEX, RequestId(id)).await.unwrap();
    }
    let first = lines.leave(INDEX, RequestId(2)).await.unwrap();
    assert_eq!(first, Some(RequestId(3)));
    assert_eq!(lines.of(INDEX).await.unwrap(), line(Some(1), &[3]));
}

async fn of_many_at_once_one_has_the_turn(lines: Arc<dyn Lines>) {
    let tasks = (1..=20).map(|id| {
        let lines = lines.clone();
        tokio::spawn(async move {
            lines.join(INDEX, RequestId(id)).await.unwrap();
            lines.take(INDEX, RequestId(id)).await.unwrap()
        })
    });
    let told = join_all(tasks).await;
    let told: Vec<RequestId> = told.into_iter().map(Result::unwrap).collect();
    let turn = told[0];
    assert!(told.iter().all(|other| *other == turn), "{told:?}");
    let line = lines.of(INDEX).await.unwrap();
    assert_eq!((line.turn, line.waiting.len()), (Some(turn), 19));
}

/// Whoever joins and does not get the turn is seen by whoever ends it.
async fn nobody_waits_for_a_turn_that_has_ended(lines: Arc<dyn Lines>) {
    for round in 0..20 {
        let (one, two) = (RequestId(2 * round + 1), RequestId(2 * round + 2));
        lines.join(INDEX, one).await.unwrap();
        assert_eq!(lines.take(INDEX, one).await.unwrap(), one);
        let joining = lines.clone();
        let joining = tokio::spawn(async move {
            joining.join(INDEX, two).await.unwrap();
            joining.take(INDEX, two).await.unwrap()
        });
        let woken = lines.leave(INDEX, one).await.unwrap();
        let turn = joining.await.unwrap();
        assert!(turn == two || woken == Some(two), "{turn:?} {woken:?}");
        lines.leave(INDEX, two).await.unwrap();
    }
}

async fn who_moved_the_tag_last_is_known(lines: &dyn Lines) {
    let moved = |id, at| Moved {
        by: RequestId(id),
        at: Timestamp::from_millisecond(at).unwrap(),
    };
    for (id, at) in [
        (2, 1_700_000_000_001),
        (1, 1_700_000_000_002),
        (1, 1_700_000_000_003),
    ] {
        lines.join(INDEX, RequestId(id)).await.unwrap();
        lines.take(INDEX, RequestId(id)).await.unwrap();
        lines.note_moved(INDEX, moved(id, at)).await.unwrap();
        lines.leave(INDEX, RequestId(id)).await.unwrap();
    }
    lines.join(INDEX, RequestId(3)).await.unwrap();
    let now = lines.of(INDEX).await.unwrap();
    assert_eq!(now.moved, Some(moved(1, 1_700_000_000_003)));
    assert_eq!((now.turn, now.waiting), (None, vec![RequestId(3)]));
    let other = lines.of("registry.example:5000/team/index:v4.17").await;
    assert_eq!(other.unwrap(), Line::default());
}
