//! Calls as tasks of MCP (SEP-2663, the extension `io.modelcontextprotocol/tasks`): a client that knows them gets a handle at
//! once, and asks for the result when it likes. A task belongs to the session that began it, and lives in the memory of this
//! gateway; where no session is named, whoever knows its id has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolResult, DetailedTask, ErrorData, JsonObject, Task, TaskPayload, TaskStatus,
};
use rmcp::task_manager::current_timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::engine::Done;

/// The most tasks of a session that run at once. A call beyond them is answered as any other.
const MAX_OF_ONE: usize = 64;
/// The most tasks that run at once: calls of others need room beside them.
const MAX_RUNNING: usize = 128;
/// How long a result is kept.
const KEEP: Duration = Duration::from_secs(600);
/// The most results that are kept, and the most bytes of them together; the oldest go first.
const MAX_KEPT: usize = 2000;
const MAX_BYTES: usize = 64 << 20;
/// How often a client should ask, in milliseconds.
const POLL_MS: u64 = 500;

/// The tasks of a gateway.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<HashMap<String, Entry>>>);

struct Entry {
    /// The id of the session that it belongs to; empty for nobody's.
    owner: String,
    task: Task,
    state: TaskPayload,
    created: Instant,
    /// When it ended, and the bytes of its result.
    ended: Option<(Instant, usize)>,
    cancel: CancellationToken,
}

impl Entry {
    fn end(&mut self, state: TaskPayload, bytes: usize) {
        let now = Instant::now();
        self.state = state;
        self.ended = Some((now, bytes));
        self.task.last_updated_at = current_timestamp();
        let lasts = now.saturating_duration_since(self.created) + KEEP;
        self.task.ttl_ms = u64::try_from(lasts.as_millis()).ok();
    }

    fn is_over(&self) -> bool {
        self.ended.is_some_and(|(ended, _)| ended.elapsed() >= KEEP)
    }
}

/// A task that runs. Dropping it without [`Running::end`] is the end of it, too: it has failed.
pub(super) struct Running {
    tasks: Tasks,
    /// What the client is told.
    pub(super) task: Task,
    /// Fires when the task is to stop.
    pub(super) cancel: CancellationToken,
}

/// What became of a task.
pub(super) enum End {
    Done(CallToolResult),
    Failed(ErrorData),
    Cancelled,
}

impl Tasks {
    // A panic while the lock is held leaves the map whole: every change is one insert, remove or a plain assignment.
    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new task of this session; `None` when there is no room for one.
    pub(super) fn begin(&self, owner: &str) -> Option<Running> {
        let mut all = self.all();
        all.retain(|_, entry| !entry.is_over());
        let running = || all.values().filter(|entry| entry.ended.is_none());
        let own = running().filter(|entry| entry.owner == owner).count();
        if own >= MAX_OF_ONE || running().count() >= MAX_RUNNING {
            return None;
        }
        let (id, now) = (uuid::Uuid::new_v4().to_string(), current_timestamp());
        let task = Task::new(id.clone(), TaskStatus::Working, now.clone(), now)
            .with_poll_interval_ms(POLL_MS);
        let cancel = CancellationToken::new();
        let entry = Entry {
            owner: owner.to_owned(),
            task: task.clone(),
            state: TaskPayload::Working,
            created: Instant::now(),
            ended: None,
            cancel: cancel.clone(),
        };
        all.insert(id, entry);
        let tasks = self.clone();
        Some(Running {
            tasks,
            task,
            cancel,
        })
    }

    /// A task of this session as it is now.
    ///
    /// # Errors
    /// There is none with this id.
    pub(super) fn get(&self, owner: &str, id: &str) -> Result<DetailedTask, ErrorData> {
        let all = self.all();
        let found = all.get(id).filter(|e| e.owner == owner && !e.is_over());
        let entry = found.ok_or_else(|| unknown(id))?;
        Ok(DetailedTask::new(entry.task.clone(), entry.state.clone()))
    }

    /// Stops a task of this session, if it still runs.
    ///
    /// # Errors
    /// There is none with this id.
    pub(super) fn cancel(&self, owner: &str, id: &str) -> Result<(), ErrorData> {
        let all = self.all();
        let found = all.get(id).filter(|e| e.owner == owner && !e.is_over());
        found.ok_or_else(|| unknown(id))?.cancel.cancel();
        Ok(())
    }

    /// Stops and forgets the tasks of a session that has ended.
    pub(super) fn forget(&self, owner: &str) {
        self.all().retain(|_, entry| {
            let its = entry.owner == owner;
            if its {
                entry.cancel.cancel();
            }
            !its
        });
    }

    fn end(&self, id: &str, state: TaskPayload, bytes: usize) {
        let mut all = self.all();
        // Forgotten meanwhile.
        let Some(entry) = all.get_mut(id) else { return };
        if entry.ended.is_none() {
            entry.end(state, bytes);
        }
        all.retain(|_, entry| !entry.is_over());
        loop {
            let kept = all.iter().filter_map(|(id, e)| Some((e.ended?, id)));
            let (count, bytes) = kept
                .clone()
                .fold((0, 0), |(n, sum), ((_, bytes), _)| (n + 1, sum + bytes));
            if count <= MAX_KEPT && bytes <= MAX_BYTES {
                return;
            }
            let Some((_, oldest)) = kept.min() else {
                return;
            };
            let oldest = oldest.clone();
            all.remove(&oldest);
        }
    }
}

impl Running {
    /// Tells how far it is, to whoever asks for the task.
    pub(super) fn tell(&self, done: &Done) {
        let total = done.total.map(|total| format!(" of {total}"));
        let message = done.message.as_ref().map(|text| format!(": {text}"));
        let stand = format!(
            "{}{}{}",
            done.done,
            total.unwrap_or_default(),
            message.unwrap_or_default()
        );
        if let Some(entry) = self.tasks.all().get_mut(&self.task.task_id) {
            entry.task.status_message = Some(stand);
            entry.task.last_updated_at = current_timestamp();
        }
    }

    /// The task is over.
    pub(super) fn end(self, outcome: End) {
        let (state, bytes) = match outcome {
            End::Done(result) => {
                let (result, bytes) = object(&result);
                (TaskPayload::Completed { result }, bytes)
            }
            End::Failed(error) => failed(&error),
            End::Cancelled => (TaskPayload::Cancelled, 0),
        };
        self.tasks.end(&self.task.task_id, state, bytes);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (state, bytes) = failed(&ErrorData::internal_error("the task was given up", None));
        self.tasks.end(&self.task.task_id, state, bytes);
    }
}

fn failed(error: &ErrorData) -> (TaskPayload, usize) {
    let (error, bytes) = object(error);
    (TaskPayload::Failed { error }, bytes)
}

/// A part of the protocol as JSON, and its bytes.
fn object(part: &impl Serialize) -> (JsonObject, usize) {
    let bytes = serde_json::to_vec(part).map_or(0, |text| text.len());
    match serde_json::to_value(part) {
        Ok(Value::Object(object)) => (object, bytes),
        // These are objects, and have a form.
        _ => (JsonObject::new(), bytes),
    }
}

fn unknown(id: &str) -> ErrorData {
    let id: String = id.chars().take(64).collect();
    let text = format!(
        "there is no task `{id}`: it never was, its session has ended, or its result was not fetched in time; call the tool again"
    );
    ErrorData::invalid_params(text, None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rmcp::model::ContentBlock;

    fn done(text: &str) -> End {
        End::Done(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    #[test]
    fn a_task_is_its_sessions_and_keeps_its_result() {
        let tasks = Tasks::default();
        let running = tasks.begin("a").unwrap();
        let id = running.task.task_id.clone();
        assert_eq!(tasks.get("a", &id).unwrap().status(), TaskStatus::Working);
        for stranger in ["b", ""] {
            assert!(tasks.get(stranger, &id).is_err());
            assert!(tasks.cancel(stranger, &id).is_err());
        }
        assert!(!running.cancel.is_cancelled());
        running.end(done("42"));
        let task = tasks.get("a", &id).unwrap();
        assert!(task.task.ttl_ms.unwrap() >= 600_000);
        let TaskPayload::Completed { result } = task.payload else {
            panic!("{task:?}");
        };
        assert_eq!(result["content"][0]["text"], "42");
        tasks.cancel("a", &id).unwrap();
        assert_eq!(tasks.get("a", &id).unwrap().status(), TaskStatus::Completed);
        tasks.forget("a");
        assert!(tasks.get("a", &id).is_err());
    }

    #[test]
    fn what_is_dropped_has_failed_and_what_is_forgotten_is_stopped() {
        let tasks = Tasks::default();
        let (one, other) = (tasks.begin("a").unwrap(), tasks.begin("a").unwrap());
        let id = one.task.task_id.clone();
        drop(one);
        assert_eq!(tasks.get("a", &id).unwrap().status(), TaskStatus::Failed);
        tasks.forget("a");
        assert!(other.cancel.is_cancelled());
        other.end(End::Cancelled);
        assert!(tasks.all().is_empty());
    }

    #[test]
    fn tasks_and_results_are_bounded() {
        let tasks = Tasks::default();
        let of = |owner: &str| -> Vec<_> { std::iter::from_fn(|| tasks.begin(owner)).collect() };
        let mut running = of("a");
        assert_eq!(running.len(), MAX_OF_ONE);
        running.extend(of("b"));
        assert_eq!(running.len(), MAX_RUNNING);
        assert!(tasks.begin("c").is_none());
        let ids: Vec<_> = running.iter().map(|r| r.task.task_id.clone()).collect();
        let large = "x".repeat(1 << 20);
        for running in running {
            running.end(done(&large));
        }
        assert!(tasks.get("a", &ids[0]).is_err(), "the oldest are gone");
        let last = ids.last().unwrap();
        assert_eq!(
            tasks.get("b", last).unwrap().status(),
            TaskStatus::Completed
        );
        let bytes: usize = tasks.all().values().map(|e| e.ended.unwrap().1).sum();
        assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES / 2, "{bytes}");
    }
}
