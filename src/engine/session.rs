//! One MCP client: what it has told us to remember, who it is, and what it is told unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::log::Level;
use super::outlet::{Note, Outlet};
use super::push::{Pushes, Seen};
use crate::catalog::Catalog;

/// The most resources that a session may subscribe to.
pub const MAX_SUBSCRIBED: usize = 1000;

/// The state of one client, kept apart for each pack.
#[derive(Debug)]
pub struct Session {
    id: String,
    packs: Mutex<BTreeMap<String, BTreeMap<String, Value>>>,
    client: Mutex<Client>,
    /// The addresses of the resources whose changes the client wants to hear of.
    subscribed: Mutex<BTreeSet<String>>,
    /// The least level of the lines that the client wants in its log.
    log: Mutex<Option<Level>>,
    /// Grows with each change of `packs`, `subscribed` and `log`.
    revision: AtomicU64,
    /// Grows with each change of what expressions see.
    looks: AtomicU64,
    /// Listeners that have not tried to subscribe yet.
    unopened: watch::Sender<usize>,
    /// The generation of the engine whose packs the state fits.
    generation: AtomicU64,
    outlet: Arc<Outlet>,
}

/// Who speaks.
#[derive(Debug, Default, PartialEq)]
struct Client {
    principal: String,
    claims: Map<String, Value>,
}

/// What a session listens on.
#[derive(Debug, Default)]
pub(super) struct Ears {
    /// How many listeners there are.
    pub(super) listeners: usize,
    /// The keys of those that listen on a stream.
    pub(super) streams: BTreeSet<String>,
}

impl Session {
    /// A new session with a random id, and without listeners.
    pub fn new() -> Self {
        Self::listening_on(
            uuid::Uuid::new_v4().to_string(),
            &Ears::default(),
            Arc::default(),
        )
    }

    /// A new session with this id. `fingerprint` is the catalog's.
    pub(super) fn listening_on(id: String, ears: &Ears, fingerprint: Arc<str>) -> Self {
        Self {
            outlet: Arc::new(Outlet::new(&id, fingerprint, ears.streams.clone())),
            id,
            packs: Mutex::default(),
            client: Mutex::default(),
            subscribed: Mutex::default(),
            log: Mutex::default(),
            revision: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            unopened: watch::Sender::new(ears.listeners),
            generation: AtomicU64::new(0),
        }
    }

    /// From now on the packs are those of this catalog, unless it is older than what the state fits already. Values that do not
    /// fit are forgotten, and positions in streams that nobody listens on any more.
    pub(super) fn fit(&self, catalog: &Catalog, ears: &Ears, generation: u64) {
        if self.generation.fetch_max(generation, Ordering::Relaxed) >= generation {
            return;
        }
        self.outlet.listen_on(&ears.streams);
        let declared = |pack: &str, name: &str| {
            let loaded = catalog.packs.iter().find(|p| p.pack.name == pack);
            loaded.and_then(|loaded| loaded.session.get(name))
        };
        let mut forgotten = false;
        self.state().retain(|pack, values| {
            let before = values.len();
            values.retain(|name, value| {
                declared(pack, name).is_some_and(|schema| schema.check(value).is_ok())
            });
            forgotten |= values.len() < before;
            !values.is_empty()
        });
        if forgotten {
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
        // Defaults may be others.
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how many listeners are about to subscribe: those of a session that begins, or more of them.
    pub(super) fn opening(&self, listeners: usize, more: bool) {
        self.unopened
            .send_modify(|left| *left = if more { *left + listeners } else { listeners });
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

    /// Takes the pushes of this session from whoever read them before, whose [`Pushes::next`] gives `None` from now on. They
    /// go on after `seen`, or after what the reader before has confirmed.
    pub fn attach(&self, seen: Option<Seen>) -> Pushes {
        let reader = self.outlet.attach(seen);
        Pushes::new(Arc::clone(&self.outlet), reader)
    }

    /// What its client has seen for certain: where pushes go on for a reader that does not say where.
    pub fn seen(&self) -> Seen {
        self.outlet.seen()
    }

    /// Tells the client that something is to be asked for again: a notification without a place in the order of the others.
    /// An equal one that still waits for the client will do. Never waits.
    pub fn tell(&self, method: &str, params: Option<Map<String, Value>>) {
        let method = method.to_owned();
        self.outlet.news(Note { method, params });
    }

    /// The tools are those with this [fingerprint](crate::catalog::Tools::fingerprint) from now on: the client is told, now or when it
    /// comes back with what it has seen.
    pub fn relisted(&self, fingerprint: &Arc<str>) {
        self.outlet.relisted(fingerprint);
        self.tell("notifications/tools/list_changed", None);
    }

    /// Notes that the client wants to hear of changes of this resource; `false` when it has [`MAX_SUBSCRIBED`] already.
    pub fn subscribe(&self, uri: &str) -> bool {
        let mut subscribed = self.subscriptions();
        if subscribed.contains(uri) {
            return true;
        }
        if subscribed.len() >= MAX_SUBSCRIBED {
            return false;
        }
        subscribed.insert(uri.to_owned());
        drop(subscribed);
        self.revision.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Takes that back; whether it was so.
    pub fn unsubscribe(&self, uri: &str) -> bool {
        let was = self.subscriptions().remove(uri);
        if was {
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
        was
    }

    /// Whether the client wants to hear of changes of this resource.
    pub fn subscribes(&self, uri: &str) -> bool {
        self.subscriptions().contains(uri)
    }

    /// The resources whose changes the client wants to hear of, as far as their addresses fit.
    pub fn subscriptions_that(&self, fit: impl Fn(&str) -> bool) -> Vec<String> {
        let subscribed = self.subscriptions();
        subscribed.iter().filter(|uri| fit(uri)).cloned().collect()
    }

    /// The least level of the lines that the client wants in its log, if it has said so.
    pub fn log_level(&self) -> Option<Level> {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the least level of the lines that the client wants in its log.
    pub fn set_log_level(&self, level: Level) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.replace(level) != Some(level) {
            self.revision.fetch_add(1, Ordering::Relaxed);
        }
    }

    // A panic while the lock is held leaves the set whole: every change is one insert or remove.
    fn subscriptions(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.subscribed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// Its id: unique, and not a secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Says whom the client speaks for: `session.principal` (empty: nobody in particular) and `session.claims`.
    pub fn set_client(&self, principal: &str, claims: &Map<String, Value>) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.principal != principal || client.claims != *claims {
            principal.clone_into(&mut client.principal);
            client.claims.clone_from(claims);
            self.looks.fetch_add(1, Ordering::Relaxed);
        }
    }

    // A panic while the lock is held leaves the map whole: every change is one insert or remove.
    fn state(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Value>>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What expressions of a pack call `session`: its defaults, what was set, the id, and who the client is.
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
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert("id".into(), Value::from(self.id.as_str()));
        values.insert("principal".into(), Value::from(client.principal.as_str()));
        values.insert("claims".into(), Value::from(client.claims.clone()));
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
        drop(state);
        self.revision.fetch_add(1, Ordering::Relaxed);
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Grows with each [`Session::set`] and each change of what the client subscribes to: who has stored a snapshot sees whether it is still the state.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// Grows whenever [`Session::view`] may give something else.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Whether anything has been set, so that the session is worth keeping.
    pub fn is_bound(&self) -> bool {
        let set = self.state().values().any(|values| !values.is_empty());
        set || !self.subscriptions().is_empty() || self.log_level().is_some()
    }

    /// What another gateway needs to go on with this session ([`Engine::restore`](super::Engine::restore)): an object of
    /// `packs` (what was set, by pack and name), `seen` (the positions of [`Session::seen`]), and if there are any
    /// `subscribed` (addresses of resources, each with `true`), and `log` if the client has said which lines it wants.
    pub fn snapshot(&self) -> Value {
        let seen = self.seen().positions;
        let mut snapshot = json!({ "packs": &*self.state(), "seen": seen });
        let subscribed = self.subscriptions();
        if !subscribed.is_empty() {
            // By name, so that what two gateways have changed can be put together.
            let names = subscribed
                .iter()
                .map(|uri| (uri.clone(), Value::Bool(true)));
            snapshot["subscribed"] = Value::Object(names.collect());
        }
        if let Some(level) = self.log_level() {
            snapshot["log"] = level.as_str().into();
        }
        snapshot
    }

    /// Takes a snapshot over, as far as it still fits what the packs declare.
    pub(super) fn restore(&self, catalog: &Catalog, snapshot: &Value) {
        for loaded in &catalog.packs {
            let pack = loaded.pack.name.as_ref();
            let values = snapshot.get("packs").and_then(|packs| packs.get(pack));
            for (name, value) in values.and_then(Value::as_object).into_iter().flatten() {
                let declared = loaded.session.get(name);
                if declared.is_some_and(|declared| declared.check(value).is_ok()) {
                    self.set(pack, name, Some(value.clone()));
                }
            }
        }
        let seen = snapshot.get("seen").and_then(Value::as_object);
        for (listener, seq) in seen.into_iter().flatten() {
            if let Some(seq) = seq.as_u64() {
                self.outlet.begin(listener, seq);
            }
        }
        let subscribed = snapshot.get("subscribed").and_then(Value::as_object);
        for uri in subscribed.into_iter().flat_map(Map::keys) {
            self.subscribe(uri);
        }
        let level = snapshot.get("log").and_then(Value::as_str);
        if let Some(level) = level.and_then(Level::of) {
            self.set_log_level(level);
        }
        // What was just read is what is stored.
        self.revision.store(0, Ordering::Relaxed);
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.outlet.close();
    }
}
