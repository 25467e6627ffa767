//! A bus and a topic are told of requests: what arrives in a queue behind each.

use aws_sdk_eventbridge::types::Target;
use iib_aws::{Clients, EventBus, Topic};
use iib_ports::{Announcer as _, chain};
use iib_request::{About, BatchId, Message, RequestId, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stack::Stack;

fn of_request(version: u64, state: State) -> Message {
    let id = RequestId(7);
    Message {
        event_id: format!("7-{version}"),
        about: About::Request { id, kind: "add" },
        batch: BatchId(5),
        state,
        user: Some("ann".to_owned()),
        updated: Timestamp::UNIX_EPOCH,
        body: json!({"id": 7, "state": state, "version": version}),
    }
}

fn of_batch() -> Message {
    Message {
        event_id: "batch-5-7-30".to_owned(),
        about: About::Batch,
        user: None,
        body: json!({"batch": 5, "state": "complete"}),
        ..of_request(30, State::Complete)
    }
}

/// One that no bus and no topic takes as it is.
fn long() -> Message {
    let mut long = of_request(2, State::InProgress);
    long.body["bundles"] = json!(vec!["x".repeat(1000); 300]);
    long
}

fn messages() -> Vec<Message> {
    let mut messages = vec![of_request(1, State::InProgress), long()];
    messages.extend((3..30).map(|version| of_request(version, State::InProgress)));
    messages.extend([of_request(30, State::Complete), of_batch()]);
    messages
}

/// A queue, its URL and its ARN.
async fn queue(sqs: &aws_sdk_sqs::Client, name: &str) -> (String, String) {
    let queue = sqs.create_queue().queue_name(name).send().await.unwrap();
    let url = queue.queue_url.unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    (url, arn)
}

/// Takes so many messages out of a queue.
async fn take(clients: &Clients, url: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    while found.len() < count {
        let call = clients.sqs().receive_message().queue_url(url);
        let call = call.max_number_of_messages(10).wait_time_seconds(20);
        let received = call.send().await.unwrap().messages.unwrap_or_default();
        assert!(!received.is_empty(), "only {} of {count} came", found.len());
        for message in received {
            found.push(serde_json::from_str(message.body().unwrap()).unwrap());
            let handle = message.receipt_handle().unwrap();
            let delete = clients.sqs().delete_message().queue_url(url);
            delete.receipt_handle(handle).send().await.unwrap();
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn events_are_on_the_bus() {
    let stack = Stack::start().await;
    let clients = stack.clients().await;
    let events = clients.eventbridge();
    events.create_event_bus().name("bus").send().await.unwrap();
    let (url, arn) = queue(&clients.sqs(), "events").await;
    let rule = events.put_rule().name("all").event_bus_name("bus");
    let pattern = json!({"source": ["iib"]}).to_string();
    rule.event_pattern(pattern).send().await.unwrap();
    let target = Target::builder().id("queue").arn(arn).build().unwrap();
    let targets = events.put_targets().rule("all").event_bus_name("bus");
    targets.targets(target).send().await.unwrap();

    let bus = EventBus::new(events, "bus");
    bus.reach().await.unwrap();
    let messages = messages();
    bus.announce(&messages).await.unwrap();
    let mut found = take(&clients, &url, messages.len()).await;
    // A bus keeps no order.
    found.sort_by_key(|event| event["detail"]["event_id"].to_string());
    let named = |id: &str| {
        found
            .iter()
            .find(|event| event["detail"]["event_id"] == id)
            .unwrap()
    };
    let first = named("7-1");
    assert_eq!(first["detail-type"], "Build state change");
    assert_eq!(
        first["detail"],
        json!({"event_id": "7-1", "id": 7, "state": "in_progress", "version": 1})
    );
    assert_eq!(named("7-2")["detail"]["shortened"], true);
    assert_eq!(named("batch-5-7-30")["detail-type"], "Batch state change");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn a_topic_passes_messages_on_with_what_is_filtered_by() {
    let stack = Stack::start().await;
    let clients = stack.clients().await;
    let sns = clients.sns();
    let topic = sns.create_topic().name("topic").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let (url, queue) = queue(&clients.sqs(), "messages").await;
    let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs");
    subscribe.endpoint(queue).send().await.unwrap();

    let told = Topic::new(clients.sns(), &topic);
    told.reach().await.unwrap();
    let messages = messages();
    told.announce(&messages).await.unwrap();
    let found = take(&clients, &url, messages.len()).await;
    let text = |message: &Value| -> Value {
        serde_json::from_str(message["Message"].as_str().unwrap()).unwrap()
    };
    let last = found
        .iter()
        .find(|message| text(message)["version"] == 30)
        .unwrap();
    let attribute = |name: &str| last["MessageAttributes"][name]["Value"].clone();
    for (name, expected) in [
        ("batch", "5"),
        ("id", "7"),
        ("state", "complete"),
        ("user", "ann"),
        ("request_type", "add"),
        ("event_id", "7-30"),
    ] {
        assert_eq!(attribute(name), expected, "{name}");
    }
    assert!(
        found
            .iter()
            .any(|message| text(message)["shortened"] == true)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn a_topic_that_is_not_there_is_told() {
    let stack = Stack::start().await;
    let clients = stack.clients().await;
    let topic = Topic::new(clients.sns(), "arn:aws:sns:us-east-1:000000000000:none");
    let failed = topic.announce(&messages()).await.unwrap_err();
    assert!(
        chain(&failed).starts_with("the topic could not be told"),
        "{}",
        chain(&failed)
    );
}
