//! `tools/call`: while the client waits, or as a task.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CreateTaskResult, ErrorCode, ErrorData,
};
use rmcp::service::{RequestContext, RoleServer};
use tokio_util::sync::CancellationToken;

use super::{Found, Handler, client};
use crate::engine::{CallError, Contact, Outcome, Reply, again};
use crate::gateway::ask::{Call, Came, incapable};
use crate::gateway::content;
use crate::gateway::progress::{told, wanted};
use crate::spec::model::TaskUse;

impl Handler {
    async fn call_in(
        &self,
        found: &Found,
        request: CallToolRequestParams,
        cancel: &CancellationToken,
        contact: Contact,
    ) -> Result<Outcome<Reply>, CallError> {
        let CallToolRequestParams {
            name, arguments, ..
        } = request;
        let call = |session| {
            let gateway = &self.gateway;
            gateway.call_with(session, &name, arguments, cancel, contact)
        };
        self.within_rounds(found, call).await
    }

    /// A call of a tool that runs as a task, for a client that knows tasks. What the tool asks before it does anything, it asks before
    /// there is a task.
    pub(super) async fn call_as_task(
        &self,
        as_task: AsTask<'_>,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let AsTask {
            tool,
            found,
            call,
            mut contact,
        } = as_task;
        let until = again::leading(&tool.spec);
        if until > contact.from.as_ref().map_or(0, |stand| stand.next) {
            let asking = Contact {
                until: Some(until),
                ..contact.clone()
            };
            let asked = self.call_now(&found, request.clone(), context, asking);
            match asked.await? {
                Outcome::Reached(stand) => contact.from = Some(stand),
                other => return self.answered(other, &found, call.as_ref()).await,
            }
        }
        let (client, arguments) = (client(context), request.arguments.clone());
        let gateway = &self.gateway;
        let begun = gateway.begin_task(&client, found.session(), tool, arguments, &contact);
        let Some(begun) = begun.await else {
            if tool.spec.task == Some(TaskUse::Required) {
                return Err(no_task(&tool.name));
            }
            let outcome = self.call_now(&found, request, context, contact).await?;
            return self.answered(outcome, &found, call.as_ref()).await;
        };
        let task = begun.task.clone();
        let handler = self.clone();
        tokio::spawn(begun.run(move |contact, cancel| async move {
            handler.call_in(&found, request, &cancel, contact).await
        }));
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    /// Calls a tool while its client waits.
    pub(super) async fn call_now(
        &self,
        found: &Found,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
        mut contact: Contact,
    ) -> Result<Outcome<Reply>, ErrorData> {
        contact.wire = match found {
            Found::Live(_, live) => Some(live.response(context.id.clone())),
            Found::One(_) | Found::Fleeting(_) => None,
        };
        let run = |contact| self.call_in(found, request, &context.ct, contact);
        let least = wanted(context, found.session());
        let outcome = told(context, least, contact, run).await;
        outcome.map_err(|error| refusal(&error))
    }

    /// What a client is answered that has waited for a call.
    pub(super) async fn answered(
        &self,
        outcome: Outcome<Reply>,
        found: &Found,
        call: Option<&Call>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(match self.came(outcome, found, call).await? {
            Came::Done(reply) => result(reply).into(),
            Came::Asks(asks) => asks.into(),
        })
    }
}

/// A call that is to run as a task.
pub(super) struct AsTask<'a> {
    pub(super) tool: &'a crate::catalog::Tool,
    pub(super) found: Found,
    /// What a state of it is good for, if it can ask.
    pub(super) call: Option<Call>,
    pub(super) contact: Contact,
}

fn no_task(tool: &str) -> ErrorData {
    let text = format!(
        "`{tool}` runs as a task only, and no task can begin here now: there is no NATS, or as many run as may; try again later"
    );
    ErrorData::internal_error(text, None)
}

/// What a client is answered.
pub(in crate::gateway) fn result(mut reply: Reply) -> CallToolResult {
    let (structured, is_error) = (reply.structured.take(), reply.is_error);
    let content = content::of_reply(reply);
    let mut result = if is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = structured;
    result
}

/// Protocol errors are for what the client did wrong; models see only results.
pub(in crate::gateway) fn refusal(error: &CallError) -> ErrorData {
    match error {
        CallError::UnknownTool { .. } | CallError::Withheld { .. } => {
            ErrorData::invalid_params(error.to_string(), None)
        }
        CallError::Refused { code, text } => ErrorData::new(ErrorCode(*code), text.clone(), None),
        // rmcp sends no response to a cancelled request.
        CallError::Cancelled => ErrorData::internal_error(error.to_string(), None),
        CallError::Incapable { message, lacks } => incapable(message.clone(), lacks),
    }
}
