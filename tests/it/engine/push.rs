//! What a session tells its client unasked: listeners on streams, `notify`, and how a client that was away catches up.

use std::sync::Arc;
use std::time::Duration;

use jacquard::bus::Bus;
use jacquard::engine::{Background, Begin, Engine, Push, Pushes, Session};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Tools, engine};
use crate::bus::bus;
use crate::support::LIMIT;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = include_str!("push.yaml");
/// How long nothing has to come until it is believed that nothing will.
const SILENCE: Duration = Duration::from_millis(300);
const NEWS: &str = "notifications/acme/news";

/// A session whose client comes and goes.
struct Away {
    tools: Tools,
    background: Background,
}

impl Away {
    async fn begin(bus: Bus) -> Self {
        let engine = engine(bus, PACK);
        let session = Arc::new(engine.session());
        Self::on(engine, session, Begin::STORED).await
    }

    async fn on(engine: Arc<Engine>, session: Arc<Session>, begin: Begin) -> Self {
        engine.keep_tables();
        let background = engine.begin(&session, begin);
        let ready = timeout(LIMIT, session.listening()).await;
        ready.expect("the session listens");
        Self {
            tools: Tools { engine, session },
            background,
        }
    }

    async fn named(bus: Bus, name: &str) -> Self {
        let away = Self::begin(bus).await;
        away.tools.ok("join", json!({ "name": name })).await;
        away
    }

    fn session(&self) -> &Arc<Session> {
        &self.tools.session
    }

    async fn post(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            let message = json!({"n": n, "from": "bea"});
            self.tools.ok("post", json!({ "message": message })).await;
        }
    }
}

async fn next(pushes: &mut Pushes) -> Push {
    let push = timeout(LIMIT, pushes.next()).await;
    push.expect("a push").expect("a reader")
}

fn number(push: &Push) -> u64 {
    let params = push.params.as_ref().unwrap();
    params["n"].as_u64().unwrap()
}

/// Reads so many pushes, and gives their numbers.
async fn numbers(pushes: &mut Pushes, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(number(&next(pushes).await));
    }
    numbers
}

async fn silent(pushes: &mut Pushes) {
    let more = timeout(SILENCE, pushes.next()).await;
    assert!(more.is_err(), "{more:?}");
}

fn range(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[tokio::test]
async fn a_client_over_stdio_is_told_at_once_and_in_order() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("p/p.yaml", PACK);
    let config = place.write("jacquard.yaml", "packs: [./p]");
    let config = config.to_string_lossy().into_owned();
    let agent = Agent::start(place.command(&["serve", "-c", &config])).await;
    let named = agent.client.peer_info().unwrap().capabilities.clone();
    let named = serde_json::to_value(named.experimental).unwrap();
    assert_eq!(named, json!({"acme/news": {"since": 1}}));

    let session = agent.ok("join", json!({"name": "ada"})).await.text;
    let plain = async_nats::connect(server.url()).await.unwrap();
    let send = async |subject: &str, message: Value| {
        let payload = message.to_string().into();
        plain.publish(subject.to_owned(), payload).await.unwrap();
    };
    for n in 0..100 {
        let subject = if n % 2 == 0 { "news.all" } else { "news.dm.x" };
        send(subject, json!({"n": n, "from": "bea"})).await;
        // Its own, of another subject, and what is none.
        send("news.all", json!({"n": n, "from": "ada"})).await;
        send("news.other", json!({"n": n, "from": "bea"})).await;
        send("news.all", json!("nothing")).await;
    }
    let told = agent.told(100).await;
    // In the order of each subject.
    for (subject, first) in [("news.all", 0), ("news.dm.x", 1)] {
        let of = |params: &&Value| params["subject"] == subject;
        let told: Vec<&Value> = told.iter().map(|(_, params)| params).filter(of).collect();
        let sent = (first..100).step_by(2);
        let sent: Vec<Value> = sent.map(|n| json!({"n": n, "subject": subject})).collect();
        assert_eq!(told, sent.iter().collect::<Vec<_>>());
    }
    assert!(told.iter().all(|(method, _)| method == NEWS));
    let answer = agent.ok("tell", json!({"params": {"a": [1]}})).await;
    assert_eq!(answer.structured, json!({"delivered": true}));
    let told = agent.told(101).await;
    assert_eq!(
        told[100],
        ("notifications/acme/told".into(), json!({"a": [1]}))
    );

    // A listener on a subject passes messages over too, and does not answer those.
    send(&format!("plain.{session}"), json!({"n": 0})).await;
    let ask = plain.request(format!("plain.{session}"), "{\"n\": 7}".into());
    assert_eq!(ask.await.unwrap().payload, "{\"delivered\":true}");
    let told = agent.told(102).await;
    assert_eq!(
        told[101],
        ("notifications/acme/plain".into(), json!({"n": 7}))
    );
    agent.ok("join", json!({"ticks": true})).await;
    let told = agent.told(103).await;
    assert_eq!(told[102].0, "notifications/acme/tick");
    agent.close().await;
}

#[tokio::test]
async fn a_client_that_was_away_gets_what_came_meanwhile_once() {
    let server = NatsServer::start();
    let away = Away::named(bus(&server).await, "ada").await;
    let other = Away::begin(bus(&server).await).await;
    other.post(0..10).await;
    let late = Away::named(bus(&server).await, "cid").await;
    other.post(10..20).await;
    // Nobody has read, and a session that began later begins there.
    let mut pushes = away.session().attach(None);
    assert_eq!(numbers(&mut pushes, 15).await, range(0..15));
    let mut latecomer = late.session().attach(None);
    assert_eq!(numbers(&mut latecomer, 10).await, range(10..20));
    silent(&mut latecomer).await;
    // Taken, and not confirmed.
    drop(pushes);
    other.post(20..25).await;
    let mut pushes = away.session().attach(None);
    assert_eq!(numbers(&mut pushes, 11).await, range(14..25));
    other.post(25..26).await;
    let last = next(&mut pushes).await;
    assert_eq!(number(&last), 25);
    silent(&mut pushes).await;
    // The client knows better where it is, and says it in the words of another gateway.
    let seen = last.seen.to_string().parse().unwrap();
    let mut again = away.session().attach(Some(seen));
    assert_eq!(pushes.next().await, None);
    silent(&mut again).await;
    other.post(26..27).await;
    assert_eq!(numbers(&mut again, 1).await, [26]);
    // Who has no name is told nothing, and is as far all the same.
    let mut nameless = other.session().attach(None);
    silent(&mut nameless).await;
    other.tools.ok("join", json!({"name": "dan"})).await;
    other.post(27..28).await;
    assert_eq!(numbers(&mut nameless, 1).await, [27]);
}

#[tokio::test]
async fn all_notifications_of_a_message_or_none_even_if_its_steps_fail() {
    let server = NatsServer::start();
    let away = Away::named(bus(&server).await, "ada").await;
    let message = json!({"n": 1, "from": "bea", "urgent": true, "broken": true});
    away.tools.ok("post", json!({ "message": message })).await;
    away.post(2..3).await;
    let methods = async |pushes: &mut Pushes, count: usize| {
        let mut methods = Vec::new();
        while methods.len() < count {
            let push = next(pushes).await;
            let name = push.method.rsplit('/').next().unwrap();
            methods.push(format!("{name} {}", number(&push)));
        }
        methods
    };
    let mut pushes = away.session().attach(None);
    assert_eq!(methods(&mut pushes, 2).await, ["news 1", "urgent 1"]);
    drop(pushes);
    let mut pushes = away.session().attach(None);
    let all = methods(&mut pushes, 3).await;
    assert_eq!(all, ["news 1", "urgent 1", "news 2"]);
}

#[tokio::test]
async fn another_gateway_goes_on_with_a_session() {
    let server = NatsServer::start();
    let away = Away::named(bus(&server).await, "ada").await;
    let session = Arc::clone(away.session());
    assert!(session.is_bound());
    let revision = session.revision();
    away.post(0..5).await;
    let mut pushes = session.attach(None);
    assert_eq!(numbers(&mut pushes, 4).await, range(0..4));
    assert_eq!(session.revision(), revision);
    away.background.stop().await;
    assert_eq!(pushes.next().await, None);
    let mut snapshot = session.snapshot();
    // What the packs do not know, or not like this, is left out.
    snapshot["packs"]["p"]["ticks"] = json!("often");
    snapshot["packs"]["gone"] = json!({"name": "x"});
    snapshot["seen"]["p.gone"] = json!(7);

    let engine = engine(bus(&server).await, PACK);
    let restored = Arc::new(engine.restore(session.id().to_owned(), &snapshot));
    assert_eq!(restored.id(), session.id());
    assert_eq!(restored.revision(), 0);
    engine.resume(&restored).await;
    let next_door = Away::on(engine, Arc::clone(&restored), Begin::STORED).await;
    let who = next_door.tools.ok("who", json!({})).await;
    assert_eq!(who["name"], "ada");
    next_door.post(5..7).await;
    let mut pushes = restored.attach(None);
    let back = next(&mut pushes).await;
    assert_eq!(back.method, "notifications/acme/back");
    assert_eq!(back.params, json!({"name": "ada"}).as_object().cloned());
    assert_eq!(numbers(&mut pushes, 4).await, range(3..7));
    let clean = json!({"p": {"name": "ada"}});
    assert_eq!(restored.snapshot()["packs"], clean);
    let empty = next_door.tools.engine.session();
    assert!(!empty.is_bound());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left_and_may_come_back() {
    let server = NatsServer::start();
    let engine = engine(bus(&server).await, PACK);
    let session = Arc::new(engine.session());
    let begin = Begin {
        push_timeout: Duration::from_millis(100),
        ..Begin::STORED
    };
    let away = Away::on(engine, session, begin).await;
    away.tools.ok("join", json!({"name": "ada"})).await;
    let mut pushes = away.session().attach(None);
    away.post(0..100).await;
    // It waits for room until the reader is dropped.
    let tell = async || away.tools.ok("tell", json!({"params": {"n": 1000}})).await;
    let mut kept = 0;
    while tell().await["delivered"] == true {
        kept += 1;
        assert!(kept < 200);
    }
    assert_eq!(pushes.next().await, None);
    let mut pushes = away.session().attach(None);
    let all = numbers(&mut pushes, 100 + kept + 1).await;
    let told: Vec<u64> = all.iter().copied().filter(|n| *n < 1000).collect();
    assert_eq!(told, range(0..100));
    silent(&mut pushes).await;
}

#[tokio::test]
async fn expressions_know_whom_the_client_speaks_for() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let who = tools.ok("who", json!({})).await;
    assert_eq!(who, json!({"name": null, "principal": "", "group": null}));
    let claims = json!({"group": "ops"});
    let claims = claims.as_object().unwrap();
    tools.session.set_client("https://issuer#ada", claims);
    let who = tools.ok("who", json!({})).await;
    assert_eq!(
        who,
        json!({"name": null, "principal": "https://issuer#ada", "group": "ops"})
    );
    assert!(!tools.session.is_bound());
    for args in [json!({"method": "tools/list"}), json!({"params": "x"})] {
        assert_eq!(tools.fails("tell", args).await, "range");
    }
}
