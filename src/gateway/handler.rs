//! MCP, by rmcp: what a client may ask, and how it is answered.

mod calls;
mod found;

use std::sync::{Arc, Weak};

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities,
    CompleteRequestParams, CompleteResult, CustomRequest, CustomResult, DiscoverResult, ErrorCode,
    ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};

use super::ask::{Again, Came};
use super::listing::capabilities;
use super::paging::page;
use super::progress::{stands_alone, told, wanted};
use super::sessions::Sessions;
use super::{Client, Gateway, news};
use crate::engine::session::MAX_SUBSCRIBED;
use crate::engine::{Level, Session};
use crate::spec::model::{ResourceCache, TaskUse};
use calls::AsTask;
pub(super) use calls::{refusal, result};
pub(super) use found::{Found, fleeting};
use found::{Whose, keep};

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

/// Who asks; on stdio there is one client, which may do all that is in the toolset.
pub(super) fn client(context: &RequestContext<RoleServer>) -> Client {
    Client::of(context).cloned().unwrap_or_default()
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
