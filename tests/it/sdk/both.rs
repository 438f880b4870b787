//! The second generation of the SDKs, which speaks the versions with `initialize` and the one without: one of everything that a
//! client can use, in each of them and over both transports.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::LIMIT;
use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::sdk::{Client, Era, Sdk};
use crate::support::server::{NatsServer, settled};

/// A project with the pack.
pub struct Desk {
    server: NatsServer,
    pub place: Place,
    pub config: String,
}

impl Desk {
    pub fn start() -> Self {
        let server = NatsServer::start();
        let place = Place::on(&server);
        place.write("desk/desk.yaml", include_str!("desk.yaml"));
        let config = place.write("jacquard.yaml", "packs: [./desk]\n");
        Self {
            config: config.to_string_lossy().into_owned(),
            server,
            place,
        }
    }

    /// Does it over both transports.
    fn over_both(&self, sdk: Sdk, mut test: impl FnMut(&Self, &mut Client, bool)) {
        let serve = ["serve", "--no-watch", "--config", &self.config];
        let mut client = Client::stdio(sdk, &self.place, &serve);
        test(self, &mut client, false);
        client.close();
        let gateway = Served::start(&self.place, &["--config", &self.config]);
        let mut client = Client::http(sdk, &self.place, &gateway.url);
        test(self, &mut client, true);
        client.close();
    }
}

/// The texts of a result.
fn text(result: &Value) -> &str {
    let text = result["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{result}"))
}

fn is_used(sdk: Sdk) {
    Desk::start().over_both(sdk, |_, client, _| {
        let version = if sdk.is_old() {
            "2025-11-25"
        } else {
            "2026-07-28"
        };
        assert_eq!(client.ready["protocolVersion"], version);
        assert_eq!(client.ready["serverInfo"]["name"], "jacquard");
        tools(client);
        prompts_and_resources(client);
    });
}

fn tools(client: &mut Client) {
    let listed = client.get("list");
    let names: Vec<&str> = listed["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["divide", "note", "count", "nap"]);
    let done = client.ok("divide", json!({"a": 3, "b": 2}));
    assert_eq!(done["structuredContent"]["quotient"], 1.5, "{done}");
    let failed = client.call("divide", json!({"a": 3, "b": 0})).unwrap();
    assert_eq!(failed["isError"], true, "{failed}");
    assert!(text(&failed).contains("divided by zero"), "{failed}");
    let misfit = client.call("divide", json!({"a": "three"})).unwrap();
    assert_eq!(misfit["isError"], true, "{misfit}");
    let unknown = client.call("multiply", json!({})).unwrap_err();
    assert_eq!(unknown["code"], -32602, "{unknown}");

    let watched = json!({"tool": "count", "arguments": {}, "watch": true});
    let id = client.ask("call", watched);
    for step in 1..=3 {
        let (told, line) = client.told("progress");
        assert_eq!(line["of"], id);
        assert_eq!(told["progress"].as_f64(), Some(f64::from(step)), "{told}");
        assert_eq!(told["message"], format!("step {step}"));
    }
    assert_eq!(text(&client.answer(id).unwrap()), "counted");
    let many: Vec<u64> = (1..=20)
        .map(|n| {
            let args = json!({"a": n, "b": 1});
            client.ask("call", json!({"tool": "divide", "arguments": args}))
        })
        .collect();
    for (n, id) in (1..=20).zip(many) {
        let done = client.answer(id).unwrap();
        let quotient = done["structuredContent"]["quotient"].as_f64();
        assert_eq!(quotient, Some(f64::from(n)), "{done}");
    }
}

fn prompts_and_resources(client: &mut Client) {
    client.ok("note", json!({"name": "plan", "text": "Build it"}));
    let prompts = client.get("prompts");
    assert_eq!(prompts["prompts"][0]["name"], "review");
    assert_eq!(prompts["prompts"][0]["arguments"][0]["required"], true);
    let named = json!({"name": "review", "arguments": {"name": "plan"}});
    let prompt = client.with("prompt", named);
    let messages = &prompt["messages"];
    assert_eq!(messages[0]["content"]["text"], "Review plan:");
    assert_eq!(messages[1]["content"]["resource"]["text"], "Build it");
    let wanted = json!({
        "ref": {"type": "ref/prompt", "name": "review"},
        "argument": {"name": "name", "value": "pl"},
    });
    let completed = client.with("complete", wanted);
    assert_eq!(completed["completion"]["values"], json!(["plan"]));

    let resources = client.get("resources");
    let uris: Vec<&str> = resources["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    assert!(
        uris.contains(&"desk://notes/plan") && uris.contains(&"desk://about"),
        "{uris:?}"
    );
    let templates = client.get("templates");
    assert_eq!(
        templates["resourceTemplates"][0]["uriTemplate"],
        "desk://notes/{name}"
    );
    let read = client.with("read", json!({"uri": "desk://notes/plan"}));
    assert_eq!(read["contents"][0]["text"], "Build it");
    let read = client.with("read", json!({"uri": "desk://about"}));
    assert_eq!(read["contents"][0]["blob"], "iVBORw==");
    let id = client.ask("read", json!({"uri": "desk://nowhere"}));
    let error = client.answer(id).unwrap_err();
    assert!(error["message"].is_string(), "{error}");
}

fn cancels(sdk: Sdk) {
    let desk = Desk::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let subject = format!("{}.desk.nap", desk.place.namespace);
    let mut naps = runtime.block_on(async {
        let nats = async_nats::connect(desk.server.url()).await.unwrap();
        let naps = nats.subscribe(subject).await.unwrap();
        settled(&nats).await;
        naps
    });
    let mut begins = || {
        let next = async { tokio::time::timeout(LIMIT, naps.next()).await };
        runtime.block_on(next).expect("a nap in time").unwrap();
    };
    desk.over_both(sdk, |_, client, over_http| {
        let name = if over_http { "http" } else { "stdio" };
        let nap = json!({"tool": "nap", "arguments": {"name": name}});
        let id = client.ask("call", nap);
        begins();
        client.with("cancel", json!({"of": id}));
        client.answer(id).unwrap_err();
        // Longer than the one that was cancelled.
        client.ok("nap", json!({"name": "other"}));
        begins();
        let id = client.ask("read", json!({"uri": format!("desk://notes/{name}")}));
        client.answer(id).unwrap_err();
        let read = client.with("read", json!({"uri": "desk://notes/other"}));
        assert_eq!(read["contents"][0]["text"], "slept");
    });
}

fn subscribes(sdk: Sdk) {
    Desk::start().over_both(sdk, |_, client, _| {
        let uri = "desk://notes/plan";
        client.ok("note", json!({"name": "plan", "text": "Build it"}));
        if sdk.is_old() {
            client.with("subscribe", json!({"uri": uri}));
        } else {
            let filter = json!({"toolsListChanged": true, "resourceSubscriptions": [uri]});
            let honored = client.with("listen", json!({"filter": filter}));
            assert_eq!(honored["resourceSubscriptions"], json!([uri]), "{honored}");
        }
        client.ok("note", json!({"name": "plan", "text": "Build it well"}));
        is_told(sdk, client, uri);
        let read = client.with("read", json!({ "uri": uri }));
        assert_eq!(read["contents"][0]["text"], "Build it well");
    });
}

/// The client is told that this resource has changed.
fn is_told(sdk: Sdk, client: &mut Client, uri: &str) {
    if sdk == Sdk::Python2(Era::New) {
        let (event, line) = client.told("event");
        assert_eq!(
            (&event, &line["uri"]),
            (&json!("ResourceUpdated"), &json!(uri))
        );
        return;
    }
    loop {
        let told = client.notification();
        if told["method"] == "notifications/resources/updated" {
            assert_eq!(told["params"]["uri"], uri, "{told}");
            return;
        }
    }
}

macro_rules! of_each {
    ($($module:ident: $sdk:expr;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn uses_everything() {
                is_used($sdk);
            }

            #[test]
            fn cancels_a_call() {
                cancels($sdk);
            }

            #[test]
            fn is_told_of_changes() {
                subscribes($sdk);
            }
        }
    )*};
}

of_each! {
    python_old: Sdk::Python2(Era::Old);
    python_new: Sdk::Python2(Era::New);
    node_old: Sdk::Node2(Era::Old);
    node_new: Sdk::Node2(Era::New);
}
