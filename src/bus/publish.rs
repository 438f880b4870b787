//! Storing a message in a stream: one round trip, and a clear reason when it does not work.

use super::api;
use super::ensure::Resource;
use super::error::{Error, ErrorKind};
use super::link::Link;
use super::message::{self, Bytes, Outgoing, check_subject};
use serde::Deserialize;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

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

/// Publishes with an ack; a vanished stream is made again, and the message sent once more. A busy server is asked again
/// until the limit of a request is over: it has answered that nothing was done, so that nothing is stored twice.
pub(super) async fn stored(resource: &Resource, letter: &Letter<'_>) -> Result<Ack, Error> {
    let limit = resource.bus.request_timeout();
    let begin = Instant::now();
    let mut tries = 0;
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        let busy = match attempt(resource, letter, left).await {
            Err(error) if error.kind() == ErrorKind::Busy => error,
            done => return done,
        };
        let pause = pause(tries);
        tries += 1;
        if begin.elapsed() + pause >= limit {
            return Err(busy.tried(tries));
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long to leave a busy server alone: 10 ms doubled each time up to 320 ms, half of it by chance, so that clients which
/// were refused together do not come back together.
fn pause(tries: u32) -> Duration {
    let most = 10_000 << tries.min(5);
    let chance = RandomState::new().hash_one(tries) % (most / 2);
    Duration::from_micros(most - chance)
}

async fn attempt(resource: &Resource, letter: &Letter<'_>, limit: Duration) -> Result<Ack, Error> {
    let what = resource.storing.as_str();
    let link = resource.ready(what).await?;
    match once(&link, resource, letter, limit).await {
        Err(error) if error.kind() == ErrorKind::NoStream => {
            let link = resource.again(what).await?;
            once(&link, resource, letter, limit).await
        }
        done => done,
    }
}

async fn once(
    link: &Link,
    resource: &Resource,
    letter: &Letter<'_>,
    limit: Duration,
) -> Result<Ack, Error> {
    let what = resource.storing.as_str();
    let headers = message::headers(letter.headers, letter.extra)?;
    let answer = tokio::select! {
        answer = link.request(what, letter.subject, headers, letter.payload.clone(), limit) => {
            answer.map_err(|error| match error.kind() {
                ErrorKind::NoResponders => no_stream(resource, letter.subject),
                _ => error,
            })?
        }
        // The message came before the question: it is not stored, and may be sent again.
        () = resource.missing(link, what, false) => {
            return Err(no_stream(resource, letter.subject));
        }
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        for (tries, most) in [(0, 10), (1, 20), (5, 320), (99, 320)] {
            let pause = pause(tries);
            assert!(pause <= Duration::from_millis(most), "{tries}: {pause:?}");
            assert!(
                pause >= Duration::from_millis(most / 2),
                "{tries}: {pause:?}"
            );
        }
    }
}
