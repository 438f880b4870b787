//! Reading single messages from the leader of a stream (`$JS.API.STREAM.MSG.GET`), for streams that other programs made
//! without `allow_direct` and that cannot be read by a consumer (`pull.rs`): exact for every kind of retention.

use super::api::{self, Failure, code};
use super::direct::Batch;
use super::error::{Error, ErrorKind};
use super::link::Link;
use super::message::Bytes;
use super::read::Stored;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

/// Requests in flight at most.
const IN_FLIGHT: usize = 32;

#[derive(Deserialize)]
struct Answer {
    message: WireMessage,
}

/// `StoredMsg` of the JetStream API; `data` and `hdrs` are base64.
#[derive(Deserialize)]
struct WireMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
    #[serde(default)]
    hdrs: String,
    time: String,
}

/// The message that `body` asks for; `None` when there is none.
pub(super) async fn get(
    link: &Link,
    what: &str,
    stream: &str,
    body: &Value,
) -> Result<Option<Stored>, Failure> {
    let verb = format!("STREAM.MSG.GET.{stream}");
    match api::call::<Answer>(link, what, &verb, body.to_string().into_bytes()).await {
        Ok(answer) => read(what, answer.message)
            .map(Some)
            .map_err(Failure::Failed),
        Err(failure) if failure.code() == code::NO_MESSAGE => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The first message on `filter` with a sequence of at least `from`.
pub(super) async fn next(
    link: &Link,
    what: &str,
    stream: &str,
    filter: &str,
    from: u64,
) -> Result<Option<Stored>, Error> {
    let body = json!({ "seq": from, "next_by_subj": filter });
    get(link, what, stream, &body)
        .await
        .map_err(|failure| failure.into_error(what))
}

/// The first `most` messages on `filter` with `low <= seq < high`. The range is cut into parts
/// that are walked at the same time, message by message.
pub(super) async fn batch(
    link: &Link,
    what: &str,
    stream_name: &str,
    filter: &str,
    range: std::ops::Range<u64>,
    most: usize,
) -> Result<Batch, Error> {
    let span = range.end.saturating_sub(range.start);
    let parts = span.min(IN_FLIGHT as u64).max(1);
    let step = span.div_ceil(parts).max(1);
    let walks = (0..parts).map(|part| {
        let low = range.start.saturating_add(part.saturating_mul(step));
        let high = low.saturating_add(step).min(range.end);
        walk(link, what, stream_name, filter, low..high, most)
    });
    let found: Vec<Batch> = stream::iter(walks)
        .buffered(IN_FLIGHT)
        .try_collect()
        .await?;
    let mut all = Batch {
        complete: true,
        ..Batch::default()
    };
    for part in found {
        all.messages.extend(part.messages);
        if !part.complete {
            all.complete = false;
            break;
        }
    }
    if all.messages.len() > most {
        all.messages.truncate(most);
        all.complete = false;
    }
    Ok(all)
}

async fn walk(
    link: &Link,
    what: &str,
    stream: &str,
    filter: &str,
    range: std::ops::Range<u64>,
    most: usize,
) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    let mut from = range.start;
    while from < range.end {
        if batch.messages.len() >= most {
            return Ok(batch);
        }
        match next(link, what, stream, filter, from).await? {
            Some(stored) if stored.seq < range.end => {
                from = stored.seq.saturating_add(1);
                batch.messages.push(stored);
            }
            _ => break,
        }
    }
    batch.complete = true;
    Ok(batch)
}

fn read(what: &str, message: WireMessage) -> Result<Stored, Error> {
    let decode = |text: &str| {
        STANDARD.decode(text).map_err(|error| {
            Error::new(
                ErrorKind::Protocol,
                format!("{what}: a stored message is not base64"),
            )
            .caused_by(error)
        })
    };
    let headers = String::from_utf8_lossy(&decode(&message.hdrs)?).into_owned();
    let mut list: Vec<(String, String)> = headers
        .split("\r\n")
        .skip(1) // NATS/1.0
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    list.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Stored {
        seq: message.seq,
        time: message.time,
        subject: message.subject,
        headers: list,
        payload: Bytes::from(decode(&message.data)?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_message_is_read() {
        let stored = read(
            "t",
            WireMessage {
                subject: "a".into(),
                seq: 7,
                data: STANDARD.encode("body"),
                hdrs: STANDARD.encode("NATS/1.0\r\nB: 2\r\nA: x: y\r\n\r\n"),
                time: "t".into(),
            },
        )
        .unwrap();
        assert_eq!(stored.payload, "body");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(stored.headers, [pair("A", "x: y"), pair("B", "2")]);
    }
}
