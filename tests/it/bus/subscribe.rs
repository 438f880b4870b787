use super::{SOON, bus, config, connected};
use crate::support::server::NatsServer;
use futures_util::StreamExt as _;
use jacquard::bus::{Bus, ErrorKind, Message, Outgoing, Subscription};
use std::time::{Duration, Instant};

fn subjects(list: &[&str]) -> Vec<String> {
    list.iter().map(|&subject| subject.to_owned()).collect()
}

async fn subscribe(bus: &Bus, list: &[&str]) -> Subscription {
    let opened = bus.subscribe(&subjects(list), Subscription::CAPACITY).await;
    opened.unwrap()
}

async fn next(subscription: &mut Subscription) -> Message {
    let next = tokio::time::timeout(SOON, subscription.next()).await;
    next.expect("a message").expect("an open bus")
}

/// Sends until one arrives: how soon a subscription is back is not said.
async fn arrives(sender: &Bus, subscription: &mut Subscription, subject: &str) {
    let start = Instant::now();
    loop {
        sender.publish(Outgoing::new(subject, "x")).await.ok();
        let wait = tokio::time::timeout(Duration::from_millis(50), subscription.next());
        if let Ok(message) = wait.await {
            assert_eq!(message.unwrap().subject, subject);
            return;
        }
        assert!(start.elapsed() < SOON, "nothing arrives");
    }
}

#[tokio::test]
async fn what_is_sent_after_ok_arrives() {
    let server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    for round in 0..50 {
        let subject = format!("round.{round}");
        let mut subscription = subscribe(&ours, &[&subject, "other.*"]).await;
        theirs.publish(Outgoing::new(&subject, "1")).await.unwrap();
        theirs.publish(Outgoing::new(&subject, "2")).await.unwrap();
        assert_eq!(next(&mut subscription).await.payload, "1");
        assert_eq!(next(&mut subscription).await.payload, "2");
        theirs.publish(Outgoing::new("other.x", "3")).await.unwrap();
        assert_eq!(next(&mut subscription).await.subject, "other.x");
    }
}

#[tokio::test]
async fn somebody_who_watches_everything_is_in_nobodys_way() {
    let server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    let watching = async_nats::connect(server.url()).await.unwrap();
    let mut watched = watching.subscribe(">").await.unwrap();
    // Its own echo: the server has the subscription.
    let echo = watching.new_inbox();
    watching.publish(echo.clone(), "".into()).await.unwrap();
    assert_eq!(watched.next().await.unwrap().subject.as_str(), echo);
    let start = Instant::now();
    let mut subscription = subscribe(&ours, &["a"]).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    theirs.publish(Outgoing::new("a", "1")).await.unwrap();
    assert_eq!(next(&mut subscription).await.payload, "1");
}

#[tokio::test]
async fn a_message_says_where_its_answer_goes() {
    let server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    let mut subscription = subscribe(&ours, &["service"]).await;
    let service = tokio::spawn(async move {
        let asked = next(&mut subscription).await;
        let answer = Outgoing::new(asked.reply.unwrap(), asked.payload);
        ours.publish(answer).await.unwrap();
        assert_eq!(next(&mut subscription).await.reply, None);
    });
    let answer = theirs.request(Outgoing::new("service", "hi"), SOON).await;
    assert_eq!(answer.unwrap().payload, "hi");
    theirs.publish(Outgoing::new("service", "")).await.unwrap();
    service.await.unwrap();
}

#[tokio::test]
async fn a_dropped_subscription_is_gone() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    drop(subscribe(&bus, &["service"]).await);
    let start = Instant::now();
    loop {
        let limit = Duration::from_millis(100);
        match bus.request(Outgoing::new("service", ""), limit).await {
            Err(error) if error.kind() == ErrorKind::NoResponders => break,
            other => assert!(start.elapsed() < SOON, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_subscription_outlives_the_server() {
    let mut server = NatsServer::start();
    let ours = bus(&server).await;
    let mut subscription = subscribe(&ours, &["a.>"]).await;
    server.kill();
    server.restart();
    arrives(&ours, &mut subscription, "a.b").await;
}

#[tokio::test]
async fn a_subscription_moves_to_other_servers() {
    let first = NatsServer::start();
    let second = NatsServer::start();
    let ours = bus(&first).await;
    let mut subscription = subscribe(&ours, &["a"]).await;
    ours.replace_servers(vec![second.url()]).await.unwrap();
    let theirs = bus(&second).await;
    arrives(&theirs, &mut subscription, "a").await;
    let old = bus(&first).await;
    let limit = Duration::from_millis(100);
    let asked = old.request(Outgoing::new("a", ""), limit).await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::NoResponders);
}

#[tokio::test]
async fn a_subscription_may_come_before_the_server() {
    let server = NatsServer::start();
    let idle = Bus::idle(config("nats://127.0.0.1:1")).await.unwrap();
    let start = Instant::now();
    let mut subscription = subscribe(&idle, &["a"]).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    idle.replace_servers(vec![server.url()]).await.unwrap();
    arrives(&bus(&server).await, &mut subscription, "a").await;

    let mut late = NatsServer::stopped("");
    late.reserve_port();
    let early = Bus::connect(config(late.url())).await.unwrap();
    let mut subscription = subscribe(&early, &["a"]).await;
    late.restart();
    arrives(&early, &mut subscription, "a").await;
}

#[tokio::test]
async fn what_overflows_is_counted() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut subscription = bus.subscribe(&subjects(&["a"]), 3).await.unwrap();
    for index in 0..10 {
        let message = Outgoing::new("a", index.to_string());
        bus.publish(message).await.unwrap();
    }
    let start = Instant::now();
    while subscription.dropped() < 7 {
        assert!(start.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut subscription).await.payload, "0");
    assert_eq!(next(&mut subscription).await.payload, "1");
    assert_eq!(next(&mut subscription).await.payload, "2");
    arrives(&bus, &mut subscription, "a").await;
}

#[tokio::test]
async fn refusals_are_told() {
    let server = NatsServer::with_config(
        "authorization { users: [
            { user: u, password: p, permissions: { subscribe: { deny: \"secret.>\" } } },
            { user: mute, password: p, permissions: { publish: \"x\" } },
        ] }",
    );
    let url = |user: &str| format!("nats://{user}:p@127.0.0.1:{}", server.port());
    let ours = connected(config(url("u"))).await;
    let kind = async |bus: &Bus, list: &[&str]| {
        let opened = bus.subscribe(&subjects(list), 1).await;
        opened.map_err(|error| error.kind()).err()
    };
    assert_eq!(
        kind(&ours, &["a", "secret.x"]).await,
        Some(ErrorKind::Permission)
    );
    assert_eq!(kind(&ours, &["a"]).await, None);
    for bad in [&[][..], &["a", "b."], &["a b"]] {
        let found = kind(&ours, bad).await;
        assert_eq!(found, Some(ErrorKind::InvalidSubject), "{bad:?}");
    }
    let mute = connected(config(url("mute"))).await;
    let mut heard = subscribe(&mute, &["a"]).await;
    arrives(&ours, &mut heard, "a").await;
}

#[tokio::test]
async fn a_subscription_ends_with_the_bus() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let mut subscription = subscribe(&ours, &["a"]).await;
    ours.close(SOON).await;
    let end = tokio::time::timeout(SOON, subscription.next()).await;
    assert!(end.unwrap().is_none());
    let late = ours.subscribe(&subjects(&["a"]), 1).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
}
