//! The ordered consumer below a feed: ephemeral, in memory, pushed with flow control and heartbeats, made anew whenever
//! something is missing.

use super::filters::Filters;
use crate::bus::api::{self, Failure};
use crate::bus::ensure::nanos;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::link::Link;
use crate::bus::message::Bytes;
use crate::bus::place::Place;
use crate::bus::read::Stored;
use async_nats::Subscriber;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How often the server says that nothing came.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// A consumer that was asked for. It is deleted by [`Consumer::delete`], else by the server, once nobody listens.
#[derive(Clone)]
pub(super) struct Consumer {
    link: Arc<Link>,
    stream: String,
    name: String,
    inbox: String,
}

/// Any answer that is no error.
#[derive(Deserialize)]
struct Made {
    #[serde(rename = "stream_name")]
    _stream: String,
}

impl Consumer {
    /// A new name; nothing is made yet.
    pub(super) fn new(link: &Arc<Link>, stream: &str) -> Self {
        let inbox = link.client.new_inbox();
        let name = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        Self {
            link: Arc::clone(link),
            stream: stream.to_owned(),
            name,
            inbox,
        }
    }

    /// Makes it: it gives what is stored from `first` on.
    pub(super) async fn make(
        &self,
        what: &str,
        filters: &Filters,
        first: u64,
    ) -> Result<Flow, Failure> {
        let messages = self.link.subscribe(what, &self.inbox).await;
        let messages = messages.map_err(Failure::Failed)?;
        let mut config = json!({
            "name": self.name,
            "deliver_subject": self.inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": first,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": nanos(HEARTBEAT),
            "mem_storage": true,
            "num_replicas": 1,
        });
        match filters.for_consumer() {
            [] => {}
            [one] => config["filter_subject"] = one.clone().into(),
            several => config["filter_subjects"] = several.into(),
        }
        let verb = format!("CONSUMER.CREATE.{}.{}", self.stream, self.name);
        let body = json!({ "stream_name": self.stream, "action": "create", "config": config });
        let _made: Made = api::call(&self.link, what, &verb, body.to_string().into()).await?;
        Ok(Flow {
            messages,
            link: Arc::clone(&self.link),
            last: 0,
        })
    }

    /// Whether it was made on this connection.
    pub(super) fn is_of(&self, link: &Arc<Link>) -> bool {
        Arc::ptr_eq(&self.link, link)
    }

    /// Deletes it, if the server has it still.
    pub(super) async fn delete(&self) {
        let verb = format!("CONSUMER.DELETE.{}.{}", self.stream, self.name);
        let what = "deleting the consumer of a feed";
        let deleted = api::call::<api::Done>(&self.link, what, &verb, Vec::new()).await;
        if let Err(Failure::Failed(error)) = deleted {
            tracing::debug!(%error, "the server deletes it by itself");
        }
    }
}

/// What a consumer sends.
pub(super) struct Flow {
    messages: Subscriber,
    link: Arc<Link>,
    /// Its number of the last message that came.
    last: u64,
}

/// One thing that a consumer said.
pub(super) enum Said {
    Message {
        stored: Stored,
        /// Messages that are stored already and follow.
        pending: u64,
    },
    /// Nothing follows at this moment.
    Idle,
    /// It asks whether this still follows (flow control): [`Flow::answer`] tells it, what was sent before has been taken.
    Asks(String),
    /// Something is missing; a new consumer is needed.
    Gap,
}

impl Flow {
    /// What comes next; `None`: the client ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Said> {
        let message = self.messages.next().await?;
        Some(match message.status.map(|status| status.as_u16()) {
            None => self.message(message),
            Some(100) => self.word(&message),
            Some(_) => Said::Gap,
        })
    }

    fn message(&mut self, message: async_nats::Message) -> Said {
        let Some(place) = message.reply.as_deref().and_then(Place::read) else {
            return Said::Gap;
        };
        if place.consumer_seq != self.last + 1 {
            return Said::Gap;
        }
        self.last = place.consumer_seq;
        Said::Message {
            stored: place.stored(&message),
            pending: place.pending,
        }
    }

    /// A heartbeat, or a question.
    fn word(&self, message: &async_nats::Message) -> Said {
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            headers.get_last(name).map(|value| value.as_str())
        };
        let asked = message.reply.as_deref();
        if let Some(reply) = asked.or_else(|| header("Nats-Consumer-Stalled")) {
            return Said::Asks(reply.to_owned());
        }
        match header("Nats-Last-Consumer").and_then(|number| number.parse::<u64>().ok()) {
            Some(last) if last != self.last => Said::Gap,
            _ => Said::Idle,
        }
    }

    /// Answers what [`Said::Asks`].
    pub(super) async fn answer(&self, subject: String) {
        let sent = self.link.send(subject, None, None, Bytes::new()).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "an answer to flow control was not sent");
        }
    }
}

/// An error of the kind that a feed waits out by itself.
pub(super) fn passes(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Disconnected
            | ErrorKind::Unauthorized
            | ErrorKind::Timeout
            | ErrorKind::Busy
            | ErrorKind::NoStream
            | ErrorKind::NoResponders
    )
}

/// The same error, for somebody else.
pub(super) fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.context())
}
