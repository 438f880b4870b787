//! Who waits for which messages.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use minijinja::value::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::Inbox;
use crate::bus::ErrorKind;
use crate::engine::failure::{Failure, FailureKind};

/// The most calls that wait in one inbox.
const WAITERS: usize = 10_000;
/// Messages for one call that wait to be read.
const MESSAGES: usize = 64;
/// The longest key, in bytes.
const KEY: usize = 1024;

/// Why no more messages come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// There are more than are kept for one call.
    Crowded,
    /// Some were lost on the way.
    Lost,
    /// The connection was closed for good.
    Closed,
}

impl Trouble {
    fn failure(self) -> Failure {
        let (kind, text) = match self {
            Self::Crowded => (
                ErrorKind::Busy,
                format!(
                    "more than {MESSAGES} messages for this call came at once, so some are lost; what was asked for may or may not have been done"
                ),
            ),
            Self::Lost => (
                ErrorKind::Busy,
                "answers came faster than they could be read, so some are lost; what was asked for may or may not have been done"
                    .to_owned(),
            ),
            Self::Closed => (
                ErrorKind::Disconnected,
                "the connection to NATS was closed while waiting for an answer".to_owned(),
            ),
        };
        Failure::new(FailureKind::Bus(kind), text)
    }
}

/// Where the messages for one call lie.
#[derive(Debug)]
struct Tray {
    call: u64,
    messages: mpsc::Sender<Value>,
    trouble: OnceLock<Trouble>,
    troubled: Notify,
}

impl Tray {
    fn fail(&self, trouble: Trouble) {
        let _ = self.trouble.set(trouble);
        self.troubled.notify_one();
    }
}

/// The calls that wait in one inbox, by key.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    trays: HashMap<String, Vec<Arc<Tray>>>,
    count: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, key: &str, tray: &Arc<Tray>) -> bool {
        if self.count >= WAITERS {
            return false;
        }
        self.count += 1;
        let trays = self.trays.entry(key.to_owned()).or_default();
        trays.push(Arc::clone(tray));
        true
    }

    fn remove(&mut self, key: &str, call: u64) {
        let Some(trays) = self.trays.get_mut(key) else {
            return;
        };
        if let Some(at) = trays.iter().position(|tray| tray.call == call) {
            trays.swap_remove(at);
            self.count -= 1;
        }
        if trays.is_empty() {
            self.trays.remove(key);
        }
    }

    /// Gives a message to those who wait for one of its keys, once each: whether one of them has many to read. `None` when
    /// there is nobody.
    pub(super) fn tell(&self, keys: &[String], item: &Value) -> Option<bool> {
        let mut told: Vec<u64> = Vec::new();
        let mut many = false;
        for tray in keys.iter().filter_map(|key| self.trays.get(key)).flatten() {
            if told.contains(&tray.call) {
                continue;
            }
            told.push(tray.call);
            if tray.messages.try_send(item.clone()).is_err() {
                tray.fail(Trouble::Crowded);
            }
            many |= tray.messages.capacity() < MESSAGES / 2;
        }
        (!told.is_empty()).then_some(many)
    }

    /// Ends the waiting of all.
    pub(super) fn fail(&self, trouble: Trouble) {
        for tray in self.trays.values().flatten() {
            tray.fail(trouble);
        }
    }
}

/// One call that waits; it does no more when dropped.
pub(in crate::engine) struct Waiter {
    tray: Arc<Tray>,
    messages: mpsc::Receiver<Value>,
    places: Vec<(Arc<Inbox>, String)>,
}

impl Waiter {
    pub(super) fn new(call: u64) -> Self {
        let (sender, messages) = mpsc::channel(MESSAGES);
        let tray = Tray {
            call,
            messages: sender,
            trouble: OnceLock::new(),
            troubled: Notify::new(),
        };
        Self {
            tray: Arc::new(tray),
            messages,
            places: Vec::new(),
        }
    }

    pub(super) fn wait_at(&mut self, inbox: &Arc<Inbox>, key: String) -> Result<(), Failure> {
        if key.is_empty() || key.len() > KEY {
            let text = format!(
                "the key of an answer has {} bytes, and must have 1 to {KEY}",
                key.len()
            );
            return Err(Failure::new(FailureKind::Range, text));
        }
        let mut state = inbox.state();
        state.used = Instant::now();
        if !state.waiting.add(&key, &self.tray) {
            let text = format!("{WAITERS} calls wait for an answer already: try again later");
            return Err(Failure::new(FailureKind::Bus(ErrorKind::Busy), text));
        }
        drop(state);
        self.places.push((Arc::clone(inbox), key));
        Ok(())
    }

    /// The subjects on which messages may come, for people.
    pub(in crate::engine) fn subjects(&self) -> String {
        let subjects: Vec<&str> = self.places.iter().map(|(i, _)| i.subject()).collect();
        subjects.join(", ")
    }

    /// The next message for the call. Cancel-safe.
    ///
    /// # Errors
    /// When no more can come, or some were lost.
    pub(in crate::engine) async fn next(&mut self) -> Result<Value, Failure> {
        if let Some(trouble) = self.tray.trouble.get() {
            return Err(trouble.failure());
        }
        tokio::select! {
            biased;
            message = self.messages.recv() => message.ok_or_else(|| Trouble::Closed.failure()),
            () = self.tray.troubled.notified() => {
                let trouble = self.tray.trouble.get();
                Err(trouble.copied().unwrap_or(Trouble::Lost).failure())
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        for (inbox, key) in &self.places {
            let mut state = inbox.state();
            state.used = Instant::now();
            state.waiting.remove(key, self.tray.call);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_message_comes_once_to_each_that_waits_for_it() {
        let mut waiting = Waiting::default();
        let (mut first, mut second) = (Waiter::new(1), Waiter::new(2));
        for (key, waiter) in [("a", &first), ("b", &first), ("a", &second)] {
            assert!(waiting.add(key, &waiter.tray));
        }
        assert_eq!(waiting.tell(&keys(&["c"]), &Value::from(0)), None);
        assert_eq!(
            waiting.tell(&keys(&["a", "b", "a"]), &Value::from(1)),
            Some(false)
        );
        assert_eq!(waiting.tell(&keys(&["b"]), &Value::from(2)), Some(false));
        assert_eq!(first.next().await.unwrap(), Value::from(1));
        assert_eq!(first.next().await.unwrap(), Value::from(2));
        assert_eq!(second.next().await.unwrap(), Value::from(1));
        assert!(first.messages.try_recv().is_err() && second.messages.try_recv().is_err());
        for (key, call) in [("a", 1), ("b", 1), ("b", 1), ("a", 2)] {
            waiting.remove(key, call);
        }
        assert!(waiting.is_empty() && waiting.trays.is_empty());
    }

    #[tokio::test]
    async fn too_many_messages_end_the_waiting_clearly() {
        let mut waiting = Waiting::default();
        let mut waiter = Waiter::new(1);
        waiting.add("a", &waiter.tray);
        let item = Value::from(1);
        let many = (0..MESSAGES).map(|_| waiting.tell(&keys(&["a"]), &item));
        assert_eq!(
            many.filter(|many| *many == Some(true)).count(),
            MESSAGES / 2
        );
        assert!(waiter.next().await.is_ok());
        for _ in 0..2 {
            waiting.tell(&keys(&["a"]), &item);
        }
        let failure = waiter.next().await.unwrap_err();
        assert!(failure.message.contains("more than 64"), "{failure}");
        assert_eq!(failure.kind.as_str(), "busy");
    }

    #[test]
    fn the_number_of_those_who_wait_is_bounded() {
        let mut waiting = Waiting::default();
        let waiter = Waiter::new(1);
        for n in 0..WAITERS {
            assert!(waiting.add(&n.to_string(), &waiter.tray));
        }
        assert!(!waiting.add("more", &waiter.tray));
        waiting.remove("0", 1);
        assert!(waiting.add("more", &waiter.tray));
    }
}
