//! Queues: from declarations to handles, and from the values of a step to lanes.

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::{Value, ValueKind};
use serde_json::{Map as Object, Value as Json};
use sha2::{Digest, Sha256};

use super::Resources;
use super::declared::{cannot_be_made, params_context};
use super::reader::{Reader, with_values};
use super::rules::ItemRules;
use crate::bus::{self, Bucket, Bytes, Lane, MAX_TOKEN, QueueSpec, Rules, Stored};
use crate::catalog::{Catalog, Templates};
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::check::{LEASE, MAX_ATTEMPTS, MAX_LANES, MAX_LEVELS};
use crate::spec::filters;
use crate::spec::model::QueueDecl;
use crate::spec::suggest;
use crate::spec::token;
use crate::spec::verbs::queues::MAX_WAIT;

// The language names the bounds of the bus, which the build script does not have.
const _: () = assert!(MAX_LANES == bus::MAX_LANES && MAX_LEVELS == bus::MAX_LEVELS);
const _: () = assert!(MAX_WAIT.as_nanos() == bus::MAX_WAIT.as_nanos());

/// The most lanes of which one step tells the depth.
const MAX_FOUND: usize = 10_000;
/// The longest name of a durable before it is replaced by a hash: the server takes 255 characters, and the level follows
/// (nats-server `JSMaxNameLen`).
const MAX_DURABLE: usize = 200;
/// How often one of all gateways looks for items that are too late: every half of a lease, within these bounds.
const EXPIRE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What stands for the first value where a queue has no parameters.
const NO_VALUE: &str = "_";

/// A declared queue.
pub struct Queue {
    /// Its name in the pack.
    pub name: String,
    /// The handle.
    pub handle: bus::Queue,
    /// How often an item is handed out.
    pub attempts: u32,
    /// How long a claim holds.
    pub lease: Duration,
    /// The levels, lowest 1.
    pub levels: u32,
    rules: Arc<ItemRules>,
    decl: QueueDecl,
    pack: usize,
    /// What the subjects of its lanes begin with; a durable of another program has a whole subject for each lane.
    prefix: Option<String>,
}

impl Queue {
    /// Makes the handle. Nothing is asked of NATS.
    ///
    /// # Errors
    /// Names or limits that cannot be made from this project and config.
    pub(super) fn new(
        resources: &Resources,
        catalog: &Arc<Catalog>,
        pack: usize,
        (name, decl): (&str, &QueueDecl),
    ) -> Result<Self, Failure> {
        Self::made(resources, catalog, pack, (name, decl))
            .map_err(|error| cannot_be_made("queue", catalog, pack, name, error))
    }

    fn made(
        resources: &Resources,
        catalog: &Arc<Catalog>,
        pack: usize,
        (name, decl): (&str, &QueueDecl),
    ) -> Result<Self, Failure> {
        let context = catalog.base_context(pack);
        let templates = &catalog.templates;
        let reader = Reader {
            templates,
            context: &context,
        };
        let levels = reader.count("levels", decl.levels.as_ref(), MAX_LEVELS)?;
        let attempts = reader
            .count("attempts", Some(&decl.attempts), MAX_ATTEMPTS)?
            .unwrap_or(1);
        let leases = resources.bucket(catalog, pack, &decl.leases, &[])?;
        let lease = lease(decl, &reader, &leases)?;
        let spec = QueueSpec {
            name: name.to_owned(),
            leases,
            dead: resources.stream(catalog, pack, &decl.dead.stream, &[])?,
            dead_subject: templates.token(&decl.dead.subject, &context)?,
            attempts,
        };
        let prefix = match decl.consumer {
            Some(_) => None,
            None => Some(templates.token(&decl.subject, &context)?),
        };
        let rules = Arc::new(ItemRules::new(Arc::clone(catalog), pack, name, decl));
        Ok(Self {
            name: name.to_owned(),
            handle: resources
                .bus
                .queue(spec, Arc::clone(&rules) as Arc<dyn Rules>),
            rules,
            attempts,
            lease,
            levels: levels.unwrap_or(1),
            decl: decl.clone(),
            pack,
            prefix,
        })
    }

    /// The names of the values that pick a lane.
    pub fn params(&self) -> impl Iterator<Item = &str> + Clone {
        self.decl
            .params
            .iter()
            .flat_map(|p| p.iter())
            .map(AsRef::as_ref)
    }

    /// The number of its pack.
    pub fn pack(&self) -> usize {
        self.pack
    }

    /// What tells it from all others.
    pub fn key(&self) -> (usize, String) {
        (self.pack, self.name.clone())
    }

    /// The lane that these values pick.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for values that are not exactly those that are declared, each a text that is not too
    /// long; and what making the names runs into.
    pub fn lane(
        &self,
        resources: &Resources,
        catalog: &Catalog,
        with: &[(String, Value)],
    ) -> Result<Lane, Failure> {
        let values = self.values(with)?;
        let mut tokens = Vec::with_capacity(values.len());
        for (_, text) in &values {
            tokens.push(filters::token(text)?);
        }
        let named: Vec<(String, Value)> = values
            .iter()
            .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
            .collect();
        let context = params_context(catalog, self.pack, &named);
        let picked = with_values(&catalog.templates, self.decl.with.as_ref(), &context)?;
        let (subject, consumer) = self.names(&catalog.templates, &context, &tokens)?;
        let label: Object<String, Json> = values
            .into_iter()
            .map(|(name, text)| (name, Json::from(text)))
            .collect();
        Ok(Lane {
            stream: resources.stream(catalog, self.pack, &self.decl.stream, &picked)?,
            subject,
            consumer,
            levels: if self.prefix.is_some() {
                self.levels
            } else {
                0
            },
            lease: self.lease,
            first: tokens
                .into_iter()
                .next()
                .unwrap_or_else(|| NO_VALUE.to_owned()),
            label: Json::Object(label),
        })
    }

    /// The subject and the durable of a lane.
    fn names(
        &self,
        templates: &Templates,
        context: &Value,
        tokens: &[String],
    ) -> Result<(String, String), Failure> {
        if let (None, Some(consumer)) = (&self.prefix, &self.decl.consumer) {
            return Ok((
                templates.token(&self.decl.subject, context)?,
                templates.token(consumer, context)?,
            ));
        }
        let mut subject = self.prefix.clone().unwrap_or_default();
        for token in tokens {
            subject.push('.');
            subject.push_str(token);
        }
        let consumer = durable(&subject);
        Ok((subject, consumer))
    }

    /// Whether the queue will find this id in a message: one with another id, or with none, could never be told apart or would be
    /// buried at once.
    ///
    /// # Errors
    /// [`FailureKind::Range`] if not.
    pub fn check_id(
        &self,
        id: &str,
        lane: &Lane,
        payload: &Bytes,
        headers: &[(String, String)],
    ) -> Result<(), Failure> {
        let message = Stored {
            seq: 0,
            time: String::new(),
            subject: lane.subject.clone(),
            headers: headers.to_vec(),
            payload: payload.clone(),
        };
        let found = match self.rules.look(&message).id {
            Some(found) if found == id => return Ok(()),
            Some(found) => format!("the id {found:?}"),
            None => "no id".to_owned(),
        };
        Err(Failure::new(
            FailureKind::Range,
            format!(
                "the queue `{}` finds {found} in this message (`id: {}`), and the step says {id:?}: they must be the same",
                self.name, self.decl.id.0
            ),
        ))
    }

    /// The lanes that hold anything.
    ///
    /// # Errors
    /// [`FailureKind::Range`] where lanes do not begin alike and where there are more than 10,000; and those of the bus.
    pub async fn lanes_found(
        &self,
        resources: &Resources,
        catalog: &Catalog,
    ) -> Result<Vec<Lane>, Failure> {
        let Some(prefix) = &self.prefix else {
            return Err(Failure::new(
                FailureKind::Range,
                format!("`from` must say which lanes of the queue `{}`", self.name),
            ));
        };
        let context = catalog.base_context(self.pack);
        let picked = with_values(&catalog.templates, self.decl.with.as_ref(), &context)?;
        let stream = resources.stream(catalog, self.pack, &self.decl.stream, &picked)?;
        let mut found = self.handle.lanes_found(&stream, prefix).await?;
        // Other subjects of the stream may lie below the prefix too.
        found
            .retain(|lane| lane.tokens.len() == self.params().count() && lane.level <= self.levels);
        // They are sorted: the levels of a lane stand together.
        found.dedup_by(|a, b| a.tokens == b.tokens);
        if found.len() > MAX_FOUND {
            return Err(Failure::new(
                FailureKind::Range,
                format!(
                    "{} lanes of the queue `{}` hold something, more than {MAX_FOUND}: say which with `from`",
                    found.len(),
                    self.name
                ),
            ));
        }
        let lane = |found: &bus::Found| {
            let texts = found.tokens.iter().map(|token| token::decode(token));
            let values = self.params().map(str::to_owned).zip(texts.map(Value::from));
            self.lane(resources, catalog, &values.collect::<Vec<_>>())
        };
        found.iter().map(lane).collect()
    }

    /// Buries the items whose time is over although nobody claims them, in all lanes that hold anything. Nothing is done for a
    /// queue without `expires`, and for the lanes of another program's durables: those are not known.
    ///
    /// # Errors
    /// Those of [`Queue::lanes_found`] and of the bus.
    pub async fn expire(&self, resources: &Resources, catalog: &Catalog) -> Result<usize, Failure> {
        if self.decl.expires.is_none() || self.prefix.is_none() {
            return Ok(0);
        }
        let every = (self.lease / 2).clamp(EXPIRE.0, EXPIRE.1);
        if !self.handle.begins_to_expire(every).await? {
            return Ok(0);
        }
        let mut buried = 0;
        for lanes in self
            .lanes_found(resources, catalog)
            .await?
            .chunks(MAX_LANES)
        {
            buried += self.handle.expire(lanes).await?;
        }
        Ok(buried)
    }

    /// The values in the order of the declaration.
    fn values(&self, with: &[(String, Value)]) -> Result<Vec<(String, String)>, Failure> {
        let mut values = Vec::new();
        for param in self.params() {
            let value = with.iter().find(|(name, _)| name == param);
            let value = value.map(|(_, value)| value.clone()).unwrap_or_default();
            values.push((param.to_owned(), lane_text(param, &value)?));
        }
        match with
            .iter()
            .find(|(name, _)| !self.params().any(|p| p == name))
        {
            None => Ok(values),
            Some((other, _)) => Err(Failure::new(
                FailureKind::Range,
                format!(
                    "the queue `{}` has no value `{other}`: {}",
                    self.name,
                    suggest::help(other, self.params())
                ),
            )),
        }
    }
}

/// How long a claim holds; the records of claims must outlive it.
fn lease(decl: &QueueDecl, reader: &Reader<'_>, leases: &Bucket) -> Result<Duration, Failure> {
    let range = |text: String| Err(Failure::new(FailureKind::Range, text));
    let lease = reader.span("lease", Some(&decl.lease))?.unwrap_or_default();
    if !LEASE.contains(&lease) {
        return range(format!("`lease` is {lease:?}, and must be from 1s to 24h"));
    }
    match leases.spec().ttl.filter(|life| *life <= lease) {
        None => Ok(lease),
        Some(life) => range(format!(
            "the entries of the bucket `{}` live for {life:?}, and must outlive a lease of {lease:?}",
            decl.leases
        )),
    }
}

/// An id, or a value that picks a lane: a text, or a number as one.
///
/// # Errors
/// [`FailureKind::Range`] for anything else, for the empty text, and for one that is too long.
pub fn lane_text(name: &str, value: &Value) -> Result<String, Failure> {
    let text = match value.kind() {
        ValueKind::String | ValueKind::Number => value.to_string(),
        _ => String::new(),
    };
    if filters::token(&text).is_ok_and(|token| token.len() <= MAX_TOKEN) {
        return Ok(text);
    }
    let shown: String = value.to_string().chars().take(64).collect();
    Err(Failure::new(
        FailureKind::Range,
        format!(
            "`{name}` is {shown:?}, and must be a text of at most {MAX_TOKEN} bytes \
             (those outside of a-z, 0-9, _ and - count three times), and not empty"
        ),
    ))
}

/// The durable of a lane of our own: its subject, with what the name of a durable cannot have replaced.
fn durable(subject: &str) -> String {
    if subject.len() > MAX_DURABLE {
        return format!("{:x}", Sha256::digest(subject));
    }
    subject.replace(['.', '/', '\\'], "~")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_durable_has_a_name_that_the_server_takes() {
        assert_eq!(durable("work.c=2B=2B.us"), "work~c=2B=2B~us");
        assert_eq!(durable("a/b\\c.d"), "a~b~c~d");
        let (one, other) = ("x".repeat(300), format!("{}y", "x".repeat(299)));
        assert_eq!(durable(&one).len(), 64);
        assert_ne!(durable(&one), durable(&other));
    }

    #[test]
    fn texts_and_numbers_pick_lanes() {
        let text = |value: Value| lane_text("x", &value).map_err(|e| e.kind);
        assert_eq!(text(Value::from("ü")).unwrap(), "ü");
        assert_eq!(text(Value::from(5)).unwrap(), "5");
        assert_eq!(text(Value::from("a".repeat(200))).unwrap().len(), 200);
        for bad in [
            Value::from(""),
            Value::from(()),
            Value::UNDEFINED,
            Value::from(true),
            Value::from(vec![1]),
            Value::from("a".repeat(201)),
            Value::from("A".repeat(67)),
        ] {
            assert_eq!(text(bad), Err(FailureKind::Range));
        }
    }
}
