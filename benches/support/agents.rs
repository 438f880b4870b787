//! What agents do over standard input and output: find each other, and read their inboxes.

use std::time::Instant;

use async_nats::jetstream::Context;
use serde_json::{Value, json};
use time::macros::format_description;
use tokio_util::bytes::Bytes;

use super::bed::Bed;
use super::client::Client;
use super::history::batch;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Agents in the registry.
const AGENTS: usize = 1_000;
/// Messages that wait when an inbox is read.
const MESSAGES: usize = 50;
/// Rounds before the first that counts.
const WARM_UP: usize = 10;

/// A registered session, and what registering answered.
pub fn registered(bed: &Bed, capabilities: &[&str]) -> Fallible<(Client, Value)> {
    let mut client = bed.client(&bed.url())?;
    client.initialize()?;
    let arguments = json!({"agentType": "bench", "capabilities": capabilities});
    let answer = client.run("warp_registry_register", &arguments)?;
    let facts = answer.get("structuredContent").cloned();
    Ok((client, facts.ok_or("registering answers nothing")?))
}

/// A text of such an answer.
pub fn text<'a>(facts: &'a Value, field: &str) -> Fallible<&'a str> {
    let text = facts.get(field).and_then(Value::as_str);
    text.ok_or_else(|| format!("no {field} in {facts}").into())
}

/// Stores messages, many in flight.
pub async fn fill(raw: &Context, messages: Vec<(String, Value)>) -> Fallible<()> {
    for some in messages.chunks(500) {
        let mut acks = Vec::with_capacity(some.len());
        for (subject, value) in some {
            acks.push(
                raw.publish(subject.clone(), value.to_string().into())
                    .await?,
            );
        }
        for ack in acks {
            ack.await?;
        }
    }
    Ok(())
}

/// One call over standard input and output; its structured result.
pub fn timed(
    client: &mut Client,
    tool: &str,
    arguments: &Value,
    samples: &mut Samples,
) -> Fallible<Value> {
    let request = client.call(tool, arguments);
    samples.time(|| client.ask(&request).map(drop))?;
    let mut answer = client.checked()?;
    Ok(answer
        .get_mut("structuredContent")
        .map(Value::take)
        .unwrap_or_default())
}

/// Another agent: every fourth is of another project and not visible.
fn entry(index: usize, project: &str, seen: &str) -> (String, Value) {
    let guid = format!("{index:08x}-3c1d-4a5b-8e6f-{index:012x}");
    let project = if index.is_multiple_of(4) {
        "ef9d16d7cd7cfd50"
    } else {
        project
    };
    let entry = json!({
        "guid": guid, "agentType": if index.is_multiple_of(3) { "worker" } else { "planner" }, "handle": format!("agent-{index:04}"),
        "hostname": format!("build-host-{}", index % 10), "projectId": project, "natsUrl": "nats://127.0.0.1:4222",
        "capabilities": ["rust", "review", if index.is_multiple_of(5) { "search" } else { "docs" }],
        "scope": if index % 8 == 1 { "public" } else { "team" }, "status": "online", "currentTaskCount": 0,
        "registeredAt": seen, "lastHeartbeat": seen, "username": format!("user{}", index % 10),
    });
    (format!("$KV.agent-registry.{guid}"), entry)
}

/// Finding agents among many, beside the one request that tells whether anything is new, and beside all entries in one
/// batch.
fn discover(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let (mut client, facts) = registered(bed, &[])?;
    let project = text(&facts, "projectId")?;
    // An hour ahead: nobody is offline before the run ends.
    let seen = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    let seen = seen.format(format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    ))?;
    let raw = bed.raw()?;
    let agents = (0..AGENTS)
        .map(|index| entry(index, project, &seen))
        .collect();
    bed.runtime.block_on(fill(&bed.jetstream()?, agents))?;
    let (mut info, mut all, mut found, mut few) = Default::default();
    for round in 0..scale.pages + WARM_UP {
        if round == WARM_UP {
            (info, all, found, few) = Default::default();
        }
        let begin = Instant::now();
        let state = "$JS.API.STREAM.INFO.KV_agent-registry";
        bed.runtime.block_on(raw.request(state, "".into()))?;
        Samples::push(&mut info, begin.elapsed());
        let begin = Instant::now();
        let body = json!({"multi_last": ["$KV.agent-registry.>"], "batch": AGENTS + 1});
        let count = bed
            .runtime
            .block_on(batch(&raw, "KV_agent-registry", &body))?;
        Samples::push(&mut all, begin.elapsed());
        let page = timed(
            &mut client,
            "warp_registry_discover",
            &json!({}),
            &mut found,
        )?;
        let search = json!({"capability": "search", "agentType": "worker"});
        let some = timed(&mut client, "warp_registry_discover", &search, &mut few)?;
        let totals = (count, page.get("total"), some.get("total"));
        if totals != (1_001, Some(&json!(751)), Some(&json!(50))) {
            return Err(format!("discovered {totals:?}").into());
        }
    }
    table.times("raw: state of the registry's stream", &info);
    table.times(&format!("raw: all of {AGENTS} entries in one batch"), &all);
    let name = format!("**`warp_registry_discover` of {AGENTS}**, 20 shown, beside the state");
    table.beside(&name, &found, &info);
    table.beside("the same by type and capability", &few, &info);
    client.close()
}

/// The requests that reading an inbox needs at least: the position, the messages after it, the new position.
async fn raw_inbox(raw: &Context, guid: &str, after: u64, count: usize) -> Fallible<u64> {
    let client = raw.client();
    let position = format!("$KV.jacquard-inboxes.{guid}");
    let body = json!({"last_by_subj": position}).to_string();
    client
        .request("$JS.API.DIRECT.GET.KV_jacquard-inboxes", body.into())
        .await?;
    let stream = format!("INBOX_{}", guid.replace('-', "_"));
    let body = json!({"seq": after + 1, "next_by_subj": ">", "batch": MESSAGES});
    let read = batch(&client, &stream, &body).await?;
    if count > 0 {
        let kept = Bytes::from_static(b"{\"after\":1}");
        raw.publish("$KV.jacquard-inboxes.raw", kept).await?.await?;
    }
    Ok(read)
}

/// An inbox with nothing in it, and one with a page, in turns.
fn inbox(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let (mut client, facts) = registered(bed, &[])?;
    let guid = text(&facts, "guid")?;
    let raw = bed.jetstream()?;
    let message = json!({
        "id": guid, "senderGuid": "de129cb03c25217d62805e4b94266d98", "senderHandle": "bench", "recipientGuid": guid,
        "messageType": "text", "content": "m".repeat(200), "timestamp": jacquard::spec::env::now(),
    });
    let (mut raw_empty, mut raw_full, mut empty, mut full) = Default::default();
    let mut sent = 0;
    for round in 0..scale.pages + WARM_UP {
        if round == WARM_UP {
            (raw_empty, raw_full, empty, full) = Default::default();
        }
        let page = vec![(format!("global.agent.{guid}"), message.clone()); MESSAGES];
        bed.runtime.block_on(fill(&raw, page))?;
        for (count, least, own) in [
            (MESSAGES, &mut raw_full, &mut full),
            (0, &mut raw_empty, &mut empty),
        ] {
            let begin = Instant::now();
            let after = if count > 0 {
                sent
            } else {
                sent + MESSAGES as u64
            };
            let read = bed.runtime.block_on(raw_inbox(&raw, guid, after, count))?;
            Samples::push(least, begin.elapsed());
            let arguments = json!({"limit": MESSAGES});
            let page = timed(&mut client, "warp_messages_read_direct", &arguments, own)?;
            if read != count as u64 || page.get("count") != Some(&json!(count)) {
                return Err(
                    format!("an inbox of {count} has {read} raw, and over stdio: {page}").into(),
                );
            }
        }
        sent += MESSAGES as u64;
    }
    table.times("raw: position and messages of an empty inbox", &raw_empty);
    let name = "**`warp_messages_read_direct`, empty**";
    table.beside(name, &empty, &raw_empty);
    let name = format!("raw: position, {MESSAGES} messages, new position");
    table.times(&name, &raw_full);
    let name = format!("**`warp_messages_read_direct` of {MESSAGES}**");
    table.beside(&name, &full, &raw_full);
    client.close()
}

/// Both.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    discover(bed, scale, table)?;
    inbox(bed, scale, table)
}
