//! Eight agents that offer, claim, complete, fail and hold too long, while their gateways are killed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::sleep;

use super::ledger::{Held, Ledger, Letter, moment};
use super::{Dice, Post, duration, list, long, reaper};
use crate::support::LIMIT;
use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// Names that would share a queue if somebody simplified them.
const CAPABILITIES: [&str; 4] = ["code-review", "code_review", "c++", "übersetzen"];
const AGENTS: usize = 8;
const ATTEMPTS: u64 = 3;
const LEASE: Duration = Duration::from_secs(2);
const VARIABLES: [(&str, &str); 2] = [
    ("WORKQUEUE_ACK_TIMEOUT", "2000"),
    ("WORKQUEUE_MAX_ATTEMPTS", "3"),
];

struct Soak {
    ledger: Ledger,
    dice: Dice,
    /// Items to offer, spread over the time, and how many were.
    items: usize,
    offered: AtomicUsize,
    started: Instant,
    /// Gateways that were killed in the middle of a call, besides those of every second.
    struck: AtomicUsize,
    /// Nothing fails on purpose any more.
    calm: AtomicBool,
    /// Nothing is left to do.
    over: AtomicBool,
}

impl Soak {
    fn new() -> Self {
        Self {
            ledger: Ledger::new(ATTEMPTS),
            dice: Dice::new(),
            items: if long() { 2_000 } else { 300 },
            offered: AtomicUsize::new(0),
            struck: AtomicUsize::new(0),
            started: Instant::now(),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// The number of an item that should be offered by now.
    fn due(&self) -> Option<usize> {
        let part = self.started.elapsed().as_secs_f64() / duration().as_secs_f64();
        let due = ((part * self.items as f64) as usize).min(self.items);
        let next = self
            .offered
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |offered| {
                (offered < due).then_some(offered + 1)
            });
        next.ok()
    }

    /// A call; some gateways are killed in the middle of one.
    async fn call(
        &self,
        agent: &Agent,
        post: &Post,
        tool: &str,
        args: Value,
    ) -> Result<Answer, ServiceError> {
        let call = agent.try_call(tool, args);
        if self.calm.load(Ordering::Relaxed) || self.dice.below(100) >= 2 {
            return call.await;
        }
        let strike = async {
            sleep(self.dice.pause(8)).await;
            self.struck
                .fetch_add(usize::from(post.kill()), Ordering::Relaxed);
        };
        tokio::join!(call, strike).0
    }

    /// The same, where an answer must be no error.
    async fn succeeded(
        &self,
        agent: &Agent,
        post: &Post,
        tool: &str,
        args: Value,
    ) -> Result<Answer, ServiceError> {
        let answer = self.call(agent, post, tool, args.clone()).await?;
        assert!(!answer.error, "{tool} {args}: {}", answer.text);
        Ok(answer)
    }

    /// One thing that an agent does.
    async fn step(&self, agent: &Agent, post: &Post) -> Result<(), ServiceError> {
        if let Some(number) = self.due() {
            return self.offer(agent, post, number).await;
        }
        let capability = post.capabilities[self.dice.below(post.capabilities.len())];
        let args = json!({"capability": capability, "timeout": 200});
        let claim = self
            .succeeded(agent, post, "warp_work_claim", args)
            .await?
            .structured;
        if claim["found"] == false {
            return Ok(());
        }
        assert_eq!(claim["item"]["capability"], capability);
        let held = self
            .ledger
            .claimed(&claim, &format!("{} ({})", post.kind, agent.pid));
        self.work(agent, post, held).await
    }

    async fn offer(&self, agent: &Agent, post: &Post, number: usize) -> Result<(), ServiceError> {
        let task = format!("T-{number}");
        let capability = CAPABILITIES[self.dice.below(CAPABILITIES.len())];
        let scope = ["team", "public"][self.dice.below(2)];
        let args = json!({"taskId": task, "description": "Do it", "requiredCapability": capability,
                          "priority": self.dice.below(10) + 1, "scope": scope});
        let answer = self
            .succeeded(agent, post, "warp_work_broadcast", args)
            .await;
        let id = answer
            .as_ref()
            .ok()
            .map(|answer| super::super::text(&answer.structured["id"]));
        self.ledger.offered(&task, id);
        answer.map(drop)
    }

    /// What becomes of a claim.
    async fn work(&self, agent: &Agent, post: &Post, mut held: Held) -> Result<(), ServiceError> {
        let calm = self.calm.load(Ordering::Relaxed);
        match if calm { 99 } else { self.dice.below(100) } {
            // Longer than the lease.
            0..4 => {
                sleep(LEASE + Duration::from_millis(100)).await;
                self.complete(agent, post, &held).await
            }
            // As long, but prolonged.
            4..8 => {
                for _ in 0..3 {
                    sleep(LEASE / 2).await;
                    let args = json!({"token": held.token, "progress": 50});
                    let answer = self.call(agent, post, "warp_work_progress", args).await?;
                    if answer.error {
                        self.ledger.refused(&held, &answer.text);
                        return Ok(());
                    }
                    let until = super::super::text(&answer.structured["leaseUntil"]);
                    self.ledger.prolonged(&mut held, moment(&until));
                }
                self.complete(agent, post, &held).await
            }
            8..20 => self.fail(agent, post, &held, true).await,
            20..24 => self.fail(agent, post, &held, false).await,
            // The same answer twice.
            24..30 => {
                self.complete(agent, post, &held).await?;
                self.complete(agent, post, &held).await
            }
            _ => {
                sleep(self.dice.pause(100)).await;
                self.complete(agent, post, &held).await
            }
        }
    }

    async fn complete(&self, agent: &Agent, post: &Post, held: &Held) -> Result<(), ServiceError> {
        let asked = OffsetDateTime::now_utc();
        self.ledger.completing(held);
        let args = json!({"token": held.token});
        let answer = self.call(agent, post, "warp_work_complete", args).await?;
        match answer.error {
            true => self.ledger.refused(held, &answer.text),
            false => self.ledger.completed(held, asked),
        }
        Ok(())
    }

    async fn fail(
        &self,
        agent: &Agent,
        post: &Post,
        held: &Held,
        recoverable: bool,
    ) -> Result<(), ServiceError> {
        self.ledger.releasing(held, !recoverable);
        let args = json!({"token": held.token, "reason": "on purpose", "recoverable": recoverable});
        let answer = self.call(agent, post, "warp_work_fail", args).await?;
        match answer.error {
            true => self.ledger.refused(held, &answer.text),
            false => self
                .ledger
                .released(held, answer.structured["dead"] == true),
        }
        Ok(())
    }

    /// One agent, whose gateway is started again whenever it is gone.
    async fn serve(&self, place: &Place, post: &Post) {
        while !self.over.load(Ordering::Relaxed) {
            let (agent, _) = post.staffed(place).await;
            while !self.over.load(Ordering::Relaxed) {
                if self.step(&agent, post).await.is_err() {
                    post.gone(&agent);
                    break;
                }
            }
        }
    }

    /// Kills, then waits until nothing waits and nothing is claimed.
    async fn conduct(&self, planner: &Agent, posts: &[Post]) -> usize {
        let killed = reaper(posts, &self.dice).await;
        self.calm.store(true, Ordering::Relaxed);
        let calm = Instant::now();
        // What waits, one item after the other on a slow machine, and claims whose holders were killed.
        let bound = LIMIT + LEASE * 5 + Duration::from_millis(50) * self.items as u32;
        println!("at the last kill: {}", status(planner, json!({})).await);
        loop {
            let status = status(planner, json!({})).await;
            let offered = self.offered.load(Ordering::Relaxed);
            if offered == self.items && status["pending"] == 0 && status["claimed"] == 0 {
                self.over.store(true, Ordering::Relaxed);
                println!("empty {:?} after the last kill", calm.elapsed());
                return killed;
            }
            assert!(
                calm.elapsed() < bound,
                "after {offered} of {} offers there is still work: {status}",
                self.items
            );
            sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn status(agent: &Agent, args: Value) -> Value {
    agent.ok("warp_work_queue_status", args).await.structured
}

/// All dead letters of a capability, page by page.
async fn letters(agent: &Agent, capability: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    let mut args = json!({"capability": capability, "limit": 7});
    loop {
        let page = agent.ok("warp_dlq_list", args.clone()).await;
        letters.extend(list(&page, "items").iter().map(|item| Letter {
            id: super::super::text(&item["id"]),
            attempts: item["attempts"].as_u64().unwrap(),
            reason: super::super::text(&item["reason"]),
        }));
        let next = &page.structured["nextCursor"];
        if next.is_null() {
            assert_eq!(page.structured["total"], letters.len());
            return letters;
        }
        args["cursor"] = next.clone();
    }
}

/// Offers, claims and counts at rest: three numbers that are known.
async fn counts_are_exact(planner: &Agent, capability: &str, dead: usize) {
    for number in 0..3 {
        let args = json!({"taskId": format!("L-{number}"), "description": "Last", "requiredCapability": capability});
        planner.ok("warp_work_broadcast", args).await;
    }
    let args = json!({"capability": capability});
    let claim = planner.ok("warp_work_claim", args.clone()).await;
    assert_eq!(claim.structured["item"]["taskId"], "L-0");
    let status = status(planner, args).await;
    let counts = [&status["pending"], &status["claimed"], &status["dead"]];
    assert_eq!(counts, [2, 1, dead], "{capability}");
}

/// Short: 300 items in 8 seconds. `JACQUARD_SOAK=60`: 2,000 items in 60 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_is_completed_once_or_dead_whatever_is_killed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let planner = Agent::start(super::with(&place, &VARIABLES)).await;
    super::register(&planner, "planner", &CAPABILITIES).await;
    let posts: Vec<Post> = (0..AGENTS)
        .map(|number| {
            let capabilities = [CAPABILITIES[number % 4], CAPABILITIES[(number + 1) % 4]];
            let mut post = Post::new(format!("worker-{number}"), &capabilities);
            post.variables = VARIABLES.to_vec();
            post
        })
        .collect();
    let soak = Soak::new();
    let (_, killed) = tokio::join!(
        join_all(posts.iter().map(|post| soak.serve(&place, post))),
        soak.conduct(&planner, &posts)
    );
    let mut all = Vec::new();
    let mut dead = Vec::new();
    for capability in CAPABILITIES {
        let letters = letters(&planner, capability).await;
        dead.push(letters.len());
        all.extend(letters);
    }
    let sum = soak.ledger.settle(&all);
    let struck = soak.struck.into_inner();
    println!("{killed} gateways killed by the second, {struck} in a call: {sum:?}");
    assert_eq!(sum.offered + sum.unanswered_offers, soak.items);
    let plain = super::super::plain(&server).await;
    let mut stream = plain.get_stream("GLOBAL_WORK").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 0);
    let total = status(&planner, json!({})).await;
    assert_eq!(total["dead"], all.len());
    for (capability, dead) in CAPABILITIES.into_iter().zip(dead) {
        counts_are_exact(&planner, capability, dead).await;
    }
    assert!(killed > 3, "hardly anything was killed");
}
