//! One MCP client: what it has told us to remember.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minijinja::value::{Serde, Value as Jinja};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::push::{self, Push, Pushes, Seen};
use crate::catalog::Catalog;

/// The state of one client, kept apart for each pack.
#[derive(Debug)]
pub struct Session {
    id: String,
    packs: Mutex<BTreeMap<String, BTreeMap<String, Value>>>,
    /// Listeners that have not tried to subscribe yet.
    unopened: watch::Sender<usize>,
    pushes: Mutex<Option<mpsc::Sender<Push>>>,
}

impl Session {
    /// A new session with a random id, and without listeners.
    pub fn new() -> Self {
        Self::awaiting(0)
    }

    /// A new session that waits for so many listeners.
    pub(super) fn awaiting(listeners: usize) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            packs: Mutex::default(),
            unopened: watch::Sender::new(listeners),
            pushes: Mutex::default(),
        }
    }

    /// Notes that one more listener has subscribed, or could not.
    pub(super) fn opened(&self) {
        self.unopened
            .send_modify(|left| *left = left.saturating_sub(1));
    }

    /// Waits until the session listens on all of its subjects. So whoever learns of it by what a call writes can reach it.
    pub async fn listening(&self) {
        if *self.unopened.borrow() > 0 {
            let mut unopened = self.unopened.subscribe();
            let _ = unopened.wait_for(|left| *left == 0).await;
        }
    }

    /// Takes the pushes of this session from whoever read them before. They go on after `seen`, or where the reader before
    /// stopped.
    pub fn attach(&self, _seen: Option<Seen>) -> Pushes {
        let (sender, pushes) = mpsc::channel(push::WAITING);
        *self.pushes.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Pushes::new(pushes)
    }

    /// Its id: unique, and not a secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    // A panic while the lock is held leaves the map whole: every change is one insert or remove.
    fn state(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Value>>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What expressions of a pack call `session`: its defaults, what was set, and the id.
    pub fn view(&self, catalog: &Catalog, pack: usize) -> Jinja {
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        if let Some(loaded) = catalog.packs.get(pack) {
            for (name, declared) in &loaded.session {
                if let Some(default) = declared.default() {
                    values.insert(name.clone(), default.clone());
                }
            }
            if let Some(set) = self.state().get(loaded.pack.name.as_ref()) {
                values.extend(set.clone());
            }
        }
        values.insert("id".into(), Value::from(self.id.as_str()));
        Jinja::from(Serde(&values))
    }

    /// Sets a value of a pack; `None` forgets it.
    pub fn set(&self, pack: &str, name: &str, value: Option<Value>) {
        let mut state = self.state();
        let values = state.entry(pack.to_owned()).or_default();
        match value {
            Some(value) => values.insert(name.to_owned(), value),
            None => values.remove(name),
        };
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}
