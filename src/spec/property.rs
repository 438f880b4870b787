//! Properties of the language that hold for every spec, not only for those somebody thought of.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::files::PackFiles;
use super::load::load;
use super::model::Pack;
use super::source::Source;

fn files(text: String) -> PackFiles {
    PackFiles {
        name: "p".into(),
        specs: vec![Source::new("p.yaml", text)],
        ..PackFiles::default()
    }
}

fn lowered(text: String) -> Pack {
    let (pack, report) = load(&files(text.clone()));
    let mut pack = pack.unwrap_or_else(|| panic!("{report}\n{text}"));
    // Where a tool stands depends on how the file is laid out.
    pack.origins = super::data::Map::default();
    pack
}

/// The pack as a spec file says it.
fn printed(pack: &Pack) -> Value {
    json!({
        "session": pack.session, "schemas": pack.schemas, "streams": pack.streams, "buckets": pack.buckets, "queues": pack.queues, "tables": pack.tables,
        "journals": pack.journals, "folders": pack.folders, "programs": pack.programs, "resources": pack.resources, "prompts": pack.prompts, "completions": pack.completions, "tools": pack.tools,
    })
}

/// Texts that YAML could take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::from("no")),
        Just(String::from("~")),
        Just(String::from("1e3")),
        Just(String::from("- a: b # c")),
        Just(String::from("a\n  b\n\nc ")),
        Just(String::from("\u{e9}\u{1f600} \"'`")),
        "[ -z]{1,12}".prop_filter("no templates", |s| !s.contains('{') && !s.trim().is_empty()),
    ]
}

/// A value with expressions in it.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!("{{ args.a }}")),
        Just(json!("{{ args.n + 1 }}")),
        Just(json!("{{ args.b | default(omit) }}")),
        Just(json!(
            "{% if args.b %}x{% endif %} {{ session.s | default('') }}"
        )),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,5}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn step() -> impl Strategy<Value = Value> {
    let verb = prop_oneof![
        value().prop_map(|v| json!({"publish": {"stream": "s", "payload": v}})),
        value().prop_map(|v| json!({"publish": {"subject": "x.{{ args.a }}", "payload": v, "headers": {"A": "{{ args.a }}"}}})),
        value().prop_map(|v| json!({"put": {"bucket": "k", "key": "{{ args.a }}", "value": v}})),
        value().prop_map(|v| json!({"let": {"x": v}})),
        text().prop_map(|t| json!({"fail": t})),
        (1..1000u64).prop_map(|n| json!({"read": {"stream": "s", "limit": n, "where": "item.seq > 1"}})),
        Just(json!({"get": {"bucket": "k", "key": "k"}})),
        Just(json!({"require": "args.a != ''"})),
        Just(json!({"set": {"s": "{{ args.a }}"}})),
        Just(json!({"request": {"subject": "a.b", "timeout": "10ms"}})),
        Just(json!({"info": {"stream": "s"}, "each": "args.l", "select": "{{ result.messages }}"})),
        Just(json!({"list": {"bucket": "k", "limit": "{{ args.n }}", "select": {"k": "{{ item.key }}"}}})),
    ];
    (verb, any::<bool>(), any::<bool>(), prop::option::of(text())).prop_map(
        |(mut step, bind, when, otherwise)| {
            let object = step.as_object_mut().unwrap();
            if bind {
                object.insert("as".into(), json!("result_1"));
            }
            if when {
                object.insert("when".into(), json!("args.n > 1"));
            }
            if let Some(text) = otherwise {
                object.insert("else".into(), json!(text));
            }
            step
        },
    )
}

fn spec() -> impl Strategy<Value = Value> {
    let tool = (
        text(),
        prop::collection::vec(step(), 0..6),
        value(),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(description, steps, structured, hint)| {
            let mut tool = json!({
                "description": description,
                "input": {"type": "object", "required": ["a", "n", "l"], "properties": {
                    "a": {"type": "string"}, "n": {"type": "integer"}, "b": {"type": "string"},
                    "l": {"type": "array"}}},
                "output": {"type": "object"},
                "steps": steps,
                "reply": {"text": "{{ args.a }}", "structured": {"v": structured}},
            });
            if let Some(hint) = hint {
                tool["annotations"] = json!({"read_only": hint});
            }
            tool
        });
    prop::collection::btree_map("[a-z][a-z_]{0,8}", tool, 0..4).prop_map(|tools| {
        json!({
            "session": {"s": {"type": "string"}},
            "streams": {"s": {"name": "S", "subjects": ["s"], "max_age": "1h", "max_bytes": 1024}},
            "buckets": {"k": {"name": "K", "history": 2, "storage": "memory"}},
            "tools": tools,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// YAML and JSON say the same, and what a pack is lowered to says it again.
    #[test]
    fn a_spec_survives_printing_and_reading(spec in spec()) {
        let from_json = lowered(spec.to_string());
        let from_yaml = lowered(serde_yaml::to_string(&spec).unwrap());
        prop_assert_eq!(&from_json, &from_yaml);
        let again = lowered(serde_yaml::to_string(&printed(&from_json)).unwrap());
        prop_assert_eq!(&from_json, &again);
    }

    /// A broken file is a report, never a panic, and every place in it can be shown.
    #[test]
    fn any_damage_is_reported(at in any::<prop::sample::Index>(), junk in "[ -~\n]{0,6}", cut in 0usize..12) {
        let text = include_str!("../../specs/warp/channels.yaml");
        let start = at.index(text.len());
        let damaged = format!("{}{junk}{}", &text[..start], &text[(start + cut).min(text.len())..]);
        let (_, report) = load(&files(damaged));
        let _ = report.render(true);
    }

    #[test]
    fn any_text_is_reported(text in "\\PC{0,200}") {
        let (_, report) = load(&files(text));
        let _ = report.render(false);
    }
}
