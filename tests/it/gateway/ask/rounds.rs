//! Clients of the version that is asked in rounds.

use serde_json::{Value, json};

use super::{CONFIG, accepted, all, config, sampled};
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

const VERSION: &str = "2026-07-28";
const INVALID: i64 = -32602;

fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "new", "version": "7"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// A client that sends one request after the other.
struct Client {
    raw: Raw,
    next: u64,
    capabilities: Value,
}

impl Client {
    fn new(place: &Place) -> Self {
        let config = config(place);
        Self {
            raw: Raw::spawn(place.command(&["serve", "-c", &config])),
            next: 0,
            capabilities: all(),
        }
    }

    fn send(&mut self, method: &str, mut params: Value) -> Value {
        self.next += 1;
        let id = format!("r{}", self.next);
        params["_meta"] = meta(&self.capabilities);
        self.raw.request(id.as_str(), method, params);
        self.raw.answer(id)
    }

    fn call(&mut self, tool: &str, args: Value, more: Value) -> Value {
        let mut params = json!({"name": tool, "arguments": args});
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        self.send("tools/call", params)
    }

    /// The text that a call is answered with in the end.
    fn said(&mut self, tool: &str, args: Value, more: Value) -> String {
        text(&self.call(tool, args, more))
    }
}

fn text(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The questions and the state of an answer that asks.
fn asks(answer: &Value) -> (Value, String) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let state = result["requestState"].as_str().unwrap().to_owned();
    (result["inputRequests"].clone(), state)
}

#[test]
fn a_call_goes_on_where_it_asked_and_defaults_fill_in() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::new(&place);
    let args = json!({"what": "web"});
    let (asked, state) = asks(&client.call("deploy", args.clone(), json!({})));
    let confirm = &asked["confirm"];
    assert_eq!(confirm["method"], "elicitation/create");
    assert_eq!(confirm["params"]["message"], "Deploy web?");
    let schema = &confirm["params"]["requestedSchema"];
    assert_eq!(
        schema["properties"]["where"]["enum"],
        json!(["here", "there"])
    );
    assert_eq!(schema["properties"]["replicas"]["default"], 2);
    let more = json!({"requestState": state, "inputResponses": {"confirm": accepted(json!({"sure": true, "odd": 1}))}});
    let said = client.said("deploy", args.clone(), more);
    let expected = r#"web {"sure":true,"replicas":2,"where":"here"} true"#;
    assert_eq!(said, expected);

    // What does not fit is asked again, and so is what is missing; what is unknown is passed over.
    for answers in [
        json!({"confirm": accepted(json!({"sure": "maybe"}))}),
        json!({"confirm": accepted(json!({"sure": true, "replicas": 0}))}),
        json!({"confirm": {"action": "perhaps"}}),
        json!({"other": accepted(json!({}))}),
        json!({}),
    ] {
        let more = json!({"requestState": state, "inputResponses": answers});
        asks(&client.call("deploy", args.clone(), more));
    }
    // Without a state the first step that asks takes them.
    let more = json!({"inputResponses": {"confirm": accepted(json!({"sure": false}))}});
    assert!(client.said("deploy", args, more).starts_with("web "));
}

#[test]
fn a_state_is_good_for_its_call_alone() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::new(&place);
    let args = json!({"what": "web"});
    let (_, state) = asks(&client.call("deploy", args.clone(), json!({})));
    let answers = json!({"confirm": accepted(json!({"sure": true}))});
    let tampered = format!("{state}x");
    for (tool, args, state) in [
        ("deploy", args.clone(), tampered.as_str()),
        ("deploy", args.clone(), "nonsense"),
        ("deploy", json!({"what": "db"}), &state),
        ("polite", json!({}), &state),
        ("who", json!({}), &state),
    ] {
        let more = json!({"requestState": state, "inputResponses": answers});
        let answer = client.call(tool, args, more);
        assert_eq!(answer["error"]["code"], INVALID, "{tool} {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("requestState"), "{message}");
    }
    for answers in [json!(5), json!({"confirm": 5}), json!([])] {
        let more = json!({"requestState": state, "inputResponses": answers});
        let answer = client.call("deploy", args.clone(), more);
        assert_eq!(answer["error"]["code"], INVALID, "{answer}");
    }
    let answer = client.call("large", json!({}), json!({}));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("bind less"), "{message}");
}

#[test]
fn a_client_is_only_asked_what_it_can() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::new(&place);
    client.capabilities = json!({});
    let answer = client.call("deploy", json!({"what": "web"}), json!({}));
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    let lacks = &answer["error"]["data"]["requiredCapabilities"];
    assert_eq!(*lacks, json!({"elicitation": {}}));
    let answer = client.call("several", json!({}), json!({}));
    let lacks = &answer["error"]["data"]["requiredCapabilities"];
    assert_eq!(
        *lacks,
        json!({"elicitation": {}, "sampling": {}, "roots": {}})
    );
    let answer = client.send("prompts/get", json!({"name": "review"}));
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    // Who has words for it, or can do without, is not told by the protocol.
    assert_eq!(
        client.said("polite", json!({}), json!({})),
        "as you wish (cannot_ask)"
    );
    assert_eq!(client.said("perhaps", json!({}), json!({})), "no");
    let (who, version) = ("new 7", VERSION);
    assert_eq!(
        client.said("who", json!({}), json!({})),
        format!("{who} {version} false")
    );
    client.capabilities = all();
    let decline = json!({"inputResponses": {"sure": {"action": "decline"}}});
    assert_eq!(
        client.said("polite", json!({}), decline.clone()),
        "as you wish (declined)"
    );
    assert_eq!(client.said("perhaps", json!({}), decline), "no");
}

#[test]
fn several_questions_are_put_at_once_and_answers_are_kept() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::new(&place);
    client.capabilities = json!({"elicitation": {}, "sampling": {}, "roots": {}});
    let (asked, state) = asks(&client.call("several", json!({}), json!({})));
    let names: Vec<&String> = asked.as_object().unwrap().keys().collect();
    assert_eq!(names, ["folders", "name", "poem"]);
    assert_eq!(asked["folders"]["method"], "roots/list");
    let poem = &asked["poem"]["params"];
    assert_eq!(
        poem["messages"][0]["content"],
        json!({"type": "text", "text": "A line, new."})
    );
    assert_eq!(
        (&poem["maxTokens"], &poem["systemPrompt"]),
        (&json!(1000), &json!("Be brief."))
    );
    assert_eq!(
        (&poem["temperature"], &poem["stopSequences"]),
        (&json!(0.5), &json!(["."]))
    );
    let preferences = &poem["modelPreferences"];
    assert_eq!(preferences["hints"], json!([{"name": "small"}]));
    assert_eq!(preferences["speedPriority"], 1.0);
    let roots = json!({"roots": [{"uri": "file:///a", "name": "a"}, {"uri": "file:///b"}]});
    let some = json!({"poem": sampled("roses"), "folders": roots});
    let more = json!({"requestState": state, "inputResponses": some});
    let (asked, state) = asks(&client.call("several", json!({}), more));
    let names: Vec<&String> = asked.as_object().unwrap().keys().collect();
    assert_eq!(names, ["name"]);
    let rest = json!({"name": accepted(json!({"name": "ada"}))});
    let more = json!({"requestState": state, "inputResponses": rest});
    let said = client.said("several", json!({}), more);
    assert_eq!(said, "ada roses m1 file:///a,file:///b true true");
}

#[test]
fn prompts_and_resources_ask_too() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::new(&place);
    let prompt = json!({"name": "review"});
    let (_, state) = asks(&client.send("prompts/get", prompt.clone()));
    let mut again = prompt;
    again["requestState"] = json!(state);
    again["inputResponses"] = json!({"file": accepted(json!({"path": "a.rs"}))});
    let answer = client.send("prompts/get", again);
    let text = &answer["result"]["messages"][0]["content"]["text"];
    assert_eq!(text, "Review a.rs.", "{answer}");
    let resource = json!({"uri": "mood://ada"});
    let (asked, state) = asks(&client.send("resources/read", resource.clone()));
    assert_eq!(asked["mood"]["method"], "sampling/createMessage");
    let mut again = resource;
    again["requestState"] = json!(state);
    again["inputResponses"] = json!({"mood": sampled("fine")});
    let answer = client.send("resources/read", again);
    assert_eq!(answer["result"]["contents"][0]["text"], "fine", "{answer}");
}

/// A request over HTTP, and its answer.
async fn post(served: &Served, mut params: Value) -> Value {
    let name = params["name"].as_str().unwrap().to_owned();
    params["_meta"] = meta(&all());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = Web::new(&served.url)
        .request(reqwest::Method::POST)
        .json(&body);
    let request = request
        .header("mcp-protocol-version", VERSION)
        .header("mcp-method", "tools/call")
        .header("mcp-name", name);
    let text = request.send().await.unwrap().text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or(&text)).unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test]
async fn any_replica_goes_on_with_what_was_set() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let (one, other) = (Served::with(&place, CONFIG), Served::with(&place, CONFIG));
    let call = |state: Option<String>, answers: Value| {
        let mut params = json!({"name": "rounds", "arguments": {}, "inputResponses": answers});
        if let Some(state) = state {
            params["requestState"] = json!(state);
        }
        params
    };
    let (asked, state) = asks(&post(&one, call(None, json!({}))).await);
    assert_eq!(asked["one"]["params"]["message"], "One?");
    let answers =
        json!({"one": accepted(json!({"v": "1"})), "two": accepted(json!({"v": "early"}))});
    let (asked, state) = asks(&post(&other, call(Some(state), answers)).await);
    assert_eq!(asked["two"]["params"]["message"], "And after 1?");
    let answers = json!({"two": accepted(json!({"v": "2"}))});
    let answer = post(&one, call(Some(state), answers)).await;
    assert_eq!(text(&answer), "first 1 2");
}
