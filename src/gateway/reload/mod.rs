//! Reloading: what a gateway is made from is read again, and takes the place of what is served, between two calls.
//!
//! All of it is made beside what is served, and only what is whole and sound is swapped in. Calls in flight end with what they
//! began with.

mod difference;
mod restart;
mod state;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use difference::Difference;
pub use state::ReloadState;
pub(super) use state::Reloads;
use state::Told;
pub use watch::Reloading;

use super::serving::{Entries, Serving, compile};
use super::{Change, Gateway, Setup, StartError, observe};
use crate::catalog::Sources;
use crate::project::project_places;
use crate::spec::diag::{Code, Diagnostic, Report};

/// How long streams may take to be made, and tables to be filled, before what needs them is served.
const READY: Duration = Duration::from_secs(10);

/// Where a gateway comes from.
pub trait Origin: Send + Sync {
    /// Reads it again. Blocks.
    ///
    /// # Errors
    /// All that is wrong.
    fn read(&self) -> Result<Setup, Report>;

    /// The files that are read for it, besides those of the project and of the catalog. They need not be there.
    fn files(&self) -> Vec<PathBuf>;
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something else is served now.
    Changed,
    /// All is as it was, and was made anew.
    Unchanged,
    /// What there is now cannot be served; what was served before still is.
    Failed,
}

impl Outcome {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// What is to be served.
struct Made {
    serving: Serving,
    /// What tools were made of that come and go.
    entries: Entries,
    warnings: Report,
    /// What has changed and is not taken over.
    restart: Vec<&'static str>,
}

impl Gateway {
    /// Reads everything again and serves it, or goes on as before when there is anything wrong with it. One at a time.
    pub async fn reload(self: &Arc<Self>, origin: &Arc<dyn Origin>) -> Outcome {
        let _turn = self.reloads.turn.lock().await;
        let (gateway, from) = (Arc::clone(self), Arc::clone(origin));
        let made = tokio::task::spawn_blocking(move || gateway.make(from.as_ref())).await;
        let made = made.unwrap_or_else(|_| {
            // The panic hook has logged where it happened.
            let text = "a fault in the gateway; the log has the details";
            Err(StartError::Specs(Diagnostic::global(Code::Io, text).into()))
        });
        let outcome = match made {
            Ok(made) => self.take_over(made).await,
            Err(error) => {
                self.reloads.failed(&error);
                Outcome::Failed
            }
        };
        observe::reload(outcome.as_str());
        outcome
    }

    /// How the last reload went; `None` when there was none.
    pub fn reload_state(&self) -> Option<ReloadState> {
        self.reloads.state()
    }

    /// Makes what is to be served, and notes what it was made from. Blocks.
    fn make(&self, origin: &dyn Origin) -> Result<Made, StartError> {
        let mut sources = Sources::default();
        sources.files.extend(origin.files());
        let made = self.make_from(origin, &mut sources);
        self.reloads.read(sources, made.is_err());
        made
    }

    fn make_from(&self, origin: &dyn Origin, sources: &mut Sources) -> Result<Made, StartError> {
        let mut setup = origin.read().map_err(StartError::Specs)?;
        let restart = restart::needed(&self.started, &mut setup);
        sources.files.extend(project_places(&setup.facts.path));
        let entries = self.entries().clone();
        let compiled = compile(&setup, &entries, sources);
        let (catalog, offer, warnings) = compiled.map_err(StartError::Specs)?;
        let before = self.serving.load_full();
        let engine = before.engine.successor(catalog);
        let engine = engine.map_err(StartError::Resources)?;
        Ok(Made {
            serving: Serving::new(engine, offer, setup.config)?,
            entries,
            warnings,
            restart,
        })
    }

    /// Serves what was made, once its streams are there and its tables are filled, as far as that can be had now.
    async fn take_over(self: &Arc<Self>, made: Made) -> Outcome {
        let Made {
            serving,
            entries,
            warnings,
            restart,
        } = made;
        let engine = Arc::clone(&serving.engine);
        if self.nats.bus().state().is_connected() {
            let ready = async {
                engine.prepare().await;
                engine.keep_tables();
                engine.warm().await;
            };
            if timeout(READY, ready).await.is_err() {
                tracing::warn!("not all streams could be looked after in {READY:?}");
            }
        } else {
            engine.keep_tables();
        }
        let gateway = Arc::clone(self);
        let swap = move || gateway.swap(serving, &entries);
        let Ok((before, now)) = tokio::task::spawn_blocking(swap).await else {
            return Outcome::Failed;
        };
        let difference = Difference::between(&before, &now);
        // First: who hears of the change may ask how it went.
        self.reloads.succeeded(Told {
            difference: &difference,
            warnings: &warnings,
            restart,
        });
        for change in difference.changes() {
            self.announce(change);
        }
        match difference.is_empty() {
            true => Outcome::Unchanged,
            false => Outcome::Changed,
        }
    }

    /// Puts what was made in the place of what is served; both. Blocks.
    fn swap(&self, serving: Serving, made_of: &Entries) -> (Arc<Serving>, Arc<Serving>) {
        // Held to the end: what comes and goes meanwhile is made for what is served then.
        let entries = self.entries();
        for (source, now) in entries.iter() {
            if made_of.get(source) != Some(now) {
                serving.regenerate(source, now);
            }
        }
        let now = Arc::new(serving);
        let before = self.serving.swap(Arc::clone(&now));
        self.engines.send_replace(Arc::clone(&now.engine));
        (before, now)
    }
}

impl Difference {
    /// What clients are to hear of.
    fn changes(&self) -> Vec<Change> {
        let tools = self.offer.then_some(Change::Tools);
        let resources = self.resources.then_some(Change::Resources);
        let prompts = self.prompts.then_some(Change::Prompts);
        tools.into_iter().chain(resources).chain(prompts).collect()
    }
}
