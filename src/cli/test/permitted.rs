//! Gateways that may do on NATS what they are told, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::time::sleep;

use super::expect::Wrong;
use super::plan::Case;
use super::run::{Outcome, Verdict};
use crate::bus::local::{Deeds, Lookout};
use crate::bus::permits::allows;
use crate::gateway::{Setup, permits};
use crate::project::{Environment, Facts};

/// How long the server may take to notice that a gateway has gone.
const LEAVE: Duration = Duration::from_secs(5);
/// Pause between two looks.
const AGAIN: Duration = Duration::from_millis(10);
/// The most lines that are named of those that no example needs.
const MAX_IDLE: usize = 20;

/// What the gateway of the example with this number may do on NATS, as `jacquard permissions --format json` prints it; `None`:
/// everything.
pub type Permit<'a> =
    dyn Fn(usize, &Setup, &Environment) -> Result<Option<Value>, String> + Send + Sync + 'a;

/// In the place of a project's id, and of its namespace.
const OF_PROJECT: [&str; 2] = ["PROJECT-ID", "NAMESPACE"];

/// Permissions with words in the place of what each example has of its own: so those of several can be compared.
pub fn of_any(told: &Value, facts: &Facts) -> Value {
    replaced(told, [&facts.id, &facts.namespace], OF_PROJECT)
}

/// Such permissions for a project.
pub fn of_project(told: &Value, facts: &Facts) -> Value {
    replaced(told, OF_PROJECT, [&facts.id, &facts.namespace])
}

fn replaced(told: &Value, from: [&str; 2], to: [&str; 2]) -> Value {
    let text = |text: &str| {
        let pairs = from.iter().zip(to);
        pairs.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    match told {
        Value::String(value) => Value::String(text(value)),
        Value::Array(items) => items.iter().map(|item| replaced(item, from, to)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (text(key), replaced(value, from, to)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// What a gateway may do, and what it does.
pub(super) struct Bounds {
    /// Of whom.
    pub(super) facts: Facts,
    /// As `jacquard permissions --format json` prints it.
    pub(super) told: Value,
    /// Its user on NATS.
    pub(super) user: String,
    /// Sees what the user does, once the server is there.
    pub(super) lookout: Option<Lookout>,
}

/// What `jacquard permissions` prints for a gateway on stdio. Examples that are served alike are allowed alike.
pub fn least(
    cases: &[Case],
) -> impl Fn(usize, &Setup, &Environment) -> Result<Option<Value>, String> + Send + Sync + '_ {
    let known = Mutex::new(BTreeMap::<usize, Value>::new());
    move |index, setup, env| {
        let alike = |other: &Case| {
            let case = cases.get(index);
            case.is_some_and(|c| {
                c.base == other.base && c.home == other.home && c.fixture == other.fixture
            })
        };
        let first = cases.iter().position(alike).unwrap_or(index);
        // What is inserted is whole.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known.get(&first) {
            return Ok(Some(of_project(told, &setup.facts)));
        }
        let made = permits::permits(setup, env, false);
        let (permits, _) = made.map_err(|report| report.to_string())?;
        let told = permits::to_json(&permits);
        known.insert(first, of_any(&told, &setup.facts));
        Ok(Some(told))
    }
}

/// The block as a server's configuration has it, which JSON is.
pub(super) fn block(told: &Value) -> String {
    let mut block = told.clone();
    if let Some(fields) = block.as_object_mut() {
        fields.remove("why");
    }
    format!("permissions: {block}")
}

/// What a line of permissions is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Messages that are sent.
    Publish,
    /// Messages that are heard.
    Subscribe,
    /// Answers on subjects that nobody knows before. It has no subject.
    Answers,
}

impl Side {
    /// The key of the block.
    pub fn key(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Answers => "allow_responses",
        }
    }
}

/// A line of permissions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What it is about.
    pub side: Side,
    /// The subject that it allows.
    pub subject: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.side.key(), self.subject)
    }
}

/// The lines of permissions, each with the first thing that it is for.
pub fn lines(told: &Value) -> Vec<(Line, String)> {
    let mut found = Vec::new();
    for side in [Side::Publish, Side::Subscribe] {
        let subjects = told[side.key()]["allow"].as_array();
        for subject in subjects.into_iter().flatten().filter_map(Value::as_str) {
            let why = told["why"][side.key()][subject][0].as_str();
            let why = why.unwrap_or_default().to_owned();
            let subject = subject.to_owned();
            found.push((Line { side, subject }, why));
        }
    }
    if told.get("allow_responses").is_some() {
        let why = told["why"]["allow_responses"][0].as_str();
        let line = Line {
            side: Side::Answers,
            subject: String::new(),
        };
        found.push((line, why.unwrap_or_default().to_owned()));
    }
    found
}

/// These permissions without one of their lines.
pub fn without(told: &Value, line: &Line) -> Value {
    let mut less = told.clone();
    let key = line.side.key();
    if line.side == Side::Answers {
        if let Some(fields) = less.as_object_mut() {
            fields.remove(key);
        }
        return less;
    }
    if let Some(subjects) = less[key]["allow"].as_array_mut() {
        subjects.retain(|subject| *subject != *line.subject);
        // An empty list would allow everything.
        if subjects.is_empty() {
            let deny = Map::from_iter([("deny".to_owned(), Value::from(">"))]);
            less[key] = Value::Object(deny);
        }
    }
    less
}

/// The lines without which something that was done would have been refused: no other line allows it.
fn needed(told: &Value, deeds: &Deeds) -> BTreeSet<Line> {
    let all = lines(told);
    let mut needed = BTreeSet::new();
    for (side, subjects) in [
        (Side::Publish, &deeds.published),
        (Side::Subscribe, &deeds.subscribed),
    ] {
        for subject in subjects {
            let mut allowing = all
                .iter()
                .map(|(line, _)| line)
                .filter(|line| line.side == side && allows(&line.subject, subject));
            match (allowing.next(), allowing.next()) {
                (Some(line), None) => drop(needed.insert(line.clone())),
                // It was an answer.
                (None, _) if side == Side::Publish => {
                    let answers = all.iter().find(|(line, _)| line.side == Side::Answers);
                    needed.extend(answers.map(|(line, _)| line.clone()));
                }
                _ => {}
            }
        }
    }
    needed
}

/// What came of an example whose gateway had bounds. What it was refused is a failure, also where it could do without.
pub(super) async fn judge(bounds: Bounds, verdict: Verdict) -> Outcome {
    let mut outcome = Outcome::from(verdict);
    let Bounds {
        facts,
        told,
        user,
        lookout,
    } = bounds;
    let Some(lookout) = lookout else {
        return outcome;
    };
    let mut wrong = match deeds(&lookout, &user).await {
        Ok(deeds) => {
            let plain = |line: Line| {
                let subject = of_any(&Value::from(line.subject), &facts);
                let subject = subject.as_str().unwrap_or_default().to_owned();
                Line { subject, ..line }
            };
            outcome.needed = needed(&told, &deeds).into_iter().map(plain).collect();
            let refused = deeds.refused.into_iter();
            refused
                .map(|what| Wrong::plain("NATS refused the gateway", what))
                .collect()
        }
        Err(error) => vec![Wrong::plain("the permissions", error)],
    };
    outcome.told = Some(of_any(&told, &facts));
    if !wrong.is_empty() {
        if let Verdict::Failed(others) = outcome.verdict {
            wrong.extend(others);
        }
        outcome.verdict = Verdict::Failed(wrong);
    }
    outcome
}

/// What a user has done in all, once its connections are closed.
///
/// # Errors
/// The server's log cannot be read.
async fn deeds(lookout: &Lookout, user: &str) -> Result<Deeds, String> {
    let deadline = Instant::now() + LEAVE;
    loop {
        let (of, name) = (lookout.clone(), user.to_owned());
        let deeds = tokio::task::spawn_blocking(move || of.of(&name)).await;
        let deeds = deeds.map_err(|e| e.to_string())?;
        let deeds = deeds.map_err(|e| format!("the log of nats-server cannot be read: {e}"))?;
        if deeds.open == 0 || Instant::now() >= deadline {
            return Ok(deeds);
        }
        sleep(AGAIN).await;
    }
}

/// What is said of the lines that no example needed.
pub(super) fn idle<'a>(
    runs: impl IntoIterator<Item = (&'a Value, &'a BTreeSet<Line>)>,
) -> Option<String> {
    let mut all = BTreeMap::new();
    let mut needed = BTreeSet::new();
    for (told, of_one) in runs {
        all.extend(lines(told));
        needed.extend(of_one);
    }
    all.retain(|line, _| !needed.contains(line));
    let count = all.len();
    if count == 0 {
        return None;
    }
    let mut text = match count {
        1 => "1 permission is needed by no example:".to_owned(),
        _ => format!("{count} permissions are needed by no example:"),
    };
    for (line, why) in all.iter().take(MAX_IDLE) {
        text.push_str(&format!("\n  {line}: {why}"));
    }
    if count > MAX_IDLE {
        text.push_str(&format!("\n  and {} more", count - MAX_IDLE));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn line(side: Side, subject: &str) -> Line {
        let subject = subject.to_owned();
        Line { side, subject }
    }

    #[test]
    fn a_line_is_needed_where_no_other_allows_what_was_done() {
        let told = json!({
            "publish": {"allow": ["a.*", "a.b", "c"]}, "subscribe": {"allow": ["d.>"]},
            "allow_responses": {"max": 1},
            "why": {"publish": {"c": ["tool c"]}, "allow_responses": ["listener l"]},
        });
        let set = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let mut deeds = Deeds {
            published: set(&["a.b", "a.x"]),
            subscribed: set(&["d.*"]),
            ..Deeds::default()
        };
        let first = [line(Side::Publish, "a.*"), line(Side::Subscribe, "d.>")];
        assert_eq!(needed(&told, &deeds), BTreeSet::from(first));
        deeds.published.insert("somewhere.else".to_owned());
        let answers = line(Side::Answers, "");
        let second = needed(&told, &deeds);
        assert!(second.contains(&answers));
        assert_eq!(
            idle([(&told, &second)]).unwrap(),
            "2 permissions are needed by no example:\n  publish a.b: \n  publish c: tool c"
        );
        let less = without(&told, &line(Side::Subscribe, "d.>"));
        assert_eq!(less["subscribe"], json!({"deny": ">"}));
        assert!(!block(&without(&less, &answers)).contains("allow_responses"));
        assert!(!block(&told).contains("why"));
    }
}
