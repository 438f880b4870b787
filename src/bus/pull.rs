//! Reading a part of a stream by a consumer of its own: three requests for many messages, of which two are waited for.
//!
//! For streams that other programs made without `allow_direct`. The consumer is deleted at once; the server does it when
//! nobody else can.

use super::api::{self, Failure, code};
use super::direct::{BATCH_BYTES, Batch};
use super::ensure::nanos;
use super::error::{Error, ErrorKind};
use super::leader;
use super::link::{Link, timeout};
use super::message::Bytes;
use super::place::Place;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use std::ops::Range;
use std::time::Duration;

/// How long the server keeps a consumer that nobody deleted.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Made {
    /// Messages that it has to give.
    num_pending: u64,
}

/// One consumer.
struct Pull<'a> {
    link: &'a Link,
    what: &'a str,
    stream: &'a str,
    inbox: String,
}

/// The first `most` messages on `filter` with a sequence in `range`. `None`: the server does not let this stream be read so.
pub(super) async fn batch(
    link: &Link,
    what: &str,
    stream: &str,
    filter: &str,
    range: Range<u64>,
    most: usize,
) -> Result<Option<Batch>, Error> {
    let inbox = link.client.new_inbox();
    let pull = Pull {
        link,
        what,
        stream,
        inbox,
    };
    let pending = match pull.make(filter, range.start).await {
        Ok(made) => made.num_pending,
        Err(failure) => return refused(failure, what),
    };
    let given = match pending {
        0 => Ok(Batch {
            complete: true,
            ..Batch::default()
        }),
        _ => pull.take(range.end, most).await,
    };
    pull.delete().await;
    let batch = given?;
    if !batch.messages.is_empty() || batch.complete {
        return Ok(Some(batch));
    }
    // It is larger than what is asked for at once, or was deleted meanwhile.
    let next = leader::next(link, what, stream, filter, range.start).await?;
    let next = next.filter(|stored| stored.seq < range.end);
    Ok(Some(Batch {
        complete: next.is_none(),
        messages: next.into_iter().collect(),
        pending: Some(pending.saturating_sub(1)),
    }))
}

/// What a failure to make a consumer says of other ways to read the stream.
fn refused(failure: Failure, what: &str) -> Result<Option<Batch>, Error> {
    let vanished = failure.code() == code::STREAM_NOT_FOUND;
    let told = matches!(failure, Failure::Refused(_));
    let error = failure.into_error(what);
    match error.kind() {
        ErrorKind::Permission => Ok(None),
        ErrorKind::Busy => Err(error),
        _ if told && !vanished => Ok(None),
        _ => Err(error),
    }
}

impl Pull<'_> {
    fn name(&self) -> &str {
        self.inbox.rsplit('.').next().unwrap_or_default()
    }

    async fn make(&self, filter: &str, from: u64) -> Result<Made, Failure> {
        let (stream, name) = (self.stream, self.name());
        let mut config = json!({
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": from.max(1),
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": nanos(IDLE),
            "mem_storage": true,
            "num_replicas": 1,
        });
        if filter != ">" {
            config["filter_subject"] = filter.into();
        }
        let verb = format!("CONSUMER.CREATE.{stream}.{name}");
        let body = json!({ "stream_name": stream, "action": "create", "config": config });
        api::call(self.link, self.what, &verb, body.to_string().into()).await
    }

    /// Takes the first `most` messages below `end`.
    async fn take(&self, end: u64, most: usize) -> Result<Batch, Error> {
        let Self { link, what, .. } = *self;
        let mut vigil = link.health.vigil();
        let mut answers = link.subscribe(what, &self.inbox).await?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name());
        let body = json!({ "batch": most, "no_wait": true, "max_bytes": BATCH_BYTES }).to_string();
        link.send(subject.clone(), Some(self.inbox.clone()), None, body.into())
            .await
            .map_err(|error| link.publish_error(what, &subject, 0, error))?;
        let mut batch = Batch::default();
        while batch.messages.len() < most {
            let message = tokio::select! {
                message = answers.next() => message.ok_or_else(|| link.broken(what)),
                error = vigil.trouble(what, &subject) => Err(error),
                () = tokio::time::sleep(link.limit) => Err(timeout(what, link.limit)),
            }?;
            // All that there is, or as much as fits, was given; or one is missing, and the rest is asked for again.
            let number = batch.messages.len() as u64 + 1;
            let place = message.reply.as_deref().and_then(Place::read);
            let Some(place) = place.filter(|place| place.consumer_seq == number) else {
                return Ok(batch);
            };
            if place.seq >= end {
                batch.complete = true;
                return Ok(batch);
            }
            batch.messages.push(place.stored(&message));
            batch.pending = Some(place.pending);
            batch.complete = place.pending == 0 || place.seq.saturating_add(1) == end;
            if batch.complete {
                break;
            }
        }
        Ok(batch)
    }

    async fn delete(&self) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.name());
        // Nobody waits for the answer.
        let reply = Some(self.link.client.new_inbox());
        let sent = self.link.send(subject, reply, None, Bytes::new()).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "the server deletes the consumer by itself");
        }
    }
}
