//! Replies and prompts of several blocks: texts, pictures, sounds, and what is to be read.

use serde_json::{Value, json};

use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;

/// Writes the pack `weather` with its files, and a config that serves it; gives the config's path.
fn weather(place: &Place) -> String {
    place.write("weather/weather.yaml", include_str!("content.yaml"));
    place.write("weather/templates/day.txt", "{{ item }}: rain");
    place.write("weather/files/dot.svg", "<svg/>");
    place.write("weather/files/legend.md", "# mm\n");
    let sound = place.write("weather/files/rain.wav", "");
    std::fs::write(sound, [0xff, 0x00, 0xfe]).unwrap();
    let path = place.write("jacquard.yaml", "packs: [./weather]\n");
    path.to_string_lossy().into_owned()
}

fn started(place: &Place) -> Raw {
    let config = weather(place);
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config]));
    raw.initialize();
    raw
}

fn called(raw: &mut Raw, tool: &str, args: Value) -> Value {
    raw.call("c", tool, args);
    raw.answer("c")["result"].clone()
}

/// What `forecast` answers.
fn forecast() -> Value {
    json!([
        {"type": "text", "text": "The weather of 2 days",
         "annotations": {"audience": ["assistant"], "priority": 1.0}},
        {"type": "text", "text": "Mon: rain"},
        {"type": "text", "text": "Tue: rain"},
        {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png",
         "annotations": {"audience": ["user"], "priority": 0.5}},
        {"type": "audio", "data": "/wD+", "mimeType": "audio/wav"},
        {"type": "resource", "resource":
            {"uri": "weather://table", "mimeType": "text/csv", "text": "day,rain\nMon,3"}},
        {"type": "resource", "resource":
            {"uri": "weather://legend", "mimeType": "text/markdown", "text": "# mm\n"}},
        {"type": "resource", "resource":
            {"uri": "weather://sounds/rain", "mimeType": "audio/wav", "blob": "/wD+"}},
        {"type": "resource_link", "uri": "weather://archive/Mon", "name": "archive",
         "title": "The archive", "description": "What it was like before",
         "mimeType": "text/csv", "size": 200},
    ])
}

#[test]
fn a_reply_has_blocks_of_every_kind_in_order() {
    let place = Place::without_nats();
    let mut raw = started(&place);
    let made = called(&mut raw, "forecast", json!({}));
    assert_eq!(made["content"], forecast(), "{made}");
    assert_eq!(made["structuredContent"], json!({"days": 2}));
    assert_eq!(made["isError"], json!(false));
    // What has no place is left out, and base64 may be broken into lines.
    let args = json!({"days": ["Sun"], "sound": false, "data": "iVBO\nRw0K\n"});
    let made = called(&mut raw, "forecast", args);
    let kinds: Vec<&Value> = made["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| &b["type"])
        .collect();
    let expected = [
        "text",
        "image",
        "resource",
        "resource",
        "resource",
        "resource_link",
    ];
    assert_eq!(kinds, expected, "{made}");
    assert_eq!(made["content"][1]["data"], "iVBORw0K");
    let made = called(&mut raw, "silent", json!({}));
    let svg = json!([{"type": "image", "data": "PHN2Zy8+", "mimeType": "image/svg+xml"}]);
    assert_eq!(made["content"], svg);
    let made = called(&mut raw, "nothing", json!({"rows": []}));
    assert_eq!(
        made["content"],
        json!([{"type": "text", "text": ""}]),
        "{made}"
    );
    raw.close();
}

#[test]
fn a_block_that_cannot_be_made_is_an_error_that_names_it() {
    let place = Place::without_nats();
    let mut raw = started(&place);
    for (args, part) in [
        (
            json!({"data": "not base64!"}),
            "the block 3 of the reply: `data` is no base64",
        ),
        (
            json!({"mime": "png"}),
            "the block 3 of the reply: `mime` is \"png\", which is no MIME type",
        ),
        (json!({"mime": "text/html"}), "which is none of `image`"),
    ] {
        let (text, error) = raw.tool("t", "forecast", args);
        assert!(error && text.contains(part), "{text}");
    }
    let made = called(&mut raw, "broken", json!({}));
    let expected = json!([{"type": "text", "text": "There is no weather"}]);
    assert_eq!(made["content"], expected, "{made}");
    let many: Vec<usize> = (0..1001).collect();
    let (text, error) = raw.tool("t", "nothing", json!({"rows": many}));
    assert!(
        error && text.contains("`each` has more than 1000 elements"),
        "{text}"
    );
    raw.close();
}

#[test]
fn messages_of_prompts_are_blocks() {
    let place = Place::without_nats();
    let mut raw = started(&place);
    raw.request(
        "p",
        "prompts/get",
        json!({"name": "describe", "arguments": {"place": "Oslo"}}),
    );
    let answer = raw.answer("p");
    let user = |content: Value| json!({"role": "user", "content": content});
    assert_eq!(
        answer["result"]["messages"],
        json!([
            user(json!({"type": "image", "data": "PHN2Zy8+", "mimeType": "image/svg+xml"})),
            user(json!({"type": "audio", "data": "/wD+", "mimeType": "audio/x-wav"})),
            user(json!({"type": "text", "text": "What is it like now in Oslo?"})),
            user(json!({"type": "text", "text": "What is it like later in Oslo?"})),
            {"role": "assistant", "content": {"type": "resource_link",
                "uri": "weather://archive/Oslo", "name": "archive",
                "annotations": {"audience": ["user"]}}},
        ]),
        "{answer}"
    );
    raw.close();
}

#[test]
fn icons_and_meta_are_listed() {
    let place = Place::without_nats();
    let mut raw = started(&place);
    let mut listed = |method: &str, key: &str, name: &str| {
        raw.request(method, method, json!({}));
        let answer = raw.answer(method)["result"][key].clone();
        let all = answer.as_array().unwrap().iter();
        all.clone().find(|e| e["name"] == name).unwrap().clone()
    };
    let tool = listed("tools/list", "tools", "station");
    assert_eq!(tool["_meta"], json!({"example.com/team": place.namespace}));
    assert_eq!(
        tool["icons"],
        json!([
            {"src": "data:image/svg+xml;base64,PHN2Zy8+", "mimeType": "image/svg+xml",
             "sizes": ["any"], "theme": "dark"},
            {"src": format!("https://example.com/{}.png", place.namespace),
             "mimeType": "image/png", "sizes": ["48x48"]},
        ])
    );
    let plain = listed("tools/list", "tools", "silent");
    assert!(
        plain.get("_meta").is_none() && plain.get("icons").is_none(),
        "{plain}"
    );
    let prompt = listed("prompts/list", "prompts", "describe");
    assert_eq!(prompt["_meta"], json!({"example.com/kind": "question"}));
    assert_eq!(
        prompt["icons"],
        json!([{"src": "data:image/png;base64,eA=="}])
    );
    let resource = listed("resources/list", "resources", "legend");
    assert_eq!(resource["_meta"], json!({"example.com/kind": "legend"}));
    assert_eq!(
        resource["icons"][0]["mimeType"], "image/svg+xml",
        "{resource}"
    );
    raw.close();
}

#[test]
fn schemas_of_2020_12_are_listed_as_they_are_written_and_hold() {
    let place = Place::without_nats();
    let mut raw = started(&place);
    raw.request("l", "tools/list", json!({}));
    let tools = raw.answer("l")["result"]["tools"].clone();
    let schema = &tools[0]["inputSchema"];
    for (key, expected) in [
        (
            "/$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("/$defs/place/$anchor", json!("place")),
        ("/properties/near", json!({"$ref": "#place"})),
        ("/properties/code/anyOf/0", json!({"type": "integer"})),
        ("/allOf/0/properties/note/maxLength", json!(3)),
        ("/if/properties/kind/const", json!("fixed")),
        ("/then", json!({"required": ["place"]})),
        ("/else/required", json!(["speed"])),
        ("/unevaluatedProperties", json!(false)),
    ] {
        assert_eq!(schema.pointer(key), Some(&expected), "{key}: {schema}");
    }
    assert!(schema.get("additionalProperties").is_none(), "{schema}");
    let fixed = |more: Value| {
        let mut args = json!({"kind": "fixed", "place": {"lat": 60}});
        args.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        args
    };
    for (args, said) in [
        (fixed(json!({})), "fixed - -"),
        (fixed(json!({"note": "abc", "code": "AB"})), "fixed - abc"),
        (json!({"kind": "moving", "speed": 2}), "moving 2 -"),
    ] {
        let (text, error) = raw.tool("t", "station", args);
        assert!(!error && text == said, "{text}");
    }
    for (args, part) in [
        (json!({"kind": "fixed"}), "`place` is missing"),
        (json!({"kind": "moving"}), "`speed` is missing"),
        (fixed(json!({"place": {"lat": 91}})), "place.lat"),
        (fixed(json!({"near": {}})), "near"),
        (fixed(json!({"code": "ab"})), "code"),
        (fixed(json!({"note": "long"})), "note"),
        (fixed(json!({"notes": "x"})), "there is no `notes`"),
        // It is declared for another kind only.
        (fixed(json!({"speed": 1})), "there is no `speed`"),
    ] {
        let (text, error) = raw.tool("t", "station", args);
        assert!(error && text.contains(part), "{part}: {text}");
    }
    raw.close();
}

#[test]
fn the_command_line_says_what_it_cannot_print() {
    let place = Place::without_nats();
    let config = weather(&place);
    let called = |args: &[&str]| {
        let done = place.run(&[&["call", "-c", &config, "forecast"], args].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        done.stdout
    };
    assert_eq!(
        called(&[]),
        "The weather of 2 days\nMon: rain\nTue: rain\n[image image/png, 8 bytes]\n\
         [audio audio/wav, 3 bytes]\n[resource weather://table, text/csv, 14 bytes]\n\
         [resource weather://legend, text/markdown, 5 bytes]\n\
         [resource weather://sounds/rain, audio/wav, 3 bytes]\n[link weather://archive/Mon]\n"
    );
    let blocks: Value = serde_json::from_str(&called(&["--content"])).unwrap();
    assert_eq!(blocks, forecast());
    assert_eq!(called(&["--structured"]), "{\"days\":2}\n");
}

#[tokio::test]
async fn both_revisions_get_them_over_http() {
    let place = Place::without_nats();
    let config = weather(&place);
    let served = Served::start(&place, &["-c", &config]);
    let old = Web::begin(&served.url).await;
    let (status, answer) = old.call("forecast", json!({})).await;
    assert_eq!(
        (status, &answer["result"]["content"]),
        (200, &forecast()),
        "{answer}"
    );
    let version = "2026-07-28";
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "forecast", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let request = Web::new(&served.url).request(reqwest::Method::POST);
    let request = request
        .header("mcp-protocol-version", version)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "forecast");
    let text = request
        .json(&body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    let answer: Value = serde_json::from_str(data.unwrap_or(&text)).unwrap();
    assert_eq!(answer["result"]["content"], forecast(), "{answer}");
}

#[test]
fn a_file_of_a_folder_is_given_as_a_picture() {
    let place = Place::without_nats();
    let picture = place.write("pictures/dot.gif", "");
    std::fs::write(picture, [0x47, 0xff]).unwrap();
    place.write(
        "album/album.yaml",
        r#"
settings: {type: object, properties: {folder: {type: string}}}
folders: {pictures: {path: "{{ config.folder }}"}}
tools:
  picture:
    description: Shows a picture.
    steps:
      - read_file: {folder: pictures, path: dot.gif, as: base64}
        as: found
    reply:
      content:
        - image: {data: "{{ found.data }}", mime: image/gif}
        - text: "{{ found.bytes }} bytes, {{ found.text is none }}"
"#,
    );
    let folder = place.dir().join("pictures");
    let config = place.write(
        "jacquard.yaml",
        &format!(
            "packs: [./album]\nallow: {{read: [{folder:?}]}}\nsettings: {{album: {{folder: {folder:?}}}}}\n"
        ),
    );
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config.to_string_lossy()]));
    raw.initialize();
    let made = called(&mut raw, "picture", json!({}));
    assert_eq!(
        made["content"],
        json!([
            {"type": "image", "data": "R/8=", "mimeType": "image/gif"},
            {"type": "text", "text": "2 bytes, true"},
        ]),
        "{made}"
    );
    raw.close();
}
