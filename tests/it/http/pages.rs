//! Lists in pages, and how long clients may keep what they are told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stateless::request;
use crate::support::LIMIT;
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
folders:
  files: {path: files}
prompts:
  first: {messages: [{role: user, text: x}]}
  second: {messages: [{role: user, text: x}]}
  third: {messages: [{role: user, text: x}]}
resources:
  files: {folder: files, uri: "files:///", cache: {ttl: 0}}
  one: {uri: "one:///{a}", text: x}
  two: {uri: "two:///{a}", text: x, cache: {ttl: 5m, scope: public}}
  single: {uri: "single:///", text: x}
"#;

/// The lists, and what their entries are told apart by.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    (
        "resources/templates/list",
        "resourceTemplates",
        "uriTemplate",
    ),
    ("resources/list", "resources", "uri"),
];

/// Writes the pack with tools of these names, and files.
fn write(place: &Place, tools: &[&str]) {
    let mut text = format!("{PACK}tools:\n");
    for name in tools {
        text.push_str(&format!(
            "  {name}: {{description: x, reply: {{text: x}}}}\n"
        ));
    }
    place.write("pack/pack.yaml", &text);
    for name in ["a.md", "b.md", "c.md"] {
        place.write(format!("files/{name}"), name);
    }
}

fn config(more: &str) -> String {
    format!("packs: [./pack]\nallow: {{read: [files]}}\n{more}\n")
}

async fn ask(url: &str, method: &str, params: Value) -> Value {
    let response = request(url, None, method, params).send().await.unwrap();
    response.json().await.unwrap()
}

/// The names of a page, and where the next one begins.
async fn page(url: &str, list: usize, cursor: Option<&Value>) -> (Vec<String>, Value) {
    let (method, key, name) = LISTS[list];
    let mut params = json!({});
    if let Some(cursor) = cursor {
        params["cursor"] = cursor.clone();
    }
    let answer = ask(url, method, params).await;
    let items = answer["result"][key].as_array();
    let items = items.unwrap_or_else(|| panic!("{method}: {answer}"));
    let names = items.iter().map(|item| item[name].as_str().unwrap());
    let names = names.map(str::to_owned).collect();
    (names, answer["result"]["nextCursor"].clone())
}

#[tokio::test]
async fn each_list_comes_in_pages_and_takes_its_own_cursors_alone() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    // Tools with the names of prompts: a cursor is of its list all the same.
    write(&place, &["first", "second", "third"]);
    let served = Served::with(&place, &config("page: 2"));
    let mut cursors = Vec::new();
    for (list, all) in [
        ["first", "second", "third"],
        ["first", "second", "third"],
        ["files:///{+path}", "one:///{a}", "two:///{a}"],
        ["files:///a.md", "files:///b.md", "files:///c.md"],
    ]
    .iter()
    .enumerate()
    {
        let (mut names, next) = page(&served.url, list, None).await;
        // What steps make stands on the first page.
        names.retain(|name| name != "single:///");
        assert_eq!(names, all[..2]);
        let (rest, end) = page(&served.url, list, Some(&next)).await;
        assert_eq!((rest, end), (vec![all[2].to_owned()], Value::Null));
        cursors.push(next);
    }
    for (list, (method, ..)) in LISTS.iter().enumerate() {
        let others = cursors.iter().enumerate().filter(|(at, _)| *at != list);
        let mut bad: Vec<Value> = others.map(|(_, cursor)| cursor.clone()).collect();
        bad.extend([json!("x!"), json!(""), json!("Zmlyc3Q")]);
        for cursor in bad {
            let answer = ask(&served.url, method, json!({"cursor": cursor})).await;
            let code = &answer["error"]["code"];
            assert_eq!(*code, -32602, "{method} {cursor}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_cursor_holds_over_a_reload_while_its_item_is_there() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    write(&place, &["a", "b", "c", "d"]);
    let path = place.write("served.yaml", &config("page: 2"));
    let served = Served::watching(&place, &["--config", &path.to_string_lossy()]);
    let (first, next) = page(&served.url, 0, None).await;
    assert_eq!(first, ["a", "b"]);
    let goes_on_with = async |wanted: &[&str]| {
        let started = Instant::now();
        loop {
            let params = json!({"cursor": next});
            let answer = ask(&served.url, "tools/list", params).await;
            let tools = answer["result"]["tools"].as_array().cloned();
            let names = tools.unwrap_or_default();
            if names.iter().map(|tool| &tool["name"]).eq(wanted) {
                return answer;
            }
            assert!(started.elapsed() < LIMIT, "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    goes_on_with(&["c", "d"]).await;
    write(&place, &["a", "b", "d", "e"]);
    goes_on_with(&["d", "e"]).await;
    write(&place, &["a", "e"]);
    let gone = goes_on_with(&[]).await;
    assert_eq!(gone["error"]["code"], -32602, "{gone}");
    let text = gone["error"]["message"].as_str().unwrap();
    assert!(text.contains("list again"), "{text}");
}

/// What an answer says of how long it may be kept.
fn hints(answer: &Value) -> (Value, Value) {
    let result = &answer["result"];
    (result["ttlMs"].clone(), result["cacheScope"].clone())
}

#[tokio::test]
async fn new_clients_are_told_how_long_they_may_keep_lists_and_resources() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    write(&place, &["a"]);
    let served = Served::with(&place, &config("cache: {ttl: 60, scope: public}"));
    let usual = || (json!(60_000), json!("public"));
    let methods = LISTS.map(|(method, ..)| method);
    for method in methods.into_iter().chain(["server/discover"]) {
        let answer = ask(&served.url, method, json!({})).await;
        assert_eq!(hints(&answer), usual(), "{method}: {answer}");
    }
    let web = Web::begin(&served.url).await;
    for (uri, own) in [
        ("single:///", usual()),
        ("one:///x", usual()),
        ("two:///x", (json!(300_000), json!("public"))),
        ("files:///a.md", (json!(0), json!("public"))),
    ] {
        let params = json!({"uri": uri});
        let answer = ask(&served.url, "resources/read", params.clone()).await;
        assert_eq!(hints(&answer), own, "{uri}: {answer}");
        // Clients of earlier versions do not know of this.
        let read = json!({"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": params});
        let old = Events::of(web.post(&read).await).push().await.data;
        assert!(old["result"]["contents"].is_array(), "{old}");
        assert_eq!(hints(&old), (Value::Null, Value::Null), "{uri}: {old}");
    }
    let list = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/list"});
    let old = Events::of(web.post(&list).await).push().await.data;
    assert!(old["result"]["tools"].is_array(), "{old}");
    assert_eq!(hints(&old), (Value::Null, Value::Null), "{old}");
}

#[tokio::test]
async fn what_one_user_is_told_is_for_nobody_else() {
    const TOKEN: &str = "ann-token-0123456789";
    let server = NatsServer::start();
    let place = Place::on(&server);
    write(&place, &["a"]);
    let auth = format!(
        "auth: {{tokens: [{{name: ann, token: \"{{{{ env.ANN | default('{TOKEN}') }}}}\"}}]}}\n"
    );
    let served = Served::with(
        &place,
        &config(&format!("{auth}cache: {{ttl: 1m, scope: public}}")),
    );
    for (method, params, ttl) in [
        ("tools/list", json!({}), 60_000),
        ("resources/read", json!({"uri": "one:///x"}), 60_000),
        ("resources/read", json!({"uri": "two:///x"}), 300_000),
    ] {
        let asked = request(&served.url, None, method, params).bearer_auth(TOKEN);
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        assert_eq!(hints(&answer), (json!(ttl), json!("private")), "{answer}");
    }
}
