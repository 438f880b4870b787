//! What a session tells its client unasked: notifications, in order, with what the client has seen after each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// Pushes that wait for the client at the most; then whoever pushes waits.
pub const WAITING: usize = 64;

/// A notification for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The method, such as `notifications/claude/channel`.
    pub method: String,
    /// Its parameters.
    pub params: Option<Map<String, Value>>,
    /// What the client has seen once it has this.
    pub seen: Seen,
}

/// How far a client has seen the streams that its session listens on: the sequence of the last message that was handled
/// for it, for each listener. Its text is what SSE calls an event id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub BTreeMap<String, u64>);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (listener, seq)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{listener}:{seq}")?;
        }
        Ok(())
    }
}

/// A text that is no [`Seen`].
#[derive(Debug, thiserror::Error)]
#[error("this is no event id of this server")]
pub struct NotSeen;

impl FromStr for Seen {
    type Err = NotSeen;

    fn from_str(text: &str) -> Result<Self, NotSeen> {
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (listener, seq) = pair.rsplit_once(':').ok_or(NotSeen)?;
            Ok((listener.to_owned(), seq.parse().map_err(|_| NotSeen)?))
        });
        Ok(Self(pairs.collect::<Result<_, NotSeen>>()?))
    }
}

/// The pushes of a session, for one reader at a time.
#[derive(Debug)]
pub struct Pushes {
    pushes: mpsc::Receiver<Push>,
}

impl Pushes {
    pub(super) fn new(pushes: mpsc::Receiver<Push>) -> Self {
        Self { pushes }
    }

    /// The next push. `None` once the session has ended, another reader has taken this one's place, or this one has been
    /// too slow. Cancel-safe. Asking for the next one says that the one before has been delivered.
    pub async fn next(&mut self) -> Option<Push> {
        self.pushes.recv().await
    }
}
