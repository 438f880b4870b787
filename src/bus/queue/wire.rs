//! Consumers, deliveries, and single messages of a stream, as the JetStream API has them.

use super::Queue;
use super::record::{Record, now};
use super::types::Lane;
use crate::bus::api::{self, Failure, code};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::events::lock;
use crate::bus::leader;
use crate::bus::link::{Link, timeout};
use crate::bus::message::{Bytes, listed};
use crate::bus::read::Stored;
use crate::bus::time::{nanos_of, rfc3339};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a patient pull waits for a message that the consumer may not have noticed yet: the ack of a publish comes
/// before the consumers are told (stack notes 4.3).
const PATIENCE: Duration = Duration::from_millis(10);
/// How long an acknowledgement may take. The server does not answer one for a message that its consumer has not delivered.
const ACK_LIMIT: Duration = Duration::from_secs(1);
/// A durable that nobody has asked for this long goes by itself.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// Consumers that are remembered; beyond that all are forgotten.
const MAX_KNOWN: usize = 10_000;

/// What is known about an existing consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer {
    pub(super) ack_wait: Duration,
    /// It stops to deliver a message after some deliveries.
    pub(super) limited: bool,
}

/// A message that a consumer handed out.
pub(super) struct Delivery {
    pub(super) stored: Stored,
    /// Time of storing, nanoseconds since 1970.
    pub(super) time: u64,
    /// Where acknowledgements go; `None`: it was read from the stream.
    pub(super) ack: Option<String>,
}

/// `$JS.API.CONSUMER.INFO` and `.CREATE`.
#[derive(Deserialize)]
struct Info {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    ack_policy: String,
    /// Nanoseconds.
    #[serde(default)]
    ack_wait: u64,
    #[serde(default)]
    max_deliver: i64,
    #[serde(default)]
    deliver_subject: Option<String>,
}

impl Queue {
    pub(super) async fn link(&self, what: &str) -> Result<Arc<Link>, Error> {
        self.0.bus.jetstream(what).await
    }

    /// What is known about the consumer of a level; it is made when it is not there. No I/O when it is known.
    pub(super) async fn consumer(&self, lane: &Lane, level: u32) -> Result<Consumer, Error> {
        let key = (lane.stream.spec().name.clone(), lane.consumer_at(level));
        if let Some(consumer) = lock(&self.0.consumers).get(&key) {
            return Ok(*consumer);
        }
        let (stream, name) = &key;
        check_name(name)?;
        lane.stream.ensure().await?;
        // What exists is known now.
        self.check(std::slice::from_ref(lane))?;
        let what = format!("preparing the consumer {name} of the stream {stream}");
        let link = self.link(&what).await?;
        let info = match find(&link, &what, stream, name).await? {
            Some(info) => info,
            None => match create(&link, &what, lane, level).await {
                Ok(info) => info,
                // Made by somebody else meanwhile, in another way.
                Err(failure) if failure.code() == code::CONSUMER_EXISTS => {
                    find(&link, &what, stream, name)
                        .await?
                        .ok_or_else(|| failure.into_error(&what))?
                }
                Err(failure) => {
                    if failure.code() == code::STREAM_NOT_FOUND {
                        lane.stream.forget();
                    }
                    return Err(failure.into_error(&what));
                }
            },
        };
        let consumer = usable(&what, &info.config)?;
        let mut known = lock(&self.0.consumers);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, consumer);
        Ok(consumer)
    }

    fn forget(&self, lane: &Lane, level: u32) {
        let key = (lane.stream.spec().name.clone(), lane.consumer_at(level));
        lock(&self.0.consumers).remove(&key);
        lane.stream.forget();
    }

    /// Asks the consumer of a level for one message: one round trip. `patient` waits a moment for one.
    pub(super) async fn pull(
        &self,
        lane: &Lane,
        level: u32,
        patient: bool,
    ) -> Result<Option<Delivery>, Error> {
        let name = lane.consumer_at(level);
        let what = format!(
            "claiming from {} by the consumer {name}",
            lane.subject_at(level)?
        );
        self.consumer(lane, level).await?;
        let link = self.link(&what).await?;
        match next(&link, &what, &lane.stream.spec().name, &name, patient).await {
            Err(error) if error.kind() == ErrorKind::NoResponders => {
                // Consumer or stream is gone: both are made again.
                self.forget(lane, level);
                self.consumer(lane, level).await?;
                next(&link, &what, &lane.stream.spec().name, &name, patient).await
            }
            done => done,
        }
    }

    /// Answers a delivery: `+ACK`, `+WPI`, `-NAK {…}`; true when the server has taken it.
    pub(super) async fn answer(&self, ack: &str, body: String) -> bool {
        let what = "acknowledging a delivery";
        let sent = async {
            let link = self.link(what).await?;
            let limit = link.limit.min(ACK_LIMIT);
            link.request(what, ack, None, Bytes::from(body), limit)
                .await
        };
        match sent.await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, subject = ack, "a delivery could not be answered");
                false
            }
        }
    }

    /// Has a delivery come back after `delay`.
    pub(super) async fn nak(&self, ack: Option<&str>, delay: Duration) {
        let Some(ack) = ack else { return };
        // With a delay, even of 0, the server waits for its timer (at least 10 ms), and a lower level would be served before.
        let body = match u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX) {
            0 => "-NAK".to_owned(),
            delay => format!("-NAK {{\"delay\":{delay}}}"),
        };
        self.answer(ack, body).await;
    }

    /// The message of a record, if it is still in its stream: one round trip.
    pub(super) async fn message(&self, record: &Record) -> Result<Option<Stored>, Error> {
        let found = self.get(&record.stream, record.seq).await?;
        Ok(found.filter(|stored| nanos_of(&stored.time) == Some(record.time)))
    }

    /// A message of a stream, asked from the leader.
    pub(super) async fn get(&self, stream: &str, seq: u64) -> Result<Option<Stored>, Error> {
        let what = format!("reading message {seq} of the stream {stream}");
        let link = self.link(&what).await?;
        match leader::get(&link, &what, stream, &json!({ "seq": seq })).await {
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => Ok(None),
            found => found.map_err(|failure| failure.into_error(&what)),
        }
    }

    /// Takes the message of a record out of its stream, if it is there: by its delivery, else by its number.
    pub(super) async fn take_out(&self, record: &Record, ack: Option<&str>) -> Result<(), Error> {
        if let Some(ack) = ack
            && self.answer(ack, "+ACK".to_owned()).await
        {
            return Ok(());
        }
        if self.message(record).await?.is_some() {
            self.delete(&record.stream, record.seq).await?;
        }
        Ok(())
    }

    /// Deletes a message; false when it was not there.
    pub(super) async fn delete(&self, stream: &str, seq: u64) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Done {
            success: bool,
        }
        let what = format!("deleting message {seq} of the stream {stream}");
        let link = self.link(&what).await?;
        let body = json!({ "seq": seq, "no_erase": true }).to_string();
        let verb = format!("STREAM.MSG.DELETE.{stream}");
        match api::call::<Done>(&link, &what, &verb, body.into_bytes()).await {
            Ok(done) => Ok(done.success),
            Err(failure)
                if matches!(failure.code(), code::NO_SEQUENCE | code::STREAM_NOT_FOUND) =>
            {
                Ok(false)
            }
            Err(failure) => match self.get(stream, seq).await? {
                Some(_) => Err(failure.into_error(&what)),
                None => Ok(false),
            },
        }
    }
}

/// Names of consumers are part of subjects and of file names (nats-server `checkConsumerCfg`).
fn check_name(name: &str) -> Result<(), Error> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "the consumer name {name:?} must have 1 to 255 characters, without blanks and . * > / \\"
            ),
        ));
    }
    Ok(())
}

async fn find(link: &Link, what: &str, stream: &str, name: &str) -> Result<Option<Info>, Error> {
    let verb = format!("CONSUMER.INFO.{stream}.{name}");
    match api::call::<Info>(link, what, &verb, Vec::new()).await {
        Ok(info) => Ok(Some(info)),
        Err(failure) if failure.code() == code::CONSUMER_NOT_FOUND => Ok(None),
        Err(failure) => Err(failure.into_error(what)),
    }
}

async fn create(link: &Link, what: &str, lane: &Lane, level: u32) -> Result<Info, Failure> {
    let (stream, name) = (&lane.stream.spec().name, lane.consumer_at(level));
    let subject = lane.subject_at(level).map_err(Failure::Failed)?;
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let body = json!({
        "stream_name": stream,
        // Never changes a consumer that is there.
        "action": "create",
        "config": {
            "durable_name": name,
            "ack_policy": "explicit",
            "ack_wait": nanos(lane.lease),
            "deliver_policy": "all",
            "filter_subject": subject,
            "inactive_threshold": nanos(IDLE.max(lane.lease * 2)),
            "max_ack_pending": -1,
            "max_deliver": -1,
            "replay_policy": "instant",
        },
    });
    let verb = format!("CONSUMER.CREATE.{stream}.{name}.{subject}");
    api::call(link, what, &verb, body.to_string().into_bytes()).await
}

fn usable(what: &str, config: &Config) -> Result<Consumer, Error> {
    if config.ack_policy != "explicit" || config.deliver_subject.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("{what}: it exists, but not as a pull consumer with explicit acknowledgements"),
        ));
    }
    Ok(Consumer {
        ack_wait: Duration::from_nanos(config.ack_wait),
        limited: config.max_deliver > 0,
    })
}

fn nothing_there(what: &str) -> Error {
    Error::new(
        ErrorKind::NoResponders,
        format!("{what}: it does not exist"),
    )
}

/// As [`Resource::missing`](crate::bus::ensure::Resource::missing), of a consumer.
async fn missing(link: &Link, what: &str, stream: &str, name: &str) {
    tokio::time::sleep(link.limit / 8).await;
    let verb = format!("CONSUMER.INFO.{stream}.{name}");
    let found = api::call::<Info>(link, what, &verb, Vec::new()).await;
    let gone = [code::STREAM_NOT_FOUND, code::CONSUMER_NOT_FOUND];
    if !found.is_err_and(|failure| gone.contains(&failure.code())) {
        std::future::pending().await
    }
}

/// One pull of one message. It comes with the subject that it was stored with, so it needs an inbox of its own.
async fn next(
    link: &Link,
    what: &str,
    stream: &str,
    name: &str,
    patient: bool,
) -> Result<Option<Delivery>, Error> {
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
    let body: Value = match patient {
        true => json!({ "batch": 1, "expires": u64::try_from(PATIENCE.as_nanos()).unwrap_or(1) }),
        false => json!({ "batch": 1, "no_wait": true }),
    };
    let inbox = link.client.new_inbox();
    let mut vigil = link.health.vigil();
    let mut answers = link.subscribe(what, &inbox).await?;
    link.send(
        subject.clone(),
        Some(inbox),
        None,
        Bytes::from(body.to_string()),
    )
    .await
    .map_err(|error| link.publish_error(what, &subject, 0, error))?;
    let message = tokio::select! {
        message = answers.next() => message.ok_or_else(|| link.broken(what))?,
        error = vigil.trouble(what, &subject) => return Err(error),
        () = missing(link, what, stream, name) => return Err(nothing_there(what)),
        () = tokio::time::sleep(link.limit) => {
            return Err(vigil.found(what, &subject).unwrap_or_else(|| timeout(what, link.limit)));
        }
    };
    match message.status.map(|status| status.as_u16()) {
        None => delivered(what, message).map(Some),
        // Nothing there; the time is over; the consumer was deleted or moved: the next call finds out.
        Some(404 | 408 | 409) => Ok(None),
        Some(503) => Err(nothing_there(what)),
        Some(other) => Err(Error::new(
            ErrorKind::Protocol,
            format!("{what}: the pull was answered with status {other}"),
        )),
    }
}

fn delivered(what: &str, message: async_nats::Message) -> Result<Delivery, Error> {
    let ack = message.reply.as_deref().unwrap_or_default();
    let (seq, time) = position(ack).ok_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            format!("{what}: the reply subject {ack:?} of a delivery is not understood"),
        )
    })?;
    Ok(Delivery {
        time,
        ack: Some(ack.to_owned()),
        stored: Stored {
            seq,
            time: rfc3339(SystemTime::UNIX_EPOCH + Duration::from_nanos(time)),
            subject: message.subject.to_string(),
            headers: listed(message.headers.as_ref(), |_| true),
            payload: message.payload,
        },
    })
}

/// Sequence and time of a delivery: `$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<n>.<time>.<pending>`, or with domain
/// and account before the stream (ADR-15).
fn position(ack: &str) -> Option<(u64, u64)> {
    let tokens: Vec<&str> = ack.split('.').collect();
    let skip = if tokens.len() >= 11 { 2 } else { 0 };
    let number = |index: usize| tokens.get(index + skip)?.parse().ok();
    (tokens.len() >= 9 && ack.starts_with("$JS.ACK.")).then_some(())?;
    Some((number(5)?, number(7)?))
}

/// Whether a time has passed.
pub(super) fn is_over(text: &str) -> bool {
    nanos_of(text).is_some_and(|time| time <= now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_tells_where_it_comes_from() {
        let time = 1_795_242_101_471_691_827;
        assert_eq!(
            position("$JS.ACK.S.W.2.17.3.1795242101471691827.0"),
            Some((17, time))
        );
        assert_eq!(
            position("$JS.ACK.hub.A1b2.S.W.2.17.3.1795242101471691827.0.x"),
            Some((17, time))
        );
        for odd in [
            "",
            "x",
            "$JS.ACK.S.W.2.17.3",
            "_INBOX.S.W.2.17.3.1.1.0",
            "$JS.ACK.S.W.2.x.3.1.0",
        ] {
            assert_eq!(position(odd), None, "{odd}");
        }
    }
}
