//! The newest messages of a subject, alone and many at the same time, beside one batch made by hand.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use jacquard::engine::Session;
use jacquard::gateway::Gateway;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::bed::Bed;
use super::calls::payload;
use super::history::batch;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Messages of the subject, and as many of another before them.
const STORED: u64 = 10_000;
/// Publishes in flight while the stream is filled.
const IN_FLIGHT: usize = 1_000;
/// Reads that are counted out before the first that counts.
const WARM_UP: usize = 10;
const PACK: &str = include_str!("latest.yaml");

async fn fill(raw: &async_nats::jetstream::Context) -> Fallible<()> {
    let payload = payload();
    for subject in ["lately.other", "lately.mine"] {
        let mut left = STORED;
        while left > 0 {
            let mut acks = Vec::new();
            for _ in 0..left.min(IN_FLIGHT as u64) {
                acks.push(raw.publish(subject, payload.clone()).await?);
            }
            left -= acks.len() as u64;
            for ack in acks {
                ack.await?;
            }
        }
    }
    Ok(())
}

async fn raw_latest(client: &async_nats::Client, limit: u64) -> Fallible<Duration> {
    let begin = Instant::now();
    let from = 2 * STORED - limit + 1;
    let body = json!({"seq": from, "next_by_subj": "lately.mine", "batch": limit});
    match batch(client, "bench_lately", &body).await? {
        count if count == limit => Ok(begin.elapsed()),
        count => Err(format!("{count} messages came, not {limit}").into()),
    }
}

async fn own_latest(gateway: &Gateway, session: &Session, limit: u64) -> Fallible<Duration> {
    let begin = Instant::now();
    let arguments = json!({ "limit": limit }).as_object().cloned();
    let cancel = CancellationToken::new();
    let reply = gateway.call(session, "latest", arguments, &cancel).await?;
    let took = begin.elapsed();
    if reply.is_error || !reply.text.starts_with(&format!("{limit} of ")) {
        return Err(reply.text.into());
    }
    Ok(took)
}

/// Reads in turns: by hand and through a gateway in this process.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let (raw, jetstream) = (bed.raw()?, bed.jetstream()?);
    let gateway = bed.gateway_with(PACK)?;
    let session = Session::new();
    let stream = jacquard::bus::StreamSpec {
        name: "bench_lately".into(),
        subjects: vec!["lately.>".into()],
        ..Default::default()
    };
    bed.runtime.block_on(async {
        gateway.nats().bus().stream(stream).ensure().await?;
        fill(&jetstream).await
    })?;
    for (limit, parallel) in [(1, 1), (50, 1), (1, 32), (50, 32)] {
        let (mut floor, mut own) = (Samples::default(), Samples::default());
        for round in 0..scale.pages + WARM_UP {
            let by_hand = (0..parallel).map(|_| raw_latest(&raw, limit));
            let by_hand = bed.runtime.block_on(try_join_all(by_hand))?;
            let ours = (0..parallel).map(|_| own_latest(&gateway, &session, limit));
            let ours = bed.runtime.block_on(try_join_all(ours))?;
            if round >= WARM_UP {
                by_hand.into_iter().for_each(|took| floor.push(took));
                ours.into_iter().for_each(|took| own.push(took));
            }
        }
        let what = format!("newest {limit} of {STORED} on a subject, {parallel} at a time");
        table.times(&format!("raw batch, {what}"), &floor);
        table.beside(&format!("**`read`, {what}**"), &own, &floor);
    }
    bed.runtime.block_on(gateway.close());
    Ok(())
}
