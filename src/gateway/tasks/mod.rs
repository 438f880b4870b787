//! Calls as tasks of MCP (SEP-2663, the extension `io.modelcontextprotocol/tasks`): a client that knows them gets a handle at
//! once, and asks for the result when it likes.
//!
//! - A task is a record in the bucket `jacquard-tasks` ([`record`]). Any gateway answers for it, from the record; a task that one
//!   does not run it stops, or gives the answers of its client to, by changing the record.
//! - One gateway runs it ([`held`]), and writes where it stands before each step. A gateway that runs tasks shows that it lives;
//!   when it no longer does, another one with the same tool goes on ([`sweep`]).
//! - Whoever changes a record compares and sets. So a run that has lost its task finds out before its next step.

mod held;
mod record;
mod store;
mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{DetailedTask, ErrorData, Task};
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::now;
use super::{Client, Gateway, observe};
use crate::bus::{Bus, Error, ErrorKind};
use crate::catalog::Tool;
use crate::engine::contact::{About, Asker, Stand};
use crate::engine::{CallError, Contact, Outcome, Progress, Reply, Session, again};
use held::Held;
use record::{End, Origin, Record, object};
use store::Store;

pub(super) use store::permits;

/// The most tasks of one principal that run in a gateway at once. A call beyond them is answered as any other.
const MAX_OF_ONE: usize = 64;
/// The most tasks that run in a gateway at once: calls of others need room beside them.
const MAX_RUNNING: usize = 128;
/// How long a task is kept after it was last written: its result, and what nobody goes on with.
const KEEP: Duration = Duration::from_secs(60 * 60);
/// How often a client should ask, in milliseconds.
const POLL_MS: u64 = 500;
/// How often a gateway that runs tasks shows that it lives, and looks for those of others that do not.
const BEAT: Duration = Duration::from_secs(2);
/// How often a gateway looks at the record of a task that it runs, in case it was not told of a change.
const LOOK: Duration = Duration::from_secs(10);
/// How often what a task tells is written.
const TELL: Duration = Duration::from_millis(500);

/// The tasks of a gateway. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tasks(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    /// The tasks that run here, and those that are just about to.
    held: Mutex<HashMap<String, Option<Arc<Held>>>>,
    /// Nothing more is begun.
    leaving: AtomicBool,
    /// Somebody has asked for a task that runs elsewhere, or nowhere.
    asked: AtomicBool,
}

/// A task that has begun, and is about to run.
pub(super) struct Begun {
    held: Arc<Held>,
    /// It is in the list of those that run until this is dropped.
    place: Place,
    /// What the client is told.
    pub(super) task: Task,
    client: Arc<About>,
    from: Stand,
}

/// The place of a task among those that run here.
struct Place {
    tasks: Tasks,
    id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tasks.all().remove(&self.id);
        self.tasks.count();
    }
}

impl Tasks {
    pub(super) fn new(bus: &Bus) -> Self {
        Self(Arc::new(Inner {
            store: Arc::new(Store::new(bus)),
            held: Mutex::default(),
            leaving: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        }))
    }

    // A panic while the lock is held leaves the map whole: every change is one insert or remove.
    fn all(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<Held>>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    fn count(&self) {
        observe::tasks(self.all().len());
    }

    /// The task with this id, if it runs here.
    fn held(&self, id: &str) -> Option<Arc<Held>> {
        self.all().get(id).cloned().flatten()
    }

    /// A place for one more task.
    fn place(&self, id: &str, owner: &str) -> Option<Place> {
        let mut all = self.all();
        let own = |held: &&Arc<Held>| !owner.is_empty() && held.owner == owner;
        let full =
            all.len() >= MAX_RUNNING || all.values().flatten().filter(own).count() >= MAX_OF_ONE;
        if full || self.0.leaving.load(Ordering::Relaxed) || all.contains_key(id) {
            return None;
        }
        all.insert(id.to_owned(), None);
        drop(all);
        self.count();
        Some(Place {
            tasks: self.clone(),
            id: id.to_owned(),
        })
    }

    /// A task as it is now, for this client.
    ///
    /// # Errors
    /// There is none with this id, it is somebody else's, or nobody can tell at this moment.
    pub(super) async fn get(&self, client: &Client, id: &str) -> Result<DetailedTask, ErrorData> {
        let id = checked(id)?;
        let found = match self.store().read(&id).await {
            Ok(found) => found.map(|stored| stored.record),
            // Who runs it knows as well.
            Err(error) => match self.held(&id) {
                Some(held) => Some(held.record()),
                None => return Err(away(&error)),
            },
        };
        let found = found.filter(|record| record.owner == owner(client));
        let record = found.ok_or_else(|| unknown(&id))?;
        if record.end.is_none() && self.held(&id).is_none() {
            self.0.asked.store(true, Ordering::Relaxed);
        }
        Ok(record.detailed(&id))
    }

    /// Gives a task what its client answers. Answers to what is not asked are passed over.
    ///
    /// # Errors
    /// As [`Tasks::get`], and an answer that is no object.
    pub(super) async fn update(
        &self,
        client: &Client,
        id: &str,
        answers: &BTreeMap<String, Value>,
    ) -> Result<(), ErrorData> {
        let id = checked(id)?;
        if let Some((name, _)) = answers.iter().find(|(_, answer)| !answer.is_object()) {
            let name: String = name.chars().take(64).collect();
            let text =
                format!("the answer to `{name}` must be an object: the result of its request");
            return Err(ErrorData::invalid_params(text, None));
        }
        let owner = owner(client);
        self.change(&id, |record| {
            if record.owner != owner {
                return None;
            }
            let asked = record.pending.len();
            record.pending.retain(|question| {
                let answer = answers.get(&question.name);
                if let Some(answer) = answer {
                    record.answers.insert(question.name.clone(), answer.clone());
                }
                answer.is_none()
            });
            Some(record.pending.len() < asked)
        })
        .await
    }

    /// Ends a task, if it still runs.
    ///
    /// # Errors
    /// As [`Tasks::get`].
    pub(super) async fn cancel(&self, client: &Client, id: &str) -> Result<(), ErrorData> {
        let id = checked(id)?;
        let owner = owner(client);
        self.change(&id, |record| {
            if record.owner != owner {
                return None;
            }
            let runs = record.end.is_none();
            if runs {
                record.end(End::Cancelled);
            }
            Some(runs)
        })
        .await
    }

    /// Changes a record for a client, and has the gateway that runs the task look at it. `change` says whether there is anything
    /// to write; `None` when the task is somebody else's.
    async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut Record) -> Option<bool>,
    ) -> Result<(), ErrorData> {
        let strange = AtomicBool::new(false);
        let changed = self.store().change(id, |record| {
            let changed = change(record);
            strange.store(changed.is_none(), Ordering::Relaxed);
            changed.unwrap_or_default()
        });
        let changed = changed.await.map_err(|error| away(&error))?;
        let Some((record, changed)) = changed.filter(|_| !strange.load(Ordering::Relaxed)) else {
            return Err(unknown(id));
        };
        if !changed {
            return Ok(());
        }
        if let Some(end) = &record.end {
            observe::task_ended(end.word());
            self.store().close(id).await;
        }
        match self.held(id) {
            Some(held) => held.look().await,
            None => self.store().signal(&record.holder, id).await,
        }
        Ok(())
    }

    /// Gives away what runs here, within this time. Nothing is begun from now on.
    pub(super) async fn leave(&self, limit: Duration) {
        self.0.leaving.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + limit;
        let held: Vec<_> = self.all().values().flatten().cloned().collect();
        let leaving = held.iter().map(|held| held.leave(deadline));
        futures_util::future::join_all(leaving).await;
        if !held.is_empty() {
            self.store().farewell().await;
        }
    }
}

impl Gateway {
    /// Begins a call as a task: it is stored when this returns. `None`, when there is no room for it or no NATS: then it can still
    /// run as a call.
    pub(super) async fn begin_task(
        &self,
        client: &Client,
        session: &Session,
        tool: &Tool,
        arguments: Option<Map<String, Value>>,
        contact: &Contact,
    ) -> Option<Begun> {
        let tasks = &self.tasks;
        let id = Uuid::new_v4().to_string();
        // A local server may be just about to start.
        self.nats.settle(super::START_GRACE).await;
        let place = tasks.place(&id, owner(client))?;
        let begun = now();
        let record = Record {
            owner: owner(client).to_owned(),
            namespace: self.started.facts.namespace.clone(),
            tool: tool.name.clone(),
            fingerprint: self.catalog().fingerprint(tool),
            arguments,
            session: origin(client, session),
            client: contact.client.as_ref().clone(),
            stand: contact.from.clone().unwrap_or_default(),
            begun: true,
            created: begun,
            updated: begun,
            holder: tasks.store().gateway.clone(),
            ..Record::default()
        };
        match self.store_task(&id, &record).await {
            Ok(revision) => Some(self.hold(place, record, revision)),
            Err(error) => {
                tracing::warn!(tool = %tool.name, %error, "a call that would be a task runs as a call");
                None
            }
        }
    }

    async fn store_task(&self, id: &str, record: &Record) -> Result<u64, Error> {
        let store = self.tasks.store();
        store.beat().await?;
        store.note(id, &record.holder).await?;
        store.create(id, record).await
    }

    /// Takes a task into the list of those that run here.
    fn hold(&self, place: Place, record: Record, revision: u64) -> Begun {
        let id = place.id.clone();
        let catalog = self.catalog();
        let found = catalog.tool(&record.tool);
        let repeats = move |index| {
            let tool = found.as_ref();
            let pack = tool.and_then(|tool| catalog.packs.get(tool.pack));
            // The step has just begun.
            tool.zip(pack).is_some_and(|(tool, pack)| {
                again::repeats(&pack.pack, &tool.spec, index, Duration::ZERO)
            })
        };
        let task = record.task(&id);
        let (client, from) = (Arc::new(record.client.clone()), record.stand.clone());
        let store = Arc::clone(self.tasks.store());
        let held = Arc::new(Held::new(id.clone(), store, record, revision, repeats));
        self.tasks.all().insert(id, Some(Arc::clone(&held)));
        Begun {
            held,
            place,
            task,
            client,
            from,
        }
    }
}

impl Begun {
    /// Runs the call of a task to its end, or until the task is no longer this gateway's.
    pub(super) async fn run<F>(
        self,
        call: impl FnOnce(Contact, tokio_util::sync::CancellationToken) -> F,
    ) where
        F: Future<Output = Result<Outcome<Reply>, CallError>>,
    {
        let held = &self.held;
        let (progress, told) = Progress::asked();
        held.listen(told);
        let contact = Contact {
            client: self.client,
            asker: Asker::Waits(held.clone()),
            keeper: Some(held.clone()),
            from: Some(self.from),
            ..Contact::telling(progress)
        };
        let call = call(contact, held.cancel.clone());
        tokio::pin!(call);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut call => break outcome,
                () = tokio::time::sleep(TELL) => held.tell().await,
            }
        };
        if held.is_held() {
            let end = match outcome {
                Ok(Outcome::Done(reply)) => End::Completed(object(&super::handler::result(reply))),
                // Whoever runs a task asks by its record, and stops nowhere.
                Ok(_) | Err(CallError::Cancelled) => End::failed("the task was given up"),
                Err(error) => End::Failed(object(&super::handler::refusal(&error))),
            };
            let word = end.word();
            if held.end(end).await {
                observe::task_ended(word);
            }
        }
        held.over.cancel();
        drop(self.place);
    }
}

/// Whose the tasks of a client are.
fn owner(client: &Client) -> &str {
    client.principal.as_ref().map_or("", |p| p.id.as_str())
}

fn origin(client: &Client, session: &Session) -> Origin {
    let claims = client.principal.as_ref().map(|p| p.claims.clone());
    Origin {
        id: session.id().to_owned(),
        snapshot: session.snapshot(),
        principal: owner(client).to_owned(),
        claims: claims.unwrap_or_default(),
    }
}

/// An id as records have it.
fn checked(id: &str) -> Result<String, ErrorData> {
    let known = Uuid::try_parse(id).map_err(|_| unknown(id))?;
    Ok(known.to_string())
}

fn unknown(id: &str) -> ErrorData {
    let id: String = id.chars().take(64).collect();
    let text = format!(
        "there is no task `{id}`: it never was, it is somebody else's, or its result was not fetched in time; call the tool again"
    );
    ErrorData::invalid_params(text, None)
}

fn away(error: &Error) -> ErrorData {
    if error.kind() == ErrorKind::TooLarge {
        let text = format!("the answers are more than is kept for a task: {error}");
        return ErrorData::invalid_params(text, None);
    }
    ErrorData::internal_error(
        format!("the task cannot be looked up at this moment: {error}"),
        None,
    )
}
