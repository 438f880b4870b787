//! Storing a message in a stream: one round trip, and a clear reason when it does not work.

use super::api;
use super::ensure::Resource;
use super::error::{Error, ErrorKind};
use super::link::Link;
use super::message::{self, Bytes, Outgoing, check_subject};
use serde::Deserialize;

/// Header with the id of a message (ADR-4, used for deduplication).
const MSG_ID: &str = "Nats-Msg-Id";

/// Proof that a message is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Stream that stored it.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// True when a message with the same id was stored before; `seq` is then that one's.
    pub duplicate: bool,
}

/// `PubAck` of the JetStream API.
#[derive(Debug, Deserialize)]
pub(super) struct WireAck {
    pub(super) stream: String,
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) duplicate: bool,
    /// An answer with an error repeats the stream, with sequence 0.
    #[serde(default)]
    pub(super) error: Option<api::ApiError>,
}

/// A message and the headers that this layer adds.
pub(super) struct Letter<'a> {
    pub(super) subject: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) extra: &'a [(&'a str, &'a str)],
    pub(super) payload: Bytes,
}

pub(super) async fn to_stream(
    resource: &Resource,
    msg: Outgoing,
    id: Option<&str>,
) -> Result<Ack, Error> {
    check_subject(&msg.subject)?;
    let id = id.map(|id| [(MSG_ID, id)]);
    let letter = Letter {
        subject: &msg.subject,
        headers: &msg.headers,
        extra: id.as_ref().map_or(&[], |id| &id[..]),
        payload: msg.payload,
    };
    stored(resource, &letter).await
}

/// Publishes with an ack; a vanished stream is made again, and the message sent once more.
pub(super) async fn stored(resource: &Resource, letter: &Letter<'_>) -> Result<Ack, Error> {
    let what = resource.storing.as_str();
    let link = resource.ready(what).await?;
    match once(&link, resource, letter).await {
        Err(error) if error.kind() == ErrorKind::NoStream => {
            let link = resource.again(what).await?;
            once(&link, resource, letter).await
        }
        done => done,
    }
}

async fn once(link: &Link, resource: &Resource, letter: &Letter<'_>) -> Result<Ack, Error> {
    let what = resource.storing.as_str();
    let headers = message::headers(letter.headers, letter.extra)?;
    let answer = link
        .request(
            what,
            letter.subject,
            headers,
            letter.payload.clone(),
            link.limit,
        )
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::NoResponders => no_stream(resource, letter.subject),
            _ => error,
        })?;
    let ack: WireAck =
        api::parse(what, &answer.payload).map_err(|failure| failure.into_error(what))?;
    if let Some(error) = ack.error {
        return Err(error.into_error(&format!("{what}, subject {}", letter.subject)));
    }
    if ack.stream != resource.name {
        // Not repeated: the message is stored, though elsewhere.
        resource.forget();
        return Err(Error::new(
            ErrorKind::WrongStream,
            format!(
                "the message on {} was meant for the {}, but the stream {} stored it as number {}",
                letter.subject, resource.label, ack.stream, ack.seq
            ),
        ));
    }
    Ok(Ack {
        stream: ack.stream,
        seq: ack.seq,
        duplicate: ack.duplicate,
    })
}

fn no_stream(resource: &Resource, subject: &str) -> Error {
    let subjects: Vec<&str> = resource.subjects().collect();
    Error::new(
        ErrorKind::NoStream,
        format!(
            "no stream takes messages on {subject}; the {} is declared for {}",
            resource.label,
            subjects.join(", ")
        ),
    )
}
