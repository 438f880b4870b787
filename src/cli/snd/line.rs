//! Messages as they travel, and as a person sees them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::words::Target;

/// What marks the words of a person.
const HUMAN: &str = "[HUMAN]";

/// Whole milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since: Duration = since.unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// The JSON of a message.
pub fn payload(target: &Target, from: &str, content: &str, now: u64) -> Vec<u8> {
    let (key, name) = match target {
        Target::Agent(name) => ("to_agent", name),
        Target::Group(name) => ("group", name),
    };
    let message = json!({
        key: name, "from_agent": from, "content": content, "origin_host": "human-cli", "origin_ts": now
    });
    message.to_string().into_bytes()
}

/// A message as a line, without its end; `None` for what is no message.
pub fn shown(subject: &str, payload: &[u8], now: u64) -> Option<String> {
    let message: Value = serde_json::from_slice(payload).ok()?;
    let message = message.as_object()?;
    let (tag, target) = match subject.split('.').nth(1)? {
        "dm" => ("dm", field(message, "to_agent")),
        "broadcast" => ("bcast", format!("g:{}", field(message, "group"))),
        "channel" => ("ch", field(message, "channel")),
        _ => return None,
    };
    let body = field(message, "content");
    let body = body
        .strip_prefix(HUMAN)
        .map_or(body.as_str(), str::trim_start);
    Some(format!(
        "<{tag}> {} [{}@{}] -> {target}: {body}",
        clock(message.get("origin_ts"), now),
        field(message, "from_agent"),
        field(message, "origin_host"),
    ))
}

/// A text; `?` where there is none.
fn field(message: &Map<String, Value>, name: &str) -> String {
    match message.get(name) {
        None | Some(Value::Null) => "?".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The time of day in UTC: of milliseconds since 1970 or of a text, else of now.
fn clock(sent: Option<&Value>, now: u64) -> String {
    let time = match sent {
        Some(Value::String(text)) => OffsetDateTime::parse(text, &Rfc3339).ok(),
        Some(number) => number.as_f64().and_then(at),
        None => None,
    };
    let time = time
        .or_else(|| at(now as f64))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[hour]:[minute]:[second]");
    time.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}

fn at(ms: f64) -> Option<OffsetDateTime> {
    let nanos = (ms as i128).checked_mul(1_000_000)?;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

/// Without what would command a terminal.
pub fn tamed(text: &str) -> String {
    let safe = |c: char| {
        if c.is_control() && c != '\n' && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_keys_in_their_order() {
        let text =
            |target| String::from_utf8(payload(&target, "human", "a \"b\"", 5)).unwrap_or_default();
        assert_eq!(
            text(Target::Agent("bob".into())),
            r#"{"to_agent":"bob","from_agent":"human","content":"a \"b\"","origin_host":"human-cli","origin_ts":5}"#
        );
        assert_eq!(
            text(Target::Group("ops".into())),
            r#"{"group":"ops","from_agent":"human","content":"a \"b\"","origin_host":"human-cli","origin_ts":5}"#
        );
    }

    #[test]
    fn lines_show_what_there_is() {
        let now = 1_795_206_638_329;
        for (subject, payload, line) in [
            (
                "agents.dm.x",
                r#"{"to_agent":"bob","from_agent":"al","content":"[HUMAN]  hi\nyou","origin_host":"h","origin_ts":0}"#,
                Some("<dm> 00:00:00 [al@h] -> bob: hi\nyou"),
            ),
            (
                "agents.broadcast.x",
                r#"{"group":"ops","from_agent":"al","content":"a [HUMAN]","origin_host":"h","origin_ts":"2026-01-02T03:04:05+01:00"}"#,
                Some("<bcast> 02:04:05 [al@h] -> g:ops: a [HUMAN]"),
            ),
            (
                "agents.channel.x",
                r##"{"channel":"#eng","content":5}"##,
                Some("<ch> 20:30:38 [?@?] -> #eng: 5"),
            ),
            (
                "agents.dm.x",
                r#"{"origin_ts":1e300}"#,
                Some("<dm> 20:30:38 [?@?] -> ?: ?"),
            ),
            (
                "agents.dm.x",
                r#"{"origin_ts":"soon"}"#,
                Some("<dm> 20:30:38 [?@?] -> ?: ?"),
            ),
            ("agents.dm.x", "[]", None),
            ("agents.dm.x", "no json", None),
            ("agents.other.x", "{}", None),
        ] {
            assert_eq!(
                shown(subject, payload.as_bytes(), now).as_deref(),
                line,
                "{payload}"
            );
        }
        assert!(shown("agents.dm.x", b"\xff", now).is_none());
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(
            tamed("a\u{1b}[2Jb\r\u{9b}\n\tü"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\n\tü"
        );
    }
}
