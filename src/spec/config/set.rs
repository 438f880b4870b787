//! `--set pack.key=value`: a setting from the command line.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::spec::doc::{Doc, join};
use crate::spec::source::Source;

/// One setting of a pack, as the command line gives it. It comes before the config's.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The pack.
    pub pack: String,
    /// The keys that lead to the value, the outermost first; at least one.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// How it was written.
    pub text: String,
}

impl FromStr for Setting {
    type Err = String;

    /// Reads `pack.key=value`; dots lead further in, and the value is YAML.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write `pack.key=value`, such as `notes.greeting=Hello`".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        let mut parts = name.split('.').map(str::to_owned);
        let pack = parts.next().unwrap_or_default();
        let path: Vec<String> = parts.collect();
        if pack.is_empty() || path.is_empty() || path.iter().any(String::is_empty) {
            return Err(form());
        }
        let source = Source::new("--set", value);
        let doc = Doc::parse(source).map_err(|report| {
            let problems = report.sorted();
            let first = problems.first().map(|d| d.message.clone());
            format!("the value is no YAML: {}", first.unwrap_or_default())
        })?;
        Ok(Self {
            pack,
            path,
            value: doc.value,
            text: text.to_owned(),
        })
    }
}

impl Setting {
    /// Where in the settings it stands, as a JSON pointer.
    pub fn pointer(&self) -> String {
        let path = self.path.iter();
        path.fold(String::new(), |pointer, key| join(&pointer, key))
    }

    /// Puts the value among the settings of its pack. What is no mapping on the way gives way to one.
    pub fn put(&self, settings: &mut Map<String, Value>) {
        let Some((last, way)) = self.path.split_last() else {
            return;
        };
        let mut at = settings;
        for key in way {
            let inner = at.entry(key.as_str()).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Some(next) = inner.as_object_mut() else {
                return;
            };
            at = next;
        }
        at.insert(last.clone(), self.value.clone());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_yaml_and_dots_lead_further_in() {
        for (text, expected) in [
            ("p.a=1", json!({"a": 1, "b": {"c": 2}})),
            ("p.a=x=y", json!({"a": "x=y", "b": {"c": 2}})),
            ("p.b.c=[x, 5]", json!({"a": 0, "b": {"c": ["x", 5]}})),
            ("p.b.d=", json!({"a": 0, "b": {"c": 2, "d": null}})),
            ("p.a.b=true", json!({"a": {"b": true}, "b": {"c": 2}})),
        ] {
            let setting: Setting = text.parse().unwrap();
            let mut settings = json!({"a": 0, "b": {"c": 2}});
            setting.put(settings.as_object_mut().unwrap());
            assert_eq!(settings, expected, "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["p.a", "p=1", ".a=1", "p.=1", "p..a=1", "p.a=[1"] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }
}
