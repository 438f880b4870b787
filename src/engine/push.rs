//! What a session tells its client unasked: notifications, in order, with what the client has seen after each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::outlet::Outlet;

/// The longest text of a [`Seen`] that is read, in bytes.
const LONGEST: usize = 4096;

/// A notification for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The method, such as `notifications/message`.
    pub method: String,
    /// Its parameters.
    pub params: Option<Map<String, Value>>,
    /// What the client has seen once it has this.
    pub seen: Seen,
    /// When it was made.
    pub made: Instant,
}

/// How far a client has seen: the tools, and the streams that its session listens on. Its text is what SSE calls an event
/// id, `fingerprint;listener:sequence,…`; any gateway that serves the same packs understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The tools as they were listed: [`Tools::fingerprint`](crate::catalog::Tools::fingerprint). A gateway with
    /// another one has other tools.
    pub fingerprint: Arc<str>,
    /// The sequence of the last message that was handled for the client, for each listener on a stream.
    pub positions: BTreeMap<String, u64>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.fingerprint)?;
        for (index, (listener, seq)) in self.positions.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{listener}:{seq}")?;
        }
        Ok(())
    }
}

/// A text that is no [`Seen`]. Whoever gets one goes on from where the session is.
#[derive(Debug, thiserror::Error)]
#[error("this is no event id of this server")]
pub struct NotSeen;

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Self, NotSeen> {
        if text.len() > LONGEST {
            return Err(NotSeen);
        }
        let (fingerprint, pairs) = text.split_once(';').ok_or(NotSeen)?;
        let pairs = pairs.split(',').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (listener, seq) = pair.rsplit_once(':').ok_or(NotSeen)?;
            Ok((listener.to_owned(), seq.parse().map_err(|_| NotSeen)?))
        });
        Ok(Self {
            fingerprint: fingerprint.into(),
            positions: pairs.collect::<Result<_, NotSeen>>()?,
        })
    }
}

/// The pushes of a session, for one reader at a time. Dropping it detaches the reader: what it was given last and did not
/// confirm is given to the next one again.
#[derive(Debug)]
pub struct Pushes {
    outlet: Arc<Outlet>,
    reader: u64,
}

impl Pushes {
    pub(super) fn new(outlet: Arc<Outlet>, reader: u64) -> Self {
        Self { outlet, reader }
    }

    /// The next push. `None` once the session has ended, another reader has taken this one's place, or this one has been
    /// too slow. Cancel-safe. Asking for the next one says that the one before has been delivered.
    pub async fn next(&mut self) -> Option<Push> {
        self.outlet.next(self.reader).await
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        self.outlet.detach(self.reader);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_seen_goes_there_and_back() {
        let seen = |pairs: &[(&str, u64)]| Seen {
            fingerprint: "0a1b2c3d".into(),
            positions: pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        };
        for (seen, text) in [
            (seen(&[]), "0a1b2c3d;"),
            (seen(&[("p.a", 1)]), "0a1b2c3d;p.a:1"),
            (
                seen(&[("p.a", 1), ("p.b", u64::MAX)]),
                "0a1b2c3d;p.a:1,p.b:18446744073709551615",
            ),
        ] {
            assert_eq!(seen.to_string(), text);
            assert_eq!(text.parse::<Seen>().unwrap(), seen);
        }
        for text in [
            "",
            "0",
            "x;a",
            "x;a:",
            "x;a:-1",
            "x;a:1,b",
            &format!("x;{}", "a:1,".repeat(2000)),
        ] {
            assert!(text.parse::<Seen>().is_err(), "{text}");
        }
    }
}
