//! Streams: the declaration, and the handle to use one.

use super::api::{self, code};
use super::connection::Bus;
use super::ensure::{Drift, Resource, Standing, nanos};
use super::error::Error;
use super::feed::Hubs;
use super::message::Outgoing;
use super::publish::{self, Ack};
use super::read::{self, Page, ReadRequest, Stored};
use super::subjects;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When a stream lets go of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// When a limit is reached.
    #[default]
    Limits,
    /// When a message was acknowledged by its one consumer.
    WorkQueue,
    /// When all consumers have acknowledged it.
    Interest,
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In memory: gone when the server stops.
    Memory,
}

impl Storage {
    pub(super) fn wire(self) -> Value {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
        .into()
    }
}

/// What a full stream does with a new message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discard {
    /// Drops the oldest message.
    #[default]
    Old,
    /// Refuses the new message.
    New,
}

/// NATS keeps 1 to 5 copies.
pub(super) fn replicas_problem(replicas: Option<usize>) -> Option<String> {
    let replicas = replicas?;
    (!(1..=5).contains(&replicas)).then(|| format!("replicas must be from 1 to 5, not {replicas}"))
}

/// The declaration of a stream. `None` leaves a setting to the server, and is not compared.
#[derive(Clone, Debug, Default)]
pub struct StreamSpec {
    /// Name, without blanks and `. * > / \`.
    pub name: String,
    /// Subjects whose messages are stored.
    pub subjects: Vec<String>,
    /// When messages go.
    pub retention: Retention,
    /// Where messages are kept.
    pub storage: Storage,
    /// Most messages.
    pub max_messages: Option<i64>,
    /// Most bytes.
    pub max_bytes: Option<i64>,
    /// Largest message in bytes.
    pub max_message_size: Option<i32>,
    /// Longest life of a message.
    pub max_age: Option<Duration>,
    /// Most messages of one subject.
    pub max_messages_per_subject: Option<i64>,
    /// What happens when it is full.
    pub discard: Discard,
    /// How long message ids are remembered.
    pub duplicate_window: Option<Duration>,
    /// Copies in a cluster.
    pub replicas: Option<usize>,
    /// For people.
    pub description: Option<String>,
    /// The declared limits are those of a stream that exists, too, and direct get is allowed there.
    pub adjust: bool,
}

impl StreamSpec {
    fn problem(&self) -> Option<String> {
        replicas_problem(self.replicas)
    }

    /// The configuration as JetStream's API names it (nats-server `StreamConfig`).
    fn wire(&self) -> Map<String, Value> {
        let mut wire = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                wire.insert(name.to_owned(), value);
            }
        };
        set("name", Some(self.name.clone().into()));
        set("subjects", Some(self.subjects.clone().into()));
        let retention = match self.retention {
            Retention::Limits => "limits",
            Retention::WorkQueue => "workqueue",
            Retention::Interest => "interest",
        };
        set("retention", Some(retention.into()));
        set("storage", Some(self.storage.wire()));
        let discard = match self.discard {
            Discard::Old => "old",
            Discard::New => "new",
        };
        set("discard", Some(discard.into()));
        set("max_msgs", self.max_messages.map(Value::from));
        set("max_bytes", self.max_bytes.map(Value::from));
        set("max_msg_size", self.max_message_size.map(Value::from));
        set("max_age", self.max_age.map(nanos));
        set(
            "max_msgs_per_subject",
            self.max_messages_per_subject.map(Value::from),
        );
        set("duplicate_window", self.duplicate_window.map(nanos));
        set("num_replicas", self.replicas.map(Value::from));
        set("description", self.description.clone().map(Value::from));
        // History is read by batch direct get.
        set("allow_direct", Some(true.into()));
        wire
    }
}

/// What a stream holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// Messages stored.
    pub messages: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Sequence of the oldest message; 0 in a stream never used.
    pub first_seq: u64,
    /// Sequence of the newest message ever stored.
    pub last_seq: u64,
    /// Messages deleted between first and last.
    pub deleted: u64,
    /// Different subjects.
    pub subjects: u64,
    /// Consumers.
    pub consumers: u64,
    /// When it was created, RFC 3339.
    pub created: Option<String>,
}

/// What became of a stream that was to go if it was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// It was there, and was deleted.
    pub dropped: bool,
    /// The messages it still holds; 0 where there is no such stream (any more).
    pub messages: u64,
}

/// A handle on a stream. Cheap to clone; clones share what is known about it.
///
/// The stream is created on first use when it is absent, with the declared settings. A stream that
/// exists is not changed, but for its limits where [`StreamSpec::adjust`] says so. When it vanishes later it is made again and the call is repeated once.
#[derive(Clone)]
pub struct Stream {
    pub(super) resource: Arc<Resource>,
    spec: Arc<StreamSpec>,
    /// The feeds that are read now.
    pub(super) hubs: Arc<Hubs>,
}

impl Stream {
    pub(super) fn new(bus: Bus, spec: StreamSpec) -> Self {
        let label = format!("stream {}", spec.name);
        Self {
            resource: Arc::new(
                Resource::new(bus, label, spec.wire(), spec.problem()).adjusting(spec.adjust),
            ),
            spec: Arc::new(spec),
            hubs: Arc::default(),
        }
    }

    /// Why the declaration can never work, if so.
    pub fn problem(&self) -> Option<&str> {
        self.resource.problem()
    }

    /// The declaration.
    pub fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// Creates the stream if it is absent. Asks the server at most once per handle; safe to call
    /// from many tasks.
    ///
    /// # Errors
    /// [`ErrorKind::Overlap`](super::ErrorKind::Overlap) when another stream has its subjects,
    /// [`ErrorKind::InvalidConfig`](super::ErrorKind::InvalidConfig) when the server does not take
    /// the settings, [`ErrorKind::Unsupported`](super::ErrorKind::Unsupported), and those of the connection.
    pub async fn ensure(&self) -> Result<(), Error> {
        self.resource.ready("ensuring a stream").await.map(drop)
    }

    /// Whether the stream was found or made since the last [`Stream::forget`]. No I/O.
    pub fn is_ensured(&self) -> bool {
        self.resource.is_ensured()
    }

    /// Has the next use ask the server again whether the stream is there. For whoever knows that the server may have
    /// changed, as after a reconnection; calls find out by themselves.
    pub fn forget(&self) {
        self.resource.forget();
    }

    /// How the existing stream differs from the declaration, as found when it was last ensured.
    pub fn drift(&self) -> Vec<Drift> {
        self.resource.drift()
    }

    /// How the stream really is; `None` when it does not exist. Nothing is made or changed.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn look(&self) -> Result<Option<Standing>, Error> {
        self.resource.look().await
    }

    /// Stores a message: one round trip. `id` makes it idempotent within the duplicate window.
    ///
    /// # Errors
    /// [`ErrorKind::NoStream`](super::ErrorKind::NoStream) when no stream takes the subject,
    /// [`ErrorKind::WrongStream`](super::ErrorKind::WrongStream) when another one stored it,
    /// [`ErrorKind::TooLarge`](super::ErrorKind::TooLarge) and
    /// [`ErrorKind::LimitExceeded`](super::ErrorKind::LimitExceeded) when it does not fit,
    /// [`ErrorKind::Timeout`](super::ErrorKind::Timeout) when it may or may not be stored,
    /// [`ErrorKind::Permission`](super::ErrorKind::Permission), and those of the connection.
    pub async fn publish(&self, msg: Outgoing, id: Option<&str>) -> Result<Ack, Error> {
        publish::to_stream(&self.resource, msg, id).await
    }

    /// What the stream holds; `None` when it does not exist. Does not create it.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn info(&self) -> Result<Option<StreamState>, Error> {
        let what = format!("asking for the {}", self.resource.label);
        let link = self.resource.link(&what).await?;
        match api::info(&link, &what, &self.resource.name).await {
            Ok(info) => Ok(Some(StreamState {
                messages: info.state.messages,
                bytes: info.state.bytes,
                first_seq: info.state.first_seq,
                last_seq: info.state.last_seq,
                deleted: info.state.num_deleted,
                subjects: info.state.num_subjects,
                consumers: info.state.consumer_count,
                created: info.created,
            })),
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
                self.resource.forget();
                Ok(None)
            }
            Err(failure) => Err(failure.into_error(&what)),
        }
    }

    /// The subjects of the stream that fit `filter`, sorted, each with its number of messages. One round trip for up to
    /// 100,000 subjects. A vanished stream is made again (and has none).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSubject`](super::ErrorKind::InvalidSubject) for a bad filter,
    /// [`ErrorKind::LimitExceeded`](super::ErrorKind::LimitExceeded) beyond 500,000 subjects, and those of the connection
    /// and of the JetStream API.
    pub async fn subjects(&self, filter: &str) -> Result<BTreeMap<String, u64>, Error> {
        subjects::list(&self.resource, filter).await
    }

    /// Deletes the stream if it holds no messages. One that does not exist is not made. JetStream has no
    /// such request: what is stored in the moment between the look and the deletion is lost with it.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn drop_if_empty(&self) -> Result<Dropped, Error> {
        let messages = self.info().await?.map(|state| state.messages);
        let left = |dropped, messages| Ok(Dropped { dropped, messages });
        match messages {
            None => return left(false, 0),
            Some(messages @ 1..) => return left(false, messages),
            Some(0) => {}
        }
        let what = format!("deleting the {}", self.resource.label);
        let link = self.resource.link(&what).await?;
        let verb = format!("STREAM.DELETE.{}", self.resource.name);
        let deleted: Result<api::Done, _> = api::call(&link, &what, &verb, Vec::new()).await;
        self.resource.forget();
        match deleted {
            Ok(_) => left(true, 0),
            // Somebody else was faster.
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => left(false, 0),
            Err(failure) => Err(failure.into_error(&what)),
        }
    }

    /// Deletes all messages below this sequence.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn purge_before(&self, seq: u64) -> Result<(), Error> {
        let what = format!("removing old messages of the {}", self.resource.label);
        let link = self.resource.link(&what).await?;
        let verb = format!("STREAM.PURGE.{}", self.resource.name);
        let body = serde_json::json!({ "seq": seq }).to_string().into_bytes();
        let purged: Result<api::Done, _> = api::call(&link, &what, &verb, body).await;
        purged
            .map(drop)
            .map_err(|failure| failure.into_error(&what))
    }

    /// Deletes these messages; one that is not there is no error. A round trip for each, all at the same time.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API; the other messages may be gone nevertheless.
    pub async fn remove(&self, seqs: &[u64]) -> Result<(), Error> {
        let removed = seqs.iter().map(|seq| self.erase(*seq));
        for done in futures_util::future::join_all(removed).await {
            done?;
        }
        Ok(())
    }

    /// Deletes one message, and says whether it was there. One round trip; a stream that does not exist is not made.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn erase(&self, seq: u64) -> Result<bool, Error> {
        let what = format!("removing a message of the {}", self.resource.label);
        let link = self.resource.link(&what).await?;
        let verb = format!("STREAM.MSG.DELETE.{}", self.resource.name);
        let body = serde_json::json!({ "seq": seq, "no_erase": true }).to_string();
        let done = api::call::<api::Done>(&link, &what, &verb, body.into_bytes()).await;
        match done {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_no_message() || failure.code() == code::STREAM_NOT_FOUND => {
                Ok(false)
            }
            Err(failure) => Err(failure.into_error(&what)),
        }
    }

    /// Reads a page of history. `accept` sees each message once and says whether it belongs to the
    /// page; see [`ReadRequest`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSubject`](super::ErrorKind::InvalidSubject) for a bad filter, and those
    /// of the connection and of the JetStream API.
    pub async fn read(
        &self,
        request: &ReadRequest,
        accept: &mut (dyn FnMut(&Stored) -> bool + Send),
    ) -> Result<Page, Error> {
        read::page(&self.resource, request, accept).await
    }
}
