//! What a tool leaves unsaid.

use super::Finding;
use crate::spec::diag::Code;
use crate::spec::model::Tool;

/// What clients would like to know of a tool before they call it.
pub(super) fn missing(tool: &Tool) -> Vec<Finding> {
    let mut found = Vec::new();
    // A structured result without `output` is an error already.
    if tool.output.is_none() && tool.reply.structured.is_none() {
        found.push(Finding::new(
            Code::MissingOutput,
            "",
            "has no `output`: programs that call it cannot rely on the form of what it answers",
            "declare it, and give `reply` a `structured`: `output: {type: object, properties: {…}}`",
        ));
    }
    let said = tool.annotations.as_ref();
    if !said.is_some_and(|a| a.read_only == Some(true) || a.destructive.is_some()) {
        let at = if said.is_some() { "/annotations" } else { "" };
        found.push(Finding::new(
            Code::MissingAnnotations,
            at,
            "does not say what it does to things: clients take it for one that may destroy something",
            "write `annotations: {read_only: true}`, or `{destructive: false}` for one that only adds something, or \
             `{destructive: true}`",
        ));
    }
    found
}
