//! `take`

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Tools;
use crate::bus::{other_program, vanish};
use crate::support::server::NatsServer;

const PACK: &str = r#"
streams:
  inbox: {name: INBOX, subjects: ["in.>"]}
buckets:
  positions: {name: positions}
tools:
  send:
    description: x
    input: {type: object, required: [n], properties: {n: {type: integer}}}
    steps:
      - publish: {stream: inbox, subject: in.x, payload: {n: "{{ args.n }}", kind: "{{ 'even' if args.n is even else 'odd' }}"}}
    reply: {text: x}
  take:
    description: x
    input:
      type: object
      properties:
        reader: {type: string, default: r}
        limit: {type: integer, default: 100}
        kind: {type: string}
        peek: {type: boolean, default: false}
        wait: {type: string, default: 0s}
        scan: {type: integer, default: 1000}
    output: {type: object, properties: {messages: {}, count: {}, unread: {}, matching: {}, more: {}}}
    steps:
      - take:
          stream: inbox
          position: {bucket: positions, key: "{{ args.reader }}"}
          limit: "{{ args.limit }}"
          where: args.kind is not defined or item.data.kind == args.kind
          select: "{{ item.data.n }}"
          wait: "{{ args.wait }}"
          peek: "{{ args.peek }}"
          scan: "{{ args.scan }}"
        as: taken
        else: "{{ error.kind }}"
    reply: {structured: "{{ taken }}"}
  broken:
    description: x
    output: {type: object, properties: {messages: {}}}
    steps:
      - take: {stream: inbox, position: {bucket: positions, key: r}, limit: 5, select: "{{ item.data.gone }}"}
        as: taken
    reply: {structured: {messages: "{{ taken.messages }}"}}
  position:
    description: x
    input: {type: object, properties: {value: {}}}
    output: {type: object, properties: {value: {}}}
    steps:
      - put: {bucket: positions, key: r, value: "{{ args.value }}"}
        when: args.value is defined
      - get: {bucket: positions, key: r}
        as: entry
    reply: {structured: {value: "{{ entry.value }}"}}
"#;

async fn send(tools: &Tools, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        tools.ok("send", json!({"n": n})).await;
    }
}

/// What a call gives: the messages, and `unread`, `matching`, `more`.
async fn take(tools: &Tools, args: Value) -> (Value, [Value; 3]) {
    let taken = tools.ok("take", args).await;
    let rest = ["unread", "matching", "more"].map(|key| taken[key].clone());
    assert_eq!(taken["count"], taken["messages"].as_array().unwrap().len());
    (taken["messages"].clone(), rest)
}

fn rest(unread: u64, matching: u64, more: bool) -> [Value; 3] {
    [json!(unread), json!(matching), json!(more)]
}

#[tokio::test]
async fn what_is_left_out_stays_to_be_taken() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    assert_eq!(
        take(&tools, json!({})).await,
        (json!([]), rest(0, 0, false))
    );
    send(&tools, 1..=6).await;
    let even = json!({"kind": "even", "limit": 2});
    let peek = json!({"kind": "even", "limit": 2, "peek": true});
    assert_eq!(take(&tools, peek).await, (json!([2, 4]), rest(6, 3, false)));
    assert_eq!(
        take(&tools, even.clone()).await,
        (json!([2, 4]), rest(4, 1, false))
    );
    let position = tools.ok("position", json!({})).await["value"].clone();
    assert_eq!(
        (&position["after"], &position["done"]),
        (&json!(0), &json!([2, 4]))
    );
    assert_eq!(take(&tools, even).await, (json!([6]), rest(3, 0, false)));
    assert_eq!(
        take(&tools, json!({"limit": 1})).await,
        (json!([1]), rest(2, 2, false))
    );
    let position = tools.ok("position", json!({})).await["value"].clone();
    assert_eq!(
        (&position["after"], &position["done"]),
        (&json!(2), &json!([4, 6]))
    );
    assert_eq!(
        take(&tools, json!({})).await,
        (json!([3, 5]), rest(0, 0, false))
    );
    let position = tools.ok("position", json!({})).await["value"].clone();
    assert_eq!(
        (&position["after"], &position["done"]),
        (&json!(6), &json!([]))
    );
    assert_eq!(
        take(&tools, json!({})).await,
        (json!([]), rest(0, 0, false))
    );
    // Another reader has its own position.
    let other = take(&tools, json!({"reader": "s"})).await;
    assert_eq!(other.0, json!([1, 2, 3, 4, 5, 6]));
}

#[tokio::test]
async fn only_so_many_are_looked_at() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    send(&tools, (1..=9).step_by(2)).await;
    send(&tools, [2]).await;
    let narrow = json!({"kind": "even", "scan": 3});
    assert_eq!(
        take(&tools, narrow.clone()).await,
        (json!([]), rest(3, 0, true))
    );
    assert_eq!(
        take(&tools, json!({"limit": 3, "scan": 3})).await.0,
        json!([1, 3, 5])
    );
    assert_eq!(take(&tools, narrow).await, (json!([2]), rest(2, 0, false)));
    for bad in [
        json!({"scan": 0}),
        json!({"limit": 1001}),
        json!({"wait": "31s"}),
    ] {
        assert_eq!(tools.fails("take", bad).await, "range");
    }
}

#[tokio::test]
async fn expired_messages_and_a_new_stream_of_the_same_name() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let other = other_program(&server).await;
    send(&tools, 1..=5).await;
    take(&tools, json!({"kind": "even", "limit": 1})).await;
    let stream = other.get_stream("INBOX").await.unwrap();
    for seq in [1, 2] {
        stream.delete_message(seq).await.unwrap();
    }
    assert_eq!(
        take(&tools, json!({})).await,
        (json!([3, 4, 5]), rest(0, 0, false))
    );
    let position = tools.ok("position", json!({})).await["value"].clone();
    assert_eq!(
        (&position["after"], &position["done"]),
        (&json!(5), &json!([]))
    );
    // Also when the new one has grown beyond the old position.
    for numbers in [1..=2, 11..=19] {
        vanish(&other, "INBOX").await;
        send(&tools, numbers.clone()).await;
        let all: Vec<u64> = numbers.collect();
        assert_eq!(take(&tools, json!({})).await.0, json!(all));
    }
    // What is no position is the beginning.
    for odd in [json!({"after": "x"}), json!({"after": -1}), json!(5)] {
        tools.ok("position", json!({ "value": odd })).await;
        let all: Vec<u64> = (11..=19).collect();
        assert_eq!(take(&tools, json!({})).await.0, json!(all), "{odd}");
    }
}

#[tokio::test]
async fn a_restart_of_the_server_forgets_nothing() {
    let mut server = NatsServer::start();
    let bus = crate::bus::bus(&server).await;
    let tools = Tools::on(bus.clone(), PACK);
    send(&tools, 1..=5).await;
    assert_eq!(take(&tools, json!({"limit": 3})).await.0, json!([1, 2, 3]));
    server.kill();
    let mut states = bus.watch();
    let lost = states.wait_for(|state| !state.is_connected());
    lost.await.unwrap();
    server.restart();
    bus.wait_connected(crate::bus::SOON).await.unwrap();
    assert_eq!(take(&tools, json!({})).await.0, json!([4, 5]));
}

#[tokio::test]
async fn a_select_that_fails_loses_nothing() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    send(&tools, 1..=2).await;
    tools.fails("broken", json!({})).await;
    assert_eq!(take(&tools, json!({})).await.0, json!([1, 2]));
}

#[tokio::test]
async fn a_wait_ends_with_the_first_message_or_at_its_bound() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    send(&tools, [1]).await;
    let started = Instant::now();
    let nothing = take(&tools, json!({"kind": "even", "wait": "700ms"})).await;
    assert_eq!(nothing, (json!([]), rest(1, 0, false)));
    let waited = started.elapsed();
    assert!(
        (Duration::from_millis(700)..Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );
    let waiting = tokio::spawn({
        let tools = tools.clone();
        async move {
            let taken = take(&tools, json!({"kind": "even", "wait": "20s"})).await;
            (taken, Instant::now())
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    send(&tools, [3, 5]).await;
    let sent = Instant::now();
    send(&tools, [2]).await;
    let (taken, at) = waiting.await.unwrap();
    assert_eq!(taken, (json!([2]), rest(3, 0, false)));
    println!("taken {:?} after it was sent", at - sent);
    assert!(at - sent < Duration::from_secs(5));
}

#[tokio::test]
async fn who_may_not_listen_waits_all_the_same() {
    let server = NatsServer::with_config(
        "authorization { users: [{ user: u, password: p, permissions: { subscribe: [\"_INBOX.>\"] } }] }",
    );
    let url = format!("nats://u:p@127.0.0.1:{}", server.port());
    let bus = crate::bus::connected(crate::bus::config(url)).await;
    let tools = Tools::on(bus, PACK);
    send(&tools, [1]).await;
    let waiting = tokio::spawn({
        let tools = tools.clone();
        async move { take(&tools, json!({"kind": "even", "wait": "20s"})).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sent = Instant::now();
    send(&tools, [2]).await;
    assert_eq!(waiting.await.unwrap(), (json!([2]), rest(1, 0, false)));
    assert!(
        sent.elapsed() < Duration::from_secs(5),
        "{:?}",
        sent.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_readers_take_each_message_once() {
    const READERS: usize = 8;
    const COUNT: u64 = 400;
    let server = NatsServer::start();
    let mut readers = Vec::new();
    let started = Instant::now();
    for index in 0..READERS {
        // A connection of its own, as another gateway would have.
        let tools = Tools::new(&server, PACK).await;
        readers.push(tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                let mut args = json!({"limit": 1 + index % 3, "wait": "2s"});
                if index % 4 == 3 {
                    args["kind"] = json!("even");
                }
                let (messages, _) = take(&tools, args).await;
                let messages: Vec<u64> = serde_json::from_value(messages).unwrap();
                if messages.is_empty() {
                    return all;
                }
                all.extend(messages);
            }
        }));
    }
    let tools = Tools::new(&server, PACK).await;
    send(&tools, 0..COUNT).await;
    let mut all = Vec::new();
    for reader in readers {
        all.extend(reader.await.unwrap());
    }
    println!(
        "{READERS} readers took {COUNT} messages in {:?}",
        started.elapsed()
    );
    let once: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(all.len(), once.len(), "handed out twice");
    assert_eq!(once, (0..COUNT).collect());
}
