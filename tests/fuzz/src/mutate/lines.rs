//! Mutations of sessions: messages come twice, in another order, from other sessions, and changed.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::chance::Chance;
use super::json;

/// What begins the answer of a client to a question.
pub const ANSWER: &str = "%% ";

/// The messages of the seeds.
pub static MESSAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let seeds = [
        include_str!("../../seeds/lines/old.jsonl"),
        include_str!("../../seeds/lines/new.jsonl"),
        include_str!("../../seeds/lines/old-asked.jsonl"),
        include_str!("../../seeds/lines/new-asked.jsonl"),
    ];
    let lines = seeds.iter().flat_map(|seed| seed.lines());
    lines
        .map(|line| line.strip_prefix(ANSWER).unwrap_or(line))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
});

/// One change.
pub fn mutated(text: &str, chance: &mut Chance) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = chance
        .below(lines.len() + 1)
        .min(lines.len().saturating_sub(1));
    match chance.below(8) {
        0 => lines.insert(at, another(lines.len(), chance)),
        1 => lines.push(another(lines.len(), chance)),
        2 if at < lines.len() => lines.push(lines[at].clone()),
        3 if at < lines.len() => drop(lines.remove(at)),
        4 if at < lines.len() => {
            let other = chance.below(lines.len());
            lines.swap(at, other);
        }
        _ => {
            if let Some(line) = lines.get_mut(at) {
                *line = message(line, chance);
            }
        }
    }
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// A message with a change.
pub fn message(line: &str, chance: &mut Chance) -> String {
    if let Some(answer) = line.strip_prefix(ANSWER) {
        return format!("{ANSWER}{}", message(answer, chance));
    }
    let Ok(mut value) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    json::mutated(&mut value, &MESSAGES, chance);
    value.to_string()
}

/// A message of the seeds, mostly with an id that is still free.
fn another(count: usize, chance: &mut Chance) -> String {
    let mut message = chance.of(&MESSAGES).cloned().unwrap_or_default();
    if message.get("id").is_some() && chance.below(8) > 0 {
        message["id"] = json!(1000 + count);
    }
    message.to_string()
}
