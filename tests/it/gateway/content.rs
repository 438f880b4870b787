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
            json!({"data": "no base64"}),
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
    assert!(error && text.contains("more than 1000 blocks"), "{text}");
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
