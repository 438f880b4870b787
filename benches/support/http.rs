//! Over HTTP: calls of many sessions at the same time, and the memory that sessions take.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::bed::{Bed, Config};
use super::calls::{payload, subject};
use super::table::{Samples, Table};
use super::web::{Served, Web};
use super::{Fallible, Scale};

/// Connections, each with a session and one call at a time.
pub const CONNECTIONS: usize = 32;
/// The turns that are taken.
pub const TURNS: usize = 5;
/// Calls of each connection before the first that counts.
pub const WARM_UP: usize = 20;
/// Sessions that begin at the same time.
const AT_ONCE: usize = 16;

/// A tool with one acknowledged publish, and the call before that it needs.
struct Tool {
    name: &'static str,
    agents: bool,
    first: (&'static str, Value),
    arguments: Value,
}

impl Tool {
    fn config(&self) -> Config {
        if self.agents {
            Config::Agents
        } else {
            Config::Default
        }
    }
}

fn tools() -> [Tool; 2] {
    let message = "m".repeat(400);
    [
        Tool {
            name: "warp_channels_send",
            agents: false,
            first: ("warp_handle_set", json!({"handle": "bench"})),
            arguments: json!({"channel": "stdio", "message": message}),
        },
        Tool {
            name: "channel_send",
            agents: true,
            first: (
                "agent_register",
                json!({"name": "bench", "description": "Bench"}),
            ),
            arguments: json!({"name": "bench", "channel": "bench", "message": message}),
        },
    ]
}

/// What has been done in which time.
#[derive(Default)]
pub struct Rate {
    pub done: usize,
    took: Duration,
}

impl Rate {
    /// Adds what was done since then.
    pub fn add(&mut self, done: usize, begin: Instant) {
        self.done += done;
        self.took += begin.elapsed();
    }

    /// So much in a second.
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }
}

/// As many calls on each connection, one after the other.
pub async fn calls(
    webs: &mut [(Web, Vec<u8>)],
    each: usize,
    samples: Option<&mut Samples>,
) -> Fallible<()> {
    let work = webs.iter_mut().map(|(web, request)| async move {
        let mut samples = Samples::default();
        for _ in 0..each {
            let begin = Instant::now();
            web.ask(request).await?;
            samples.push(begin.elapsed());
        }
        Ok::<_, Box<dyn std::error::Error>>(samples)
    });
    let all = try_join_all(work).await?;
    if let Some(samples) = samples {
        all.into_iter().for_each(|some| samples.extend(some));
    }
    Ok(())
}

async fn raw(raw: &jetstream::Context, count: usize) -> Fallible<()> {
    let payload = payload();
    let sends = stream::iter((0..count).map(|_| {
        let send = raw.publish(subject("raw"), payload.clone());
        async { send.await?.await.map(drop) }
    }));
    let done = sends.buffer_unordered(CONNECTIONS).try_collect::<()>();
    Ok(done.await?)
}

/// Calls with one acknowledged publish each, beside raw publishes, in turns.
pub fn throughput(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    // The stream of the raw side is one of the project's channels, which a send makes.
    drop(super::calls::ready(bed)?);
    let context = bed.jetstream()?;
    let mut client = bed.client(&bed.url())?;
    client.initialize()?;
    client.run("warp_handle_set", &json!({"handle": "bench"}))?;
    client.run(
        "warp_channels_send",
        &json!({"channel": "raw", "message": "m"}),
    )?;
    client.close()?;
    for tool in tools() {
        let served = bed.served(tool.config())?;
        let (mut floor, mut own) = (Rate::default(), Rate::default());
        let mut times = Samples::default();
        let each = scale.burst / TURNS / CONNECTIONS;
        bed.runtime.block_on(async {
            let mut webs = Vec::new();
            for index in 0..CONNECTIONS {
                webs.push(bound(&served, &tool, index).await?);
            }
            calls(&mut webs, WARM_UP, None).await?;
            for _ in 0..TURNS {
                let begin = Instant::now();
                raw(&context, each * CONNECTIONS).await?;
                floor.add(each * CONNECTIONS, begin);
                let begin = Instant::now();
                calls(&mut webs, each, Some(&mut times)).await?;
                own.add(each * CONNECTIONS, begin);
            }
            Fallible::Ok(())
        })?;
        let name = format!("raw publish and ack, {CONNECTIONS} in flight");
        table.value(&name, floor.done, floor.per_second(), "/s", None);
        let name = format!("**`{}` over HTTP**, {CONNECTIONS} connections", tool.name);
        let ratio = own.per_second() / floor.per_second();
        table.value(&name, own.done, own.per_second(), "/s", Some(ratio));
        table.times("such a call, of one session among them", &times);
    }
    Ok(())
}

/// A session in which the tool can be called, and that call.
async fn bound(served: &Served, tool: &Tool, index: usize) -> Fallible<(Web, Vec<u8>)> {
    let mut web = served.session().await?;
    let (first, mut arguments) = tool.first.clone();
    let mut call = tool.arguments.clone();
    if tool.agents {
        // A name belongs to one session.
        let name = Value::from(format!("bench-{index}"));
        arguments["name"] = name.clone();
        call["name"] = name;
    }
    web.ask(&web.call(first, &arguments)).await?;
    let request = web.call(tool.name, &call);
    web.ask(&request).await?;
    Ok((web, request))
}

/// Registers one agent in a group of its own.
async fn registered(served: &Served, index: usize) -> Fallible<Web> {
    let mut web = served.session().await?;
    let name = format!("agent-{index}");
    let arguments = json!({"name": name, "description": "Sits there", "group": name});
    web.ask(&web.call("agent_register", &arguments)).await?;
    Ok(web)
}

/// The memory of sessions: each a registered agent, first without, then with an open stream.
pub fn sessions(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let served = bed.served(Config::Agents)?;
    let resident = || served.status("VmRSS").ok_or("there is no /proc to read");
    let count = scale.sessions;
    bed.runtime.block_on(async {
        let mut webs = vec![registered(&served, 0).await?];
        let before = resident()?;
        let indices: Vec<usize> = (1..=count).collect();
        for some in indices.chunks(AT_ONCE) {
            let begun = some.iter().map(|index| registered(&served, *index));
            webs.extend(try_join_all(begun).await?);
        }
        let bound = resident()?;
        for web in &mut webs {
            web.listen().await?;
        }
        let open = resident()?;
        table.value(
            "resident memory with one session",
            1,
            before / 1024.0,
            "MiB",
            None,
        );
        let name = format!("the same with {count} more, each bound");
        table.value(&name, count, bound / 1024.0, "MiB", None);
        let each = (bound - before) / count as f64;
        table.value("**a bound session over HTTP**", count, each, "KiB", None);
        let each = (open - bound) / count as f64;
        table.value("its open stream of pushes", count, each, "KiB more", None);
        Ok(())
    })
}
