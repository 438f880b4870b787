//! MCP, by rmcp: what a client may ask, and how it is answered.

use std::sync::{Arc, Weak};

use axum::http::request::Parts;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, ErrorData, Extensions, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use tokio_util::sync::CancellationToken;

use super::sessions::{Live, SESSION_NAME, Sessions};
use super::{Client, Gateway, news};
use crate::catalog::Tools;
use crate::engine::{CallError, Reply, Session};

/// The methods that are answered here.
const METHODS: &[&str] = &["initialize", "ping", "tools/list", "tools/call"];

/// The service of one client, or over HTTP of whoever sends a request.
#[derive(Clone)]
pub struct Handler {
    gateway: Arc<Gateway>,
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
enum Found {
    One(Arc<Session>),
    Live(Arc<Sessions>, Arc<Live>),
    /// Of this request alone.
    Fleeting(Arc<Session>),
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
            None => Ok(Found::Fleeting(Arc::new(fleeting(&client)))),
        }
    }

    async fn call_in(
        &self,
        found: &Found,
        request: CallToolRequestParams,
        cancel: &CancellationToken,
    ) -> Result<Reply, CallError> {
        let CallToolRequestParams {
            name, arguments, ..
        } = request;
        let call = |session| self.gateway.call(session, &name, arguments, cancel);
        match found {
            Found::One(session) => call(session).await,
            Found::Live(sessions, live) => {
                let _busy = live.busy();
                let outcome = call(live.session()).await;
                // Whoever has the answer can rely on it, whatever becomes of this gateway.
                sessions.keep(live).await;
                outcome
            }
            Found::Fleeting(session) => {
                let outcome = call(session).await;
                if session.is_bound() {
                    self.gateway.finish(session).await;
                }
                outcome
            }
        }
    }
}

/// A session of a single request: nothing goes on beside it.
fn fleeting(client: &Client) -> Session {
    let session = Session::new();
    if let Some(principal) = &client.principal {
        session.set_client(&principal.id, &principal.claims);
    }
    session
}

/// Tools as `tools/list` shows them.
pub fn listing(tools: &Tools) -> Vec<Tool> {
    tools
        .iter()
        .map(|tool| {
            let spec = &tool.spec;
            let mut listed = Tool::new(
                tool.name.clone(),
                tool.description.clone(),
                Arc::clone(&tool.input),
            );
            if let Some(title) = &tool.title {
                listed = listed.with_title(title.clone());
            }
            if let Some(output) = &tool.output {
                listed = listed.with_raw_output_schema(Arc::clone(output));
            }
            if let Some(hints) = &spec.annotations {
                listed = listed.with_annotations(ToolAnnotations::from_raw(
                    None,
                    hints.read_only,
                    hints.destructive,
                    hints.idempotent,
                    hints.open_world,
                ));
            }
            listed
        })
        .collect()
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        let experimental = self.gateway.catalog().experimental.clone();
        capabilities.experimental = Some(experimental).filter(|named| !named.is_empty());
        let config = ServerConfig::new(capabilities).with_server_info(Implementation::new(
            self.gateway.name(),
            env!("CARGO_PKG_VERSION"),
        ));
        match self.gateway.instructions() {
            Some(text) => config.with_instructions(text),
            None => config,
        }
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = match Client::of(&context) {
            Some(client) => self.gateway.tools_for(client),
            None => self.gateway.tools(),
        };
        Ok(ListToolsResult::with_all_items(tools))
    }

    /// What the library knows no form for: a method that there is not, or one whose parameters do not fit it.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method: String = request.method.chars().take(128).collect();
        if METHODS.contains(&method.as_str()) {
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
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(client) = Client::of(&context) {
            let open = self.gateway.may(client, &request.name);
            open.map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        }
        let found = self.find(&context.extensions).await?;
        match self.call_in(&found, request, &context.ct).await {
            Ok(reply) => {
                let content = vec![ContentBlock::text(reply.text)];
                let mut result = if reply.is_error {
                    CallToolResult::error(content)
                } else {
                    CallToolResult::success(content)
                };
                result.structured_content = reply.structured;
                Ok(result.into())
            }
            // Protocol errors are for what the client did wrong; models see only results.
            Err(error @ CallError::UnknownTool { .. }) => {
                Err(ErrorData::invalid_params(error.to_string(), None))
            }
            // rmcp sends no response to a cancelled request.
            Err(error @ CallError::Cancelled) => {
                Err(ErrorData::internal_error(error.to_string(), None))
            }
        }
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
