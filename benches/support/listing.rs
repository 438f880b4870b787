//! A list of a bucket of many entries, filtered and cut down to a page: mirrored, and from the server.

use std::time::Instant;

use jacquard::bus::{Bucket, BucketSpec};
use jacquard::engine::Session;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::bed::Bed;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Entries of each bucket.
const ENTRIES: usize = 1_000;
/// Two tools that differ only in their bucket.
const PACK: &str = include_str!("listing.yaml");

/// An entry such as a registration: about 450 bytes.
fn entry(index: usize) -> String {
    let guid = format!("{index:08x}-3c1d-4a5b-8e6f-{index:012x}");
    let member = index % 10;
    json!({
        "guid": guid, "handle": format!("agent-{index:04}"), "type": if index.is_multiple_of(3) { "worker" } else { "planner" },
        "hostname": format!("build-host-{member}.internal"), "projectId": format!("{member:016x}"),
        "natsUrl": "nats://127.0.0.1:4222", "username": format!("user{member}"), "scope": "team",
        "status": if index.is_multiple_of(7) { "offline" } else { "online" },
        "capabilities": ["rust", "review", if index.is_multiple_of(5) { "search" } else { "docs" }],
        "directory": format!("/home/user{member}/projects/some-project"), "client": "a client 1.0",
        "registeredAt": "2026-11-21T05:47:58.123Z", "lastHeartbeat": "2026-11-21T06:01:12.456Z",
    })
    .to_string()
}

fn bucket(gateway: &jacquard::gateway::Gateway, name: &str) -> Bucket {
    gateway.nats().bus().bucket(BucketSpec {
        name: name.to_owned(),
        ..BucketSpec::default()
    })
}

/// Lists in turns, with nothing new and after a write.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let gateway = bed.gateway_with(PACK)?;
    let session = Session::new();
    let mirrored = bucket(&gateway, "bench_mirrored");
    for name in ["bench_mirrored", "bench_plain"] {
        let bucket = bucket(&gateway, name);
        bed.runtime.block_on(async {
            for index in 0..ENTRIES {
                bucket.put(&format!("e{index:04}"), entry(index)).await?;
            }
            Ok::<(), jacquard::bus::Error>(())
        })?;
    }
    let list = |tool: &str, samples: &mut Samples| {
        let arguments =
            json!({"project": format!("{:016x}", 3), "user": "user4", "capability": "search"});
        let cancel = CancellationToken::new();
        bed.runtime.block_on(async {
            let begin = Instant::now();
            let arguments = arguments.as_object().cloned();
            let reply = gateway.call(&session, tool, arguments, &cancel).await?;
            samples.push(begin.elapsed());
            if reply.is_error || !reply.text.contains("20 of 171") {
                return Err(Box::<dyn std::error::Error>::from(reply.text));
            }
            Ok(())
        })
    };
    let (mut same, mut new, mut plain) = Default::default();
    list("list_mirrored", &mut Samples::default())?;
    for round in 0..scale.pages {
        list("list_mirrored", &mut same)?;
        let index = round % ENTRIES;
        let key = format!("e{index:04}");
        bed.runtime.block_on(mirrored.put(&key, entry(index)))?;
        list("list_mirrored", &mut new)?;
        list("list_plain", &mut plain)?;
    }
    table.times("list of 1,000 entries with `where`, mirrored", &same);
    table.times("the same after a write", &new);
    table.times("the same, not mirrored", &plain);
    bed.runtime.block_on(gateway.close());
    Ok(())
}
