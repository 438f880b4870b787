//! The project file: its form, its JSON Schema, and the check of one.
//!
//! Keys and rules are those of the published Warp configuration, so that one file serves both.

use std::collections::HashMap;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::secret::Secret;
use crate::bus::address_problem;
use crate::spec::check::{LEASE, MAX_ATTEMPTS};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::filters::stream_token;
use crate::spec::mask::{mask, masked};
use crate::spec::schema;
use crate::spec::source::Source;
use crate::spec::tree::parse_span;

/// The longest namespace and channel name, in characters. A stream is named by both, and NATS allows 255.
pub(super) const MAX_NAME: usize = 120;
/// 2^53 - 1: the largest whole number that every reader of JSON keeps exactly.
const MAX_WHOLE: i64 = 9_007_199_254_740_991;
/// The shortest `maxAge` that nats-server takes.
const MIN_AGE: Duration = Duration::from_millis(100);
/// The longest `maxAge`: NATS counts nanoseconds in a signed 64-bit number.
const MAX_AGE: Duration = Duration::from_nanos(i64::MAX as u64);
/// The shortest work queue time, in milliseconds, as the published schema has it.
pub(super) const MIN_MS: u64 = 1_000;
/// The longest time a claim may hold, in milliseconds: what a queue allows.
pub(super) const MAX_LEASE_MS: u64 = LEASE.end().as_secs() * 1_000;
/// The longest time dead letters may be kept, in milliseconds; the same bound as [`MAX_AGE`].
pub(super) const MAX_MS: u64 = i64::MAX as u64 / 1_000_000;

/// What a project says about itself. Everything is optional.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProjectFile {
    /// The schema of this file, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// What the project's subjects and streams begin with: lower-case letters, digits and hyphens. Without it, a
    /// hash of the project's path.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"), length(max = MAX_NAME))]
    pub namespace: Option<String>,
    /// The NATS server to use when NATS_URL is not set.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub nats_url: Option<Secret>,
    /// The channels agents post to. They replace the default ones.
    pub channels: Option<Vec<Channel>>,
    /// What is logged, and how.
    pub logging: Option<Logging>,
    /// How work that is handed out is treated.
    pub work_queue: Option<WorkQueue>,
}

/// A channel: a stream of messages that every agent of the project can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Channel {
    /// Its name: lower-case letters, digits and hyphens.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"), length(max = MAX_NAME))]
    pub name: String,
    /// What it is for, as models read it. It must not be blank.
    #[schemars(regex(pattern = r"\S"))]
    pub description: String,
    /// The most messages it keeps.
    #[serde(default = "max_messages")]
    #[schemars(range(min = 1, max = MAX_WHOLE))]
    pub max_messages: i64,
    /// The most bytes it keeps.
    #[serde(default = "max_bytes")]
    #[schemars(range(min = 1024, max = MAX_WHOLE))]
    pub max_bytes: i64,
    /// How long it keeps messages: digits and one of ns, us, ms, s, m, h, d, such as 24h. At least 100ms.
    #[serde(default = "max_age")]
    #[schemars(regex(pattern = r"^[0-9]+(ns|us|ms|s|m|h|d)$"))]
    pub max_age: String,
}

fn max_messages() -> i64 {
    10_000
}

fn max_bytes() -> i64 {
    10 * 1024 * 1024
}

fn max_age() -> String {
    "24h".to_owned()
}

impl Channel {
    fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            max_messages: max_messages(),
            max_bytes: max_bytes(),
            max_age: max_age(),
        }
    }

    /// The channels of a project that names none.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("roadmap", "Plans and priorities of the project"),
            Self::new(
                "parallel-work",
                "Who works on what, for agents that work side by side",
            ),
            Self::new("errors", "Errors met, and what helped"),
        ]
    }
}

/// Log settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// The least severe messages that are logged.
    pub level: Option<Level>,
    /// How log lines are written.
    pub format: Option<Format>,
}

/// How work that is handed out is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct WorkQueue {
    /// How long an agent may hold an item without a sign of life, in milliseconds.
    #[schemars(range(min = MIN_MS, max = MAX_LEASE_MS))]
    pub ack_timeout_ms: u64,
    /// How often an item is handed out before it counts as dead.
    #[schemars(range(min = 1, max = MAX_ATTEMPTS))]
    pub max_delivery_attempts: u64,
    /// How long dead items are kept, in milliseconds.
    #[serde(rename = "deadLetterTTLMs")]
    #[schemars(range(min = MIN_MS, max = MAX_MS))]
    pub dead_letter_ttl_ms: u64,
}

impl Default for WorkQueue {
    fn default() -> Self {
        Self {
            ack_timeout_ms: 300_000,
            max_delivery_attempts: 3,
            dead_letter_ttl_ms: 604_800_000,
        }
    }
}

// Derived, an enum with documented variants is a `oneOf`, about which no violation can say what was meant.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({"enum": [$($word),+]})
            }
        }
    };
}

words! {
    /// The least severe messages that are logged.
    Level {
        /// Everything.
        Debug = "DEBUG",
        /// What happens in normal operation, and worse.
        Info = "INFO",
        /// What should not happen and is coped with, and worse.
        Warn = "WARN",
        /// Failures only.
        Error = "ERROR",
    }
}
words! {
    /// How log lines are written.
    Format {
        /// One JSON object on each line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

/// The JSON Schema of a project file, as published in `schemas/`.
pub fn project_schema() -> Value {
    schema::of::<ProjectFile>("Jacquard project file")
}

/// Checks a project file (JSON or YAML) and reports everything that is wrong with it.
///
/// The file is there when the report has no errors. Credentials are covered in the report.
pub fn check_project_file(source: Source) -> (Option<ProjectFile>, Report) {
    let shown = Source::new(source.name(), mask(source.text()));
    let mut doc = match Doc::parse(source) {
        Ok(doc) => doc,
        Err(report) => return (None, masked(&report)),
    };
    let mut values = doc.value.clone();
    doc.source = shown;
    doc.map_strings(&mut |_, text| Some(Value::String(mask(text))));

    let mut report = Report::new();
    let language = project_schema();
    match schema::compile(&language) {
        Ok(validator) => {
            schema::check_doc(&doc, "", &doc.value, &language, &validator, &mut report);
        }
        Err(_) => report.push(Diagnostic::global(
            Code::BadSchema,
            "the project file's own schema does not compile",
        )),
    }
    check_channels(&doc, &mut report);
    if let Some(Value::String(url)) = values.get("natsUrl")
        && !url.is_empty()
        && let Some(problem) = address_problem(url)
    {
        let range = doc.value_range("/natsUrl");
        report.push(
            Diagnostic::error(Code::Schema, &doc.source, range, problem)
                .help("write `nats://host:4222`; `tls://`, `ws://` and `wss://` are taken too"),
        );
    }
    if report.has_errors() {
        return (None, report);
    }
    whole_numbers(&mut values);
    match serde_json::from_value(values) {
        Ok(file) => (Some(file), report),
        Err(error) => {
            let message = mask(&error.to_string());
            report.push(Diagnostic::error(
                Code::Schema,
                &doc.source,
                doc.value_range(""),
                message,
            ));
            (None, report)
        }
    }
}

/// What no schema can say of channels. Works on what is there, so that it adds to the schema's findings.
fn check_channels(doc: &Doc, report: &mut Report) {
    let channels = doc.value.get("channels").and_then(Value::as_array);
    let mut seen: HashMap<String, (&str, String)> = HashMap::new();
    for (index, channel) in channels.into_iter().flatten().enumerate() {
        let pointer = format!("/channels/{index}");
        if let Some(age) = channel.get("maxAge").and_then(Value::as_str) {
            check_age(doc, &join(&pointer, "maxAge"), age, report);
        }
        let Some(name) = channel.get("name").and_then(Value::as_str) else {
            continue;
        };
        let place = join(&pointer, "name");
        match seen.get(&stream_token(name)) {
            Some((first, first_place)) => {
                report.push(duplicate(doc, name, &place, first, first_place));
            }
            None => {
                seen.insert(stream_token(name), (name, place));
            }
        }
    }
}

fn duplicate(doc: &Doc, name: &str, place: &str, first: &str, first_place: &str) -> Diagnostic {
    let (message, help) = if name == first {
        (
            format!("the channel `{name}` is declared twice"),
            "remove one of them, or give it another name",
        )
    } else {
        (
            format!("the channels `{first}` and `{name}` would share one stream"),
            "a stream's name has upper-case letters, and `_` for everything but letters and digits: \
             choose a name that differs in these",
        )
    };
    Diagnostic::error(
        Code::Duplicate,
        &doc.source,
        doc.value_range(place),
        message,
    )
    .related(
        &doc.source,
        doc.value_range(first_place),
        "declared here first",
    )
    .help(help)
}

/// Checks the bounds of an age; what is not one at all is the schema's to report.
fn check_age(doc: &Doc, pointer: &str, text: &str, report: &mut Report) {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_age = unit.len() < text.len() && parse_span(&format!("1{unit}")).is_some();
    let (message, help) = match parse_span(text) {
        Some(age) if age < MIN_AGE => (
            format!("{text} is shorter than NATS allows"),
            "the shortest is 100ms; without `maxAge` messages are kept for 24h",
        ),
        Some(age) if age <= MAX_AGE => return,
        None if !is_age => return,
        _ => (
            format!("{text} is longer than NATS allows"),
            "the longest is about 292 years: 106751d",
        ),
    };
    report.push(
        Diagnostic::error(Code::Schema, &doc.source, doc.value_range(pointer), message).help(help),
    );
}

/// Turns whole numbers that are written with a fraction or exponent (`1e4`, integers to JSON Schema) into integers.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() <= MAX_WHOLE as f64);
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
