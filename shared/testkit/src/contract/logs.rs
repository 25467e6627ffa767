//! The contract of [`iib_ports::Logs`].

use std::sync::Arc;

use futures::future::join_all;
use iib_ports::Logs;
use iib_request::RequestId;

/// Runs the suite; `make` gives a store without logs.
pub async fn logs<S: Logs + 'static>(make: impl AsyncFn() -> Arc<S>) {
    lines_come_back_in_order(&*make().await).await;
    each_request_has_its_own_log(&*make().await).await;
    lines_written_together_stay_together(make().await).await;
    a_log_that_was_removed_is_gone_and_can_begin_anew(&*make().await).await;
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn lines_come_back_in_order(logs: &dyn Logs) {
    let id = RequestId(1);
    assert_eq!(logs.read(id).await.unwrap(), None);
    logs.append(id, &lines(&["first", "second"])).await.unwrap();
    logs.append(id, &lines(&["", "ünd \u{1F980}"]))
        .await
        .unwrap();
    let expected = "first\nsecond\n\nünd \u{1F980}\n";
    assert_eq!(logs.read(id).await.unwrap().as_deref(), Some(expected));
}

async fn each_request_has_its_own_log(logs: &dyn Logs) {
    logs.append(RequestId(1), &lines(&["one"])).await.unwrap();
    logs.append(RequestId(11), &lines(&["eleven"]))
        .await
        .unwrap();
    for (id, expected) in [(1, Some("one\n")), (11, Some("eleven\n")), (111, None)] {
        let log = logs.read(RequestId(id)).await.unwrap();
        assert_eq!(log.as_deref(), expected, "{id}");
    }
}

async fn lines_written_together_stay_together(logs: Arc<dyn Logs>) {
    const MANY: usize = 30;
    let id = RequestId(1);
    let writers = (0..MANY).map(|n| {
        let logs = logs.clone();
        tokio::spawn(async move {
            let text = format!("{n} ").repeat(500);
            let three = lines(&[&text, &text, &text]);
            logs.append(id, &three).await.unwrap();
        })
    });
    for written in join_all(writers).await {
        written.unwrap();
    }
    let log = logs.read(id).await.unwrap().unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3 * MANY);
    for three in lines.chunks(3) {
        assert!(three[0] == three[1] && three[1] == three[2], "lines mixed");
    }
}

async fn a_log_that_was_removed_is_gone_and_can_begin_anew(logs: &dyn Logs) {
    logs.remove(RequestId(1)).await.unwrap();
    for id in [1, 2] {
        // More lines than stores remove at once.
        for n in 0..60 {
            logs.append(RequestId(id), &[n.to_string()]).await.unwrap();
        }
    }
    logs.remove(RequestId(1)).await.unwrap();
    assert_eq!(logs.read(RequestId(1)).await.unwrap(), None);
    let other = logs.read(RequestId(2)).await.unwrap().unwrap();
    assert_eq!(other.lines().count(), 60);
    logs.append(RequestId(1), &lines(&["anew"])).await.unwrap();
    assert_eq!(
        logs.read(RequestId(1)).await.unwrap().as_deref(),
        Some("anew\n")
    );
}
