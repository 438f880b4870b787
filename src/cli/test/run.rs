//! One example at work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use super::answers::Answers;
use super::ask::Ask;
use super::expect::{self, Awaited, Wrong};
use super::ground::Ready;
use super::permitted::{self, Line};
use super::plan::{Base, Case};
use super::seat::Seat;
use super::stand_in::{self, Faults};
use super::words::Words;
use crate::bus::{Bus, Message, Subscription};
use crate::catalog::Tool;
use crate::engine::{Contact, Reply};
use crate::gateway::{Gateway, full};
use crate::spec::data::Map;
use crate::spec::model::{Expect, Given, Said};
use crate::spec::tree::{Tree, parse_span};

/// The longest time that an example may take.
const LIMIT: Duration = Duration::from_secs(300);
/// How long NATS may take to answer at first.
const CONNECT: Duration = Duration::from_secs(20);
/// How long messages and notifications may take to arrive, unless `within` allows for more.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is listened before it is said that nothing came.
const SILENCE: Duration = Duration::from_millis(100);
/// Pause before a call is made again, and between two looks at what has arrived.
const AGAIN: Duration = Duration::from_millis(25);
/// How long leaving NATS may take.
const CLOSE: Duration = Duration::from_millis(500);
/// The most messages that are kept of those that come while a call runs.
const MAX_MESSAGES: usize = 10_000;

/// How an example went.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// All is as it was expected.
    Passed,
    /// Something is not.
    Failed(Vec<Wrong>),
    /// It cannot be run here, for this reason.
    Skipped(String),
}

/// What came of running an example.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it went.
    pub verdict: Verdict,
    /// What its gateway was allowed, as `jacquard permissions --format json` prints it; nothing where it was everything.
    pub told: Option<Value>,
    /// The lines of that without which something that it did would have been refused.
    pub needed: BTreeSet<Line>,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            told: None,
            needed: BTreeSet::new(),
        }
    }
}

type Checked = Result<(), Vec<Wrong>>;

/// Runs an example, for 5 minutes at the most. A gateway that was refused anything has failed, also where it could do without.
pub(super) async fn run(case: &Case, mut ready: Ready) -> Outcome {
    let bounds = ready.bounds.take();
    let verdict = match timeout(LIMIT, Box::pin(begin(case, ready))).await {
        Ok(verdict) => verdict,
        Err(_) => failed(
            "the example",
            format!("it takes longer than {} s", LIMIT.as_secs()),
        ),
    };
    match bounds {
        Some(bounds) => permitted::judge(bounds, verdict).await,
        None => verdict.into(),
    }
}

fn failed(what: &str, why: impl Into<String>) -> Verdict {
    Verdict::Failed(vec![Wrong::plain(what, why)])
}

async fn begin(case: &Case, ready: Ready) -> Verdict {
    let gateway = match Gateway::start(ready.setup, &ready.env).await {
        Ok(gateway) => gateway,
        Err(error) => return failed("the gateway cannot start", full(&error)),
    };
    let other = match Bus::connect(ready.other).await {
        Ok(bus) => bus,
        Err(error) => return failed("NATS", full(&error)),
    };
    let verdict = connected(case, &gateway, &other).await;
    gateway.close().await;
    other.close(CLOSE).await;
    verdict
}

async fn connected(case: &Case, gateway: &Arc<Gateway>, other: &Bus) -> Verdict {
    for bus in [gateway.nats().bus(), other] {
        if let Err(error) = bus.wait_connected(CONNECT).await {
            return failed("NATS", full(&error));
        }
    }
    let mut tasks = keep(gateway);
    settled(gateway).await;
    let catalog = gateway.catalog();
    // A tool that comes of a service is made once whoever stands by is asked.
    let words = match tool(case, gateway) {
        Some(tool) => Words::of(&catalog, &tool),
        None => Words::before(&catalog, &case.home),
    };
    let standing = &case.fixture.respond;
    let faults = match stand_in::start(standing, &words, other, &mut tasks).await {
        Ok(faults) => faults,
        Err(error) => return failed("the fixture", error),
    };
    if gateway.follows_services()
        && let Err(error) = gateway.find_services().await
    {
        return failed("looking for services", full(&error));
    }
    let Some(tool) = tool(case, gateway) else {
        return unserved(case, gateway);
    };
    let mut stage = Stage {
        case,
        gateway,
        other,
        words: Words::of(&catalog, &tool),
        seats: BTreeMap::new(),
    };
    stage.seat().await;
    let checked = stage.play(&tool.name).await;
    for (_, seat) in std::mem::take(&mut stage.seats) {
        seat.end().await;
    }
    verdict(checked, &faults)
}

/// Waits until the streams are there, so that what an example publishes first is kept, as it is where a gateway has run for a
/// while. One that cannot be made is told of by the step that needs it.
async fn settled(gateway: &Gateway) {
    let ready = async {
        while !gateway.unready().is_empty() {
            sleep(AGAIN).await;
        }
    };
    let _ = timeout(PATIENCE, ready).await;
}

/// Starts what goes on beside the sessions of a gateway.
fn keep(gateway: &Arc<Gateway>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let of = Arc::clone(gateway);
    tasks.spawn(async move { of.keep_prepared().await });
    let of = Arc::clone(gateway);
    tasks.spawn(async move { of.keep_swept().await });
    let of = Arc::clone(gateway);
    tasks.spawn(async move { of.keep_watched().await });
    let of = Arc::clone(gateway);
    tasks.spawn(async move { of.keep_announced().await });
    tasks
}

/// The tool that an example is of.
fn tool(case: &Case, gateway: &Gateway) -> Option<Arc<Tool>> {
    let catalog = gateway.catalog();
    if !case.made {
        return catalog.tool(&case.tool);
    }
    if let Some(name) = &case.example.tool {
        return catalog.tool(name);
    }
    let tools = catalog.tools();
    let pack = |tool: &&Arc<Tool>| catalog.packs[tool.pack].pack.name == case.home;
    let declared = |name: &str| {
        catalog
            .packs
            .iter()
            .any(|p| p.pack.tools.get(name).is_some() || p.pack.aliases.get(name).is_some())
    };
    let mut made = tools
        .iter()
        .filter(pack)
        .filter(|tool| !declared(&tool.name));
    let only = made.next().cloned();
    only.filter(|_| made.next().is_none())
}

/// A config may well leave a tool out; with its own fixture, a pack should not.
fn unserved(case: &Case, gateway: &Gateway) -> Verdict {
    let tools = gateway.catalog().tools();
    let names: Vec<&str> = tools.names().collect();
    let name = case.example.tool.as_deref().unwrap_or(&case.tool);
    let why = match (&case.base, case.made && case.example.tool.is_none()) {
        (Base::Config(_), _) => {
            return Verdict::Skipped("this config does not serve the tool".to_owned());
        }
        (_, true) => {
            "it does not say which of the made tools it means: add `tool: NAME`".to_owned()
        }
        _ => format!("with this fixture, there is no tool `{name}`"),
    };
    failed(
        "the tool",
        format!("{why}; there are: {}", names.join(", ")),
    )
}

fn verdict(checked: Checked, faults: &Faults) -> Verdict {
    let Err(mut wrong) = checked else {
        return Verdict::Passed;
    };
    let faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    let faults = faults.iter();
    wrong.extend(faults.map(|fault| Wrong::plain("a program that stands by", fault.as_str())));
    Verdict::Failed(wrong)
}

/// Where an example is played.
struct Stage<'a> {
    case: &'a Case,
    gateway: &'a Arc<Gateway>,
    other: &'a Bus,
    words: Words,
    /// The sessions by name; that without a name is the empty one.
    seats: BTreeMap<String, Seat>,
}

/// Something that happens in an example, and what is to come of it.
struct Act<'a> {
    seat: &'a str,
    ask: Option<(Ask<'a>, Option<&'a Tree>)>,
    answers: Option<&'a Map<Tree>>,
    publish: Option<&'a Said>,
    expect: &'a Expect,
    within: Option<Duration>,
    names: &'a Map<Tree>,
}

impl Stage<'_> {
    /// Begins all sessions before anything happens, in the order of their names' first use.
    async fn seat(&mut self) {
        let example = &self.case.example;
        let of = |given: &'_ Given| given.publish.is_none().then(|| given.r#as.clone());
        let before = example.given.iter().filter_map(of);
        let after = example.then.iter().filter_map(of);
        for name in before.chain([example.r#as.clone()]).chain(after) {
            let name = name.unwrap_or_default().into_owned();
            if !self.seats.contains_key(&name) {
                let client = self.case.fixture.clients.get(&name);
                let seat = Seat::begin(self.gateway, client).await;
                self.seats.insert(name, seat);
            }
        }
    }

    async fn play(&mut self, tool: &str) -> Checked {
        let case = self.case;
        let example = &case.example;
        for (index, given) in example.given.iter().enumerate() {
            let checked = self.given(given).await;
            checked.map_err(|wrong| told("given", index, given, wrong))?;
        }
        let act = Act {
            seat: example.r#as.as_deref().unwrap_or_default(),
            ask: Some((Ask::Tool(tool), Some(&example.call))),
            answers: example.answers.as_ref(),
            publish: None,
            expect: &example.expect,
            within: example.within.as_deref().and_then(parse_span),
            names: &example.r#let,
        };
        self.act(act).await?;
        for (index, given) in example.then.iter().enumerate() {
            let checked = self.given(given).await;
            checked.map_err(|wrong| told("then", index, given, wrong))?;
        }
        Ok(())
    }

    async fn given(&mut self, given: &Given) -> Checked {
        let fine = Expect::default();
        let served = &self.case.served;
        let ask = Ask::of(given, served);
        let act = Act {
            seat: given.r#as.as_deref().unwrap_or_default(),
            ask: ask.map(|ask| (ask, given.args.as_ref())),
            answers: given.answers.as_ref(),
            publish: given.publish.as_ref(),
            expect: given.expect.as_ref().unwrap_or(&fine),
            within: given.within.as_deref().and_then(parse_span),
            names: &given.r#let,
        };
        self.act(act).await
    }

    /// Does it, again and again while there is time and the reply is not as it is to be; then waits for what is to arrive.
    async fn act(&mut self, act: Act<'_>) -> Checked {
        let mut ear = self.listen(&act.expect.messages).await?;
        if let Some(said) = act.publish {
            let message = stand_in::message(said, &mut self.words);
            let message = message.map_err(|e| vec![Wrong::plain("the message", e)])?;
            let sent = self.other.publish(message).await;
            sent.map_err(|e| vec![Wrong::plain("publishing", full(&e))])?;
        }
        let begun = Instant::now();
        let deadline = begun + act.within.unwrap_or_default();
        let mut first: Option<String> = None;
        let mut calls = 0_u32;
        while let Some((ask, args)) = act.ask {
            let answers = self.answers(act.answers)?;
            let contact = answers.as_ref().map(Answers::contact);
            let contact = contact.unwrap_or_default();
            let reply = self.ask(act.seat, ask, args, contact).await?;
            calls += 1;
            let mut wrong = expect::reply(act.expect, &mut self.words, &reply);
            let asked = answers.map(|answers| answers.asked()).unwrap_or_default();
            wrong.extend(expect::asked(act.expect, &asked));
            if wrong.is_empty() {
                self.name(&reply, act.names)?;
                break;
            }
            if Instant::now() >= deadline {
                // What a first call has taken, the last one does not find.
                if let Some(text) = first.filter(|text| *text != reply.text) {
                    let what = format!("the first of {calls} calls was answered");
                    wrong.push(Wrong::plain(what, text));
                }
                return Err(wrong);
            }
            first.get_or_insert(reply.text);
            sleep(AGAIN).await;
        }
        let deadline = deadline.max(Instant::now() + PATIENCE);
        if let Some(ear) = &mut ear {
            ear.wait(deadline).await?;
        }
        self.told(&act, deadline).await
    }

    /// Listens where messages are expected, and nowhere else: who listens anywhere keeps NATS from saying that nobody does.
    async fn listen(&mut self, expected: &[Said]) -> Result<Option<Ear>, Vec<Wrong>> {
        if expected.is_empty() {
            return Ok(None);
        }
        let awaited = expected
            .iter()
            .map(|said| Awaited::new(said, &mut self.words));
        let awaited: Result<Vec<Awaited>, String> = awaited.collect();
        let awaited = awaited.map_err(|e| vec![Wrong::plain("what is expected", e)])?;
        let subjects = expect::subjects(&awaited);
        let heard = self.other.subscribe(&subjects, MAX_MESSAGES).await;
        let heard = heard.map_err(|e| vec![Wrong::plain("listening", full(&e))])?;
        Ok(Some(Ear {
            awaited,
            heard,
            came: Vec::new(),
        }))
    }

    /// What the client answers; `None` for one that cannot be asked.
    fn answers(&mut self, given: Option<&Map<Tree>>) -> Result<Option<Arc<Answers>>, Vec<Wrong>> {
        let Some(given) = given else { return Ok(None) };
        let mut answers = serde_json::Map::new();
        for (name, answer) in given.iter() {
            let value = self.words.value(answer);
            let value = value.map_err(|e| vec![Wrong::plain(format!("the answer {name}"), e)])?;
            answers.insert(name.to_owned(), value);
        }
        Ok(Some(Answers::new(answers)))
    }

    async fn ask(
        &mut self,
        seat: &str,
        ask: Ask<'_>,
        args: Option<&Tree>,
        contact: Contact,
    ) -> Result<Reply, Vec<Wrong>> {
        let args = match args {
            Some(args) => self.words.value(args),
            None => Ok(json!({})),
        };
        let args = match args {
            Ok(Value::Object(args)) => args,
            Ok(other) => {
                let text = format!("an object is needed, not {other}");
                return Err(vec![Wrong::plain("the arguments", text)]);
            }
            Err(error) => return Err(vec![Wrong::plain("the arguments", error)]),
        };
        let Some(seat) = self.seats.get(seat) else {
            return Err(vec![Wrong::plain("the session", "it has not begun")]);
        };
        let reply = ask.put(self.gateway, &seat.session, &mut self.words, args, contact);
        let reply = reply.await;
        reply.map_err(|error| vec![Wrong::plain("the address", error)])
    }

    /// Gives names to parts of a reply.
    fn name(&mut self, reply: &Reply, names: &Map<Tree>) -> Checked {
        if names.is_empty() {
            return Ok(());
        }
        let structured = reply.structured.clone().unwrap_or_default();
        self.words.bind("text", &Value::from(reply.text.as_str()));
        self.words.bind("structured", &structured);
        for (name, tree) in names.iter() {
            let value = self.words.value(tree);
            let value = value.map_err(|e| vec![Wrong::plain(format!("let {name}"), e)])?;
            self.words.bind(name, &value);
        }
        Ok(())
    }

    /// Waits for what a session is to be told.
    async fn told(&mut self, act: &Act<'_>, deadline: Instant) -> Checked {
        let (Some(expected), Some(seat)) = (&act.expect.notifications, self.seats.get(act.seat))
        else {
            return Ok(());
        };
        if expected.is_empty() {
            sleep(act.within.unwrap_or(SILENCE)).await;
            let heard = seat.heard();
            return match heard.first() {
                None => Ok(()),
                Some(push) => Err(vec![Wrong::plain(
                    "the session was told something",
                    push.method.as_str(),
                )]),
            };
        }
        loop {
            let outcome = {
                let mut heard = seat.heard();
                let outcome = expect::notifications(expected, &mut self.words, &heard);
                outcome.map(|mut used| {
                    used.sort_unstable();
                    for index in used.into_iter().rev() {
                        heard.remove(index);
                    }
                })
            };
            match outcome {
                Err(_) if Instant::now() < deadline => sleep(AGAIN).await,
                outcome => return outcome,
            }
        }
    }
}

/// Which part of an example something is wrong with.
fn told(part: &str, index: usize, given: &Given, wrong: Vec<Wrong>) -> Vec<Wrong> {
    let what = match (&given.tool, &given.prompt, &given.resource, &given.publish) {
        (Some(tool), ..) => format!(", {tool}"),
        (_, Some(prompt), ..) => format!(", prompt {prompt}"),
        (_, _, Some(uri), _) => format!(", resource {}", uri.0),
        (.., Some(said)) => format!(", a message on {}", said.subject.0),
        _ => String::new(),
    };
    let who = given.r#as.as_ref().map(|name| format!(" of {name}"));
    let part = format!("{part} {}{what}{}", index + 1, who.unwrap_or_default());
    let named = |w: Wrong| Wrong {
        what: format!("{part}: {}", w.what),
        ..w
    };
    wrong.into_iter().map(named).collect()
}

/// Messages that are waited for.
struct Ear {
    awaited: Vec<Awaited>,
    heard: Subscription,
    came: Vec<Message>,
}

impl Ear {
    async fn wait(&mut self, deadline: Instant) -> Checked {
        loop {
            let wrong = expect::messages(&self.awaited, &self.came);
            if wrong.is_empty() {
                return Ok(());
            }
            match timeout_at(deadline.into(), self.heard.next()).await {
                Ok(Some(message)) if self.came.len() < MAX_MESSAGES => self.came.push(message),
                _ => return Err(wrong),
            }
        }
    }
}
