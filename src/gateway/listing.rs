//! What clients are told that there is: the tools, and what the server can do.

use std::sync::Arc;

use rmcp::model::{
    JsonObject, PromptsCapability, ResourcesCapability, ServerCapabilities, TASKS_EXTENSION_ID,
    Tool, ToolAnnotations,
};

use super::Gateway;
use super::content::face;
use crate::catalog::Tools;

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
            (listed.meta, listed.icons) = face(&tool.face);
            listed
        })
        .collect()
}

/// What a gateway can do.
pub(super) fn capabilities(gateway: &Gateway) -> ServerCapabilities {
    let mut capabilities = ServerCapabilities::builder()
        .enable_tools()
        .enable_tool_list_changed()
        .build();
    if gateway.has_tasks() {
        let tasks = (TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        capabilities
            .extensions
            .get_or_insert_default()
            .extend([tasks]);
    }
    let experimental = gateway.catalog().experimental.clone();
    capabilities.experimental = Some(experimental).filter(|named| !named.is_empty());
    if gateway.has_resources() {
        let mut served = ResourcesCapability::default();
        served.subscribe = Some(true);
        served.list_changed = Some(true);
        capabilities.resources = Some(served);
    }
    if gateway.has_prompts() {
        let mut served = PromptsCapability::default();
        served.list_changed = Some(true);
        capabilities.prompts = Some(served);
    }
    if gateway.has_log() {
        capabilities.logging = Some(JsonObject::new());
    }
    if gateway.has_completions() {
        capabilities.completions = Some(JsonObject::new());
    }
    capabilities
}
