//! What editing keeps.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn set(text: &str, lenient: bool) -> String {
    let document = Document::parse(text, lenient).unwrap();
    document
        .with("mcpServers", "j", &json!({"command": "x"}))
        .unwrap()
}

fn unset(text: &str, name: &str) -> String {
    let document = Document::parse(text, true).unwrap();
    document.without("mcpServers", name).unwrap().unwrap()
}

#[test]
fn an_entry_is_added_in_the_layout_of_the_file() {
    let entry = "{\n      \"command\": \"x\"\n    }";
    for (before, after) in [
        (
            "",
            format!("{{\n  \"mcpServers\": {{\n    \"j\": {entry}\n  }}\n}}\n"),
        ),
        (
            "{}",
            format!("{{\n  \"mcpServers\": {{\n    \"j\": {entry}\n  }}\n}}"),
        ),
        (
            "{\"a\":1e3}",
            format!("{{\"a\":1e3,\n  \"mcpServers\": {{\n    \"j\": {entry}\n  }}\n}}"),
        ),
        (
            "{\n  \"mcpServers\": {},\n  \"b\": 2\n}\n",
            format!("{{\n  \"mcpServers\": {{\n    \"j\": {entry}\n  }},\n  \"b\": 2\n}}\n"),
        ),
        (
            "{\n  \"mcpServers\": {\n    \"o\": {\"u\": \"\\\"}{\"} // last\n  }\n}\n",
            format!(
                "{{\n  \"mcpServers\": {{\n    \"o\": {{\"u\": \"\\\"}}{{\"}}, // last\n    \"j\": {entry}\n  }}\n}}\n"
            ),
        ),
        (
            "{\n  // ü \"mcpServers\": {}\n  \"mcpServers\": {\n    \"o\": 1, /* , */\n  },\n}\n",
            format!(
                "{{\n  // ü \"mcpServers\": {{}}\n  \"mcpServers\": {{\n    \"o\": 1, /* , */\n    \"j\": {entry},\n  }},\n}}\n"
            ),
        ),
        (
            "\u{feff}{\r\n  \"mcpServers\": {\r\n  }\r\n}",
            format!(
                "\u{feff}{{\r\n  \"mcpServers\": {{\r\n    \"j\": {}\r\n  }}\r\n}}",
                entry.replace('\n', "\r\n")
            ),
        ),
    ] {
        assert_eq!(set(before, true), after, "{before}");
    }
    let tabs = set("{\n\t\"mcpServers\": {\n\t\t\"o\": []\n\t}\n}", false);
    assert_eq!(
        tabs,
        "{\n\t\"mcpServers\": {\n\t\t\"o\": [],\n\t\t\"j\": {\n\t\t\t\"command\": \"x\"\n\t\t}\n\t}\n}"
    );
}

#[test]
fn an_entry_is_replaced_where_it_stands() {
    let before =
        "{\n  \"mcpServers\": {\n    \"j\": {\"old\": [1]}, // mine\n    \"o\": 1.0\n  }\n}\n";
    let after = set(before, true);
    assert_eq!(
        after,
        before.replace("{\"old\": [1]}", "{\n      \"command\": \"x\"\n    }")
    );
    assert_eq!(set(&after, true), after);
    // The last of two is the one that readers take.
    let twice = set(
        "{\"mcpServers\": 1, \"mcpServers\": {\"j\": 1, \"j\": 2}}",
        false,
    );
    assert!(twice.contains("\"j\": 1, \"j\": {"), "{twice}");
}

#[test]
fn an_entry_is_removed_with_its_lines_and_nothing_else() {
    for (name, before, after) in [
        ("j", "{\"mcpServers\": {\"j\": 1}}", "{\"mcpServers\": {}}"),
        (
            "j",
            "{\"mcpServers\": {\"j\": 1, \"o\": 2}}",
            "{\"mcpServers\": {\"o\": 2}}",
        ),
        (
            "j",
            "{\"mcpServers\": {\"o\": 2, \"j\": 1}}",
            "{\"mcpServers\": {\"o\": 2 }}",
        ),
        (
            "j",
            "{\"mcpServers\": {\n  \"o\": 2, // two\n  \"j\": {\n    \"a\": \",\"\n  }\n}}",
            "{\"mcpServers\": {\n  \"o\": 2 // two\n}}",
        ),
        (
            "j",
            "{\"mcpServers\": {\n  \"j\": 1,\n  // of o\n  \"o\": 2,\n}}",
            "{\"mcpServers\": {\n  // of o\n  \"o\": 2,\n}}",
        ),
        (
            "j",
            "{\"mcpServers\": {\n  \"o\": 2,\n  \"j\": 1,\n}}",
            "{\"mcpServers\": {\n  \"o\": 2,\n}}",
        ),
    ] {
        assert_eq!(unset(before, name), after, "{before}");
    }
    let document = Document::parse("{\"mcpServers\": {}}", false).unwrap();
    assert_eq!(document.without("mcpServers", "j"), Ok(None));
    assert_eq!(document.without("servers", "j"), Ok(None));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in [
        "[]",
        "{",
        "nul",
        "{\"a\": 1} x",
        "/* {}",
        "{\"a\": \"\u{1}\"}",
        "// only",
    ] {
        assert!(Document::parse(text, true).is_err(), "{text}");
    }
    for text in ["{} // c", "{\"a\": 1,}"] {
        assert!(Document::parse(text, false).is_err(), "{text}");
        assert!(Document::parse(text, true).is_ok(), "{text}");
    }
    let wrong = Document::parse("{\"mcpServers\": []}", false).unwrap();
    assert!(wrong.with("mcpServers", "j", &json!({})).is_err());
    assert!(wrong.without("mcpServers", "j").is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~ü\\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c/\"\\\\,{}]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_other_entry_survives(
        servers in prop::collection::btree_map("[a-e/\"\\\\,{}]{0,3}", any_json(), 0..5),
        rest in any_json(),
        style in 0..3_usize,
    ) {
        let file = json!({"first": rest, "mcpServers": servers, "last": 1});
        let before = match style {
            0 => file.to_string(),
            1 => pretty(&file, "\t"),
            // A trailing comma and comments after every line.
            _ => pretty(&file, "  ")
                .replace('\n', " // ,}\n")
                .replace("\"last\": 1", "\"last\": 1, /*}*/"),
        };
        let document = Document::parse(&before, true).unwrap();
        let with = document.with("mcpServers", "new", &json!({"x": [1]})).unwrap();
        let added = Document::parse(&with, true).unwrap();
        prop_assert_eq!(added.entry("mcpServers", "new"), Some(&json!({"x": [1]})));
        let again = added.without("mcpServers", "new").unwrap().unwrap();
        prop_assert_eq!(&Document::parse(&again, true).unwrap().value, &document.value);
        for name in servers.keys() {
            let one_less = document.without("mcpServers", name).unwrap();
            prop_assert!(one_less.is_some());
        }
    }
}
