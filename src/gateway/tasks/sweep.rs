//! Tasks that nobody runs: found, and gone on with.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::held::cut_off;
use super::record::{End, Record};
use super::store::{Gateways, Open, Stored};
use super::{BEAT, Gateway, LOOK};
use crate::bus::{Error, ErrorKind, Subscription};
use crate::catalog::Tool;
use crate::engine::again;
use crate::gateway::clock::now;
use crate::gateway::observe;

/// For how long nothing is heard of a gateway that is taken for gone.
const LATE: Duration = Duration::from_secs(8);
/// How long a task waits for a gateway with its tool before one without it says that there is none.
const CHANGED: Duration = Duration::from_secs(60);
/// How often a gateway that has the tool and no room says that a task is to wait for it.
const WAITS: Duration = Duration::from_secs(20);
/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(2);

impl Gateway {
    /// Looks after tasks for as long as the gateway runs: shows that it lives, goes on with tasks of gateways that do not, and hears
    /// what others change in those that it runs. Ends never.
    pub async fn keep_tasks(self: &Arc<Self>) {
        tokio::join!(self.sweep_tasks(), self.hear_tasks());
    }

    async fn sweep_tasks(self: &Arc<Self>) {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = false;
        let mut looked = tokio::time::Instant::now();
        loop {
            ticks.tick().await;
            let asked = self.tasks.0.asked.swap(false, Ordering::Relaxed);
            if !(self.has_tasks() || asked) || !self.tasks.store().is_connected() {
                continue;
            }
            match self.sweep_once().await {
                Ok(()) => told = false,
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(%error, "tasks are not looked after");
                }
                Err(_) => {}
            }
            if looked.elapsed() >= LOOK {
                looked = tokio::time::Instant::now();
                let held: Vec<_> = self.tasks.all().values().flatten().cloned().collect();
                for held in held {
                    held.look().await;
                }
            }
        }
    }

    async fn sweep_once(self: &Arc<Self>) -> Result<(), Error> {
        let (tasks, store) = (&self.tasks, self.tasks.store());
        if !tasks.all().is_empty() {
            store.beat().await?;
        }
        let mut open = store.open().await?;
        open.retain(|id, _| !tasks.all().contains_key(id));
        if open.is_empty() {
            return Ok(());
        }
        let gateways = store.gateways().await?;
        for (id, open) in open {
            // The record of one that is in good hands is not read.
            let holder = &open.holder;
            let lives = *holder != store.gateway && gateways.silent(holder) < LATE;
            if holder.is_empty() || !lives {
                self.find_task(&id, &open, &gateways).await?;
            }
        }
        Ok(())
    }

    /// Goes on with a task if nobody runs it.
    async fn find_task(
        self: &Arc<Self>,
        id: &str,
        open: &Open,
        gateways: &Gateways,
    ) -> Result<(), Error> {
        let store = self.tasks.store();
        let Some(Stored {
            record,
            revision,
            at,
        }) = store.read(id).await?
        else {
            // Its gateway was lost before it was stored, or its time is over.
            store.close(id).await;
            return Ok(());
        };
        if record.end.is_some() {
            store.close(id).await;
            return Ok(());
        }
        let ours = record.holder == store.gateway;
        let silent = match record.holder.as_str() {
            "" => Duration::MAX,
            holder => gateways.silent(holder),
        };
        if !ours && silent < LATE {
            return Ok(());
        }
        if record.namespace != self.started.facts.namespace {
            return Ok(());
        }
        let catalog = self.catalog();
        let tool = catalog.tool(&record.tool);
        let now = gateways.now;
        let noted = age(open.noted, now);
        let known = tool.as_ref().map(|tool| catalog.fingerprint(tool));
        match tool {
            Some(tool) if known.as_ref() == Some(&record.fingerprint) => {
                let lost = Lost {
                    record,
                    revision,
                    age: age(at, now),
                    noted,
                };
                self.take_task(id, lost, &tool).await
            }
            tool => match nobody_has(&record, tool.is_some(), noted.min(age(at, now))) {
                Some(text) => self.fail_task(id, record, revision, text).await,
                None => Ok(()),
            },
        }
    }

    async fn take_task(self: &Arc<Self>, id: &str, lost: Lost, tool: &Tool) -> Result<(), Error> {
        let Lost {
            mut record,
            revision,
            age,
            noted,
        } = lost;
        let Some(pack) = self.catalog().packs.get(tool.pack).map(|p| p.pack.clone()) else {
            return Ok(());
        };
        if record.begun && !again::repeats(&pack, &tool.spec, record.stand.next, age) {
            let text = cut_off(&record);
            return self.fail_task(id, record, revision, text).await;
        }
        let store = self.tasks.store();
        let Some(place) = self.tasks.place(id, &record.owner) else {
            if noted > WAITS {
                store.note(id, &record.holder).await?;
            }
            return Ok(());
        };
        store.beat().await?;
        record.holder.clone_from(&store.gateway);
        record.begun = true;
        record.updated = now();
        let revision = match store.write(id, &record, revision).await {
            Ok(revision) => revision,
            // Another one was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            Err(error) => return Err(error),
        };
        store.note(id, &record.holder).await.ok();
        tracing::info!(task = id, tool = %record.tool, step = record.stand.next, "a task goes on here");
        observe::task_taken();
        let begun = self.hold(place, record.clone(), revision);
        let gateway = Arc::clone(self);
        tokio::spawn(async move { Box::pin(gateway.go_on(record, begun)).await });
        Ok(())
    }

    /// Runs a task that another gateway has begun, in a session like the one that it was begun in.
    async fn go_on(&self, record: Record, begun: super::Begun) {
        let Record {
            tool,
            arguments,
            session,
            ..
        } = record;
        let origin = session;
        let session = self.copy_of(origin.id, &origin.snapshot);
        if !origin.principal.is_empty() {
            session.set_client(&origin.principal, &origin.claims);
        }
        let (session, tool) = (&session, &tool);
        let run = begun.run(|contact, cancel| async move {
            self.call_with(session, tool, arguments, &cancel, contact)
                .await
        });
        run.await;
    }

    async fn fail_task(
        &self,
        id: &str,
        mut record: Record,
        revision: u64,
        text: String,
    ) -> Result<(), Error> {
        let store = self.tasks.store();
        tracing::warn!(task = id, tool = %record.tool, "a task has failed: {text}");
        let end = End::failed(text);
        let word = end.word();
        record.end(end);
        record.updated = now();
        match store.write(id, &record, revision).await {
            Ok(_) => {
                observe::task_ended(word);
                store.close(id).await;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hears what others change in tasks that run here.
    async fn hear_tasks(&self) {
        loop {
            if self.has_tasks() {
                let subjects = [self.tasks.store().signals()];
                let bus = self.nats.bus();
                match bus.subscribe(&subjects, Subscription::CAPACITY).await {
                    Ok(mut signals) => {
                        while let Some(signal) = signals.next().await {
                            let id = String::from_utf8_lossy(&signal.payload);
                            if let Some(held) = self.tasks.held(&id) {
                                // One that takes its time does not hold the others up.
                                tokio::spawn(async move { held.look().await });
                            }
                        }
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "changes of tasks are not heard yet");
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// A task that nobody runs.
struct Lost {
    record: Record,
    revision: u64,
    /// How long ago its record was written.
    age: Duration,
    /// How long ago somebody noted that it is open.
    noted: Duration,
}

/// What is said of a task whose tool no gateway has as it was, once it has waited for one for so long.
fn nobody_has(record: &Record, changed: bool, waited: Duration) -> Option<String> {
    let tool = &record.tool;
    let why = if changed {
        format!("the tool `{tool}` is another one now: call it again")
    } else {
        format!("no gateway that runs has the tool `{tool}` any more")
    };
    let text = format!("the gateway that ran the task is gone, and {why}");
    (waited > CHANGED).then_some(text)
}

/// How long ago something was stored, by the clock of the server.
fn age(at: Option<SystemTime>, now: SystemTime) -> Duration {
    let since = at.and_then(|at| now.duration_since(at).ok());
    since.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_waits_for_its_tool_and_not_for_ever() {
        let record = Record {
            tool: "chart".to_owned(),
            ..Record::default()
        };
        let after = |changed, waited| nobody_has(&record, changed, waited);
        assert_eq!(after(false, CHANGED), None);
        let gone = after(false, CHANGED + RETRY).unwrap_or_default();
        assert!(
            gone.contains("no gateway that runs has the tool `chart`"),
            "{gone}"
        );
        let other = after(true, CHANGED + RETRY).unwrap_or_default();
        assert!(other.contains("is another one now"), "{other}");
    }

    #[test]
    fn what_was_stored_by_a_clock_ahead_has_just_been() {
        let now = SystemTime::now();
        assert_eq!(age(Some(now + RETRY), now), Duration::ZERO);
        assert_eq!(age(Some(now), now + RETRY), RETRY);
    }
}
