//! What a table holds: the newest value of each key, for a time, the oldest going first where it is full.

use std::collections::BTreeMap;
use std::time::SystemTime;

use minijinja::value::Value;

/// The most bytes of messages that one table stands for.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The entries of a table.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: BTreeMap<String, Entry>,
    /// The keys, by when their entries were made: the oldest first.
    turns: BTreeMap<u64, String>,
    turn: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// `key`, `value` and `time`.
    item: Value,
    until: SystemTime,
    turn: u64,
    bytes: usize,
}

impl Kept {
    /// Makes an entry of a message of so many bytes, in the place of an older one of this key. It lives until `until`.
    /// Of more than `most` entries the oldest go.
    pub(super) fn put(
        &mut self,
        key: String,
        item: Value,
        until: SystemTime,
        bytes: usize,
        most: usize,
    ) {
        self.remove(&key);
        self.turn += 1;
        self.bytes += bytes;
        self.turns.insert(self.turn, key.clone());
        let entry = Entry {
            item,
            until,
            turn: self.turn,
            bytes,
        };
        self.entries.insert(key, entry);
        while self.entries.len() > most || (self.bytes > MAX_BYTES && self.entries.len() > 1) {
            self.drop_oldest();
        }
    }

    /// Takes an entry away.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.turns.remove(&entry.turn);
            self.bytes -= entry.bytes;
        }
    }

    /// The entries that live, sorted by key. Those that do not are dropped.
    pub(super) fn items(&mut self, now: SystemTime) -> Vec<Value> {
        self.expire(now);
        self.entries.values().map(|e| e.item.clone()).collect()
    }

    /// Drops what lives no more. Messages come in the order of their times, so the oldest come first.
    pub(super) fn expire(&mut self, now: SystemTime) {
        while let Some((_, key)) = self.turns.first_key_value()
            && self.entries.get(key).is_none_or(|e| e.until <= now)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.turns.pop_first()
            && let Some(entry) = self.entries.remove(&key)
        {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn put(kept: &mut Kept, key: &str, value: i32, until: u64) {
        kept.put(key.to_owned(), Value::from(value), at(until), 10, 3);
    }

    fn values(kept: &mut Kept, now: u64) -> Vec<String> {
        kept.items(at(now)).iter().map(Value::to_string).collect()
    }

    #[test]
    fn the_newest_counts_and_the_oldest_goes() {
        let mut kept = Kept::default();
        for (key, value, until) in [("c", 1, 10), ("a", 2, 11), ("b", 3, 12), ("c", 4, 13)] {
            put(&mut kept, key, value, until);
        }
        assert_eq!(values(&mut kept, 5), ["2", "3", "4"]);
        put(&mut kept, "d", 5, 14);
        assert_eq!(values(&mut kept, 5), ["3", "4", "5"]);
        kept.remove("b");
        kept.remove("none");
        assert_eq!(values(&mut kept, 12), ["4", "5"]);
        assert_eq!(values(&mut kept, 13), ["5"]);
        assert!(values(&mut kept, 14).is_empty());
        assert_eq!((kept.bytes, kept.turns.len()), (0, 0));
    }

    #[test]
    fn large_messages_make_it_full_too() {
        let mut kept = Kept::default();
        for key in ["a", "b", "c"] {
            let bytes = MAX_BYTES / 2;
            kept.put(key.to_owned(), Value::from(key), at(9), bytes, 100);
        }
        assert_eq!(values(&mut kept, 1), ["b", "c"]);
        let bytes = MAX_BYTES + 1;
        kept.put("d".to_owned(), Value::from("d"), at(9), bytes, 100);
        assert_eq!(values(&mut kept, 1), ["d"]);
    }
}
