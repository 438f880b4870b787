//! Questions to clients in the middle of a request: in rounds with clients of the version 2026-07-28, which call again with
//! their answers; to older ones as requests of the gateway, while theirs waits.

mod approach;
mod peer;
mod rounds;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, ErrorCode, ErrorData, GetPromptRequestParams, InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

pub(super) use approach::{Again, Came};
pub(super) use rounds::{Call, declared, request};

use super::{Client, Gateway};
use crate::catalog::Catalog;
use crate::engine::{About, Asker};
use crate::spec::verbs::{Step, Verb};

/// What a client has said of itself, with this request or before.
fn about(context: &RequestContext<RoleServer>) -> About {
    let client = context.client_info();
    let protocol = context.protocol_version();
    let capabilities = context.client_capabilities().unwrap_or_default();
    let capabilities = match serde_json::to_value(capabilities) {
        Ok(Value::Object(capabilities)) => capabilities,
        _ => Map::new(),
    };
    let (name, version) = client.map(|c| (c.name, c.version)).unwrap_or_default();
    About {
        name,
        version,
        protocol: protocol.map(|p| p.to_string()).unwrap_or_default(),
        capabilities,
    }
}

/// A client that has not declared what a request needs of it is told so.
pub(super) fn incapable(message: String, lacks: &Map<String, Value>) -> ErrorData {
    let code = ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY;
    let data = json!({"requiredCapabilities": lacks});
    ErrorData::new(code, message, Some(data))
}

/// The answers that come with a request.
///
/// # Errors
/// One that is no object.
fn answers(given: Option<InputResponses>) -> Result<Asker, ErrorData> {
    let mut answers = Map::new();
    for (name, answer) in given.into_iter().flatten() {
        if !answer.is_object() {
            let shown: String = name.chars().take(128).collect();
            let text =
                format!("`{shown}` of `inputResponses` must be an object: a result of the client");
            return Err(ErrorData::invalid_params(text, None));
        }
        answers.insert(name, answer);
    }
    Ok(Asker::Rounds(Arc::new(answers)))
}

/// Whether one of these steps asks.
pub(super) fn asks(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step.verb, Verb::Ask(_)))
}

/// Whether anything in a catalog asks.
pub(super) fn any(catalog: &Catalog) -> bool {
    let tools = catalog.tools();
    let mut packs = catalog.packs.iter();
    tools.iter().any(|tool| asks(&tool.spec.steps))
        || catalog.prompts.iter().any(|p| asks(&p.spec.steps))
        || packs.any(|pack| {
            pack.pack
                .resources
                .iter()
                .any(|(_, made)| asks(&made.steps))
        })
}

impl Gateway {
    /// What a state of a call is good for; `None` where the tool does not ask and the call brings none.
    pub(super) fn call_of_tool(
        &self,
        client: &Client,
        request: &CallToolRequestParams,
        again: &Again,
    ) -> Option<Call> {
        let catalog = self.catalog();
        let tool = catalog.tool(&request.name)?;
        if again.state.is_none() && !asks(&tool.spec.steps) {
            return None;
        }
        let (arguments, declared) = (request.arguments.as_ref(), catalog.fingerprint(&tool));
        let name = request.name.as_ref();
        Some(Call::new("tools/call", name, arguments, &declared, client))
    }

    /// The same for a prompt.
    pub(super) fn call_of_prompt(
        &self,
        client: &Client,
        request: &GetPromptRequestParams,
        again: &Again,
    ) -> Option<Call> {
        // What does not exist for this client is refused when it is made.
        let prompt = self.prompt_of(client, &request.name).ok()?;
        if again.state.is_none() && !asks(&prompt.spec.steps) {
            return None;
        }
        let (arguments, declared) = (request.arguments.as_ref(), declared(&prompt.spec));
        let name = request.name.as_str();
        Some(Call::new("prompts/get", name, arguments, &declared, client))
    }
}
