//! Which tools a person has approved: a file of fingerprints beside the config.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::files::read_source;

/// The approved tools with their fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, String>);

/// How a tool stands to what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was approved.
    Approved,
    /// Nobody has approved it.
    New,
    /// It is other than when it was approved.
    Changed,
}

impl Pins {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it; also that it is not there.
    pub fn read(path: &Path, shown: &str) -> Result<Self, Report> {
        let doc = Doc::parse(read_source(path, shown)?)?;
        let wrong = |pointer: &str, message: &str| -> Report {
            let range = doc.value_range(pointer);
            let told = Diagnostic::error(Code::Schema, &doc.source, range, message);
            told.help("write it anew: `jacquard tools --config … --approve`")
                .into()
        };
        let tools = doc.value.get("tools").and_then(Value::as_object);
        let tools = tools.ok_or_else(|| wrong("", "`tools` is missing: a map of fingerprints"))?;
        let mut pins = Self::default();
        for (name, value) in tools {
            let print = value.as_str();
            let print = print.ok_or_else(|| {
                let at = join("/tools", name);
                wrong(&at, "a fingerprint is a text of 16 hexadecimal digits")
            })?;
            pins.0.insert(name.clone(), print.to_owned());
        }
        Ok(pins)
    }

    /// How a tool with this fingerprint stands to what was approved.
    pub fn judge(&self, name: &str, fingerprint: &str) -> Standing {
        match self.0.get(name) {
            None => Standing::New,
            Some(approved) if approved == fingerprint => Standing::Approved,
            Some(_) => Standing::Changed,
        }
    }

    /// Notes a tool as approved. Whether that is news.
    pub fn approve(&mut self, name: &str, fingerprint: &str) -> bool {
        let before = self.0.insert(name.to_owned(), fingerprint.to_owned());
        before.as_deref() != Some(fingerprint)
    }

    /// Forgets all tools but these; answers with those forgotten.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) -> Vec<String> {
        let gone: Vec<String> = self.0.keys().filter(|n| !is_there(n)).cloned().collect();
        self.0.retain(|name, _| is_there(name));
        gone
    }

    /// The file's text. Fingerprints are quoted: one of digits alone would be a number.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# The tools that were approved. A gateway whose config names this file under `pin` serves no others, and none that has\n# changed since. Written by `jacquard tools --approve`.\ntools:\n",
        );
        if self.0.is_empty() {
            text.truncate(text.len() - 1);
            text.push_str(" {}\n");
        }
        for (name, print) in &self.0 {
            text.push_str(&format!("  \"{name}\": \"{print}\"\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pins_survive_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pins.yaml");
        let mut pins = Pins::default();
        for _ in 0..2 {
            std::fs::write(&path, pins.to_text()).unwrap();
            assert_eq!(Pins::read(&path, "pins.yaml").unwrap(), pins);
            assert!(pins.approve("a.b", "0011223344556677"));
            pins.approve("c", "00112233445566e7");
            assert!(!pins.approve("c", "00112233445566e7"));
            assert_eq!(pins.judge("c", "0"), Standing::Changed);
            assert_eq!(pins.judge("d", "0"), Standing::New);
            assert_eq!(pins.keep(|name| name == "c"), ["a.b"]);
        }
        for wrong in ["tools: [a]", "x: 1", "tools: {a: 5}", "tools: ["] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Pins::read(&path, "pins.yaml").is_err(), "{wrong}");
        }
    }
}
