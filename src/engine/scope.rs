//! The names that expressions see during a call.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use crate::spec::data::Text;

/// The names in force at one point of a call. Cheap to copy: values are shared.
#[derive(Debug, Clone)]
pub struct Scope {
    session: Value,
    project: Value,
    config: Value,
    tools: Value,
    locals: Vec<(Text, Value)>,
}

impl Scope {
    /// The names every step has.
    pub fn new(session: Value, project: Value, config: Value, tools: Value) -> Self {
        Self {
            session,
            project,
            config,
            tools,
            locals: Vec::new(),
        }
    }

    /// Gives a name to a value; it hides an older one.
    pub fn bind(&mut self, name: impl Into<Text>, value: Value) {
        self.locals.push((name.into(), value));
    }

    /// The same names and one more.
    #[must_use]
    pub fn with(&self, name: &'static str, value: Value) -> Self {
        let mut scope = self.clone();
        scope.bind(name, value);
        scope
    }

    /// Replaces the session, after a `set`.
    pub fn set_session(&mut self, session: Value) {
        self.session = session;
    }

    /// What the template engine takes.
    pub fn context(&self) -> Value {
        Value::from_object(self.clone())
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Some((_, value)) = self.locals.iter().rev().find(|(n, _)| n == name) {
            return Some(value.clone());
        }
        match name {
            "session" => Some(self.session.clone()),
            "project" => Some(self.project.clone()),
            "config" => Some(self.config.clone()),
            "tools" => Some(self.tools.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}
