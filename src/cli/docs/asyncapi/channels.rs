//! The channels of a pack: addresses on NATS, and who uses them.

use serde_json::Value;

use super::super::names::Address;
use super::payload::Said;
use crate::catalog::touch::{Action, Flow, Keys, On, Subjects, Touch};
use crate::spec::model::{Pack, QueueDecl};

/// A channel.
#[derive(Debug)]
pub struct Channel {
    /// Its key in the document.
    pub key: String,
    /// Its subject.
    pub address: Address,
    /// What it is.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// What keeps it: `stream` or `bucket`, and the name of that on NATS.
    pub kept: Option<(&'static str, String)>,
    /// Its messages by who sends them.
    pub messages: Vec<(String, Value)>,
    /// Who uses it.
    pub uses: Vec<Use>,
}

/// Which way messages go, as the gateway sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// It sends.
    #[default]
    Send,
    /// It hears or reads.
    Receive,
}

/// Somebody who uses a channel.
#[derive(Debug, Clone, Default)]
pub struct Use {
    /// A tool, or what runs by itself.
    pub owner: String,
    /// Its name for people.
    pub summary: String,
    /// Which way.
    pub direction: Direction,
    /// By which verbs.
    pub verbs: Vec<&'static str>,
    /// Whether an answer comes back.
    pub replied: bool,
}

/// All channels of a pack, in the order in which they are first used.
#[derive(Debug)]
pub struct Channels<'a> {
    pack: &'a Pack,
    list: Vec<Channel>,
}

impl<'a> Channels<'a> {
    /// None yet.
    pub fn new(pack: &'a Pack) -> Self {
        Self {
            pack,
            list: Vec::new(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.list.iter()
    }

    /// Notes that somebody touches something. What is not on NATS is no channel.
    pub fn touch(&mut self, touch: &Touch, who: &Use) {
        for direction in directions(touch) {
            for index in self.of(&touch.on, touch.action) {
                let replied = matches!(touch.action, Action::Request | Action::Answer);
                let verb = touch.action.name();
                let Some(channel) = self.list.get_mut(index) else {
                    continue;
                };
                let known = channel
                    .uses
                    .iter_mut()
                    .find(|one| one.owner == who.owner && one.direction == direction);
                match known {
                    Some(one) => {
                        one.replied |= replied;
                        if !one.verbs.contains(&verb) {
                            one.verbs.push(verb);
                        }
                    }
                    None => channel.uses.push(Use {
                        direction,
                        verbs: vec![verb],
                        replied,
                        ..who.clone()
                    }),
                }
            }
        }
    }

    /// Notes what somebody sends.
    pub fn says(&mut self, said: &Said, owner: &str) {
        for index in self.of(&said.on, said.action) {
            let Some(channel) = self.list.get_mut(index) else {
                continue;
            };
            match channel.messages.iter_mut().find(|(name, _)| name == owner) {
                Some((_, known)) => *known = either(known, &said.payload),
                None => channel
                    .messages
                    .push((owner.to_owned(), said.payload.clone())),
            }
        }
    }

    /// The channels of what is touched; made when first asked for.
    fn of(&mut self, on: &On, action: Action) -> Vec<usize> {
        match on {
            On::Stream {
                stream, subjects, ..
            } => self.of_stream(stream, subjects, action),
            On::Bucket { bucket, keys, .. } => self.of_bucket(bucket, keys).into_iter().collect(),
            On::Queue(name) => {
                let queue = self.pack.queues.get(name);
                queue
                    .map(|queue| self.of_queue(name, queue, action))
                    .unwrap_or_default()
            }
            On::Subject(token) => vec![self.add(Address::of(&token.0), "Subject", None, None)],
            On::Subjects(text) => vec![self.add(Address::of(text), "Subjects", None, None)],
            On::Inbox(name) => {
                let inbox = self.pack.inboxes.get(name);
                let made = inbox.map(|inbox| {
                    let text = inbox.description.as_ref().map(ToString::to_string);
                    (Address::of(&inbox.subject.0), text)
                });
                let made =
                    made.map(|(at, text)| self.add(at, &format!("Inbox {name}"), text, None));
                made.into_iter().collect()
            }
            On::Table(_)
            | On::Journal(_)
            | On::Folder(_)
            | On::Program(_)
            | On::Server(_)
            | On::Services => Vec::new(),
        }
    }

    fn of_stream(&mut self, name: &str, subjects: &Subjects, action: Action) -> Vec<usize> {
        let Some(stream) = self.pack.streams.get(name) else {
            return Vec::new();
        };
        // Who reads is on the stream's own channels, however few of its messages it wants.
        let these = match subjects {
            Subjects::These(list) if action == Action::Publish => list.clone(),
            _ => stream.subjects.to_vec(),
        };
        let on_nats = Address::of(&stream.name.0).text;
        these
            .iter()
            .map(|subject| {
                let text = stream.description.as_ref().map(ToString::to_string);
                let kept = ("stream", on_nats.clone());
                self.add(
                    Address::of(&subject.0),
                    &format!("Stream {name}"),
                    text,
                    Some(kept),
                )
            })
            .collect()
    }

    fn of_bucket(&mut self, name: &str, keys: &Keys) -> Option<usize> {
        let bucket = self.pack.buckets.get(name)?;
        let on_nats = Address::of(&bucket.name.0);
        let kept = ("bucket", on_nats.text.clone());
        let at = Address {
            text: format!("$KV.{}", on_nats.text),
            parameters: on_nats.parameters,
        };
        let at = match keys {
            Keys::One(key) if !key.0.contains("{{") && !key.0.contains("{%") => {
                at.then(Address::of(&key.0))
            }
            _ => at.with("key", "a key, perhaps of several tokens"),
        };
        let text = bucket.description.as_ref().map(ToString::to_string);
        Some(self.add(at, &format!("Bucket {name}"), text, Some(kept)))
    }

    /// The items of a queue, or its dead letters. What only changes a claim sends nothing that others read.
    fn of_queue(&mut self, name: &str, queue: &QueueDecl, action: Action) -> Vec<usize> {
        let text = queue.description.as_ref().map(ToString::to_string);
        let params = queue.params.iter().flat_map(|params| params.iter());
        let made = |what: &str| format!("{what} of the item, as one token");
        let mut at = Address::of(&queue.subject.0);
        if queue.consumer.is_none() {
            for param in params.clone() {
                at = at.with(param, &made(param));
            }
            at = at.with("level", "the level of urgency");
        }
        let mut dead = Address::of(&queue.dead.subject.0);
        if let Some(first) = params.clone().next() {
            dead = dead.with(first, &made(first));
        }
        dead = dead.with("id", "the id of the item");
        let stream = |name: &str| {
            let stream = self.pack.streams.get(name)?;
            Some(("stream", Address::of(&stream.name.0).text))
        };
        let (items_in, dead_in) = (stream(&queue.stream), stream(&queue.dead.stream));
        let title = format!("Queue {name}");
        let of_dead = format!("Dead letters of the queue {name}");
        match action {
            Action::Enqueue | Action::Claim | Action::Peek | Action::Depth => {
                vec![self.add(at, &title, text, items_in)]
            }
            Action::Dead | Action::Discard | Action::Release => {
                vec![self.add(dead, &of_dead, text, dead_in)]
            }
            Action::Revive => vec![
                self.add(at, &title, text.clone(), items_in),
                self.add(dead, &of_dead, text, dead_in),
            ],
            _ => Vec::new(),
        }
    }

    fn add(
        &mut self,
        address: Address,
        title: &str,
        description: Option<String>,
        kept: Option<(&'static str, String)>,
    ) -> usize {
        let address = address.without_wildcards();
        let same = |channel: &Channel| channel.address == address && channel.title == title;
        if let Some(index) = self.list.iter().position(same) {
            return index;
        }
        let key = self.key(&address.text);
        self.list.push(Channel {
            key,
            address,
            title: title.to_owned(),
            description,
            kept,
            messages: Vec::new(),
            uses: Vec::new(),
        });
        self.list.len() - 1
    }

    /// A key made of the address: words, and what is filled in by its name.
    fn key(&self, address: &str) -> String {
        let mut key = String::new();
        for c in address.chars() {
            match c {
                c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => key.push(c),
                '{' | '}' | '$' => {}
                _ if key.ends_with('.') => {}
                _ => key.push('.'),
            }
        }
        let key = key.trim_matches('.').to_owned();
        let taken = |key: &String| self.list.iter().any(|channel| channel.key == *key);
        let mut free = key.clone();
        let mut number = 1;
        while taken(&free) || free == super::REPLY || free.is_empty() {
            number += 1;
            free = format!("{key}_{number}");
        }
        free
    }
}

/// Which way an action goes.
fn directions(touch: &Touch) -> Vec<Direction> {
    // Into a stream goes what is published. Whoever removes messages takes from it.
    if matches!(touch.on, On::Stream { .. }) && touch.action != Action::Publish {
        return vec![Direction::Receive];
    }
    match touch.action {
        // The answer is the reply of what is sent, or of what is heard.
        Action::Request => vec![Direction::Send],
        Action::Answer => vec![Direction::Receive],
        // An item comes, a dead letter is taken away.
        Action::Claim | Action::Discard => vec![Direction::Receive],
        action => match action.flow() {
            Flow::Out => vec![Direction::Send],
            Flow::In => vec![Direction::Receive],
            Flow::Both => vec![Direction::Send, Direction::Receive],
        },
    }
}

/// Messages of one of two forms.
fn either(known: &Value, new: &Value) -> Value {
    if known == new {
        return known.clone();
    }
    let mut forms = match known.get("anyOf").and_then(Value::as_array) {
        Some(forms) => forms.clone(),
        None => vec![known.clone()],
    };
    if !forms.contains(new) {
        forms.push(new.clone());
    }
    serde_json::json!({ "anyOf": forms })
}
