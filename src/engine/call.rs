//! One run of steps in order; and one call of one tool: arguments, steps, reply.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value};

use super::Engine;
use super::contact::{About, Asker, Contact, Outcome, Question, Wire};
use super::content::{self, Block, Taken};
use super::failure::{Failure, FailureKind};
use super::log::Log;
use super::outlet::{Note, Pressure, WAITING};
use super::progress::Progress;
use super::resources::{Reader, with_values};
use super::scope::Scope;
use super::session::Session;
use super::steps;
use crate::bus::{Bucket, Bus, Stream};
use crate::catalog::templates::to_json;
use crate::catalog::{LoadedPack, Templates, Tool};
use crate::spec::data;
use crate::spec::env::is_omit;
use crate::spec::tree::{Template, Tree};
use crate::spec::verbs::Step;

/// The most rounds of a step with `each`.
const MAX_ROUNDS: usize = 1_000;

/// What a call answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The text a model reads.
    pub text: String,
    /// What it is made of, in order; empty where the text is all. `text` has the texts in it.
    pub content: Vec<Block>,
    /// The structured result, for tools with an output schema.
    pub structured: Option<Value>,
    /// Whether the call failed.
    pub is_error: bool,
}

impl Reply {
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            content: Vec::new(),
            structured: None,
            is_error: true,
        }
    }
}

/// One run of steps: what a verb works with.
pub(super) struct Call<'a> {
    pub(super) engine: &'a Engine,
    /// Whose steps these are, for the log and for cursors: the name of a tool, or words such as `timer beat`.
    pub(super) name: &'a str,
    /// The pack whose streams, buckets and state the steps mean, by its index in the catalog.
    pub(super) home: usize,
    pub(super) session: &'a Session,
    pub(super) scope: Scope,
    /// Whether the running step has an `else`.
    pub(super) has_else: bool,
    /// What becomes of its notifications.
    pub(super) notes: Notes,
    /// Where it tells how far it is.
    pub(super) progress: Progress,
    /// What its client has said of itself.
    pub(super) client: Arc<About>,
    /// Where it writes what its client's log is to have.
    pub(super) log: Log,
    /// The HTTP response that waits for it.
    pub(super) wire: Option<Arc<dyn Wire>>,
    /// How its client is asked.
    pub(super) asker: Asker,
    /// What the running step asks, where the run ends with it.
    pub(super) asked: Vec<Question>,
    /// The answers that the running step has already.
    pub(super) answers: Map<String, Value>,
    /// What the running step tells its `else` besides the error.
    pub(super) aside: Option<(&'static str, Jinja)>,
    /// Which step of which run this is, also when it is run again: of a run whose stand is kept.
    pub(super) place: Option<String>,
}

/// What becomes of the notifications of a run of steps.
pub(super) enum Notes {
    /// They go to the client at once.
    Sent(Pressure),
    /// They are gathered: of a stream's message, the client gets all or none.
    Gathered(Vec<Note>),
}

impl Notes {
    /// The same for a part of the run.
    fn beside(&self) -> Self {
        match self {
            Self::Sent(pressure) => Self::Sent(*pressure),
            Self::Gathered(_) => Self::Gathered(Vec::new()),
        }
    }

    /// Those that were gathered.
    pub(super) fn gathered(self) -> Vec<Note> {
        match self {
            Self::Sent(_) => Vec::new(),
            Self::Gathered(notes) => notes,
        }
    }
}

impl<'a> Call<'a> {
    /// Runs a tool to its reply.
    pub(super) async fn run(
        engine: &'a Engine,
        tool: &'a Tool,
        session: &'a Session,
        arguments: Option<Map<String, Value>>,
        contact: Contact,
    ) -> Result<Outcome<Reply>, Failure> {
        let arguments = tool.arguments(arguments).map_err(|lines| {
            Failure::new(FailureKind::Arguments, wrong_arguments(&tool.name, &lines))
        })?;
        let mut call = Call::new(engine, &tool.name, tool.pack, session, tool.tools.clone());
        for (name, value) in &tool.given {
            call.scope.bind(name.clone(), value.clone());
        }
        call.scope.bind("args", Jinja::from(Serde(&arguments)));
        match call.run_steps(&tool.spec.steps, contact).await {
            Ok(outcome) => outcome.and_then(|()| call.reply(tool)),
            Err(failure) => Err(call.worded(tool, failure)),
        }
    }

    /// A run of steps of a pack for a session. `tools` are the names under which the pack's tools are served.
    pub(super) fn new(
        engine: &'a Engine,
        name: &'a str,
        home: usize,
        session: &'a Session,
        tools: Jinja,
    ) -> Self {
        let catalog = &engine.catalog;
        let settings = catalog.packs.get(home).map(|p| p.settings.clone());
        Call {
            engine,
            name,
            home,
            session,
            scope: Scope::new(
                session.view(catalog, home),
                catalog.project.clone(),
                settings.unwrap_or_default(),
                tools,
                engine.gateway.clone(),
            ),
            has_else: false,
            notes: Notes::Sent(Pressure::GivesWay),
            progress: Progress::none(),
            client: Arc::default(),
            log: Log::default(),
            wire: None,
            asker: Asker::Nobody,
            asked: Vec::new(),
            answers: Map::new(),
            aside: None,
            place: None,
        }
    }

    /// Runs steps in order, to the first that fails.
    pub(super) async fn steps(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let outer = self.place.clone();
        for (index, step) in steps.iter().enumerate() {
            self.place = within(outer.as_deref(), index);
            self.step(step).await?;
        }
        self.place = outer;
        Ok(())
    }

    pub(super) async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let result = match &step.each {
            None => self.once(step).await?,
            Some(each) => {
                let context = self.context();
                let list = self.attempt(step, |t| t.eval(each, &context))?;
                Some(self.rounds(step, &list).await?)
            }
        };
        if let (Some(name), Some(value)) = (&step.bind, result) {
            self.scope.bind(name.clone(), value);
        } else if let Some(name) = &step.bind {
            // Left out by `when`: later expressions see null.
            self.scope.bind(name.clone(), Jinja::from(()));
        }
        Ok(())
    }

    /// Runs a step unless its `when` says no. `None` too if no was the answer to an optional one.
    async fn once(&mut self, step: &Step) -> Result<Option<Jinja>, Failure> {
        if let Some(when) = &step.when {
            let context = self.context();
            if !self.attempt(step, |t| t.test(when, &context))? {
                steps::skip(&step.verb, self);
                return Ok(None);
            }
        }
        self.has_else = step.otherwise.is_some();
        self.aside = None;
        // Boxed: the future of the largest verb would be part of every run, and of what waits beside it.
        match Box::pin(steps::run(&step.verb, self)).await {
            Ok(value) => Ok(Some(value)),
            // No failure: the run ends here until it has its answers.
            Err(failure) if failure.kind == FailureKind::Asked => Err(failure),
            Err(failure) if step.optional && failure.kind.is_an_answer() => {
                steps::skip(&step.verb, self);
                Ok(None)
            }
            Err(failure) if step.continue_on_error => {
                steps::skip(&step.verb, self);
                let failure = self.explained(step, failure);
                let error = minijinja::context!(
                    kind => failure.kind.as_str(), message => failure.message
                );
                Ok(Some(minijinja::context!(error)))
            }
            Err(failure) => Err(self.explained(step, failure)),
        }
    }

    async fn rounds(&mut self, step: &Step, list: &Jinja) -> Result<Jinja, Failure> {
        let items: Vec<Jinja> = self
            .attempt(step, |_| list.try_iter())?
            .take(MAX_ROUNDS + 1)
            .collect();
        if items.len() > MAX_ROUNDS {
            let text = format!("`each` has more than {MAX_ROUNDS} elements");
            return Err(self.explained(step, Failure::new(FailureKind::Range, text)));
        }
        let mut kept = Vec::with_capacity(items.len());
        let mut notes = Vec::new();
        // The language bounds it.
        let at_once = step.parallel.and_then(|n| usize::try_from(n).ok());
        let at_once = at_once.unwrap_or(1).max(1);
        {
            let rounds = items.into_iter().enumerate();
            let rounds = rounds.map(|(index, item)| self.round(step, index, item));
            let mut rounds = stream::iter(rounds).buffered(at_once);
            // The first that fails ends the step; those that run beside it are dropped where they wait.
            while let Some((value, told)) = rounds.try_next().await? {
                kept.extend(value);
                notes.extend(told);
            }
        }
        for note in notes {
            self.notify(note).await?;
        }
        // A `set` inside the rounds changed the session behind this scope.
        self.refresh_session();
        Ok(Jinja::from(kept))
    }

    /// One round of a step with `each`: what is kept of it, and the notifications that were gathered.
    async fn round(
        &self,
        step: &Step,
        index: usize,
        item: Jinja,
    ) -> Result<(Option<Jinja>, Vec<Note>), Failure> {
        let mut call = Call {
            scope: self.scope.with("item", item.clone()),
            has_else: false,
            notes: self.notes.beside(),
            progress: self.progress.clone(),
            client: Arc::clone(&self.client),
            log: self.log.clone(),
            wire: self.wire.clone(),
            asker: self.asker.clone(),
            asked: Vec::new(),
            answers: Map::new(),
            aside: None,
            place: within(self.place.as_deref(), index),
            ..*self
        };
        let Some(result) = call.once(step).await? else {
            return Ok((None, call.notes.gathered()));
        };
        let value = match &step.select {
            None => minijinja::context!(item, result),
            Some(select) => {
                let context = call.scope.with("result", result).context();
                call.attempt(step, |t| t.tree_or_omit(select, &context))?
            }
        };
        Ok((Some(value).filter(|v| !is_omit(v)), call.notes.gathered()))
    }

    /// Evaluates something of a step, so that its `else` speaks for it too.
    fn attempt<T>(
        &self,
        step: &Step,
        work: impl FnOnce(&Templates) -> Result<T, minijinja::Error>,
    ) -> Result<T, Failure> {
        work(self.templates()).map_err(|error| self.explained(step, error.into()))
    }

    /// The failure in the words of the step's `else`.
    fn explained(&self, step: &Step, failure: Failure) -> Failure {
        let Some(otherwise) = &step.otherwise else {
            return failure;
        };
        // "There is no such note" must not be said when NATS is away: an `else` that does not tell the reason
        // speaks only for the outcome that the step is there to find out.
        if !failure.kind.is_an_answer() && !self.templates().mentions_error(otherwise) {
            return failure;
        }
        self.reworded(failure, otherwise, "the `else` of a step")
    }

    /// The failure of the steps of a tool in the words of its `failure`.
    fn worded(&mut self, tool: &Tool, failure: Failure) -> Failure {
        let Some(words) = &tool.spec.failure else {
            return failure;
        };
        // Steps that were not reached leave null behind, as those do that `when` leaves out.
        for step in tool.spec.steps.iter() {
            let names = step.verb.names().chain(step.bind.as_deref());
            for name in names {
                if !self.scope.has(name) {
                    self.scope.bind(name.to_owned(), Jinja::from(()));
                }
            }
        }
        self.reworded(failure, words, "the `failure` of a tool")
    }

    fn reworded(&self, failure: Failure, words: &Template, what: &str) -> Failure {
        let error = minijinja::context!(
            kind => failure.kind.as_str(), message => failure.message.as_str()
        );
        let mut scope = self.scope.with("error", error);
        if let Some((name, value)) = &self.aside {
            scope.bind(*name, value.clone());
        }
        let context = scope.context();
        match self.templates().text(words, &context) {
            Ok(message) => failure.reworded(message),
            Err(inner) => {
                tracing::error!(steps = %self.name, error = %inner, "{what} cannot be rendered");
                failure
            }
        }
    }

    fn reply(&self, tool: &Tool) -> Result<Reply, Failure> {
        let reply = &tool.spec.reply;
        let context = self.context();
        let structured = match &reply.structured {
            None => None,
            Some(tree) => {
                let value = self.templates().tree_or_omit(tree, &context)?;
                // Where clients were promised a result there must be one.
                let none = is_omit(&value) && tool.output.is_none();
                (!none).then(|| to_json(&value)).transpose()?
            }
        };
        if let Some(value) = &structured {
            tool.check_output(value).map_err(|lines| {
                let lines = lines.join("; ");
                tracing::error!(tool = %tool.name, %lines, "result does not fit the output schema");
                Failure::new(
                    FailureKind::Output,
                    format!(
                        "the tool did its work, but its result does not fit its output schema ({lines}); \
                         correct the spec at {}",
                        tool.origin
                    ),
                )
            })?;
        }
        let (mut content, mut taken) = (Vec::new(), Taken::default());
        for (index, block) in reply.content.iter().flat_map(|c| c.iter()).enumerate() {
            let place = format!("the block {} of the reply", index + 1);
            content.extend(self.blocks(&block.block(), &place, &mut taken)?);
        }
        let text = match (&reply.text, &reply.template, &structured) {
            (Some(text), _, _) => self.templates().text(text, &context)?,
            (None, Some(name), _) => self.template_file(name, &context)?,
            (None, None, Some(value)) if reply.content.is_none() => value.to_string(),
            (None, None, _) => content::texts(&content),
        };
        Ok(Reply {
            text,
            content,
            structured,
            is_error: false,
        })
    }

    /// What a template file of the pack says.
    pub(super) fn template_file(&self, name: &str, context: &Jinja) -> Result<String, Failure> {
        let source = self.pack().pack.templates.get(name).map_or("", Cow::as_ref);
        Ok(self.templates().file(source, context)?)
    }

    pub(super) fn context(&self) -> Jinja {
        self.scope.context()
    }

    pub(super) fn templates(&self) -> &'a Templates {
        &self.engine.catalog.templates
    }

    pub(super) fn pack(&self) -> &'a LoadedPack {
        &self.engine.catalog.packs[self.home]
    }

    pub(super) fn bus(&self) -> &'a Bus {
        &self.engine.bus
    }

    pub(super) fn reader<'c>(&self, context: &'c Jinja) -> Reader<'c>
    where
        'a: 'c,
    {
        Reader {
            templates: self.templates(),
            context,
        }
    }

    /// Tells the client something. Whether somebody reads it, or will.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for too many of one message.
    pub(super) async fn notify(&mut self, note: Note) -> Result<bool, Failure> {
        match &mut self.notes {
            Notes::Sent(pressure) => Ok(self.session.outlet().kept(note, *pressure).await),
            Notes::Gathered(notes) if notes.len() < WAITING => {
                notes.push(note);
                Ok(true)
            }
            Notes::Gathered(_) => {
                let text = format!("more than {WAITING} notifications of one message");
                Err(Failure::new(FailureKind::Range, text))
            }
        }
    }

    pub(super) fn refresh_session(&mut self) {
        let view = self.session.view(&self.engine.catalog, self.home);
        self.scope.set_session(view);
    }

    pub(super) fn stream(
        &self,
        name: &str,
        with: Option<&data::Map<Tree>>,
        context: &Jinja,
    ) -> Result<Stream, Failure> {
        let with = with_values(self.templates(), with, context)?;
        let engine = self.engine;
        engine
            .resources
            .stream(&engine.catalog, self.home, name, &with)
    }

    pub(super) fn bucket(
        &self,
        name: &str,
        with: Option<&data::Map<Tree>>,
        context: &Jinja,
    ) -> Result<Bucket, Failure> {
        let with = with_values(self.templates(), with, context)?;
        let engine = self.engine;
        engine
            .resources
            .bucket(&engine.catalog, self.home, name, &with)
    }

    pub(super) fn headers(
        &self,
        headers: Option<&data::Map<Template>>,
        context: &Jinja,
    ) -> Result<Vec<(String, String)>, Failure> {
        headers
            .into_iter()
            .flat_map(data::Map::iter)
            .map(|(name, value)| Ok((name.to_owned(), self.templates().text(value, context)?)))
            .collect()
    }
}

/// The place of a part of a step.
fn within(place: Option<&str>, index: usize) -> Option<String> {
    place.map(|place| format!("{place}.{index}"))
}

fn wrong_arguments(tool: &str, lines: &[String]) -> String {
    let mut text = format!("Error: the arguments of {tool} do not fit:");
    for line in lines {
        text.push_str("\n- ");
        text.push_str(line);
    }
    text
}
