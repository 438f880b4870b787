//! How a run of steps reaches the client that wants it: what it tells on the way, how it asks, and where it goes on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure::Failure;
use super::progress::Progress;

/// The client of a run of steps. The default is for one that there is none behind: it is told nothing and cannot be asked.
#[derive(Clone, Default)]
pub struct Contact {
    /// Where the run tells how far it is.
    pub progress: Progress,
    /// What the client has said of itself.
    pub client: Arc<About>,
    /// How the client is asked.
    pub asker: Asker,
    /// Who keeps where the run stands.
    pub keeper: Option<Arc<dyn Keep>>,
    /// Where the run goes on; without, it begins.
    pub from: Option<Stand>,
    /// The step, by its index, before which the run stops: [`Outcome::Reached`].
    pub until: Option<usize>,
}

impl Contact {
    /// For a client that wants to know how far the run is, and no more.
    pub fn telling(progress: Progress) -> Self {
        Self {
            progress,
            ..Self::default()
        }
    }
}

/// What a client has said of itself: `client` in expressions. Empty where there is none, or nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of MCP that it speaks.
    pub protocol: String,
    /// What it can do, as the protocol has it.
    pub capabilities: Map<String, Value>,
}

/// How a client is asked something in the middle of a run.
#[derive(Clone, Default)]
pub enum Asker {
    /// Nobody can be asked.
    #[default]
    Nobody,
    /// The run waits for the answers.
    Waits(Arc<dyn Ask>),
    /// The run ends with the questions ([`Outcome::Asked`]), and is begun again with these answers: results of the protocol, by the
    /// names of the questions.
    Rounds(Arc<Map<String, Value>>),
}

/// Asks a client while the run waits.
pub trait Ask: Send + Sync {
    /// The answers by the names of the questions: results of the protocol, which nobody has checked yet.
    ///
    /// # Errors
    /// The client does not answer in this time, refuses, or is gone.
    fn ask(
        &self,
        questions: Vec<Question>,
        within: Duration,
    ) -> BoxFuture<'_, Result<Map<String, Value>, Failure>>;
}

/// A request to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its name in the spec, which the answer has too.
    pub name: String,
    /// Its method: `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters, as the protocol has them.
    pub params: Map<String, Value>,
}

/// Keeps where a run stands, so that it can go on elsewhere.
pub trait Keep: Send + Sync {
    /// Keeps it: what stands before `stand.next` is done, and that step is about to begin.
    ///
    /// # Errors
    /// It cannot be kept, or the run is somebody else's by now: it ends.
    fn keep<'a>(&'a self, stand: &'a Stand) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Where a run of steps stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stand {
    /// The index of the next step.
    pub next: usize,
    /// `call.id`.
    pub id: String,
    /// The names that the steps before have bound.
    pub names: Map<String, Value>,
    /// The answers that the next step has already.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub answers: Map<String, Value>,
}

/// A run that needs answers before it goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// What is asked, all at once.
    pub questions: Vec<Question>,
    /// Where it goes on.
    pub stand: Stand,
}

/// How a run of steps ends, unless it fails.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// With what it is there for.
    Done(T),
    /// With questions ([`Asker::Rounds`]).
    Asked(Asked),
    /// Before the step where it was to stop ([`Contact::until`]).
    Reached(Stand),
}

impl<T> Outcome<T> {
    /// Makes of what the run is there for what is wanted.
    ///
    /// # Errors
    /// As the work on it.
    pub fn and_then<U, E>(self, work: impl FnOnce(T) -> Result<U, E>) -> Result<Outcome<U>, E> {
        Ok(match self {
            Self::Done(done) => Outcome::Done(work(done)?),
            Self::Asked(asked) => Outcome::Asked(asked),
            Self::Reached(stand) => Outcome::Reached(stand),
        })
    }

    /// What the run is there for, if it got so far.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Asked(_) | Self::Reached(_) => None,
        }
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("client", &self.client)
            .field("asker", &self.asker)
            .field("from", &self.from)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::Waits(_) => f.write_str("Waits"),
            Self::Rounds(answers) => f.debug_tuple("Rounds").field(answers).finish(),
        }
    }
}
