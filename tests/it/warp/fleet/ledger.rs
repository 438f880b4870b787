//! What agents were told about each work item, and whether that can be true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::text;

/// How a claim ended. `…ing`: it was asked for, and nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Open,
    Completing,
    Completed,
    /// With whether it is not recoverable.
    Releasing(bool),
    /// With whether the item is a dead letter now.
    Released(bool),
    /// The lease was over before.
    Refused,
}

/// One claim, as its holder knows it.
#[derive(Debug)]
struct Claim {
    token: String,
    holder: String,
    attempt: u64,
    at: OffsetDateTime,
    until: OffsetDateTime,
    end: End,
    ended: Option<OffsetDateTime>,
}

#[derive(Debug, Default)]
struct Item {
    task: String,
    /// The offer was answered.
    offered: bool,
    claims: Vec<Claim>,
}

/// A claim that somebody holds.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: String,
    pub token: String,
    pub until: OffsetDateTime,
}

/// A dead letter, as it was listed.
#[derive(Debug)]
pub struct Letter {
    pub id: String,
    pub attempts: u64,
    pub reason: String,
}

/// How many items ended how.
#[derive(Debug, Default, PartialEq)]
pub struct Sum {
    pub offered: usize,
    pub unanswered_offers: usize,
    pub claims: usize,
    pub completed: usize,
    pub dead: usize,
    /// Gone, and the answer that would have said so was lost.
    pub unknown: usize,
    /// Claims whose lease was over when they were to be completed.
    pub late: usize,
}

/// Everything that was said of all items.
#[derive(Default)]
pub struct Ledger {
    items: Mutex<BTreeMap<String, Item>>,
    /// Tasks whose offer was not answered.
    unanswered: Mutex<BTreeSet<String>>,
    /// Claims of an item that had been completed, and the like.
    wrong: Mutex<Vec<String>>,
    pub attempts: u64,
}

pub fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Ledger {
    pub fn new(attempts: u64) -> Self {
        Self {
            attempts,
            ..Self::default()
        }
    }

    pub fn offered(&self, task: &str, id: Option<String>) {
        let Some(id) = id else {
            self.unanswered.lock().unwrap().insert(task.to_owned());
            return;
        };
        let mut items = self.items();
        // It may have been claimed before its offer was answered.
        let item = items.entry(id).or_default();
        item.task = task.to_owned();
        item.offered = true;
    }

    pub fn claimed(&self, claim: &Value, holder: &str) -> Held {
        let at = OffsetDateTime::now_utc();
        let id = text(&claim["item"]["id"]);
        let new = Claim {
            token: text(&claim["token"]),
            holder: holder.to_owned(),
            attempt: claim["attempt"].as_u64().unwrap(),
            until: moment(&text(&claim["leaseUntil"])),
            at,
            end: End::Open,
            ended: None,
        };
        let held = Held {
            id: id.clone(),
            token: new.token.clone(),
            until: new.until,
        };
        let mut items = self.items();
        let item = items.entry(id.clone()).or_default();
        item.task = text(&claim["item"]["taskId"]);
        item.claims.push(new);
        let (new, before) = item.claims.split_last().unwrap();
        for old in before {
            let free = match old.end {
                End::Completed | End::Released(true) => false,
                End::Released(false) | End::Releasing(false) => true,
                End::Open | End::Completing | End::Releasing(true) | End::Refused => {
                    at >= old.until
                }
            };
            if !free
                || new.attempt <= old.attempt
                || new.attempt > self.attempts
                || new.token == old.token
            {
                self.wrong(format!("{id} was claimed in vain: {item}"));
                break;
            }
        }
        held
    }

    /// Before asking for it: the answer may never come.
    pub fn completing(&self, held: &Held) {
        self.end(held, End::Completing);
    }

    pub fn completed(&self, held: &Held, asked: OffsetDateTime) {
        self.end(held, End::Completed);
        let items = self.items();
        let item = &items[&held.id];
        let completed = item
            .claims
            .iter()
            .filter(|claim| claim.end == End::Completed);
        if completed.count() > 1 {
            self.wrong(format!("{} was completed twice: {item}", held.id));
        }
        if asked > held.until {
            self.wrong(format!("{} was completed after its lease: {item}", held.id));
        }
    }

    pub fn refused(&self, held: &Held, why: &str) {
        self.end(held, End::Refused);
        if OffsetDateTime::now_utc() < held.until {
            let items = self.items();
            let item = &items[&held.id];
            self.wrong(format!(
                "{} was refused within its lease: {why}: {item}",
                held.id
            ));
        }
    }

    pub fn releasing(&self, held: &Held, dead: bool) {
        self.end(held, End::Releasing(dead));
    }

    pub fn released(&self, held: &Held, dead: bool) {
        self.end(held, End::Released(dead));
    }

    pub fn prolonged(&self, held: &mut Held, until: OffsetDateTime) {
        if until < held.until {
            self.wrong(format!(
                "{} was cut short from {} to {until}",
                held.id, held.until
            ));
        }
        held.until = until;
        self.change(held, |claim| claim.until = until);
    }

    fn end(&self, held: &Held, end: End) {
        self.change(held, |claim| {
            // Completing once more changes nothing, whatever becomes of the answer.
            if claim.end == End::Completed && end == End::Completing {
                return;
            }
            claim.end = end;
            claim.ended = Some(OffsetDateTime::now_utc());
        });
    }

    fn change(&self, held: &Held, change: impl Fn(&mut Claim)) {
        let mut items = self.items();
        let claims = &mut items.get_mut(&held.id).unwrap().claims;
        change(
            claims
                .iter_mut()
                .find(|claim| claim.token == held.token)
                .unwrap(),
        );
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.items.lock().unwrap()
    }

    fn wrong(&self, text: String) {
        self.wrong.lock().unwrap().push(text);
    }

    /// What is wrong with the end: the queue is empty, and these are the dead letters. Fails with all of it.
    pub fn settle(&self, letters: &[Letter]) -> Sum {
        let items = self.items();
        let mut dead = BTreeMap::new();
        for letter in letters {
            if dead.insert(letter.id.clone(), letter).is_some() {
                self.wrong(format!("{} is a dead letter twice", letter.id));
            }
            if letter.reason.is_empty() {
                self.wrong(format!("{letter:?} has no reason"));
            }
            if !items.contains_key(&letter.id) {
                self.wrong(format!(
                    "a dead letter that nobody has seen before: {letter:?}"
                ));
            }
        }
        let unanswered = self.unanswered.lock().unwrap();
        let mut sum = Sum {
            unanswered_offers: unanswered.len(),
            ..Sum::default()
        };
        let mut tasks = BTreeSet::new();
        for (id, item) in items.iter() {
            if !item.offered && !unanswered.contains(&item.task) {
                self.wrong(format!("{id} was never offered: {item}"));
            }
            if !tasks.insert(&item.task) {
                self.wrong(format!("the task of {id} was offered twice: {item}"));
            }
            self.item(id, item, dead.get(id).copied(), &mut sum);
        }
        drop(items);
        let wrong = self.wrong.lock().unwrap();
        assert!(
            wrong.is_empty(),
            "{} wrong, {sum:?}:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        sum
    }

    fn item(&self, id: &str, item: &Item, dead: Option<&Letter>, sum: &mut Sum) {
        let any = |end: End| item.claims.iter().any(|claim| claim.end == end);
        sum.offered += usize::from(item.offered);
        sum.claims += item.claims.len();
        sum.late += item
            .claims
            .iter()
            .filter(|claim| claim.end == End::Refused)
            .count();
        match (any(End::Completed), dead) {
            (true, Some(letter)) => {
                self.wrong(format!("{id} is completed, and {letter:?}: {item}"))
            }
            (true, None) if any(End::Released(true)) => {
                self.wrong(format!(
                    "{id} is completed, and was told to be dead: {item}"
                ));
            }
            (true, None) => sum.completed += 1,
            (false, Some(letter)) => {
                sum.dead += 1;
                let given_up = any(End::Released(true)) || any(End::Releasing(true));
                if !given_up && letter.attempts < self.attempts {
                    self.wrong(format!("{id} died too early, {letter:?}: {item}"));
                }
            }
            (false, None) if any(End::Completing) && !any(End::Released(true)) => sum.unknown += 1,
            (false, None) => self.wrong(format!("{id} is lost: {item}")),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = if self.offered { "" } else { " (not answered)" };
        write!(f, "task {}, offered{answered}", self.task)?;
        for claim in &self.claims {
            write!(
                f,
                "\n    attempt {} by {} from {} until {}: {:?}",
                claim.attempt,
                claim.holder,
                claim.at.time(),
                claim.until.time(),
                claim.end
            )?;
            if let Some(ended) = claim.ended {
                write!(f, " at {}", ended.time())?;
            }
        }
        Ok(())
    }
}
