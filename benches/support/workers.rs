//! Calls of a worker of a mesh through the gateway, beside the same exchange by hand.

use std::collections::{HashMap, VecDeque};
use std::thread::JoinHandle;
use std::time::Instant;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::bed::{Bed, Config};
use super::http::{CONNECTIONS, Rate, TURNS, WARM_UP, calls};
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// The gateway's config and the worker's file.
pub const FILES: [(&str, &str); 2] = [
    (
        "mesh.yaml",
        "{name: mesh, subject_prefix: bench, tools: {workers: [{config: echo.yaml}]}}",
    ),
    (
        "echo.yaml",
        "{name: echo, system_prompt: Answer., input_schema: {type: object, required: [text], properties: {text: {type: string}}},\n \
          output_schema: {type: object, required: [text], properties: {text: {type: string}}}}",
    ),
];
/// The tool.
const TOOL: &str = "echo";
/// Length of the text there and back, in bytes.
const TEXT: usize = 400;

/// A router and a worker on a thread of their own. Dropping it ends them.
struct Mesh {
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Mesh {
    fn start(bed: &Bed) -> Fallible<Self> {
        let (dial, end) = (bed.dial(), CancellationToken::new());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(dial)?;
        let (tasks, own) = runtime.block_on(async {
            let tasks = client.subscribe("bench.tasks.incoming").await?;
            let own = client.subscribe("bench.tasks.echo.local").await?;
            client.flush().await?;
            Fallible::Ok((tasks, own))
        })?;
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            let work = ended.run_until_cancelled_owned(async {
                tokio::join!(route(&client, tasks), answer(&client, own));
            });
            runtime.block_on(work);
        });
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // It fails only when the thread has panicked, which has been said then.
            let _ = thread.join();
        }
    }
}

/// Reads each task and sends it on, as a router does.
async fn route(client: &Client, mut tasks: Subscriber) {
    while let Some(message) = tasks.next().await {
        let Ok(task) = serde_json::from_slice::<Value>(&message.payload) else {
            continue;
        };
        let subject = format!("bench.tasks.{}.local", text(&task, "worker_type"));
        send(client, subject, &task).await;
    }
}

/// Answers each task with its payload.
async fn answer(client: &Client, mut tasks: Subscriber) {
    while let Some(message) = tasks.next().await {
        let Ok(task) = serde_json::from_slice::<Value>(&message.payload) else {
            continue;
        };
        let field = |name| task.get(name).cloned().unwrap_or_default();
        let subject = format!("bench.results.{}", text(&task, "parent_task_id"));
        let result = json!({
            "task_id": field("task_id"), "parent_task_id": field("parent_task_id"),
            "worker_type": field("worker_type"), "status": "completed", "output": field("payload"),
            "error": null, "model_used": "echo", "token_usage": {"prompt_tokens": 0, "completion_tokens": 0},
            "processing_time_ms": 0, "completed_at": "2026-01-31T10:20:30.123456Z"
        });
        send(client, subject, &result).await;
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

async fn send(client: &Client, subject: String, value: &Value) {
    if let Err(error) = client.publish(subject, value.to_string().into()).await {
        eprintln!("gateway bench: {error}");
    }
}

/// The same exchange by hand: one subscription, and each result is told from the others by its id.
struct Raw {
    client: Client,
    results: Subscriber,
    next: usize,
    open: HashMap<String, Instant>,
}

impl Raw {
    async fn open(client: Client) -> Fallible<Self> {
        let results = client.subscribe("bench.results.raw.*").await?;
        client.flush().await?;
        Ok(Self {
            client,
            results,
            next: 0,
            open: HashMap::new(),
        })
    }

    async fn ask(&mut self) {
        self.next += 1;
        let id = format!("task-{}", self.next);
        let task = json!({
            "task_id": id, "parent_task_id": format!("raw.{}", self.next), "worker_type": "echo",
            "payload": arguments(), "model_tier": "local", "priority": "normal",
            "created_at": jacquard::spec::env::now(), "request_id": null, "metadata": {},
            "max_retries": 2, "retry_count": 0
        });
        self.open.insert(id, Instant::now());
        send(&self.client, "bench.tasks.incoming".to_owned(), &task).await;
    }

    /// So many, and [`CONNECTIONS`] of them in flight.
    async fn calls(&mut self, count: usize, mut samples: Option<&mut Samples>) -> Fallible<()> {
        let mut left = count;
        while left > 0 || !self.open.is_empty() {
            while left > 0 && self.open.len() < CONNECTIONS {
                left -= 1;
                self.ask().await;
            }
            let message = self.results.next().await.ok_or("NATS has gone")?;
            let result: Value = serde_json::from_slice(&message.payload)?;
            let begun = self.open.remove(text(&result, "task_id"));
            let begun = begun.ok_or("a result of no task")?;
            if let Some(samples) = &mut samples {
                samples.push(begun.elapsed());
            }
        }
        Ok(())
    }
}

fn arguments() -> Value {
    json!({"text": "m".repeat(TEXT)})
}

/// Calls of the worker with [`CONNECTIONS`] in flight: by hand, over one pipe, and of as many sessions over HTTP.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let mesh = Mesh::start(bed)?;
    let each = (scale.burst / TURNS / CONNECTIONS).max(1);
    let count = each * CONNECTIONS;
    let client = bed.raw()?;
    let mut raw = bed.runtime.block_on(Raw::open(client))?;
    let mut pipe = bed.client_with(Config::Mesh)?;
    pipe.initialize()?;
    pipe.run(TOOL, &arguments())?;
    let served = bed.served(Config::Mesh)?;
    let mut webs = Vec::new();
    bed.runtime.block_on(async {
        for _ in 0..CONNECTIONS {
            let web = served.session().await?;
            let request = web.call(TOOL, &arguments());
            webs.push((web, request));
        }
        raw.calls(WARM_UP * CONNECTIONS, None).await?;
        calls(&mut webs, WARM_UP, None).await
    })?;
    let (mut floor, mut piped, mut own) = (Rate::default(), Rate::default(), Rate::default());
    let (mut least, mut times) = (Samples::default(), Samples::default());
    for _ in 0..TURNS {
        let begin = Instant::now();
        bed.runtime.block_on(raw.calls(count, Some(&mut least)))?;
        floor.add(count, begin);
        let requests: VecDeque<String> =
            (0..count).map(|_| pipe.call(TOOL, &arguments())).collect();
        let begin = Instant::now();
        pipe.ask_all(requests, CONNECTIONS)?;
        piped.add(count, begin);
        let begin = Instant::now();
        bed.runtime
            .block_on(calls(&mut webs, each, Some(&mut times)))?;
        own.add(count, begin);
    }
    pipe.close()?;
    drop(mesh);
    let least_rate = floor.per_second();
    let name = format!("a worker's answer by hand, {CONNECTIONS} in flight");
    table.value(&name, floor.done, least_rate, "/s", None);
    for (way, rate) in [("stdio", &piped), ("HTTP", &own)] {
        let name = format!("**a worker's tool over {way}**, {CONNECTIONS} in flight");
        let ratio = rate.per_second() / least_rate;
        table.value(&name, rate.done, rate.per_second(), "/s", Some(ratio));
    }
    table.times("such an exchange by hand, among the others", &least);
    table.times("such a call over HTTP, of one session among them", &times);
    Ok(())
}
