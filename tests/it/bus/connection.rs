use super::{SOON, bus, config, connected, spec};
use crate::support::server::{NatsServer, settled};
use futures_util::StreamExt as _;
use jacquard::bus::{Bus, ErrorKind, Outgoing, State};
use std::time::{Duration, Instant};

async fn publish(bus: &Bus) -> Result<(), ErrorKind> {
    let stream = bus.stream(spec("A", "a"));
    let done = stream.publish(Outgoing::new("a", "x"), None).await;
    done.map(drop).map_err(|error| error.kind())
}

#[tokio::test]
async fn a_server_may_come_later() {
    let mut server = NatsServer::stopped("");
    server.reserve_port();
    let start = Instant::now();
    let bus = Bus::connect(config(server.url())).await.unwrap();
    assert_eq!(publish(&bus).await, Err(ErrorKind::Disconnected));
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    let error = bus.publish(Outgoing::new("x", "y")).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(50));
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(bus.server().is_none());
    server.restart();
    bus.wait_connected(Duration::from_secs(1)).await.unwrap();
    assert_eq!(publish(&bus).await, Ok(()));
    let info = bus.server().unwrap();
    assert!(info.jetstream && info.version.starts_with("2."), "{info:?}");
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_found_again() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    publish(&bus).await.unwrap();
    for _ in 0..3 {
        server.kill();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            let call = Instant::now();
            assert_eq!(publish(&bus).await, Err(ErrorKind::Disconnected));
            assert!(
                call.elapsed() < Duration::from_millis(300),
                "{:?}",
                call.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.restart();
        let back = Instant::now();
        while let Err(kind) = publish(&bus).await {
            // While the server starts, JetStream may not answer yet.
            assert!(
                matches!(
                    kind,
                    ErrorKind::Disconnected | ErrorKind::Unsupported | ErrorKind::Timeout
                ),
                "{kind:?}"
            );
            assert!(
                back.elapsed() < Duration::from_secs(2),
                "not back after {:?}",
                back.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("back after {:?}", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_call_in_flight_ends_when_the_connection_is_lost() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut silent = client.subscribe("silent").await.unwrap();
    settled(&client).await;
    let call = tokio::spawn({
        let bus = bus.clone();
        async move { bus.request(Outgoing::new("silent", ""), SOON).await }
    });
    silent.next().await.unwrap();
    let start = Instant::now();
    server.kill();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(start.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn requests_and_messages_on_core_nats() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut service = client.subscribe("echo").await.unwrap();
    settled(&client).await;
    let answerer = tokio::spawn(async move {
        while let Some(message) = service.next().await {
            if let Some(reply) = message.reply {
                client.publish(reply, message.payload).await.unwrap();
            }
        }
    });
    let answer = bus
        .request(Outgoing::new("echo", "hi"), SOON)
        .await
        .unwrap();
    assert_eq!(&answer.payload[..], b"hi");
    bus.publish(Outgoing::new("echo", "hi")).await.unwrap();
    let nobody = bus
        .request(Outgoing::new("nobody", ""), SOON)
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NoResponders);
    answerer.abort();
    let limit = Duration::from_millis(100);
    let late = bus.request(Outgoing::new("echo", ""), limit).await;
    assert!(late.is_err());
    let large = bus
        .publish(Outgoing::new("x", vec![0; 2 << 20]))
        .await
        .unwrap_err();
    assert_eq!(large.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn another_server_takes_over() {
    let mut first = NatsServer::start();
    let second = NatsServer::with_config("authorization { token: other }");
    let bus = bus(&first).await;
    first.kill();
    let mut states = bus.watch();
    states
        .wait_for(|state| matches!(state, State::Disconnected { .. }))
        .await
        .unwrap();
    let url = format!("nats://other@127.0.0.1:{}", second.port());
    let bad = bus
        .replace_servers(vec!["http://x".into()])
        .await
        .unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidConfig);
    bus.replace_servers(vec![url]).await.unwrap();
    bus.wait_connected(Duration::from_secs(1)).await.unwrap();
    publish(&bus).await.unwrap();
    // The first one is back, but no longer wanted.
    first.restart();
    tokio::time::sleep(Duration::from_millis(600)).await;
    publish(&bus).await.unwrap();
    assert!(bus.servers().ends_with(&second.port().to_string()));
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = NatsServer::without_jetstream("");
    let bus = bus(&server).await;
    assert_eq!(publish(&bus).await, Err(ErrorKind::Unsupported));
    bus.publish(Outgoing::new("x", "core works")).await.unwrap();
}

#[tokio::test]
async fn a_closed_bus_says_so() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let start = Instant::now();
    bus.close(Duration::from_secs(2)).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(publish(&bus).await, Err(ErrorKind::Closed));
}

#[tokio::test]
async fn ten_thousand_calls_at_once_are_served() {
    let server = NatsServer::start();
    let bus = connected(config(server.url())).await;
    let stream = bus.stream(spec("A", "a"));
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let stream = stream.clone();
            tokio::spawn(async move { stream.publish(Outgoing::new("a", "x"), None).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(stream.info().await.unwrap().unwrap().messages, 10_000);
}
