//! From a publish of anybody on NATS to the client: over standard output and over HTTP, beside raw subscriptions.

use std::time::Instant;

use async_nats::jetstream::{self, consumer::push};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;

use super::bed::{Bed, Config};
use super::client::Client;
use super::table::{Samples, Table};
use super::web::Web;
use super::{Fallible, Scale};

/// The subject of a channel of the agents.
const CHANNEL: &str = "agents.channel.YmVuY2g";
/// Subjects of the raw side: without a stream, and with one.
const CORE: &str = "raw.core";
const KEPT: &str = "raw.kept";
/// Pushes before the first that counts.
const WARM_UP: usize = 50;

/// A post, as another program writes it.
fn post() -> Bytes {
    let post = json!({
        "channel": "bench", "from_agent": "hal-9", "content": "m".repeat(200), "origin_host": "elsewhere",
        "origin_ts": 1_763_700_000_000_u64, "origin_seq": 1,
    });
    Bytes::from(post.to_string())
}

async fn publish(client: &async_nats::Client, subject: &'static str) -> Fallible<()> {
    client.publish(subject, post()).await?;
    Ok(client.flush().await?)
}

/// Subscriptions without anything of ours, on a connection of their own.
struct Raw {
    publisher: async_nats::Client,
    core: async_nats::Subscriber,
    kept: push::Ordered,
}

impl Raw {
    fn open(bed: &Bed) -> Fallible<Self> {
        let (publisher, client) = (bed.raw()?, bed.raw()?);
        bed.runtime.block_on(async {
            let core = client.subscribe(CORE).await?;
            let context = jetstream::new(client.clone());
            let config = jetstream::stream::Config {
                name: "RAW_KEPT".into(),
                subjects: vec![KEPT.into()],
                ..Default::default()
            };
            let stream = context.get_or_create_stream(config).await?;
            let config = push::OrderedConfig {
                deliver_subject: client.new_inbox(),
                ..Default::default()
            };
            let kept = stream.create_consumer(config).await?.messages().await?;
            client.flush().await?;
            Ok(Self {
                publisher,
                core,
                kept,
            })
        })
    }

    fn round(&mut self, bed: &Bed, core: &mut Samples, kept: &mut Samples) -> Fallible<()> {
        bed.runtime.block_on(async {
            let begin = Instant::now();
            publish(&self.publisher, CORE).await?;
            self.core.next().await.ok_or("the subscription ended")?;
            core.push(begin.elapsed());
            let begin = Instant::now();
            publish(&self.publisher, KEPT).await?;
            let message = self.kept.next().await.ok_or("the consumer ended")?;
            message.map_err(|error| error.to_string())?;
            kept.push(begin.elapsed());
            Ok(())
        })
    }
}

fn registration(name: &str) -> Value {
    json!({"name": name, "description": "Listens"})
}

/// An agent over standard input and output.
fn agent(bed: &Bed) -> Fallible<Client> {
    let mut client = bed.client_with(Config::Agents)?;
    client.initialize()?;
    client.run("agent_register", &registration("ear"))?;
    Ok(client)
}

/// One over HTTP, with an open stream.
async fn listener(served: &super::web::Served) -> Fallible<Web> {
    let mut web = served.session().await?;
    let register = web.call("agent_register", &registration("ear"));
    web.ask(&register).await?;
    web.listen().await?;
    Ok(web)
}

/// One push at a time, in turns with the raw side: first over standard output, then over HTTP.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let mut raw = Raw::open(bed)?;
    let (mut core, mut kept, mut own) = Default::default();
    let mut client = agent(bed)?;
    for round in 0..scale.calls + WARM_UP {
        if round == WARM_UP {
            (core, kept, own) = Default::default();
        }
        raw.round(bed, &mut core, &mut kept)?;
        let begin = Instant::now();
        bed.runtime.block_on(publish(&raw.publisher, CHANNEL))?;
        let line = client.read()?;
        Samples::push(&mut own, begin.elapsed());
        if !line.contains("notifications/") {
            return Err(format!("not a push: {line}").into());
        }
    }
    client.close()?;
    table.times("raw: publish to core subscription", &core);
    table.times("raw: publish to ordered consumer", &kept);
    table.beside("**publish to client over stdio**, beside core", &own, &core);

    let served = bed.served(Config::Agents)?;
    let mut web = bed.runtime.block_on(listener(&served))?;
    for round in 0..scale.calls + WARM_UP {
        if round == WARM_UP {
            (core, kept, own) = Default::default();
        }
        raw.round(bed, &mut core, &mut kept)?;
        bed.runtime.block_on(async {
            let begin = Instant::now();
            publish(&raw.publisher, CHANNEL).await?;
            web.push().await?;
            own.push(begin.elapsed());
            Fallible::Ok(())
        })?;
    }
    table.times("raw: publish to core subscription, again", &core);
    table.times("raw: publish to ordered consumer, again", &kept);
    table.beside("**publish to client over HTTP**, beside core", &own, &core);
    table.beside("the same, beside the ordered consumer", &own, &kept);
    Ok(())
}
