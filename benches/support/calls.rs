//! A send, layer by layer: raw JetStream, our NATS layer, the engine, and all of it over standard input and output.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use async_nats::jetstream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jacquard::bus::{Outgoing, Stream, StreamSpec};
use jacquard::engine::Session;
use jacquard::gateway::Gateway;
use serde_json::{Map, Value, json};
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::bed::{Bed, NAMESPACE};
use super::client::Client;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Length of the text that is sent, in bytes.
const TEXT: usize = 400;
/// Sends in flight of the throughput run.
const IN_FLIGHT: usize = 64;
/// Calls before the first that counts.
const WARM_UP: usize = 50;

/// The arguments of a send.
fn arguments(channel: &str) -> Value {
    json!({"channel": channel, "message": "m".repeat(TEXT)})
}

/// The message that such a send stores, so that all layers store the same bytes.
pub fn payload() -> Bytes {
    let message = json!({"handle": "bench", "message": "m".repeat(TEXT),
                         "timestamp": jacquard::spec::env::now(), "scope": "team"});
    Bytes::from(message.to_string())
}

/// The subject of a channel.
pub fn subject(channel: &str) -> String {
    format!("{NAMESPACE}.{channel}")
}

/// A client with a handle.
pub fn ready(bed: &Bed) -> Fallible<Client> {
    let mut client = bed.client(&bed.url())?;
    client.initialize()?;
    client.run("warp_handle_set", &json!({"handle": "bench"}))?;
    client.run("warp_channels_send", &arguments("stdio"))?;
    Ok(client)
}

/// The same thing on every layer.
struct Layers<'a> {
    bed: &'a Bed,
    raw: jetstream::Context,
    bus: Stream,
    gateway: Arc<Gateway>,
    session: Session,
    client: Client,
    echo: Client,
    payload: Bytes,
}

impl<'a> Layers<'a> {
    fn open(bed: &'a Bed) -> Fallible<Self> {
        let gateway = bed.gateway()?;
        let bus = gateway.nats().bus().stream(StreamSpec {
            name: format!("{NAMESPACE}_BUS"),
            subjects: vec![subject("bus")],
            ..StreamSpec::default()
        });
        let session = Session::new();
        session.set("warp", "handle", Some("bench".into()));
        Ok(Self {
            bed,
            raw: bed.jetstream()?,
            bus,
            gateway,
            session,
            client: ready(bed)?,
            echo: Bed::echo()?,
            payload: payload(),
        })
    }

    fn raw(&self, samples: &mut Samples) -> Fallible<()> {
        let payload = self.payload.clone();
        self.bed.runtime.block_on(async {
            let begin = Instant::now();
            self.raw.publish(subject("raw"), payload).await?.await?;
            samples.push(begin.elapsed());
            Ok(())
        })
    }

    fn bus(&self, samples: &mut Samples) -> Fallible<()> {
        let message = Outgoing::new(subject("bus"), self.payload.clone());
        self.bed.runtime.block_on(async {
            let begin = Instant::now();
            self.bus.publish(message, None).await?;
            samples.push(begin.elapsed());
            Ok(())
        })
    }

    fn inside(&self, tool: &str, arguments: &Value, samples: &mut Samples) -> Fallible<()> {
        let arguments: Option<Map<String, Value>> = arguments.as_object().cloned();
        let cancel = CancellationToken::new();
        self.bed.runtime.block_on(async {
            let begin = Instant::now();
            let reply = self
                .gateway
                .call(&self.session, tool, arguments, &cancel)
                .await?;
            samples.push(begin.elapsed());
            if reply.is_error {
                return Err(reply.text.into());
            }
            Ok(())
        })
    }

    /// The same line as a send, there and back.
    fn echo(&mut self, arguments: &Value, samples: &mut Samples) -> Fallible<()> {
        let request = self.echo.call("warp_channels_send", arguments);
        samples.time(|| self.echo.ask(&request).map(drop))
    }

    fn stdio(&mut self, tool: &str, arguments: &Value, samples: &mut Samples) -> Fallible<()> {
        let request = self.client.call(tool, arguments);
        samples.time(|| self.client.ask(&request).map(drop))?;
        self.client.checked().map(drop)
    }
}

/// Times of every layer.
#[derive(Default)]
struct Times {
    raw: Samples,
    pipes: Samples,
    bus: Samples,
    engine: Samples,
    stdio: Samples,
    local: Samples,
    local_stdio: Samples,
}

impl Times {
    fn round(&mut self, layers: &mut Layers<'_>, sends: &[Value; 2]) -> Fallible<()> {
        let [engine, stdio] = sends;
        let nothing = json!({});
        layers.raw(&mut self.raw)?;
        layers.echo(stdio, &mut self.pipes)?;
        layers.stdio("warp_channels_send", stdio, &mut self.stdio)?;
        layers.bus(&mut self.bus)?;
        layers.inside("warp_channels_send", engine, &mut self.engine)?;
        layers.stdio("warp_handle_get", &nothing, &mut self.local_stdio)?;
        layers.inside("warp_handle_get", &nothing, &mut self.local)
    }
}

/// One send at a time on every layer, in turns.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let mut layers = Layers::open(bed)?;
    let sends = [arguments("engine"), arguments("stdio")];
    let mut warm = Times::default();
    for _ in 0..WARM_UP {
        warm.round(&mut layers, &sends)?;
    }
    let mut times = Times::default();
    for _ in 0..scale.calls {
        times.round(&mut layers, &sends)?;
    }
    table.times("raw JetStream publish and ack", &times.raw);
    table.times("a line over pipes and back", &times.pipes);
    table.beside("send, our NATS layer alone", &times.bus, &times.raw);
    table.beside("send, engine in this process", &times.engine, &times.raw);
    let name = "**`warp_channels_send` over stdio**";
    table.beside(name, &times.stdio, &times.raw);
    let floor = times.raw.plus(&times.pipes);
    table.beside("the same, beside raw and pipes", &times.stdio, &floor);
    table.times("`warp_handle_get`, engine in this process", &times.local);
    let name = "`warp_handle_get` over stdio, beside pipes";
    table.beside(name, &times.local_stdio, &times.pipes);
    bed.runtime.block_on(layers.gateway.close());
    layers.echo.close()?;
    layers.client.close()
}

/// Many sends in flight over one session.
pub fn throughput(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let mut client = ready(bed)?;
    let arguments = arguments("stdio");
    let requests: VecDeque<String> = (0..scale.burst)
        .map(|_| client.call("warp_channels_send", &arguments))
        .collect();
    let begin = Instant::now();
    client.ask_all(requests, IN_FLIGHT)?;
    let own = scale.burst as f64 / begin.elapsed().as_secs_f64();
    client.close()?;

    let raw = bed.jetstream()?;
    let payload = payload();
    let begin = Instant::now();
    bed.runtime.block_on(
        stream::iter((0..scale.burst).map(|_| {
            let send = raw.publish(subject("raw"), payload.clone());
            async { send.await?.await.map(drop) }
        }))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>(),
    )?;
    let floor = scale.burst as f64 / begin.elapsed().as_secs_f64();
    let name = format!("raw publish and ack, {IN_FLIGHT} in flight");
    table.value(&name, scale.burst, floor, "/s", None);
    let name = format!("`warp_channels_send` over stdio, {IN_FLIGHT} in flight");
    table.value(&name, scale.burst, own, "/s", Some(own / floor));
    Ok(())
}
