//! A session as it is kept on NATS, so that any gateway can go on with it.

use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The form of a record that this program writes, and the highest that it reads.
pub(super) const VERSION: u32 = 1;

/// A session without what only lives in memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// When the session began, in milliseconds since 1970.
    pub created: u64,
    /// When this was written, in milliseconds since 1970.
    pub written: u64,
    /// The gateway that has the session in memory; empty when none has.
    pub gateway: String,
    /// Whose it is; absent where nobody has to say who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The toolset that it was begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolset: Option<String>,
    /// What the client said of itself; absent for a client that says so with each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialize: Option<InitializeRequestParams>,
    /// What the engine remembers.
    pub state: Value,
}

impl Record {
    /// Reads a stored record. `None` for what this program does not understand.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.version <= VERSION).then_some(record)
    }

    /// As it is stored.
    pub(super) fn write(&self) -> Vec<u8> {
        // Strings and JSON values always have a form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What becomes of a state that two have changed since `base`: what `ours` has changed, and else what `theirs` says. Objects
/// are merged name by name.
pub(super) fn merge(base: &Value, ours: &Value, theirs: &Value) -> Value {
    if ours == base {
        return theirs.clone();
    }
    let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) else {
        return ours.clone();
    };
    let nothing = Map::new();
    let base = base.as_object().unwrap_or(&nothing);
    let mut merged = Map::new();
    let names = ours
        .keys()
        .chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    for name in names {
        let value = match (base.get(name), ours.get(name), theirs.get(name)) {
            (base, Some(ours), Some(theirs)) => {
                Some(merge(base.unwrap_or(&Value::Null), ours, theirs))
            }
            // They took it away; it stays if we have changed it.
            (base, Some(ours), None) => (base != Some(ours)).then(|| ours.clone()),
            // We took it away; it stays gone unless it is new there.
            (base, None, Some(theirs)) => base.is_none().then(|| theirs.clone()),
            (_, None, None) => None,
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value);
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_of_two_are_put_together_name_by_name() {
        let base = json!({"p": {"a": 1, "b": 1, "gone": 1, "kept": 1}});
        let ours = json!({"p": {"a": 2, "b": 1, "kept": 3, "new": 1}});
        let theirs = json!({"p": {"a": 1, "b": 2, "gone": 1, "theirs": 1}, "q": {"x": 1}});
        let merged = merge(&base, &ours, &theirs);
        let expected =
            json!({"p": {"a": 2, "b": 2, "kept": 3, "new": 1, "theirs": 1}, "q": {"x": 1}});
        assert_eq!(merged, expected);
        assert_eq!(merge(&base, &base, &theirs), theirs);
        assert_eq!(merge(&base, &ours, &base), ours);
    }

    #[test]
    fn both_changed_the_same_name_ours_wins() {
        let merged = merge(&json!({"a": 1}), &json!({"a": 2}), &json!({"a": 3}));
        assert_eq!(merged, json!({"a": 2}));
    }

    #[test]
    fn a_record_of_a_later_form_is_not_read() {
        let record = Record {
            version: VERSION + 1,
            created: 0,
            written: 0,
            gateway: String::new(),
            principal: None,
            toolset: None,
            initialize: None,
            state: json!({}),
        };
        assert!(Record::read(&record.write()).is_none());
        let known = Record {
            version: VERSION,
            ..record
        };
        assert!(Record::read(&known.write()).is_some());
        assert!(Record::read(b"{}").is_none());
    }
}
