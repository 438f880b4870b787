//! What steps make for a client that asks, beside the tools: the messages of a prompt, proposals for an argument, and what is
//! read at the address of a resource.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use minijinja::value::{Serde, Value as Jinja, ValueKind};
use serde_json::{Map, Value};

use super::Engine;
use super::call::Call;
use super::contact::{Contact, Outcome};
use super::failure::{COUNTER, Failure, FailureKind};
use super::scope::Running;
use super::session::Session;
use crate::catalog::Prompt;
use crate::catalog::templates::to_json;
use crate::spec::env::is_omit;
use crate::spec::model::{CompletionDecl, Embedded, MessageDecl, ResourceDecl, Role};
use crate::spec::tree::Template;

/// The most elements of a list that a section yields; further ones are left out.
const MAX_LISTED: usize = 1_000;

/// A message of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: Content,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Something to read.
    Resource {
        /// Its address.
        uri: String,
        /// Its type.
        mime: Option<String>,
        /// What is to be read.
        body: Body,
    },
}

/// What is read at an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A text.
    Text(String),
    /// Bytes, in base64.
    Blob(String),
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
                let mut messages = Vec::new();
                for message in prompt.spec.messages.iter() {
                    messages.extend(call.message(message)?);
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
                call.body(decl.text.as_ref(), decl.blob.as_ref())
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

impl Call<'_> {
    /// A message; `None` where its `when` does not hold.
    fn message(&self, message: &MessageDecl) -> Result<Option<Message>, Failure> {
        let context = self.context();
        let templates = self.templates();
        if let Some(when) = &message.when
            && !templates.test(when, &context)?
        {
            return Ok(None);
        }
        let content = match (&message.resource, &message.template, &message.text) {
            (Some(resource), _, _) => self.embedded(resource)?,
            (None, Some(name), _) => {
                let source = self.pack().pack.templates.get(name);
                Content::Text(templates.file(source.map_or("", Cow::as_ref), &context)?)
            }
            (None, None, Some(text)) => Content::Text(templates.text(text, &context)?),
            (None, None, None) => Content::Text(String::new()),
        };
        let role = message.role;
        Ok(Some(Message { role, content }))
    }

    fn embedded(&self, resource: &Embedded) -> Result<Content, Failure> {
        let context = self.context();
        let text = |text: &Template| self.templates().text(text, &context);
        Ok(Content::Resource {
            uri: text(&resource.uri)?,
            mime: resource.mime.as_ref().map(text).transpose()?,
            body: self.body(resource.text.as_ref(), resource.blob.as_ref())?,
        })
    }

    fn body(&self, text: Option<&Template>, blob: Option<&Template>) -> Result<Body, Failure> {
        let context = self.context();
        if let Some(blob) = blob {
            let blob = self.templates().text(blob, &context)?;
            let blob = blob.trim().to_owned();
            if let Err(error) = STANDARD.decode(&blob) {
                let text = format!("`blob` is no base64: {error}");
                return Err(Failure::new(FailureKind::Invalid, text));
            }
            return Ok(Body::Blob(blob));
        }
        let text = text.map(|text| self.templates().text(text, &context));
        Ok(Body::Text(text.transpose()?.unwrap_or_default()))
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
