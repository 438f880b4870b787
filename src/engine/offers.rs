//! What steps make for a client that asks, beside the tools: the messages of a prompt, proposals for an argument, and what is
//! read at the address of a resource.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use minijinja::value::{Serde, Value as Jinja, ValueKind};
use serde_json::{Map, Value};

use super::Engine;
use super::call::Call;
use super::contact::{Contact, Outcome};
use super::content::{Block, Body, Taken};
use super::failure::{COUNTER, Failure, FailureKind};
use super::scope::Running;
use super::session::Session;
use crate::catalog::Prompt;
use crate::catalog::templates::to_json;
use crate::spec::env::is_omit;
use crate::spec::model::{CompletionDecl, ResourceDecl, Role};

/// The most elements of a list that a section yields; further ones are left out.
const MAX_LISTED: usize = 1_000;

/// A message of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said or shown.
    pub block: Block,
}

impl Engine {
    /// Makes the messages of a prompt, for arguments that [fit](Prompt::misfits).
    ///
    /// # Errors
    /// That of its first step that fails; a panic, which is logged.
    pub async fn prompt(
        &self,
        session: &Session,
        prompt: &Prompt,
        arguments: Map<String, Value>,
        contact: Contact,
    ) -> Result<Outcome<Vec<Message>>, Failure> {
        let name = format!("prompt {}", prompt.name);
        guarded(&name, async {
            let mut call = self.offering(&name, prompt.pack, session);
            call.scope.bind("args", Jinja::from(Serde(&arguments)));
            let outcome = call.run_steps(&prompt.spec.steps, contact).await?;
            outcome.and_then(|()| {
                let (mut messages, mut taken) = (Vec::new(), Taken::default());
                for (index, message) in prompt.spec.messages.iter().enumerate() {
                    let place = format!("the message {}", index + 1);
                    let blocks = call
                        .blocks(&message.block(), &place, &mut taken)?
                        .into_iter();
                    let role = message.role;
                    messages.extend(blocks.map(|block| Message { role, block }));
                }
                Ok(messages)
            })
        })
        .await
    }

    /// The values that a completion of a pack proposes, whatever was typed so far: 1,000 at the most, each once.
    ///
    /// # Errors
    /// As [`Engine::prompt`], and [`FailureKind::Range`] for anything but a list.
    pub async fn complete(
        &self,
        session: &Session,
        (pack, name): (usize, &str),
        completion: &CompletionDecl,
        typed: &str,
        others: &Map<String, Value>,
    ) -> Result<Vec<String>, Failure> {
        let name = format!("completion {name}");
        guarded(&name, async {
            let mut call = self.offering(&name, pack, session);
            call.scope.bind("value", Jinja::from(typed));
            call.scope.bind("arguments", Jinja::from(Serde(others)));
            call.steps(&completion.steps).await?;
            let found = call.templates().tree(&completion.values, &call.context())?;
            let mut values: Vec<String> = Vec::new();
            for value in listed("values", &found)? {
                let kind = value.kind();
                if !matches!(kind, ValueKind::String | ValueKind::Number) {
                    let text =
                        format!("`values` has {value}, which is neither a text nor a number");
                    return Err(Failure::new(FailureKind::Range, text));
                }
                let value = value.to_string();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            Ok(values)
        })
        .await
    }

    /// What is read at an address of a resource that steps make; `args` are the values in the address.
    ///
    /// # Errors
    /// As [`Engine::prompt`], and [`FailureKind::Invalid`] for a `blob` that is no base64.
    pub async fn resource(
        &self,
        session: &Session,
        (pack, name): (usize, &str),
        decl: &ResourceDecl,
        uri: &str,
        args: &Map<String, Value>,
        contact: Contact,
    ) -> Result<Outcome<Body>, Failure> {
        let name = format!("resource {name}");
        guarded(&name, async {
            let mut call = self.offering(&name, pack, session);
            call.scope.bind("uri", Jinja::from(uri));
            call.scope.bind("args", Jinja::from(Serde(args)));
            let outcome = call.run_steps(&decl.steps, contact).await?;
            outcome.and_then(|()| {
                if let Some(json) = &decl.json {
                    let value = call.templates().json(json, &call.context())?;
                    return Ok(Body::Text(value.to_string()));
                }
                call.body(decl.text.as_ref(), decl.blob.as_ref(), &call.context())
            })
        })
        .await
    }

    /// The resources that are listed of an address with parameters: an object with a value for each; 1,000 at the most.
    ///
    /// # Errors
    /// As [`Engine::complete`].
    pub async fn instances(
        &self,
        session: &Session,
        (pack, name): (usize, &str),
        decl: &ResourceDecl,
    ) -> Result<Vec<Value>, Failure> {
        let Some(list) = &decl.list else {
            return Ok(Vec::new());
        };
        let name = format!("list of the resource {name}");
        guarded(&name, async {
            let mut call = self.offering(&name, pack, session);
            call.steps(&decl.list_steps).await?;
            let found = call.templates().tree_or_omit(list, &call.context())?;
            if is_omit(&found) {
                return Ok(Vec::new());
            }
            let values = listed("list", &found)?;
            Ok(values.iter().map(to_json).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A run of steps of a pack that has just begun.
    fn offering<'a>(&'a self, name: &'a str, pack: usize, session: &'a Session) -> Call<'a> {
        let loaded = self.catalog.packs.get(pack);
        let tools = loaded.map(|p| p.tools.clone()).unwrap_or_default();
        let mut call = Call::new(self, name, pack, session, tools);
        call.scope.bind("call", Running::begins());
        call
    }
}

/// The elements of a list that have a value.
fn listed(key: &str, value: &Jinja) -> Result<Vec<Jinja>, Failure> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let text = format!("`{key}` must be a list, and is {value}");
        return Err(Failure::new(FailureKind::Range, text));
    }
    let there = value
        .try_iter()?
        .filter(|v| !v.is_undefined() && !v.is_none());
    Ok(there.take(MAX_LISTED).collect())
}

/// Does the work; a failure is counted, and a panic in it is one.
async fn guarded<T>(
    name: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        // The panic hook has logged where it happened.
        let text = format!("the {name} failed because of a fault in the gateway; see its log");
        Err(Failure::new(FailureKind::Internal, text))
    });
    outcome.inspect_err(|failure| {
        metrics::counter!(COUNTER, "kind" => failure.kind.as_str()).increment(1);
        tracing::debug!(name, kind = failure.kind.as_str(), error = %failure, "failed");
    })
}
