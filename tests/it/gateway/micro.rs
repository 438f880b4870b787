//! NATS services as tools, and tools as a NATS service.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::service::ServiceExt as _;
use async_nats::service::error::Error as ServiceError;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::{NatsServer, settled};

/// Looks for services every second.
const IMPORTS: &str = "packs: [micro]\nsettings: {micro: {every: 1s, exclude: [hidden]}}\n";
/// Offers the tools of Warp.
const EXPOSES: &str = "packs: [warp]\nexpose: {micro: {name: weaver, tools: [warp_channels_*]}}\n";

/// A service written on the service API of another program: `sum` adds, `text` answers plainly, `wrong` refuses.
async fn calculator(client: &async_nats::Client, name: &str) -> async_nats::service::Service {
    let service = client
        .service_builder()
        .description("Calculates")
        .start(name, "1.0.0")
        .await
        .unwrap();
    let schema = json!({"type": "object", "required": ["a", "b"],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
    let answers = json!({"type": "object", "properties": {"sum": {"type": "integer"}}});
    let told = HashMap::from([
        ("request_schema".to_owned(), schema.to_string()),
        ("response_schema".to_owned(), answers.to_string()),
        ("description".to_owned(), "Adds two numbers".to_owned()),
    ]);
    let group = service.group(name);
    let sum = group.endpoint_builder().name("sum").metadata(told);
    let mut sum = sum.add("sum").await.unwrap();
    let mut text = group
        .endpoint_builder()
        .name("text")
        .add("text")
        .await
        .unwrap();
    let mut wrong = group
        .endpoint_builder()
        .name("wrong")
        .add("wrong")
        .await
        .unwrap();
    tokio::spawn(async move {
        while let Some(request) = sum.next().await {
            let args: Value = serde_json::from_slice(&request.message.payload).unwrap();
            let sum = args["a"].as_i64().unwrap() + args["b"].as_i64().unwrap();
            let body = json!({ "sum": sum }).to_string();
            request.respond(Ok(body.into())).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(request) = text.next().await {
            let got = String::from_utf8_lossy(&request.message.payload).into_owned();
            let body = format!("got <{got}>");
            request.respond(Ok(body.into())).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(request) = wrong.next().await {
            let status = "out of paper".to_owned();
            let error = ServiceError { code: 503, status };
            request.respond(Err(error)).await.unwrap();
        }
    });
    settled(client).await;
    service
}

/// A gateway with this config.
fn gateway(place: &Place, config: &str) -> Raw {
    let path = place.write("micro.yaml", config);
    let mut raw = Raw::start(place.command(&["serve", "-c", path.to_str().unwrap()]));
    raw.initialize();
    raw
}

fn names(raw: &mut Raw, id: &str) -> Vec<String> {
    raw.request(id, "tools/list", json!({}));
    let answer = raw.answer(id);
    let tools = answer["result"]["tools"].as_array().unwrap();
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    tools.iter().map(name).collect()
}

/// Lists the tools until they are these. The client must be told of the change.
fn listed(raw: &mut Raw, wanted: &[&str]) {
    let started = Instant::now();
    let mut round = 0;
    loop {
        round += 1;
        let found = names(raw, &format!("list-{}-{round}", wanted.len()));
        if found == wanted {
            return;
        }
        assert!(
            started.elapsed() < LIMIT,
            "{found:?} instead of {wanted:?}: {}",
            raw.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn asked(client: &async_nats::Client, subject: &str, body: &str) -> async_nats::Message {
    let asked = client.request(subject.to_owned(), body.to_owned().into());
    tokio::time::timeout(LIMIT, asked).await.unwrap().unwrap()
}

fn header(message: &async_nats::Message, name: &str) -> String {
    let headers = message.headers.as_ref();
    let value = headers.and_then(|headers| headers.get(name));
    value.map(|v| v.as_str().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_tools_as_long_as_they_are_there() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut raw = gateway(&place, IMPORTS);
    listed(&mut raw, &[]);

    let hidden = calculator(&client, "hidden").await;
    let service = calculator(&client, "calc").await;
    raw.notification("notifications/tools/list_changed");
    listed(&mut raw, &["calc_sum", "calc_text", "calc_wrong"]);

    raw.request("schema", "tools/list", json!({}));
    let list = raw.answer("schema");
    let sum = &list["result"]["tools"][0];
    assert_eq!(sum["description"], "Adds two numbers");
    assert_eq!(sum["inputSchema"]["required"], json!(["a", "b"]));
    assert_eq!(sum["outputSchema"]["properties"]["sum"]["type"], "integer");
    let text = &list["result"]["tools"][1];
    assert_eq!(text["description"], "Calculates");
    assert_eq!(text["inputSchema"], json!({"type": "object"}));

    raw.call("sum", "calc_sum", json!({"a": 2, "b": 3}));
    let answer = raw.answer("sum");
    assert_eq!(answer["result"]["structuredContent"], json!({"sum": 5}));
    let (text, error) = raw.tool("bad", "calc_sum", json!({"a": "x"}));
    assert!(error && text.contains("`b` is missing"), "{text}");
    let (text, error) = raw.tool("none", "calc_text", json!({}));
    assert_eq!((text.as_str(), error), ("got <>", false));
    let (text, _) = raw.tool("some", "calc_text", json!({"x": [1]}));
    assert_eq!(text, "got <{\"x\":[1]}>");
    let (text, error) = raw.tool("wrong", "calc_wrong", json!({}));
    assert!(error, "{text}");
    assert!(
        text.contains("503") && text.contains("out of paper"),
        "{text}"
    );

    // A second instance, and the first one goes: the tools stay.
    let second = calculator(&client, "calc").await;
    service.stop().await.unwrap();
    settled(&client).await;
    let (text, error) = raw.tool("again", "calc_sum", json!({"a": 1, "b": 1}));
    assert!(!error, "{text}");
    second.stop().await.unwrap();
    raw.notification("notifications/tools/list_changed");
    listed(&mut raw, &[]);
    hidden.stop().await.unwrap();
    raw.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_describes_itself_badly_does_not_harm_the_others() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut infos = client.subscribe("$SRV.INFO").await.unwrap();
    let liar = client.clone();
    tokio::spawn(async move {
        while let Some(message) = infos.next().await {
            let reply = message.reply.unwrap();
            let schema = json!({"input_schema": "{\"type\": \"object\", \"properties\": 7}"});
            let endpoints = json!([
                {"name": "api", "subject": "$JS.API.STREAM.LIST"},
                {"name": "broken", "subject": "liar.broken", "metadata": schema},
            ]);
            let info = json!({"name": "liar", "id": "L", "version": "1", "endpoints": endpoints});
            for body in ["", "{", "[]", info.to_string().as_str()] {
                let body = body.to_owned();
                liar.publish(reply.clone(), body.into()).await.unwrap();
            }
        }
    });
    let _service = calculator(&client, "calc").await;
    let mut raw = gateway(&place, IMPORTS);
    listed(&mut raw, &["calc_sum", "calc_text", "calc_wrong"]);
    let log = raw.stderr();
    assert!(log.contains("does not describe a service"), "{log}");
    assert!(log.contains("belongs to NATS itself"), "{log}");
    assert!(
        log.contains("liar_broken") || log.contains("liar.broken"),
        "{log}"
    );
    raw.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_calls_a_tool() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let raw = gateway(&place, EXPOSES);
    let mut infos = Vec::new();
    crate::support::wait_for("the service", || {
        let answer = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(client.request("$SRV.INFO.weaver", "".into()))
        });
        infos.extend(answer);
        !infos.is_empty()
    });
    let info: Value = serde_json::from_slice(&infos[0].payload).unwrap();
    let endpoints = info["endpoints"].as_array().unwrap();
    let mut subjects: Vec<&str> = endpoints
        .iter()
        .filter_map(|e| e["subject"].as_str())
        .collect();
    subjects.sort_unstable();
    assert!(subjects.contains(&"weaver.warp_channels_list"), "{info}");
    assert!(
        subjects
            .iter()
            .all(|s| s.starts_with("weaver.warp_channels_")),
        "{info}"
    );
    let list = endpoints
        .iter()
        .find(|e| e["name"] == "warp_channels_list")
        .unwrap();
    let schema: Value =
        serde_json::from_str(list["metadata"]["input_schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["type"], "object");

    for body in ["", "{}", "null"] {
        let answer = asked(&client, "weaver.warp_channels_list", body).await;
        assert_eq!(header(&answer, "Nats-Service-Error"), "");
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(text.contains("parallel-work"), "{text}");
    }
    for (body, said) in [
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
        ("{\"x\":1}", "`x`"),
    ] {
        let answer = asked(&client, "weaver.warp_channels_list", body).await;
        assert_eq!(header(&answer, "Nats-Service-Error-Code"), "400", "{body}");
        let reason = header(&answer, "Nats-Service-Error");
        assert!(reason.contains(said), "{body}: {reason}");
    }
    let stats = asked(&client, "$SRV.STATS.weaver", "").await;
    let stats: Value = serde_json::from_slice(&stats.payload).unwrap();
    let of = |name: &str| {
        stats["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["name"] == name)
            .unwrap()
            .clone()
    };
    let list = of("warp_channels_list");
    assert_eq!(
        (&list["num_requests"], &list["num_errors"]),
        (&json!(6), &json!(3))
    );
    raw.close();
    let gone = client.request("weaver.warp_channels_list", "".into()).await;
    assert!(gone.is_err(), "the service ends with the gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gateway_offers_what_another_serves() {
    let server = NatsServer::start();
    let (one, two) = (Place::on(&server), Place::on(&server));
    let first = gateway(&one, EXPOSES);
    let both = format!("{IMPORTS}expose: {{micro: {{name: second}}}}\n");
    let path = two.write("micro.yaml", &both);
    let mut second = Raw::start(two.command(&["serve", "-c", path.to_str().unwrap()]));
    second.initialize();
    let started = Instant::now();
    while !names(&mut second, "x")
        .iter()
        .any(|n| n == "weaver_warp_channels_list")
    {
        assert!(started.elapsed() < LIMIT, "{}", second.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    let (text, error) = second.tool("list", "weaver_warp_channels_list", json!({}));
    assert!(!error && text.contains("parallel-work"), "{text}");
    // What is imported is not offered again, nor is the own service imported.
    let all = names(&mut second, "y");
    assert!(all.iter().all(|n| n.starts_with("weaver_")), "{all:?}");
    let client = async_nats::connect(server.url()).await.unwrap();
    let again = asked(&client, "$SRV.INFO.second", "").await;
    let info: Value = serde_json::from_slice(&again.payload).unwrap();
    assert_eq!(info["endpoints"], json!([]));
    first.close();
    second.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_http_hears_of_services_that_come_and_go() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let served = Served::with(&place, IMPORTS);
    let web = Web::begin(&served.url).await;
    let mut events = web.listen(None).await;
    let service = calculator(&client, "calc").await;
    let changed = events.push().await.data;
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    assert_eq!(changed["params"], json!({}));
    let (_, sum) = web.call("calc_sum", json!({"a": 2, "b": 3})).await;
    assert_eq!(sum["result"]["structuredContent"], json!({"sum": 5}));
    service.stop().await.unwrap();
    let changed = events.push().await.data;
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    assert_eq!(changed["params"], json!({}));
    let (_, sum) = web.call("calc_sum", json!({"a": 2, "b": 3})).await;
    assert!(sum["error"].is_object(), "{sum}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_a_service_is_called_from_the_command_line() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let _service = calculator(&client, "calc").await;
    let path = place.write("micro.yaml", IMPORTS);
    let config = path.to_string_lossy();
    let done = place.run(&["call", "-c", &config, "calc_sum", "a=2", "b=3"]);
    assert_eq!((done.code, done.stdout.trim()), (Some(0), r#"{"sum":5}"#));
}

/// Whether the tool of the calculator is there and answers.
async fn adds(agent: &mut Agent) -> bool {
    agent.list().await;
    let answer = agent.try_call("calc_sum", json!({"a": 2, "b": 3})).await;
    answer.is_ok_and(|answer| !answer.error)
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_services_come_back_with_nats() {
    let mut server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let _service = calculator(&client, "calc").await;
    let path = place.write("micro.yaml", &format!("{IMPORTS}expose: {{micro: {{}}}}\n"));
    let mut agent = Agent::start(place.command(&["serve", "-c", path.to_str().unwrap()])).await;
    let until_ok = async {
        while !adds(&mut agent).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, until_ok).await.unwrap();
    server.kill();
    server.restart();
    let until_ok = async {
        while !adds(&mut agent).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while client
            .request("$SRV.PING.jacquard", "".into())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, until_ok).await.unwrap();
    agent.close().await;
}
