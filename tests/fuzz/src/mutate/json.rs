//! Mutations of JSON: parts of messages become other values, other parts, or nothing.

use serde_json::{Map, Value, json};

use super::chance::Chance;

/// The deepest nesting that is made.
const DEEP: usize = 200;

/// Texts that something hangs on.
const TEXTS: &[&str] = &[
    "",
    "a",
    "echo",
    "count",
    "steps",
    "2.0",
    "2025-11-25",
    "2026-07-28",
    "1999-01-01",
    "word://x",
    "word://{name}",
    "logo://us",
    "pair://a/b.json",
    "file:///etc/passwd",
    "words",
    "ask",
    "ref/prompt",
    "ref/resource",
    "\u{0}",
    "é\u{1f600}\u{202e}",
    "a\nb",
    "{{ 1 }}",
    "{% x",
    "%2e%2e%2f",
    "$STATE",
    "$STATE.x",
    "$TASK",
    "$ID",
    "choose",
    "work",
    "show",
    "tell",
    "hang",
    "letter",
    "answer://a",
    "accept",
    "decline",
    "form",
    "debug",
    "notifications/cancelled",
    "tools/call",
    "AAAA",
    "18446744073709551616",
    "job",
    "json",
    "yaml",
    "&a [*a, *a]",
    "[[[[",
    "a: {b: [",
    "*",
    "(",
    "2020-02-30T25:61:00Z",
];

/// A message with one change.
pub fn mutated(value: &mut Value, donors: &[Value], chance: &mut Chance) {
    let mut parts = count(value);
    let at = chance.below(parts);
    parts = at;
    if let Some(part) = nth(value, &mut parts) {
        change(part, donors, chance);
    }
}

/// How many parts a value has, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, left)),
        _ => None,
    }
}

fn change(part: &mut Value, donors: &[Value], chance: &mut Chance) {
    match chance.below(8) {
        0 => *part = plain(chance),
        1 => *part = text(chance),
        2 => *part = donated(donors, chance),
        3 => {
            let inner = std::mem::take(part);
            *part = wrapped(inner, chance);
        }
        4 => *part = deep(chance),
        5 => *part = json!("x".repeat(chance.below(5000))),
        _ => within(part, donors, chance),
    }
}

/// Changes what a list or an object has.
fn within(part: &mut Value, donors: &[Value], chance: &mut Chance) {
    match part {
        Value::Object(map) if map.is_empty() || chance.below(2) == 0 => {
            let key = text(chance).as_str().unwrap_or_default().to_owned();
            let key = match chance.of(donors).and_then(Value::as_object) {
                Some(donor) if chance.below(3) > 0 => {
                    let keys: Vec<&String> = donor.keys().collect();
                    chance.of(&keys).map_or(key, |key| (*key).clone())
                }
                _ => key,
            };
            map.insert(key, donated(donors, chance));
        }
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            if let Some(key) = chance.of(&keys) {
                map.shift_remove(key);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = chance.below(items.len());
            match chance.below(3) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => items.push(donated(donors, chance)),
            }
        }
        Value::Array(items) => items.push(donated(donors, chance)),
        _ => *part = plain(chance),
    }
}

fn plain(chance: &mut Chance) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!({}),
        json!([]),
        json!([1, 2]),
        json!(""),
    ];
    chance.of(&all).cloned().unwrap_or_default()
}

fn text(chance: &mut Chance) -> Value {
    json!(chance.of(TEXTS))
}

fn wrapped(inner: Value, chance: &mut Chance) -> Value {
    match chance.below(2) {
        0 => json!([inner]),
        _ => Value::Object(Map::from_iter([(String::from("a"), inner)])),
    }
}

fn deep(chance: &mut Chance) -> Value {
    let mut value = json!(1);
    for _ in 0..chance.below(DEEP) {
        value = wrapped(value, chance);
    }
    value
}

/// A part of one of these.
fn donated(donors: &[Value], chance: &mut Chance) -> Value {
    let Some(mut donor) = chance.of(donors).cloned() else {
        return plain(chance);
    };
    let mut left = chance.below(count(&donor));
    nth(&mut donor, &mut left)
        .map(std::mem::take)
        .unwrap_or_default()
}
