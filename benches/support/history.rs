//! A page of a long channel beside the same two requests made by hand.

use std::time::Instant;

use async_nats::jetstream;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::bed::{Bed, NAMESPACE};
use super::calls::{payload, ready, subject};
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Messages of a page.
const PAGE: u64 = 50;
/// Publishes in flight while the channel is filled.
const IN_FLIGHT: u64 = 1_000;

async fn fill(client: &async_nats::Client, count: u64) -> Fallible<()> {
    let raw = jetstream::new(client.clone());
    let payload = payload();
    let mut sent = 0;
    while sent < count {
        let mut acks = Vec::new();
        for _ in 0..IN_FLIGHT.min(count - sent) {
            acks.push(raw.publish(subject("history"), payload.clone()).await?);
        }
        sent += acks.len() as u64;
        for ack in acks {
            ack.await?;
        }
    }
    Ok(())
}

/// Asks what there is and takes the newest page in one batch; gives its size.
async fn raw_page(client: &async_nats::Client) -> Fallible<u64> {
    let stream = format!("{NAMESPACE}_HISTORY");
    let info = client
        .request(format!("$JS.API.STREAM.INFO.{stream}"), "".into())
        .await?;
    let info: Value = serde_json::from_slice(&info.payload)?;
    let last = info
        .pointer("/state/last_seq")
        .and_then(Value::as_u64)
        .ok_or("the stream's info has no last sequence")?;
    let body = json!({"seq": last - PAGE + 1, "next_by_subj": ">", "batch": PAGE});
    batch(client, &stream, &body).await
}

/// One batch of messages by direct get; gives how many came.
pub async fn batch(client: &async_nats::Client, stream: &str, body: &Value) -> Fallible<u64> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    client
        .publish_with_reply(subject, inbox, body.to_string().into())
        .await?;
    let mut count = 0;
    while let Some(message) = answers.next().await {
        if message.status.is_some() {
            return Ok(count);
        }
        count += 1;
    }
    Err("the connection ended".into())
}

/// Pages of a full channel, raw and over stdio, in turns.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let raw = bed.raw()?;
    let mut client = ready(bed)?;
    bed.runtime.block_on(fill(&raw, scale.stored))?;
    let arguments = json!({"channel": "history", "limit": PAGE});
    let (mut floor, mut own) = (Samples::default(), Samples::default());
    for round in 0..scale.pages + 10 {
        let begin = Instant::now();
        let count = bed.runtime.block_on(raw_page(&raw))?;
        let took = begin.elapsed();
        let request = client.call("warp_channels_read", &arguments);
        let begin = Instant::now();
        client.ask(&request)?;
        let ours = begin.elapsed();
        let page = client.checked()?;
        if count != PAGE || page.pointer("/structuredContent/count") != Some(&json!(PAGE)) {
            return Err(format!("a page has {count} messages raw, and over stdio: {page}").into());
        }
        // The first ones warm caches up.
        if round >= 10 {
            floor.push(took);
            own.push(ours);
        }
    }
    let of = scale.stored;
    table.times(&format!("raw page of {PAGE} of {of}"), &floor);
    let name = format!("**`warp_channels_read` of {PAGE} of {of} over stdio**");
    table.beside(&name, &own, &floor);
    client.close()
}
