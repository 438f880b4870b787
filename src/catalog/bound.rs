//! How large a value may be.
//!
//! Texts and lists can be doubled by a short expression, and lists can share their elements, so that a value that is small
//! in memory is huge once it is written out. Depth is bounded too: values are walked recursively.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use crate::spec::filters::MAX_TEXT;

/// The most values in one, counted as they would be written out.
const MAX_NODES: usize = 500_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// Refuses a value that is too large or too deep to be kept or sent.
///
/// # Errors
/// Which bound it breaks.
pub fn check(value: &Value) -> Result<(), Error> {
    Budget {
        nodes: MAX_NODES,
        bytes: MAX_TEXT,
    }
    .spend(value, MAX_DEPTH)
}

struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    fn spend(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.nodes = self
            .nodes
            .checked_sub(1)
            .ok_or_else(|| refused(format!("has more than {MAX_NODES} parts")))?;
        if let Some(text) = value.as_str() {
            return self.bytes(text.len());
        }
        let deeper = || {
            depth
                .checked_sub(1)
                .ok_or_else(|| refused(format!("is nested more than {MAX_DEPTH} deep")))
        };
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let depth = deeper()?;
                for item in value.try_iter()? {
                    self.spend(&item, depth)?;
                }
            }
            ValueKind::Map => {
                let depth = deeper()?;
                for key in value.try_iter()? {
                    self.bytes(key.as_str().map_or(8, str::len))?;
                    self.spend(&value.get_item(&key)?, depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> Result<(), Error> {
        self.bytes = self
            .bytes
            .checked_sub(count)
            .ok_or_else(|| refused(format!("has more than {MAX_TEXT} bytes of text")))?;
        Ok(())
    }
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the value {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_as_they_would_be_written() {
        assert!(check(&Value::from(vec![1; 1000])).is_ok());
        let mut shared = Value::from("x");
        for _ in 0..14 {
            shared = Value::from(vec![shared; 4]);
        }
        assert!(check(&shared).is_err());
        let mut deep = Value::from(1);
        for _ in 0..100 {
            deep = Value::from(vec![deep]);
        }
        assert!(check(&deep).is_err());
        assert!(check(&Value::from("x".repeat(MAX_TEXT + 1))).is_err());
    }
}
