//! Work queues over standard input and output: looking at a queue and at the dead letters, claiming and completing.

use std::time::{Duration, Instant};

use async_nats::jetstream::{AckKind, Context, consumer};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::agents::{fill, registered, text, timed};
use super::bed::Bed;
use super::client::Client;
use super::history::batch;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Sequences before the first item whose messages are gone.
const GONE: usize = 5_000;
/// Items and dead letters that are listed.
const LISTED: u64 = 20;
/// Sessions that claim at the same time.
const SESSIONS: usize = 4;
/// Rounds before the first that counts.
const WARM_UP: usize = 10;

/// An item as `warp_work_broadcast` stores it.
fn item(index: usize, capability: &str, subject: &str) -> (String, Value) {
    let id = format!("{index:08x}-3c1d-4a5b-8e6f-{index:012x}");
    let item = json!({
        "id": id, "taskId": format!("T-{index}"), "capability": capability, "description": "d".repeat(200), "priority": 5,
        "offeredBy": id, "offeredAt": jacquard::spec::env::now(), "attempts": 0, "scope": "public",
    });
    (subject.to_owned(), item)
}

/// Leaves one message, and as many sequences without one behind it.
async fn leave_a_gap(raw: &Context, stream: &str, first: &str, gone: &str) -> Fallible<()> {
    fill(raw, vec![(first.to_owned(), json!({}))]).await?;
    let gap = (0..GONE).map(|_| (gone.to_owned(), json!({}))).collect();
    fill(raw, gap).await?;
    let stream = raw.get_stream(stream).await?;
    stream.purge().filter(gone).await?;
    Ok(())
}

/// Makes the streams, then gaps, then items behind them.
fn prepare(bed: &Bed, client: &mut Client, raw: &Context) -> Fallible<()> {
    let offer =
        json!({"taskId": "T", "description": "d".repeat(200), "requiredCapability": "listed"});
    let claim = json!({"capability": "listed"});
    let bury = |client: &mut Client| {
        client.run("warp_work_broadcast", &offer)?;
        let claim = client.run("warp_work_claim", &claim)?;
        let token = claim.pointer("/structuredContent/token");
        let fail = json!({"token": token, "reason": "it broke", "recoverable": false});
        client.run("warp_work_fail", &fail)
    };
    let dead = bury(client)?;
    let id = dead.pointer("/structuredContent/id");
    client.run("warp_dlq_discard", &json!({"itemId": id}))?;
    let gaps = async {
        leave_a_gap(
            raw,
            "GLOBAL_WORK",
            "global.work.kept.public.p5",
            "global.work.listed.public.p5",
        )
        .await?;
        let dead = "global.workqueue.deadletter";
        let (kept, gone) = (format!("{dead}.kept.a"), format!("{dead}.listed.a"));
        leave_a_gap(raw, "WORKQUEUE_DEADLETTER", &kept, &gone).await
    };
    bed.runtime.block_on(gaps)?;
    for _ in 0..LISTED {
        bury(client)?;
    }
    for _ in 0..LISTED {
        client.run("warp_work_broadcast", &offer)?;
    }
    Ok(())
}

/// Looking at work and at dead letters that lie behind a long gap, beside one batch of the same messages.
fn listing(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let (mut client, _) = registered(bed, &["listed"])?;
    let raw = bed.jetstream()?;
    prepare(bed, &mut client, &raw)?;
    let (mut raw_work, mut raw_dead, mut work, mut dead) = Default::default();
    for round in 0..scale.pages + WARM_UP {
        if round == WARM_UP {
            (raw_work, raw_dead, work, dead) = Default::default();
        }
        for (stream, subject, least, tool, own) in [
            (
                "GLOBAL_WORK",
                "global.work.listed.>",
                &mut raw_work,
                "warp_work_list",
                &mut work,
            ),
            (
                "WORKQUEUE_DEADLETTER",
                "global.workqueue.deadletter.listed.>",
                &mut raw_dead,
                "warp_dlq_list",
                &mut dead,
            ),
        ] {
            let begin = Instant::now();
            let body = json!({"seq": 1, "next_by_subj": subject, "batch": LISTED});
            let count = bed.runtime.block_on(batch(&raw.client(), stream, &body))?;
            Samples::push(least, begin.elapsed());
            let page = timed(&mut client, tool, &json!({"capability": "listed"}), own)?;
            let items = page.get("items").and_then(Value::as_array).map(Vec::len);
            if count != LISTED || items != Some(LISTED as usize) {
                return Err(format!("{tool} has {count} items raw, and over stdio: {page}").into());
            }
        }
    }
    table.times(
        &format!("raw: {LISTED} items behind {GONE} gone"),
        &raw_work,
    );
    table.beside("**`warp_work_list`** of them", &work, &raw_work);
    table.times(
        &format!("raw: {LISTED} dead letters behind {GONE} gone"),
        &raw_dead,
    );
    table.beside("**`warp_dlq_list`** of them", &dead, &raw_dead);
    client.close()
}

/// Claims and completes so many items; the time of each pair.
fn work(client: &mut Client, count: usize) -> Fallible<Samples> {
    let mut pairs = Samples::default();
    for _ in 0..count {
        let begin = Instant::now();
        let claim = client.run("warp_work_claim", &json!({"capability": "claimed"}))?;
        let facts = claim
            .get("structuredContent")
            .ok_or("a claim answers nothing")?;
        client.run(
            "warp_work_complete",
            &json!({"token": text(facts, "token")?}),
        )?;
        pairs.push(begin.elapsed());
    }
    Ok(pairs)
}

/// Takes and acknowledges so many messages, one at a time.
async fn raw_work(consumer: consumer::PullConsumer, count: usize) -> Fallible<()> {
    for _ in 0..count {
        let mut messages = consumer.fetch().max_messages(1).messages().await?;
        let message = messages.next().await.ok_or("no message is left")?;
        let message = message.map_err(|error| error.to_string())?;
        let done = message.double_ack_with(AckKind::Ack).await;
        done.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Several sessions, each claiming and completing one item after the other; the same number of loops that take and
/// acknowledge, on one connection.
fn claiming(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let raw = bed.jetstream()?;
    let each = scale.calls / 2 / SESSIONS;
    let all = each * SESSIONS;
    let subject = "global.work.claimed.public.p5";
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(registered(bed, &["claimed"])?.0);
    }
    let offered = (0..all + SESSIONS).map(|index| item(index, "claimed", subject));
    bed.runtime.block_on(fill(&raw, offered.collect()))?;
    for client in &mut clients {
        work(client, 1)?;
    }
    let begin = Instant::now();
    let mut pairs = Samples::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| work(client, each).map_err(|error| error.to_string())))
            .collect();
        for session in running {
            let times = session.join().map_err(|_| "a session panicked")??;
            pairs.extend(times);
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    let own = all as f64 / begin.elapsed().as_secs_f64();

    let floor = bed.runtime.block_on(async {
        let subject = "bench.pairs";
        let stream = raw.create_stream(async_nats::jetstream::stream::Config {
            name: "BENCH_PAIRS".into(),
            subjects: vec![subject.into()],
            retention: async_nats::jetstream::stream::RetentionPolicy::WorkQueue,
            ..Default::default()
        });
        let durable = consumer::pull::Config {
            durable_name: Some("pairs".into()),
            ack_wait: Duration::from_secs(300),
            ..Default::default()
        };
        let durable = stream.await?.create_consumer(durable).await?;
        fill(
            &raw,
            (0..all)
                .map(|index| item(index, "claimed", subject))
                .collect(),
        )
        .await?;
        let begin = Instant::now();
        try_join_all((0..SESSIONS).map(|_| raw_work(durable.clone(), each))).await?;
        Fallible::Ok(all as f64 / begin.elapsed().as_secs_f64())
    })?;
    table.value(
        &format!("raw: pull one and acknowledge, {SESSIONS} at a time"),
        all,
        floor,
        "/s",
        None,
    );
    let name = format!("**`warp_work_claim` and `warp_work_complete`**, {SESSIONS} sessions");
    table.value(&name, all, own, "/s", Some(own / floor));
    table.times("such a pair, of one session among them", &pairs);
    clients.into_iter().try_for_each(Client::close)
}

/// Both.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    listing(bed, scale, table)?;
    claiming(bed, scale, table)
}
