//! Tables, resources and services that change while they are used.

use serde_json::{Value, json};

use super::{names, pack, until, watching, write};
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A pack with a table of who has said something, and what the table keeps of that.
fn people(value: &str) -> String {
    let who = json!([{"as": "found", "find": {
        "table": "people", "sort": "item.key", "select": "{{ item.key }}={{ item.value }}"}}]);
    let beat = json!([{"publish": {
        "stream": "beats", "subject": "beat.x", "payload": {"id": "{{ args.id }}", "name": "{{ args.name }}"}}}]);
    let text = json!({"type": "string"});
    json!({
        "streams": {"beats": {"name": "BEATS", "subjects": ["beat.*"]}},
        "tables": {"people": {"stream": "beats", "key": "item.data.id", "value": value, "ttl": "10m"}},
        "tools": {
            "beat": {
                "description": "x", "steps": beat, "reply": {"text": "ok"},
                "input": {"type": "object", "required": ["id", "name"], "properties": {"id": text, "name": text}},
            },
            "who": {"description": "x", "steps": who, "reply": {"text": "{{ found.items | join(' ') }}"}},
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_table_is_filled_before_it_takes_the_place_of_another() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &people("{{ item.data.name }}"));
    let mut agent = watching(&place, &config).await;
    agent.ok("beat", json!({"id": "a", "name": "Ada"})).await;
    until("the first", async || {
        agent.ok("who", json!({})).await.text == "a=Ada"
    })
    .await;
    place.write("mine/tools.yaml", &people("{{ item.data.name | upper }}"));
    until("the other value", async || {
        let text = agent.ok("who", json!({})).await.text;
        assert!(["a=Ada", "a=ADA"].contains(&text.as_str()), "{text}");
        text == "a=ADA"
    })
    .await;
    agent.ok("beat", json!({"id": "b", "name": "Bob"})).await;
    until("what is said afterwards", async || {
        agent.ok("who", json!({})).await.text == "a=ADA b=BOB"
    })
    .await;
    place.write("mine/tools.yaml", &pack(&[("one", "1")]));
    until("no table", async || names(&mut agent).await == ["one"]).await;
    place.write("mine/tools.yaml", &people("{{ item.data.name }}"));
    until("a table again", async || names(&mut agent).await.len() == 2).await;
    assert_eq!(agent.ok("who", json!({})).await.text, "a=Ada b=Bob");
    agent.close().await;
}

/// A pack with resources that say this.
fn shelf(texts: &[(&str, &str)]) -> String {
    let resources: serde_json::Map<_, _> = texts
        .iter()
        .map(|(name, text)| {
            let resource =
                json!({"uri": format!("acme://{name}"), "description": "x", "text": text});
            ((*name).to_owned(), resource)
        })
        .collect();
    let tools = json!({"one": {"description": "x", "reply": {"text": "1"}}});
    json!({"resources": resources, "tools": tools}).to_string()
}

/// What a request is answered with.
async fn asked(web: &Web, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let text = web.post(&body).await.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or(&text)).unwrap()
}

#[tokio::test]
async fn resources_change_come_and_go() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &shelf(&[("first", "old")]));
    let served = Served::watching(&place, &["--config", &config]);
    let web = Web::begin(&served.url).await;
    let mut events = web.listen(None).await;
    let read = async |name: &str| {
        let uri = json!({"uri": format!("acme://{name}")});
        let answer = asked(&web, "resources/read", uri).await;
        answer["result"]["contents"][0]["text"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(read("first").await.as_deref(), Some("old"));
    place.write("mine/tools.yaml", &shelf(&[("first", "new")]));
    until("the other text", async || {
        read("first").await.as_deref() == Some("new")
    })
    .await;
    let both = shelf(&[("first", "new"), ("second", "more")]);
    place.write("mine/tools.yaml", &both);
    until("another resource", async || {
        read("second").await.as_deref() == Some("more")
    })
    .await;
    place.write("mine/tools.yaml", &shelf(&[("second", "more")]));
    until("one resource less", async || read("first").await.is_none()).await;
    let list = asked(&web, "resources/list", json!({})).await;
    let listed = list["result"]["resources"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{list}");
    assert_eq!(listed[0]["uri"], "acme://second");
    // Equal news that nobody has read yet are one.
    let told = events.push().await.data;
    assert_eq!(told["method"], "notifications/resources/list_changed");
}

/// What a service says of itself, if it is there.
async fn service(client: &async_nats::Client, name: &str) -> Option<Value> {
    let asked = client.request(format!("$SRV.INFO.{name}"), "".into()).await;
    serde_json::from_slice(&asked.ok()?.payload).ok()
}

/// The names of its endpoints, sorted.
fn endpoints(service: &Value) -> Vec<&str> {
    let all = service["endpoints"].as_array().unwrap().iter();
    let mut names: Vec<&str> = all.filter_map(|e| e["name"].as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exposed_follows_the_config_and_the_tools() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let config = write(&place, &pack(&[("one", "first")]));
    let agent = watching(&place, &config).await;
    agent.ok("one", json!({})).await;
    assert_eq!(service(&client, "weaver").await, None);
    let expose = |name: &str| format!("packs: [./mine]\nexpose: {{micro: {{name: {name}}}}}\n");
    place.write("gateway.yaml", &expose("weaver"));
    until("a service", async || {
        service(&client, "weaver").await.is_some()
    })
    .await;
    let told = service(&client, "weaver").await.unwrap();
    assert_eq!(endpoints(&told), ["one"]);
    let subject = told["endpoints"][0]["subject"].as_str().unwrap().to_owned();
    let said = client.request(subject.clone(), "{}".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&said.payload).contains("first"));
    place.write(
        "mine/tools.yaml",
        &pack(&[("one", "second"), ("two", "more")]),
    );
    until("another endpoint", async || {
        let told = service(&client, "weaver").await;
        told.is_some_and(|told| endpoints(&told) == ["one", "two"])
    })
    .await;
    let said = client.request(subject.clone(), "{}".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&said.payload).contains("second"));
    place.write("gateway.yaml", &expose("loom"));
    until("the other name", async || {
        service(&client, "loom").await.is_some() && service(&client, "weaver").await.is_none()
    })
    .await;
    place.write("gateway.yaml", "packs: [./mine]\n");
    until("no service", async || {
        service(&client, "loom").await.is_none()
    })
    .await;
    let nobody = client.request(subject, "{}".into()).await;
    assert!(nobody.is_err(), "{nobody:?}");
    agent.close().await;
}
