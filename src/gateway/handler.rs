//! MCP, by rmcp: what a client may ask, and how it is answered.

use std::sync::{Arc, Weak};

use axum::http::request::Parts;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    ClientCapabilities, CompleteRequestParams, CompleteResult, CreateTaskResult, CustomRequest,
    CustomResult, DiscoverResult, ErrorCode, ErrorData, Extensions, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use tokio_util::sync::CancellationToken;

use super::ask::{Again, Call, Came, incapable};
use super::listing::capabilities;
use super::paging::page;
use super::progress::{stands_alone, told, wanted};
use super::sessions::{Live, SESSION_NAME, Sessions};
use super::{Client, Gateway, content, news};
use crate::engine::session::MAX_SUBSCRIBED;
use crate::engine::{CallError, Contact, Level, Outcome, Reply, Session, again};
use crate::spec::model::{ResourceCache, TaskUse};

/// The methods that are answered here.
const METHODS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// Those of them that there are only in versions of MCP with sessions.
const OF_SESSIONS: &[&str] = &[
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
];

/// The service of one client, or over HTTP of whoever sends a request.
#[derive(Clone)]
pub struct Handler {
    pub(super) gateway: Arc<Gateway>,
    whose: Whose,
}

/// Where a handler finds the session of a request.
#[derive(Clone)]
enum Whose {
    /// There is only one.
    One(Arc<Session>),
    /// The request names it.
    Named(Weak<Sessions>),
}

/// The session of a request.
pub(super) enum Found {
    One(Arc<Session>),
    Live(Arc<Sessions>, Arc<Live>),
    /// Of this request alone.
    Fleeting(Arc<Session>),
}

impl Found {
    fn session(&self) -> &Session {
        match self {
            Self::One(session) | Self::Fleeting(session) => session,
            Self::Live(_, live) => live.session(),
        }
    }
}

impl Handler {
    /// For one session of a gateway.
    pub fn new(gateway: Arc<Gateway>, session: Arc<Session>) -> Self {
        let whose = Whose::One(session);
        Self { gateway, whose }
    }

    /// For requests over HTTP.
    pub(super) fn over_http(gateway: Arc<Gateway>, sessions: Weak<Sessions>) -> Self {
        let whose = Whose::Named(sessions);
        Self { gateway, whose }
    }

    async fn find(&self, extensions: &Extensions) -> Result<Found, ErrorData> {
        let sessions = match &self.whose {
            Whose::One(session) => return Ok(Found::One(Arc::clone(session))),
            Whose::Named(sessions) => sessions.upgrade(),
        };
        let ended = || ErrorData::internal_error("this server is stopping", None);
        let sessions = sessions.ok_or_else(ended)?;
        let parts = extensions.get::<Parts>();
        if let Some(live) = parts.and_then(|p| p.extensions.get::<Arc<Live>>()) {
            return Ok(Found::Live(sessions, Arc::clone(live)));
        }
        let client = parts.and_then(|p| p.extensions.get::<Client>().cloned());
        let client = client.unwrap_or_default();
        let name = parts.and_then(|p| p.headers.get(SESSION_NAME));
        match sessions.find_unbegun(name, &client).await? {
            Some(live) => Ok(Found::Live(sessions, live)),
            None => Ok(Found::Fleeting(Arc::new(fleeting(Session::new(), &client)))),
        }
    }

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

    /// Does something in a session, and keeps what it has changed there.
    async fn within<'f, T, F: Future<Output = T>>(
        &self,
        found: &'f Found,
        work: impl FnOnce(&'f Session) -> F,
    ) -> T {
        self.within_until(found, |_| true, work).await
    }

    /// The same for a run that may end with questions: it goes on, and so does its session.
    async fn within_rounds<'f, T, E, F: Future<Output = Result<Outcome<T>, E>>>(
        &self,
        found: &'f Found,
        work: impl FnOnce(&'f Session) -> F,
    ) -> Result<Outcome<T>, E> {
        let is_over =
            |outcome: &F::Output| !matches!(outcome, Ok(Outcome::Asked(_) | Outcome::Reached(_)));
        self.within_until(found, is_over, work).await
    }

    async fn within_until<'f, T, F: Future<Output = T>>(
        &self,
        found: &'f Found,
        is_over: impl FnOnce(&T) -> bool,
        work: impl FnOnce(&'f Session) -> F,
    ) -> T {
        match found {
            Found::One(session) => work(session).await,
            Found::Live(sessions, live) => {
                let _busy = live.busy();
                let outcome = work(live.session()).await;
                // Whoever has the answer can rely on it, whatever becomes of this gateway.
                sessions.keep(live).await;
                outcome
            }
            Found::Fleeting(session) => {
                let outcome = work(session).await;
                if session.is_bound() && is_over(&outcome) {
                    self.gateway.finish(session).await;
                }
                outcome
            }
        }
    }

    /// A call of a tool that runs as a task, for a client that knows tasks. What the tool asks before it does anything, it asks before
    /// there is a task.
    async fn call_as_task(
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
    async fn call_now(
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
    async fn answered(
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
struct AsTask<'a> {
    tool: &'a crate::catalog::Tool,
    found: Found,
    /// What a state of it is good for, if it can ask.
    call: Option<Call>,
    contact: Contact,
}

fn no_task(tool: &str) -> ErrorData {
    let text = format!(
        "`{tool}` runs as a task only, and no task can begin here now: there is no NATS, or as many run as may; try again later"
    );
    ErrorData::internal_error(text, None)
}

/// What a client is answered.
pub(super) fn result(mut reply: Reply) -> CallToolResult {
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
pub(super) fn refusal(error: &CallError) -> ErrorData {
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

impl Handler {
    /// Changes what the session of a request subscribes to.
    async fn subscribing(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
        change: impl Fn(&Session, &str) -> bool,
    ) -> Result<(), ErrorData> {
        let resources = self.gateway.resources().await;
        let uri = resources.canonical(Client::of(context), uri)?;
        let found = self.find(&context.extensions).await?;
        if !change(found.session(), &uri) {
            let text = format!(
                "a session may subscribe to {MAX_SUBSCRIBED} resources; unsubscribe from others first"
            );
            return Err(ErrorData::invalid_request(text, None));
        }
        keep(&found).await;
        Ok(())
    }

    /// How long this client may keep what it is told, where its version of MCP knows of that.
    fn hints(&self, context: &RequestContext<RoleServer>) -> (Option<u64>, Option<CacheScope>) {
        if !stands_alone(context) {
            return (None, None);
        }
        let hints = self.gateway.hints();
        (Some(hints.ttl), Some(hints.scope))
    }

    /// What is read, with how long this client may keep it.
    fn hinted(
        &self,
        mut read: ReadResourceResult,
        own: Option<&ResourceCache>,
        context: &RequestContext<RoleServer>,
    ) -> ReadResourceResult {
        if stands_alone(context) {
            let hints = self.gateway.hints_of(own);
            read.ttl_ms = Some(hints.ttl);
            read.cache_scope = Some(hints.scope);
        }
        read
    }
}

/// Keeps what a request has changed in its session.
async fn keep(found: &Found) {
    if let Found::Live(sessions, live) = found {
        let _busy = live.busy();
        sessions.keep(live).await;
    }
}

/// Who asks; on stdio there is one client, which may do all that is in the toolset.
pub(super) fn client(context: &RequestContext<RoleServer>) -> Client {
    Client::of(context).cloned().unwrap_or_default()
}

/// A session of a single request: nothing goes on beside it.
pub(super) fn fleeting(session: Session, client: &Client) -> Session {
    if let Some(principal) = &client.principal {
        session.set_client(&principal.id, &principal.claims);
    }
    session
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = capabilities(&self.gateway);
        let config = ServerConfig::new(capabilities).with_server_info(Implementation::new(
            self.gateway.name(),
            env!("CARGO_PKG_VERSION"),
        ));
        match self.gateway.instructions() {
            Some(text) => config.with_instructions(text),
            None => config,
        }
    }

    async fn discover(
        &self,
        _context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let hints = self.gateway.hints();
        let versions = self.supported_protocol_versions().into_owned();
        let found = DiscoverResult::from_server_info(versions, self.get_info());
        Ok(found.with_ttl_ms(hints.ttl).with_cache_scope(hints.scope))
    }

    #[expect(deprecated, reason = "clients of versions with `initialize` use it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let level = serde_json::to_value(request.level).ok();
        let level = level.as_ref().and_then(|level| Level::of(level.as_str()?));
        let Some(level) = level.filter(|_| self.gateway.has_log()) else {
            let text = "this server has no log for clients";
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None));
        };
        let found = self.find(&context.extensions).await?;
        found.session().set_log_level(level);
        keep(&found).await;
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.gateway.tools_for(&client(&context));
        let most = self.gateway.page_size();
        let (tools, next) = page("tools", tools, |tool| &tool.name, request, most)?;
        let mut listed = ListToolsResult::with_all_items(tools);
        listed.next_cursor = next;
        (listed.ttl_ms, listed.cache_scope) = self.hints(&context);
        Ok(listed)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.gateway.prompts_for(&client(&context));
        let most = self.gateway.page_size();
        let (prompts, next) = page("prompts", prompts, |prompt| &prompt.name, request, most)?;
        let mut listed = ListPromptsResult::with_all_items(prompts);
        listed.next_cursor = next;
        (listed.ttl_ms, listed.cache_scope) = self.hints(&context);
        Ok(listed)
    }

    async fn get_prompt(
        &self,
        mut request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let mut found = self.find(&context.extensions).await?;
        let client = client(&context);
        let again = Again {
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        let call = self.gateway.call_of_prompt(&client, &request, &again);
        let contact = self.approach(&context, &mut found, call.as_ref(), again);
        let contact = contact.await?;
        let (gateway, client, cancel) = (&self.gateway, &client, &context.ct);
        let least = wanted(&context, found.session());
        let made = told(&context, least, contact, |contact| {
            self.within_rounds(&found, move |session| {
                gateway.prompt(session, client, request, cancel, contact)
            })
        });
        let made = made.await?;
        Ok(match self.came(made, &found, call.as_ref()).await? {
            Came::Done(made) => made.into(),
            Came::Asks(asks) => asks.into(),
        })
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let found = self.find(&context.extensions).await?;
        let client = client(&context);
        let (gateway, client, cancel) = (&self.gateway, &client, &context.ct);
        self.within(&found, move |session| {
            gateway.complete(session, client, request, cancel)
        })
        .await
    }

    /// What the library knows no form for: a method that there is not, or one whose parameters do not fit it.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method: String = request.method.chars().take(128).collect();
        let removed = stands_alone(&context) && OF_SESSIONS.contains(&method.as_str());
        if METHODS.contains(&method.as_str()) && !removed {
            let text = format!("the parameters do not fit {method}");
            return Err(ErrorData::invalid_params(text, None));
        }
        let text = format!("there is no method `{method}`");
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.gateway.tool(name)
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = client(&context);
        let open = self.gateway.may(&client, &request.name);
        open.map_err(|error| refusal(&error))?;
        let mut found = self.find(&context.extensions).await?;
        let again = Again {
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        let call = self.gateway.call_of_tool(&client, &request, &again);
        let contact = self.approach(&context, &mut found, call.as_ref(), again);
        let contact = contact.await?;
        if let Some(tool) = self.gateway.task_tool(&request.name) {
            let declared = context.client_capabilities();
            if declared.is_some_and(|declared| declared.supports_tasks()) {
                let as_task = AsTask {
                    tool: &tool,
                    found,
                    call,
                    contact,
                };
                return self.call_as_task(as_task, request, &context).await;
            }
            if tool.spec.task == Some(TaskUse::Required) {
                let needed = ClientCapabilities::builder().enable_tasks().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
        }
        let outcome = self.call_now(&found, request, &context, contact).await?;
        self.answered(outcome, &found, call.as_ref()).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let client = client(&context);
        let task = self.gateway.tasks.get(&client, &request.task_id).await?;
        Ok(GetTaskResult::new(task))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (client, tasks) = (client(&context), &self.gateway.tasks);
        tasks
            .update(&client, &request.task_id, &request.input_responses)
            .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let client = client(&context);
        self.gateway.tasks.cancel(&client, &request.task_id).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        let (resources, client) = (self.gateway.resources().await, Client::of(&context));
        let mut listed = resources
            .list(client, cursor.as_deref(), self.gateway.page_size())
            .await?;
        // What steps make stands on the first page.
        if cursor.is_none() && resources.made(client).next().is_some() {
            let found = self.find(&context.extensions).await?;
            let mut made = Vec::new();
            for section in resources.made(client) {
                let gateway = &self.gateway;
                let list = |session| gateway.list_made(session, section, &context.ct);
                made.extend(self.within(&found, list).await?);
            }
            listed.resources.splice(0..0, made);
        }
        (listed.ttl_ms, listed.cache_scope) = self.hints(&context);
        Ok(listed)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let resources = self.gateway.resources().await;
        let all = resources.templates(Client::of(&context));
        let most = self.gateway.page_size();
        let (templates, next) = page(
            "templates",
            all,
            |template| &template.uri_template,
            request,
            most,
        )?;
        let mut listed = ListResourceTemplatesResult::with_all_items(templates);
        listed.next_cursor = next;
        (listed.ttl_ms, listed.cache_scope) = self.hints(&context);
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (resources, whose) = (self.gateway.resources().await, Client::of(&context));
        let Some(made) = resources.made_at(whose, &request.uri) else {
            let (read, cache) = resources.read(whose, &request.uri).await?;
            return Ok(self.hinted(read, cache.as_ref(), &context).into());
        };
        let mut found = self.find(&context.extensions).await?;
        let again = Again {
            state: request.request_state,
            answers: request.input_responses,
        };
        let (gateway, uri) = (&self.gateway, &request.uri);
        let call = made.call(uri, &client(&context), &again);
        let contact = self.approach(&context, &mut found, call.as_ref(), again);
        let contact = contact.await?;
        let least = wanted(&context, found.session());
        let read = told(&context, least, contact, |contact| {
            self.within_rounds(&found, |session| {
                gateway.read_made(session, &made, uri, &context.ct, contact)
            })
        });
        let read = read.await?;
        Ok(match self.came(read, &found, call.as_ref()).await? {
            Came::Done(read) => self.hinted(read, made.cache(), &context).into(),
            Came::Asks(asks) => asks.into(),
        })
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscribing(&request.uri, &context, Session::subscribe)
            .await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let forget = |session: &Session, uri: &str| {
            session.unsubscribe(uri);
            true
        };
        self.subscribing(&request.uri, &context, forget).await
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        // A client without a session takes its pushes on this stream, too.
        Some(news::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let changes = self.gateway.news.listen();
        let found = self.find(&context.request_context().extensions).await?;
        let live = match &found {
            Found::Live(_, live) => Some(live.as_ref()),
            Found::One(_) | Found::Fleeting(_) => None,
        };
        news::tell(&context, live, changes).await
    }
}
