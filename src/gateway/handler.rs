//! MCP, by rmcp: what a client may ask, and how it is answered.

use std::sync::Arc;

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, ErrorData, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};

use super::{Client, Gateway};
use crate::catalog::Catalog;
use crate::engine::{CallError, Session};

/// The methods that are answered here.
const METHODS: &[&str] = &["initialize", "ping", "tools/list", "tools/call"];

/// One client of the gateway.
#[derive(Clone)]
pub struct Handler {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
}

impl Handler {
    /// A new session on a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let session = Arc::new(gateway.session());
        Self { gateway, session }
    }

    /// Its session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// The tools of a catalog as `tools/list` shows them.
pub fn listing(catalog: &Catalog) -> Vec<Tool> {
    catalog
        .tools()
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
        let capabilities = ServerCapabilities::builder().enable_tools().build();
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
        let outcome = self
            .gateway
            .call(&self.session, &request.name, request.arguments, &context.ct)
            .await;
        match outcome {
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
}
