//! What a session asks for, and what comes back, whatever it is.

use std::collections::BTreeMap;

use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, CompleteResult, CompletionContext, ContentBlock,
    ErrorData, GetPromptRequestParams, GetPromptResult, ReadResourceResult, Reference,
    ResourceContents,
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::words::Words;
use crate::engine::{Contact, Outcome, Reply, Session};
use crate::gateway::{Client, Gateway};
use crate::spec::model::Given;
use crate::spec::tree::Template;

/// What is asked for; the arguments are worked out beside it.
#[derive(Clone, Copy)]
pub(super) enum Ask<'a> {
    /// A call of a tool.
    Tool(&'a str),
    /// The messages of a prompt.
    Prompt(&'a str),
    /// What is read at an address.
    Resource(&'a Template),
    /// What is proposed for an argument of a prompt.
    Argument(&'a str, &'a str),
    /// What is proposed for a parameter of the address of a resource.
    Parameter(&'a Template, &'a str),
}

impl<'a> Ask<'a> {
    /// What an entry of an example asks for, if anything; `served` are other names of tools.
    pub(super) fn of(given: &'a Given, served: &'a BTreeMap<String, String>) -> Option<Self> {
        if let Some(name) = given.tool.as_deref() {
            return Some(Self::Tool(served.get(name).map_or(name, String::as_str)));
        }
        match (&given.prompt, &given.resource, &given.complete) {
            (Some(prompt), _, None) => Some(Self::Prompt(prompt)),
            (Some(prompt), _, Some(argument)) => Some(Self::Argument(prompt, argument)),
            (None, Some(uri), None) => Some(Self::Resource(uri)),
            (None, Some(uri), Some(parameter)) => Some(Self::Parameter(uri, parameter)),
            (None, None, _) => None,
        }
    }

    /// Asks. What is refused is a reply, too.
    ///
    /// # Errors
    /// An address that cannot be worked out.
    pub(super) async fn put(
        self,
        gateway: &Gateway,
        session: &Session,
        words: &mut Words,
        args: Map<String, Value>,
    ) -> Result<Reply, String> {
        let never = CancellationToken::new();
        let client = Client::default();
        let request = match self {
            Self::Tool(name) => {
                let outcome = gateway.call(session, name, Some(args), &never).await;
                return Ok(outcome.unwrap_or_else(|error| refused(error.to_string())));
            }
            Self::Prompt(name) => {
                let request = GetPromptRequestParams::new(name).with_arguments(args);
                let contact = Contact::default();
                let made = gateway.prompt(session, &client, request, &never, contact);
                return Ok(reply(done(made.await), of_prompt));
            }
            Self::Resource(uri) => {
                let uri = words.text(uri)?;
                let contact = Contact::default();
                let read = gateway.read_resource(session, &uri, &never, contact);
                return Ok(reply(done(read.await), of_resource));
            }
            Self::Argument(prompt, name) => completing(Reference::for_prompt(prompt), name, args),
            Self::Parameter(uri, name) => {
                completing(Reference::for_resource(words.text(uri)?), name, args)
            }
        };
        let proposed = gateway.complete(session, &client, request, &never);
        Ok(reply(proposed.await, of_completion))
    }
}

/// A request for proposals: of the arguments, one is being typed, and the others are there already.
fn completing(whose: Reference, name: &str, args: Map<String, Value>) -> CompleteRequestParams {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut args = args;
    let typed = args.remove(name).map(text).unwrap_or_default();
    let others = args.into_iter().map(|(name, value)| (name, text(value)));
    CompleteRequestParams::new(whose, ArgumentInfo::new(name, typed))
        .with_context(CompletionContext::with_arguments(others.collect()))
}

fn refused(text: String) -> Reply {
    Reply {
        text,
        structured: None,
        is_error: true,
    }
}

/// What a run has come to that does not end with questions.
fn done<T>(outcome: Result<Outcome<T>, ErrorData>) -> Result<T, ErrorData> {
    let ended = || ErrorData::internal_error("the run has ended before its end", None);
    outcome?.done().ok_or_else(ended)
}

fn reply<T>(outcome: Result<T, ErrorData>, of: impl FnOnce(T) -> (String, Option<Value>)) -> Reply {
    match outcome {
        Ok(made) => {
            let (text, structured) = of(made);
            Reply {
                text,
                structured,
                is_error: false,
            }
        }
        Err(error) => refused(error.message.into_owned()),
    }
}

/// The texts of its messages, one after another, and the messages as a client gets them.
fn of_prompt(made: GetPromptResult) -> (String, Option<Value>) {
    let texts = made.messages.iter().map(|message| match &message.content {
        ContentBlock::Text(text) => text.text.as_str(),
        ContentBlock::Resource(embedded) => contents(&embedded.resource),
        _ => "",
    });
    let texts: Vec<&str> = texts.collect();
    let text = texts.join("\n\n");
    (text, serde_json::to_value(made).ok())
}

/// What it says, and the value where that is JSON.
fn of_resource(read: ReadResourceResult) -> (String, Option<Value>) {
    let texts: Vec<&str> = read.contents.iter().map(contents).collect();
    let text = texts.join("\n\n");
    let value = serde_json::from_str(&text).ok();
    (text, value)
}

/// A value a line.
fn of_completion(found: CompleteResult) -> (String, Option<Value>) {
    let found = found.completion;
    let text = found.values.join("\n");
    (
        text,
        Some(json!({"values": found.values, "total": found.total})),
    )
}

fn contents(contents: &ResourceContents) -> &str {
    match contents {
        ResourceContents::TextResourceContents { text, .. } => text,
        ResourceContents::BlobResourceContents { blob, .. } => blob,
        _ => "",
    }
}
