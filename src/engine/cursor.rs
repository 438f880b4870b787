//! Cursors of pages: opaque to clients, bound to one tool and to one set of filters.
//!
//! A cursor is unpadded base64url of a small JSON object: where to go on (a sequence or key, never an offset, so that nothing
//! repeats or is skipped while others write), and what it belongs to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minijinja::value::Value;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::failure::{Failure, FailureKind};

/// The longest cursor that is looked at, in bytes.
const MAX_LENGTH: usize = 1024;

/// Where a page goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum At {
    /// Before this sequence, going back.
    #[serde(rename = "b")]
    Before(u64),
    /// After this sequence, going forward.
    #[serde(rename = "a")]
    After(u64),
    /// After this key, in their order.
    #[serde(rename = "k")]
    Key(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "t")]
    tool: String,
    #[serde(rename = "f")]
    filter: String,
    at: At,
}

/// What a cursor belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The tool.
    pub tool: &'a str,
    /// The filters: everything that decides which items there are.
    pub filters: &'a [String],
}

impl Owner<'_> {
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.filters {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default())
    }

    /// Makes a cursor.
    pub fn encode(&self, at: At) -> String {
        let wire = Wire {
            tool: self.tool.to_owned(),
            filter: self.hash(),
            at,
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    /// Where the page that a step asks for goes on; null is the first page.
    ///
    /// # Errors
    /// As [`Owner::decode`], and for a value that is no text.
    pub fn page(&self, value: &Value) -> Result<Option<At>, Failure> {
        match value.as_str() {
            Some(text) => self.decode(text).map(Some),
            None if value.is_none() => Ok(None),
            None => Err(Failure::new(
                FailureKind::Cursor,
                format!("`page` is {value}, and must be a cursor or null"),
            )),
        }
    }

    /// The failure of a cursor that goes on in the other direction.
    pub fn other_way(&self) -> Failure {
        Failure::new(
            FailureKind::Cursor,
            "the cursor goes the other way: use it with the arguments it came from",
        )
    }

    /// Reads a cursor back.
    ///
    /// # Errors
    /// [`FailureKind::Cursor`] for one that is malformed, or of another tool or other filters.
    pub fn decode(&self, cursor: &str) -> Result<At, Failure> {
        let refuse = |why: &str| {
            Err(Failure::new(
                FailureKind::Cursor,
                format!(
                    "the cursor {why}. Pass the cursor of an earlier answer of {} unchanged and with the same \
                     filters, or none for the first page",
                    self.tool
                ),
            ))
        };
        if cursor.len() > MAX_LENGTH {
            return refuse("is too long");
        }
        let wire = URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Wire>(&bytes).ok());
        match wire {
            None => refuse("is not one of ours"),
            Some(wire) if wire.tool != self.tool => {
                refuse(&format!("belongs to the tool {}", wire.tool))
            }
            Some(wire) if wire.filter != self.hash() => {
                refuse("belongs to a call with other filters")
            }
            Some(wire) => Ok(wire.at),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_fits_only_where_it_came_from() {
        let filters = ["ns_A".to_owned(), "x".to_owned()];
        let owner = Owner {
            tool: "read",
            filters: &filters,
        };
        let cursor = owner.encode(At::Before(42));
        assert_eq!(owner.decode(&cursor).unwrap(), At::Before(42));
        let other = ["ns_Ax".to_owned(), String::new()];
        for owner in [
            Owner {
                tool: "list",
                filters: &filters,
            },
            Owner {
                tool: "read",
                filters: &other,
            },
            Owner {
                tool: "read",
                filters: &filters[..1],
            },
        ] {
            assert_eq!(owner.decode(&cursor).unwrap_err().kind, FailureKind::Cursor);
        }
        // A cursor as Warp makes them (warp: base64url of {"offset":5,"limit":5}).
        for bad in [
            "eyJvZmZzZXQiOjUsImxpbWl0Ijo1fQ",
            "",
            "continue",
            "é",
            &"A".repeat(5000),
        ] {
            assert_eq!(
                owner.decode(bad).unwrap_err().kind,
                FailureKind::Cursor,
                "{bad}"
            );
        }
    }
}
