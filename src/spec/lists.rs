//! Filters over lists of objects, and over which name leads to which.

use std::collections::BTreeSet;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::filters::with_field;

/// The most elements that `unwind` makes, and the most names that `reachable` goes through.
const MOST: usize = 10_000;

/// `unwind(field)`: one element for each element of a field that is a list, with that in its place; none where there is no
/// such field.
pub(super) fn unwind(list: &Value, field: &str) -> Result<Value, Error> {
    let mut unwound = Vec::new();
    for element in list.try_iter()? {
        if element.kind() != ValueKind::Map {
            return Err(refused("`unwind` needs a list of objects"));
        }
        for part in element.get_attr(field)?.try_iter()? {
            if unwound.len() >= MOST {
                return Err(refused("`unwind` makes more than 10,000 elements"));
            }
            unwound.push(with_field(&element, field, part)?);
        }
    }
    Ok(Value::from(unwound))
}

/// `reachable(start)`: the names that some names lead to over an object of lists (`{a: [b, c]}`), near or far, sorted.
pub(super) fn reachable(leads: &Value, start: &Value) -> Result<Value, Error> {
    let mut found = BTreeSet::new();
    let mut next: Vec<Value> = start.try_iter()?.collect();
    while let Some(name) = next.pop() {
        let onward = leads.get_item(&name)?;
        if onward.is_undefined() {
            continue;
        }
        for other in onward.try_iter()? {
            if found.len() >= MOST {
                return Err(refused("`reachable` finds more than 10,000 names"));
            }
            if found.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use minijinja::value::Serde;
    use serde_json::{Value as Json, json};

    fn value(json: Json) -> Value {
        Value::from(Serde(json))
    }

    fn json_of(value: &Value) -> Json {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn a_list_in_a_field_is_unwound() {
        let list = value(json!([{"a": 1, "in": ["x", "y"]}, {"a": 2, "in": []}]));
        assert_eq!(
            json_of(&unwind(&list, "in").unwrap()),
            json!([{"a": 1, "in": "x"}, {"a": 1, "in": "y"}])
        );
        assert!(unwind(&value(json!([1])), "in").is_err());
        assert_eq!(
            json_of(&unwind(&value(json!([{"a": 1}])), "in").unwrap()),
            json!([])
        );
        assert!(unwind(&value(json!([{"in": 1}])), "in").is_err());
    }

    #[test]
    fn names_lead_to_names_even_in_a_circle() {
        let leads = value(json!({"a": ["b"], "b": ["c", "a"], "d": ["e"]}));
        let from = |start: Json| json_of(&reachable(&leads, &value(start)).unwrap());
        assert_eq!(from(json!(["a"])), json!(["a", "b", "c"]));
        assert_eq!(from(json!(["c", "d", "unknown"])), json!(["e"]));
        assert_eq!(from(json!([])), json!([]));
    }
}
