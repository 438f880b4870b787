//! Running the steps that a client wants: from where they stand, to their end or to where they are to stop.

use minijinja::value::{Serde, Value as Jinja};
use serde_json::Map;

use super::call::Call;
use super::contact::{Asked, Contact, Outcome, Stand};
use super::failure::{Failure, FailureKind};
use super::scope::Running;
use crate::catalog::templates::to_json;
use crate::spec::verbs::Step;

impl Call<'_> {
    /// Runs the steps that a client wants, from where it stands: to their end, to a question or to where they are to stop. The
    /// names in force are those that no step has bound.
    pub(super) async fn run_steps(
        &mut self,
        steps: &[Step],
        contact: Contact,
    ) -> Result<Outcome<()>, Failure> {
        self.progress = contact.progress;
        self.client = contact.client;
        self.log = contact.log;
        self.wire = contact.wire;
        self.asker = contact.asker;
        self.scope
            .bind("client", Jinja::from(Serde(self.client.as_ref())));
        let from = contact.from.unwrap_or_default();
        self.scope.bind("call", Running::goes_on(from.id));
        let given = self.scope.count();
        for (name, value) in from.names {
            self.scope.bind(name, Jinja::from(Serde(&value)));
        }
        self.answers = from.answers;
        for (index, step) in steps.iter().enumerate().skip(from.next) {
            if contact.until == Some(index) {
                return Ok(Outcome::Reached(self.stand(index, given)?));
            }
            if let Some(keeper) = &contact.keeper {
                let stand = self.stand(index, given)?;
                keeper.keep(&stand).await?;
                self.place = Some(format!("{}.{index}", stand.id));
            }
            match self.step(step).await {
                Err(failure) if failure.kind == FailureKind::Asked => {
                    let questions = std::mem::take(&mut self.asked);
                    let stand = self.stand(index, given)?;
                    return Ok(Outcome::Asked(Asked { questions, stand }));
                }
                other => other?,
            }
            self.answers.clear();
        }
        Ok(Outcome::Done(()))
    }

    /// Where the run stands before this step; `given` names were not bound by steps.
    fn stand(&self, next: usize, given: usize) -> Result<Stand, Failure> {
        let mut names = Map::new();
        for (name, value) in self.scope.since(given) {
            names.insert(name.to_string(), to_json(value)?);
        }
        Ok(Stand {
            next,
            id: self.id(),
            names,
            answers: self.answers.clone(),
        })
    }

    /// `call.id`; empty where there is none.
    pub(super) fn id(&self) -> String {
        let running = self.scope.get("call");
        let id = running.and_then(|call| call.get_attr("id").ok());
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// The id of a message that the running step stores, if it has none of its own: the same one when the step is run again,
    /// because its gateway was lost. `None` where nothing is run again.
    pub(super) fn message_id(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        Some(format!("jacquard.{place}"))
    }
}
