//! Answers that went over a response, for clients whose connection broke before they had them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{RequestId, ServerJsonRpcMessage};

/// The most answers of a session that are kept; the oldest go first.
const MOST: usize = 8;
/// How long they are kept.
const KEPT: Duration = Duration::from_secs(60);

/// The last answers of a session.
#[derive(Default)]
pub(super) struct Answered(Mutex<VecDeque<Answer>>);

struct Answer {
    id: RequestId,
    /// Which of the events of its request it was.
    count: u64,
    since: Instant,
    message: Arc<ServerJsonRpcMessage>,
}

impl Answered {
    // A panic while the lock is held leaves the list whole.
    fn all(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|answer| answer.since.elapsed() < KEPT);
        all
    }

    /// Keeps the answer to a request, which was its event `count`.
    pub(super) fn keep(&self, id: &RequestId, count: u64, message: Arc<ServerJsonRpcMessage>) {
        let mut all = self.all();
        all.retain(|answer| answer.id != *id);
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(Answer {
            id: id.clone(),
            count,
            since: Instant::now(),
            message,
        });
    }

    /// The answer to a request for a client that has seen its events up to `seen` and lacks it, and how many events there were.
    pub(super) fn after(&self, id: &RequestId, seen: u64) -> Option<(ServerJsonRpcMessage, u64)> {
        let mut all = self.all();
        let answer = all.iter_mut().find(|answer| answer.id == *id)?;
        if answer.count <= seen {
            return None;
        }
        let count = answer.count;
        // It is told again after the event that begins a response.
        answer.count += 2;
        Some(((*answer.message).clone(), count))
    }

    /// Forgets the answer to a request: its id is used again.
    pub(super) fn forget(&self, id: &RequestId) {
        self.all().retain(|answer| answer.id != *id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rmcp::model::{NumberOrString, ServerResult};

    use super::*;

    fn answer(id: i64) -> (RequestId, Arc<ServerJsonRpcMessage>) {
        let id = NumberOrString::Number(id);
        let message = ServerJsonRpcMessage::response(ServerResult::empty(()), id.clone());
        (id, Arc::new(message))
    }

    #[test]
    fn who_has_not_seen_an_answer_gets_it_again() {
        let answered = Answered::default();
        let (id, message) = answer(1);
        answered.keep(&id, 3, message);
        assert!(answered.after(&id, 3).is_none());
        assert_eq!(answered.after(&id, 1).unwrap().1, 3);
        // The events of the second time count on: 4 began the response, 5 was the answer.
        assert_eq!(answered.after(&id, 4).unwrap().1, 5);
        assert!(answered.after(&id, 7).is_none());
        answered.forget(&id);
        assert!(answered.after(&id, 0).is_none());
    }

    #[test]
    fn only_the_last_are_kept() {
        let answered = Answered::default();
        for n in 0..=8 {
            let (id, message) = answer(n);
            answered.keep(&id, 1, message);
        }
        assert!(answered.after(&answer(0).0, 0).is_none());
        assert!(answered.after(&answer(1).0, 0).is_some());
    }
}
