//! What a server says of the account and the user of a connection. Only asked: nothing is made or changed.

use super::api;
use super::connection::Bus;
use super::error::{Error, ErrorKind};
use super::feed::{covers, overlap};
use super::message::Bytes;
use super::permits::{Line, Permits};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom a server takes this connection for.
const USER: &str = "$SYS.REQ.USER.INFO";
/// Requests of the JetStream API that the server refuses for their body before it does anything.
const HARMLESS: [&str; 7] = [
    "STREAM.INFO",
    "STREAM.CREATE",
    "STREAM.UPDATE",
    "STREAM.MSG.GET",
    "DIRECT.GET",
    "CONSUMER.CREATE",
    "CONSUMER.INFO",
];
/// A body that is no JSON and not empty.
const NONSENSE: &[u8] = b"{";
/// What stands for a wildcard in a subject that is tried.
const ANYTHING: &str = "jacquard-doctor";
/// How many subjects are tried at once.
const AT_ONCE: usize = 16;
/// The most subjects that are tried.
const MAX_TRIED: usize = 500;

/// What the account has of JetStream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Streams, those of buckets among them.
    pub streams: i64,
    /// Consumers.
    pub consumers: i64,
    /// What it may have.
    pub limits: AccountLimits,
}

/// What an account may have of JetStream; -1: as much as the server has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes on disk.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers.
    pub max_consumers: i64,
    /// Every stream must be declared with `max_bytes`.
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_bytes_required: false,
        }
    }
}

/// Whom the server takes this connection for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account.
    pub account: String,
    /// What the user may do; `None`: everything.
    pub rules: Option<Allowed>,
    /// The server's clock when it answered, RFC 3339.
    pub time: Option<String>,
}

/// What a user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Allowed {
    publish: Option<Side>,
    subscribe: Option<Side>,
    responses: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Side {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
}

impl Side {
    fn allows(&self, subject: &str) -> bool {
        // A queue group may follow a subject.
        let subject_of = |entry: &String| entry.split(' ').next().unwrap_or_default().to_owned();
        let mut allow = self.allow.iter().flatten().map(subject_of).peekable();
        let mut deny = self.deny.iter().flatten().map(subject_of);
        let allowed = allow.peek().is_none() || allow.any(|wide| covers(&wide, subject));
        allowed && !deny.any(|denied| overlap(&denied, subject))
    }
}

/// What of the permissions that are needed a user does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// What may not be sent.
    pub publish: Vec<Line>,
    /// What may not be heard.
    pub subscribe: Vec<Line>,
    /// Whoever asks may not be answered.
    pub answers: bool,
    /// What could not be tried without effect.
    pub untried: Vec<String>,
}

impl Lacking {
    /// Whether nothing is known to be missing.
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.subscribe.is_empty() && !self.answers
    }
}

impl Allowed {
    /// What of this is missing.
    pub fn lacking(&self, needed: &Permits) -> Lacking {
        let missing = |side: &Option<Side>, lines: Vec<Line>| -> Vec<Line> {
            let allows = |line: &Line| side.as_ref().is_none_or(|s| s.allows(&line.subject));
            lines.into_iter().filter(|line| !allows(line)).collect()
        };
        let all = || self.publish.as_ref().is_none_or(|side| side.allows(">"));
        Lacking {
            publish: missing(&self.publish, needed.publish()),
            subscribe: missing(&self.subscribe, needed.subscribe()),
            answers: !needed.answers().is_empty() && self.responses.is_none() && !all(),
            untried: Vec::new(),
        }
    }
}

impl Bus {
    /// Why streams and buckets cannot be used on the connected server; `None`: they can.
    pub fn lacks(&self) -> Option<Arc<String>> {
        self.current().lacks()
    }

    /// Whether the server has refused to let this user hear answers: then nothing can be asked.
    pub fn hears_no_answers(&self) -> bool {
        self.current().health.inbox_refused()
    }

    /// What the account has of JetStream.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without JetStream, [`ErrorKind::Permission`], and those of the connection.
    pub async fn account(&self) -> Result<Account, Error> {
        let what = "asking what the account has of JetStream";
        let link = self.link(what).await?;
        let answer = api::call(&link, what, "INFO", Vec::new()).await;
        answer.map_err(|failure| failure.into_error(what))
    }

    /// Whom the server takes this connection for.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] when this user may not ask that, and those of the connection.
    pub async fn login(&self) -> Result<Login, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            server: Clock,
            data: User,
        }
        #[derive(Deserialize, Default)]
        struct Clock {
            time: Option<String>,
        }
        #[derive(Deserialize)]
        struct User {
            #[serde(default)]
            account: String,
            permissions: Option<Allowed>,
        }
        let what = "asking for the user's permissions";
        let link = self.link(what).await?;
        let answer = link.request(what, USER, None, Bytes::new(), link.limit);
        let answer: Answer = serde_json::from_slice(&answer.await?.payload).map_err(|error| {
            let text = format!("{what}: the server's answer is not understood");
            Error::new(ErrorKind::Protocol, text).caused_by(error)
        })?;
        Ok(Login {
            account: answer.data.account,
            rules: answer.data.permissions,
            time: answer.server.time,
        })
    }

    /// How long the server takes to handle something and to say so.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn round_trip(&self) -> Result<Duration, Error> {
        let what = "measuring the way to the server";
        let link = self.link(what).await?;
        let subject = link.client.new_inbox();
        let begun = Instant::now();
        // Nobody listens there, which the server says by itself; a refusal is an answer, too.
        match link
            .request(what, &subject, None, Bytes::new(), link.limit)
            .await
        {
            Err(error)
                if !matches!(
                    error.kind(),
                    ErrorKind::NoResponders | ErrorKind::Permission
                ) =>
            {
                Err(error)
            }
            _ => Ok(begun.elapsed()),
        }
    }

    /// Tries what of these permissions can be tried without effect: for a user that may not ask what it may do. Of at most 500
    /// subjects each costs a round trip.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn try_permits(&self, needed: &Permits) -> Result<Lacking, Error> {
        let mut lacking = Lacking::default();
        let (tried, untried): (Vec<Line>, Vec<Line>) = needed
            .publish()
            .into_iter()
            .partition(|line| is_harmless(&line.subject));
        lacking.untried = untried.into_iter().map(|line| line.subject).collect();
        lacking
            .untried
            .retain(|subject| !needed.is_own_inbox(subject));
        let sent = tried.into_iter().take(MAX_TRIED);
        let sent =
            sent.map(|line| async { self.may_send(&line.subject).await.map(|may| (line, may)) });
        let mut sent = stream::iter(sent).buffer_unordered(AT_ONCE);
        while let Some(outcome) = sent.next().await {
            let (line, may) = outcome?;
            lacking.publish.extend((!may).then_some(line));
        }
        let heard = needed.subscribe().into_iter().take(MAX_TRIED);
        let heard =
            heard.map(|line| async { self.may_hear(&line.subject).await.map(|may| (line, may)) });
        let mut heard = stream::iter(heard).buffer_unordered(AT_ONCE);
        while let Some(outcome) = heard.next().await {
            let (line, may) = outcome?;
            lacking.subscribe.extend((!may).then_some(line));
        }
        lacking.publish.sort_by(|a, b| a.subject.cmp(&b.subject));
        lacking.subscribe.sort_by(|a, b| a.subject.cmp(&b.subject));
        Ok(lacking)
    }

    async fn may_send(&self, subject: &str) -> Result<bool, Error> {
        let what = "trying a permission";
        let link = self.link(what).await?;
        let (subject, body) = (tame(subject), Bytes::from_static(NONSENSE));
        let answer = link.request(what, &subject, None, body, link.limit);
        allowed(answer.await.map(drop))
    }

    /// A subscription that ends at once.
    async fn may_hear(&self, subject: &str) -> Result<bool, Error> {
        let heard = self.subscribe(&[tame(subject)], 1).await;
        allowed(heard.map(drop))
    }
}

/// Only a refusal says that something is not allowed.
fn allowed(outcome: Result<(), Error>) -> Result<bool, Error> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(false),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Disconnected | ErrorKind::Closed | ErrorKind::Unauthorized
            ) =>
        {
            Err(error)
        }
        _ => Ok(true),
    }
}

fn is_harmless(subject: &str) -> bool {
    let verb = subject.strip_prefix("$JS.API.");
    verb.is_some_and(|verb| {
        let named = |known: &&str| {
            verb.strip_prefix(*known)
                .is_some_and(|r| r.starts_with('.'))
        };
        HARMLESS.iter().any(named)
    })
}

/// A subject that a line with wildcards covers, and that nobody uses.
fn tame(subject: &str) -> String {
    let token = |token| match token {
        "*" | ">" => ANYTHING,
        token => token,
    };
    subject.split('.').map(token).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::bus::permits::OnStream;
    use serde_json::json;

    #[test]
    fn what_a_user_lacks_is_found() {
        let mut needed = Permits::new("_INBOX");
        needed.ask("tool a", "x.*");
        needed.send("tool b", "y.one");
        needed.listen("listener c", "z.>");
        let rules = |value: Value| serde_json::from_value::<Allowed>(value).unwrap();
        let lacks = |value: Value| {
            let lacking = rules(value).lacking(&needed);
            let subjects = |lines: Vec<Line>| -> Vec<String> {
                lines.into_iter().map(|line| line.subject).collect()
            };
            (subjects(lacking.publish), subjects(lacking.subscribe))
        };
        let none = (Vec::<String>::new(), Vec::<String>::new());
        assert_eq!(lacks(json!({})), none);
        assert_eq!(lacks(json!({"publish": {"deny": ["other.>"]}})), none);
        let (publish, subscribe) = lacks(json!({
            "publish": {"allow": ["x.>", "_INBOX.>"]}, "subscribe": {"allow": ["z.> group", "_INBOX.*"]}
        }));
        assert_eq!(publish, ["y.one"]);
        assert_eq!(subscribe, ["_INBOX.>"]);
        // A part that is denied is a refusal some day.
        let (publish, _) = lacks(json!({"publish": {"deny": ["x.secret"]}}));
        assert_eq!(publish, ["x.*"]);
        needed.answer("listener c");
        assert!(
            rules(json!({"publish": {"allow": ["x.>"]}}))
                .lacking(&needed)
                .answers
        );
        assert!(
            !rules(json!({"publish": {"allow": [">"]}}))
                .lacking(&needed)
                .answers
        );
    }

    #[test]
    fn only_requests_without_effect_are_tried() {
        let mut needed = Permits::new("_INBOX");
        for what in [
            OnStream::Ensure,
            OnStream::Purge,
            OnStream::Delete,
            OnStream::Erase,
        ] {
            needed.stream("t", "S", what);
        }
        let all = needed.publish();
        let tried: Vec<&str> = all
            .iter()
            .map(|line| line.subject.as_str())
            .filter(|subject| is_harmless(subject))
            .collect();
        assert_eq!(tried, ["$JS.API.STREAM.CREATE.S", "$JS.API.STREAM.INFO.S"]);
        assert!(!is_harmless("$KV.b.k") && !is_harmless("$JS.API.STREAM.CREATED.S"));
        assert_eq!(tame("a.*.b.>"), "a.jacquard-doctor.b.jacquard-doctor");
    }
}
