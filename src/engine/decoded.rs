//! Messages of streams as expressions see them, made once for all sessions that hear them at about the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use minijinja::value::Value;

use super::payload;
use crate::bus::Stored;

/// The most messages that are kept.
const MESSAGES: usize = 1024;
/// The most bytes of payloads whose values are kept.
const BYTES: usize = 4 * 1024 * 1024;

/// The values of the last messages.
#[derive(Debug, Default)]
pub(super) struct Decoded(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By the address, which no other message has while the weak reference is there.
    values: HashMap<usize, (Weak<Stored>, Value)>,
    bytes: usize,
}

impl Decoded {
    /// The value of a message.
    pub(super) fn of(&self, message: &Arc<Stored>) -> Value {
        let address = Arc::as_ptr(message).addr();
        let known = self.lock().values.get(&address).map(|(_, v)| v.clone());
        if let Some(value) = known {
            return value;
        }
        let value = payload::stored(message);
        let mut kept = self.lock();
        if kept.values.len() >= MESSAGES || kept.bytes >= BYTES {
            // Who is far behind decodes for himself.
            *kept = Kept::default();
        }
        kept.bytes += message.payload.len();
        let entry = (Arc::downgrade(message), value.clone());
        kept.values.insert(address, entry);
        value
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(seq: u64, payload: Vec<u8>) -> Arc<Stored> {
        Arc::new(Stored {
            seq,
            time: String::new(),
            subject: "s".into(),
            headers: Vec::new(),
            payload: payload.into(),
        })
    }

    #[test]
    fn each_message_has_its_own_value_and_few_are_kept() {
        let decoded = Decoded::default();
        for seq in 0..5_000 {
            let message = message(seq, format!("{{\"n\":{seq}}}").into());
            for _ in 0..2 {
                let value = decoded.of(&message);
                let n = value.get_attr("data").unwrap().get_attr("n").unwrap();
                assert_eq!(n.as_usize(), Some(seq as usize));
            }
            assert!(decoded.lock().values.len() <= MESSAGES);
        }
        decoded.of(&message(1, vec![b'x'; BYTES]));
        decoded.of(&message(2, vec![b'x'; 10]));
        assert_eq!(decoded.lock().values.len(), 1);
    }
}
