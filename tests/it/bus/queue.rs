//! Work queues against a real server: claims, priorities, leases, dead letters, and processes that die in between.

mod broken;
mod burial;
mod foreign;
mod lanes;
mod lease;
mod many;

use super::{bus, spec};
use crate::support::server::NatsServer;
use jacquard::bus::{
    BucketSpec, Bus, Bytes, Claim, Dead, DeadLetter, DeadQuery, Error, Lane, Look, Queue,
    QueueSpec, Release, Retention, Rules, Stored, Stream, StreamSpec,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The lease of most tests: long enough for a busy machine.
pub const LEASE: Duration = Duration::from_secs(30);
/// The lease of tests that wait for its end.
pub const SHORT: Duration = Duration::from_secs(1);
pub const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(20);

/// Items are JSON objects with an `id`.
struct Json;

impl Rules for Json {
    fn look(&self, message: &Stored) -> Look {
        let data: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        Look {
            id: text("id"),
            expires: text("deadline"),
            base: data["attempts"].as_u64().unwrap_or(0) as u32,
        }
    }

    fn record(&self, dead: &Dead) -> Result<Bytes, Error> {
        let data = String::from_utf8_lossy(&dead.message.payload).into_owned();
        let record = json!({
            "id": dead.id, "workItem": data, "reason": dead.reason, "attempts": dead.attempts,
            "failedAt": dead.failed_at, "errors": dead.errors,
        });
        Ok(record.to_string().into())
    }

    fn dead_id(&self, letter: &Stored) -> Option<String> {
        let data: Value = serde_json::from_slice(&letter.payload).ok()?;
        data["id"].as_str().map(str::to_owned)
    }
}

/// A queue, and what it is made of.
pub struct Place {
    pub server: NatsServer,
    pub bus: Bus,
    pub queue: Queue,
    pub work: Stream,
    pub dead: Stream,
}

pub fn work_stream(bus: &Bus) -> Stream {
    bus.stream(StreamSpec {
        retention: Retention::WorkQueue,
        duplicate_window: Some(Duration::from_secs(60)),
        ..spec("WORK", "work.>")
    })
}

/// A queue as one gateway has it.
pub fn queue_on(bus: &Bus) -> Queue {
    let leases = bus.bucket(BucketSpec {
        name: "leases".into(),
        limit_markers: Some(Duration::from_secs(1)),
        ..BucketSpec::default()
    });
    let dead = bus.stream(StreamSpec {
        subjects: vec!["dead".into(), "dead.>".into()],
        ..spec("DEAD", "dead")
    });
    let spec = QueueSpec {
        name: "work".into(),
        leases,
        dead,
        dead_subject: "dead".into(),
        attempts: 3,
    };
    bus.queue(spec, Arc::new(Json))
}

impl Place {
    pub async fn new() -> Self {
        let server = NatsServer::start();
        let bus = bus(&server).await;
        let (queue, work) = (queue_on(&bus), work_stream(&bus));
        let dead = queue.spec().dead.clone();
        Self {
            server,
            bus,
            queue,
            work,
            dead,
        }
    }

    pub fn lane(&self, first: &str, lease: Duration) -> Lane {
        lane(&self.work, first, lease)
    }

    pub async fn add(&self, lane: &Lane, level: u32, id: &str) -> u64 {
        let body = json!({ "id": id }).to_string();
        self.queue
            .enqueue(lane, level, id, body, Vec::new())
            .await
            .unwrap()
            .seq
    }

    pub async fn claim(&self, lane: &Lane, holder: &str) -> Option<Claim> {
        self.queue
            .claim(std::slice::from_ref(lane), holder, NOW)
            .await
            .unwrap()
    }

    /// The dead letters, as the bodies of their records.
    pub async fn letters(&self) -> Vec<Value> {
        let letters = all_dead(&self.queue).await;
        let body = |letter: &DeadLetter| serde_json::from_slice(&letter.message.payload).unwrap();
        letters.iter().map(body).collect()
    }

    pub async fn messages(&self) -> u64 {
        self.work.info().await.unwrap().unwrap().messages
    }
}

pub fn lane(stream: &Stream, first: &str, lease: Duration) -> Lane {
    Lane {
        stream: stream.clone(),
        subject: format!("work.{first}.any"),
        consumer: format!("{first}~any"),
        levels: 10,
        lease,
        first: first.to_owned(),
        label: json!({ "capability": first }),
    }
}

pub async fn all_dead(queue: &Queue) -> Vec<DeadLetter> {
    let query = DeadQuery {
        limit: 1000,
        ..DeadQuery::default()
    };
    queue.dead(&query, &mut |_| true).await.unwrap().letters
}

pub fn release(reason: &str) -> Release {
    Release {
        reason: reason.into(),
        ..Release::default()
    }
}

/// Gives up at once.
pub fn dead(reason: &str) -> Release {
    Release {
        dead: true,
        ..release(reason)
    }
}

/// Claims, again and again until something is there.
pub async fn claimed_soon(queue: &Queue, lane: &Lane, holder: &str) -> Claim {
    let lanes = std::slice::from_ref(lane);
    queue
        .claim(lanes, holder, SOON)
        .await
        .unwrap()
        .expect("an item within the time")
}

/// Waits until it holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < SOON, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
