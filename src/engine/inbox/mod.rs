//! Where answers arrive: one subscription for each inbox, whatever the number of calls that wait there.

mod served;
mod waiting;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use minijinja::value::Value;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, sleep_until};

pub(super) use served::Served;
pub(super) use waiting::Waiter;
use waiting::{Trouble, Waiting};

use super::failure::{Failure, FailureKind};
use super::payload;
use super::resources::cannot_be_made;
use crate::bus::{Bus, Message, Subscription};
use crate::catalog::Catalog;
use crate::spec::model::InboxDecl;
use crate::spec::tree::Expr;

/// What counts messages in inboxes that no call waits for: duplicates, and answers that come too late.
pub const UNCLAIMED: &str = "jacquard_answers_unclaimed_total";
/// How long an inbox stays open that nobody waits at.
const IDLE: Duration = Duration::from_secs(60);
/// Messages that wait to be looked at.
const QUEUE: usize = 8 * Subscription::CAPACITY;

/// All inboxes of a catalog.
pub(super) struct Inboxes {
    all: Vec<Arc<Inbox>>,
    calls: AtomicU64,
}

impl Inboxes {
    /// Reads the declarations. Nothing is asked of NATS. `gateway` is what expressions call so.
    ///
    /// # Errors
    /// A declaration whose subject cannot be made from this project and config.
    pub(super) fn new(catalog: &Arc<Catalog>, gateway: &Value) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for (pack, loaded) in catalog.packs.iter().enumerate() {
            for (name, decl) in loaded.pack.inboxes.iter() {
                let inbox = Inbox::new(catalog, gateway, pack, name, decl)
                    .map_err(|error| cannot_be_made("inbox", catalog, pack, name, error))?;
                all.push(Arc::new(inbox));
            }
        }
        Ok(Self {
            all,
            calls: AtomicU64::new(0),
        })
    }

    /// The inbox of a pack.
    ///
    /// # Errors
    /// [`FailureKind::Internal`]: the checks have let a name pass that is not declared.
    fn get(&self, pack: usize, name: &str) -> Result<&Arc<Inbox>, Failure> {
        let mut all = self.all.iter();
        all.find(|inbox| inbox.pack == pack && inbox.name == name)
            .ok_or_else(|| {
                let text = format!("the inbox `{name}` is not declared");
                Failure::new(FailureKind::Internal, text)
            })
    }

    /// Waits in inboxes of a pack, each with the key of the messages that are wanted. What is sent after this returns is
    /// heard, until the waiter is dropped.
    ///
    /// # Errors
    /// Those of a subscription, and [`FailureKind::Bus`] (busy) when too many wait already.
    pub(super) async fn wait(
        &self,
        bus: &Bus,
        pack: usize,
        places: Vec<(&str, String)>,
    ) -> Result<Waiter, Failure> {
        let mut waiter = Waiter::new(self.calls.fetch_add(1, Ordering::Relaxed));
        for (name, key) in places {
            let inbox = self.get(pack, name)?;
            // First, so that an inbox is not closed that is about to be used.
            waiter.wait_at(inbox, key)?;
            inbox.open(bus).await?;
        }
        Ok(waiter)
    }
}

impl Drop for Inboxes {
    fn drop(&mut self) {
        for inbox in &self.all {
            inbox.state().open = None;
        }
    }
}

/// One inbox.
pub(super) struct Inbox {
    name: String,
    pack: usize,
    subject: String,
    key: Expr,
    catalog: Arc<Catalog>,
    base: Value,
    state: Mutex<State>,
    /// Held by whoever opens it.
    opening: tokio::sync::Mutex<()>,
}

struct State {
    waiting: Waiting,
    open: Option<Open>,
    /// When somebody waited for the last time.
    used: Instant,
}

/// A subscription, and the task that reads it.
struct Open {
    /// The connection on which it was confirmed.
    epoch: (u64, u64),
    reading: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Inbox {
    fn new(
        catalog: &Arc<Catalog>,
        gateway: &Value,
        pack: usize,
        name: &str,
        decl: &InboxDecl,
    ) -> Result<Self, Failure> {
        let base = minijinja::context!(gateway => gateway, ..catalog.base_context(pack));
        Ok(Self {
            name: name.to_owned(),
            pack,
            subject: catalog.templates.token(&decl.subject, &base)?,
            key: decl.key.clone(),
            catalog: Arc::clone(catalog),
            base,
            state: Mutex::new(State {
                waiting: Waiting::default(),
                open: None,
                used: Instant::now(),
            }),
            opening: tokio::sync::Mutex::default(),
        })
    }

    /// The subject on which messages arrive.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    // A panic while the lock is held leaves the state whole: every change is one insert, remove or assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, epoch: (u64, u64)) -> bool {
        let state = self.state();
        let open = state.open.as_ref();
        open.is_some_and(|open| open.epoch == epoch && !open.reading.is_finished())
    }

    /// Subscribes, unless that was done on this connection. Without a connection it begins when there is one.
    async fn open(self: &Arc<Self>, bus: &Bus) -> Result<(), Failure> {
        if self.is_open(bus.epoch()) {
            return Ok(());
        }
        let _turn = self.opening.lock().await;
        let epoch = bus.epoch();
        if self.is_open(epoch) {
            return Ok(());
        }
        // An older one would hear every message, too. Whoever has waited since an earlier connection has lost.
        self.state().open = None;
        let messages = bus
            .subscribe(std::slice::from_ref(&self.subject), QUEUE)
            .await?;
        let reading = tokio::spawn(Arc::clone(self).read(messages));
        self.state().open = Some(Open {
            epoch,
            reading: reading.abort_handle(),
        });
        Ok(())
    }

    /// Hands messages to those who wait, until nobody has for some time.
    async fn read(self: Arc<Self>, mut messages: Subscription) {
        let mut dropped = 0;
        let mut look = Instant::now() + IDLE;
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else {
                        self.state().waiting.fail(Trouble::Closed);
                        return;
                    };
                    // The panic hook has logged where it happened; the next message may be sound.
                    let heard = AssertUnwindSafe(async { self.hear(&message) });
                    if let Ok(true) = heard.catch_unwind().await {
                        // Who is about to have too many gets a turn to read some.
                        yield_now().await;
                    }
                    let lost = messages.dropped();
                    if std::mem::replace(&mut dropped, lost) != lost {
                        self.state().waiting.fail(Trouble::Lost);
                    }
                }
                () = sleep_until(look) => match self.close_at() {
                    Some(at) => look = at,
                    None => return,
                }
            }
        }
    }

    /// When to look again whether anybody waits; `None` when it is closed now.
    fn close_at(&self) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        if !state.waiting.is_empty() {
            return Some(now + IDLE);
        }
        let at = state.used + IDLE;
        if at > now {
            return Some(at);
        }
        // Its reader is the task that runs this, and ends by itself.
        state.open = None;
        None
    }

    /// Hands a message to those whom it is for. Whether one of them has many to read.
    fn hear(&self, message: &Message) -> bool {
        let item = payload::heard(&self.name, message);
        let context = minijinja::context!(item => item.clone(), ..self.base.clone());
        let keys = match self.catalog.templates.keys(&self.key, &context) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::debug!(inbox = %self.name, subject = message.subject, %error, "message passed over: it has no key");
                Vec::new()
            }
        };
        let told = self.state().waiting.tell(&keys, &item);
        if told.is_none() {
            metrics::counter!(UNCLAIMED, "inbox" => self.name.clone()).increment(1);
            tracing::debug!(inbox = %self.name, subject = message.subject, ?keys, "message passed over: nobody waits for it");
        }
        told.unwrap_or_default()
    }
}
