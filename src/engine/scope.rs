//! The names that expressions see during a call.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use minijinja::value::{Enumerator, Object, Value};

use crate::spec::data::Text;

/// The names in force at one point of a call. Cheap to copy: values are shared.
#[derive(Debug, Clone)]
pub struct Scope {
    session: Value,
    project: Value,
    config: Value,
    tools: Value,
    gateway: Value,
    locals: Vec<(Text, Value)>,
}

impl Scope {
    /// The names every step has.
    pub fn new(
        session: Value,
        project: Value,
        config: Value,
        tools: Value,
        gateway: Value,
    ) -> Self {
        Self {
            session,
            project,
            config,
            tools,
            gateway,
            locals: Vec::new(),
        }
    }

    /// Gives a name to a value; it hides an older one.
    pub fn bind(&mut self, name: impl Into<Text>, value: Value) {
        self.locals.push((name.into(), value));
    }

    /// How many names were given to values.
    pub fn count(&self) -> usize {
        self.locals.len()
    }

    /// The names after the first `count`, in the order in which they were given: a later one hides an equal one before.
    pub fn since(&self, count: usize) -> impl Iterator<Item = (&str, &Value)> {
        let later = self.locals.iter().skip(count);
        later.map(|(name, value)| (name.as_ref(), value))
    }

    /// The value of a name that was given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.locals.iter().rev().find(|(n, _)| n == name);
        found.map(|(_, value)| value)
    }

    /// Whether a name was given to a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The same names and one more.
    #[must_use]
    pub fn with(&self, name: &'static str, value: Value) -> Self {
        let mut scope = self.clone();
        scope.bind(name, value);
        scope
    }

    /// The names that every step has, without those that steps have bound.
    #[must_use]
    pub fn bare(&self) -> Self {
        let call = self.locals.iter().find(|(name, _)| name == "call");
        Self {
            locals: call.cloned().into_iter().collect(),
            ..self.clone()
        }
    }

    /// Replaces the session, after a `set`.
    pub fn set_session(&mut self, session: Value) {
        self.session = session;
    }

    /// The same names for each element of a list in turn.
    pub fn items(&self) -> Items {
        Items(Arc::new(self.clone()))
    }

    /// What the template engine takes.
    pub fn context(&self) -> Value {
        Value::from_object(self.clone())
    }
}

/// The names in force for the elements of a list: those around it, and `item`.
#[derive(Debug)]
pub struct Items(Arc<Scope>);

impl Items {
    /// What the template engine takes, for one element.
    pub fn context(&self, item: Value) -> Value {
        Value::from_object(Item {
            outer: Arc::clone(&self.0),
            item,
        })
    }
}

/// The running call as expressions see it: `call.ms` is how long it has run when it is looked at, `call.id` a text that no
/// other call has.
#[derive(Debug)]
pub struct Running {
    begun: Instant,
    id: OnceLock<String>,
}

impl Running {
    /// A call that begins now.
    pub fn begins() -> Value {
        Self::goes_on(String::new())
    }

    /// A call that goes on now and has this id; a new one where it is empty.
    pub fn goes_on(id: String) -> Value {
        let known = OnceLock::new();
        if !id.is_empty() {
            let _ = known.set(id);
        }
        Value::from_object(Self {
            begun: Instant::now(),
            id: known,
        })
    }
}

impl Object for Running {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "ms" => Some(Value::from(self.begun.elapsed().as_millis())),
            "id" => Some(Value::from(self.id.get_or_init(random_id).as_str())),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["ms", "id"])
    }
}

/// 12 random hexadecimal digits: one token of a subject.
pub fn random_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(12);
    id
}

#[derive(Debug)]
struct Item {
    outer: Arc<Scope>,
    item: Value,
}

impl Object for Item {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "item" => Some(self.item.clone()),
            _ => self.outer.get_value_by_str(name),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    // What the template engine asks: without it, each look-up of a name would make a value of the name.
    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(n, _)| n == name) {
            return Some(value.clone());
        }
        match name {
            "session" => Some(self.session.clone()),
            "project" => Some(self.project.clone()),
            "config" => Some(self.config.clone()),
            "tools" => Some(self.tools.clone()),
            "gateway" => Some(self.gateway.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}
