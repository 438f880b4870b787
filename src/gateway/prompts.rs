//! Prompts and completions, as clients ask for them.

use std::sync::Arc;
use std::time::Instant;

use rmcp::model::{
    CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, EmbeddedResource,
    ErrorData, GetPromptRequestParams, GetPromptResult, JsonObject, Prompt, PromptArgument,
    PromptMessage, Reference, ResourceContents, Role,
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::ask::incapable;
use super::{Client, Gateway, observe};
use crate::bus::ErrorKind;
use crate::catalog;
use crate::engine::{
    Body, Contact, Content, Engine, Failure, FailureKind, Message, Outcome, Session,
};
use crate::spec::model;
use crate::spec::suggest;

/// The largest text of an argument, in bytes.
const MAX_ARGUMENT: usize = 1 << 20;

impl Gateway {
    /// Whether prompts are served, to whomever.
    pub fn has_prompts(&self) -> bool {
        !self.catalog().prompts.is_empty()
    }

    /// Whether an argument of a prompt or a parameter of a resource has proposals.
    pub fn has_completions(&self) -> bool {
        let catalog = self.catalog();
        let mut arguments = catalog.prompts.iter().flat_map(|p| p.spec.arguments.iter());
        arguments.any(|(_, argument)| argument.complete.is_some())
            || self.serving.load().resources.completes()
    }

    /// The prompts that a client may use, as it sees them.
    pub fn prompts_for(&self, client: &Client) -> Vec<Prompt> {
        let (catalog, offer) = (self.catalog(), self.offer());
        let open = catalog
            .prompts
            .iter()
            .filter(|prompt| offer.access.may_prompt(client, &prompt.name));
        open.map(|prompt| listed(prompt)).collect()
    }

    pub(super) fn prompt_of(
        &self,
        client: &Client,
        name: &str,
    ) -> Result<Arc<catalog::Prompt>, ErrorData> {
        let (catalog, offer) = (self.catalog(), self.offer());
        let open = |prompt: &&Arc<catalog::Prompt>| offer.access.may_prompt(client, &prompt.name);
        let found = catalog.prompts.iter().find(|prompt| prompt.name == name);
        found.filter(open).cloned().ok_or_else(|| {
            let own = catalog.prompts.iter().filter(open);
            let own: Vec<&str> = own.map(|prompt| prompt.name.as_str()).collect();
            unknown("prompt", name, &own)
        })
    }

    /// `prompts/get`: makes the messages of a prompt.
    ///
    /// # Errors
    /// A prompt that there is not for this client, arguments that do not fit, and steps that fail, in their own words.
    pub async fn prompt(
        &self,
        session: &Session,
        client: &Client,
        request: GetPromptRequestParams,
        cancel: &CancellationToken,
        contact: Contact,
    ) -> Result<Outcome<GetPromptResult>, ErrorData> {
        let prompt = self.prompt_of(client, &request.name)?;
        let arguments = arguments(&prompt, request.arguments.unwrap_or_default())?;
        let name = prompt.name.as_str();
        let made = self
            .asked(("prompt", name), session, cancel, |engine| {
                let prompt = &prompt;
                async move { engine.prompt(session, prompt, arguments, contact).await }
            })
            .await;
        let made = made.map_err(|failure| self.refused("prompt", name, &failure))?;
        made.and_then(|messages| {
            let messages = messages.into_iter().map(message).collect();
            let result = GetPromptResult::new(messages);
            Ok(match &prompt.description {
                Some(text) => result.with_description(text.clone()),
                None => result,
            })
        })
    }

    /// `completion/complete`: what a client's user may mean, who is typing the value of an argument.
    ///
    /// # Errors
    /// A prompt, a resource or an argument that there is not for this client, and steps that fail.
    pub async fn complete(
        &self,
        session: &Session,
        client: &Client,
        request: CompleteRequestParams,
        cancel: &CancellationToken,
    ) -> Result<CompleteResult, ErrorData> {
        let wanted = request.argument.name.as_str();
        let (pack, completion) = match &request.r#ref {
            Reference::Prompt(prompt) => {
                let prompt = self.prompt_of(client, &prompt.name)?;
                let arguments = &prompt.spec.arguments;
                let argument = arguments.get(wanted).ok_or_else(|| {
                    let known: Vec<&str> = arguments.keys().collect();
                    unknown("argument", wanted, &known)
                })?;
                (prompt.pack, argument.complete.clone())
            }
            Reference::Resource(template) => {
                self.serving
                    .load()
                    .resources
                    .completion(client, &template.uri, wanted)?
            }
            _ => return Err(ErrorData::invalid_params("nothing else is completed", None)),
        };
        let catalog = self.catalog();
        let packs = catalog.packs.get(pack);
        let named = completion.as_deref().and_then(|name| {
            let found = packs?.pack.completions.get(name)?;
            Some((name, found))
        });
        let Some((name, decl)) = named else {
            return Ok(CompleteResult::default());
        };
        let others = request.context.and_then(|context| context.arguments);
        let others: Map<String, Value> = others
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        let typed = request.argument.value.as_str();
        let made = self.asked(("completion", name), session, cancel, |engine| {
            let others = &others;
            async move {
                engine
                    .complete(session, (pack, name), decl, typed, others)
                    .await
            }
        });
        let values = made
            .await
            .map_err(|failure| self.refused("completion", name, &failure))?;
        Ok(proposals(values, typed))
    }

    /// Does what a client asks for beside calls, as a call is done; counts and times it.
    pub(super) async fn asked<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        (what, name): (&'static str, &str),
        session: &Session,
        cancel: &CancellationToken,
        work: impl FnOnce(Arc<Engine>) -> F,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let done = self.work(session, cancel, work).await;
        let shown = match &done {
            Some(Ok(_)) => "ok",
            Some(Err(_)) => "error",
            None => "cancelled",
        };
        observe::asked(what, name, shown, begun.elapsed());
        // rmcp sends no response to a cancelled request.
        let cancelled = || Failure::new(FailureKind::Internal, "the request was cancelled");
        done.unwrap_or_else(|| Err(cancelled()))
    }

    /// Steps have failed, in words for the client.
    pub(super) fn refused(&self, what: &str, name: &str, failure: &Failure) -> ErrorData {
        let mut text = format!("the {what} `{name}`: {failure}");
        if let Some(reason) = self.nats().failure() {
            text.push_str("\nThere is no NATS: ");
            text.push_str(&reason);
        }
        if let Some(lacks) = &failure.lacks {
            return incapable(text, lacks);
        }
        let own = matches!(
            failure.kind,
            FailureKind::Require
                | FailureKind::Fail
                | FailureKind::NotFound
                | FailureKind::Invalid
                | FailureKind::Declined
                | FailureKind::CannotAsk
        );
        let absent = failure.kind == FailureKind::Bus(ErrorKind::NotFound);
        if own || absent {
            ErrorData::invalid_params(text, None)
        } else {
            ErrorData::internal_error(text, None)
        }
    }
}

/// There is no such thing for this client, but these.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> ErrorData {
    let shown: String = name.chars().take(128).collect();
    let help = suggest::help(name, known.iter().copied());
    ErrorData::invalid_params(format!("there is no {what} `{shown}`; {help}"), None)
}

/// A prompt as `prompts/list` shows it.
fn listed(prompt: &catalog::Prompt) -> Prompt {
    let arguments = prompt.arguments.iter().map(|argument| {
        let mut listed =
            PromptArgument::new(argument.name.as_str()).with_required(argument.required);
        listed.title.clone_from(&argument.title);
        listed.description.clone_from(&argument.description);
        listed
    });
    let arguments: Vec<PromptArgument> = arguments.collect();
    let arguments = Some(arguments).filter(|arguments| !arguments.is_empty());
    let mut listed = Prompt::new(prompt.name.as_str(), prompt.description.clone(), arguments);
    listed.title.clone_from(&prompt.title);
    listed
}

/// The arguments of a prompt as texts, which they are; numbers and truth values are taken, too.
fn arguments(prompt: &catalog::Prompt, given: JsonObject) -> Result<Map<String, Value>, ErrorData> {
    // Forms send what their user leaves empty.
    let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    let given: Vec<_> = given.into_iter().filter(|(_, v)| !empty(v)).collect();
    let mut lines = prompt.misfits(given.iter().map(|(name, _)| name.as_str()));
    let mut texts = Map::new();
    for (name, value) in given {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                lines.push(format!("`{name}` must be a text"));
                continue;
            }
        };
        if text.len() > MAX_ARGUMENT {
            lines.push(format!("`{name}` is longer than 1 MiB"));
        }
        texts.insert(name, Value::String(text));
    }
    if lines.is_empty() {
        return Ok(texts);
    }
    let text = format!(
        "the arguments of the prompt `{}` do not fit:\n- ",
        prompt.name
    );
    Err(ErrorData::invalid_params(text + &lines.join("\n- "), None))
}

fn message(message: Message) -> PromptMessage {
    let role = match message.role {
        model::Role::User => Role::User,
        model::Role::Assistant => Role::Assistant,
    };
    let content = match message.content {
        Content::Text(text) => ContentBlock::text(text),
        Content::Resource { uri, mime, body } => {
            let contents = contents(body, &uri, mime);
            ContentBlock::Resource(EmbeddedResource::new(contents))
        }
    };
    PromptMessage::new(role, content)
}

/// What is read at an address.
pub(super) fn contents(body: Body, uri: &str, mime: Option<String>) -> ResourceContents {
    let (made, usual) = match body {
        Body::Text(text) => (ResourceContents::text(text, uri), "text/plain"),
        Body::Blob(blob) => (
            ResourceContents::blob(blob, uri),
            "application/octet-stream",
        ),
    };
    made.with_mime_type(mime.unwrap_or_else(|| usual.to_owned()))
}

/// Those values that begin with what was typed, small and capital letters being the same.
fn proposals(values: Vec<String>, typed: &str) -> CompleteResult {
    let typed = typed.to_lowercase();
    let mut fitting: Vec<String> = values
        .into_iter()
        .filter(|value| value.to_lowercase().starts_with(&typed))
        .collect();
    let total = fitting.len();
    fitting.truncate(CompletionInfo::MAX_VALUES);
    let more = total > fitting.len();
    let info = CompletionInfo::with_pagination(fitting, u32::try_from(total).ok(), more);
    CompleteResult::new(info.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_what_was_typed_is_proposed() {
        let values = || ["Rust", "ruby", "Perl"].map(str::to_owned).to_vec();
        for (typed, expected) in [
            ("", &["Rust", "ruby", "Perl"][..]),
            ("RU", &["Rust", "ruby"]),
            ("rus", &["Rust"]),
            ("x", &[]),
        ] {
            let info = proposals(values(), typed).completion;
            assert_eq!(info.values, expected, "{typed}");
            assert_eq!(info.total, u32::try_from(expected.len()).ok());
            assert_eq!(info.has_more, Some(false));
        }
        let many = (0..250).map(|n| format!("v{n}")).collect();
        let info = proposals(many, "V").completion;
        assert_eq!((info.values.len(), info.total), (100, Some(250)));
        assert_eq!(info.has_more, Some(true));
    }
}
