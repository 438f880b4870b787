//! Inboxes: their declarations, and the steps that wait there.

use super::resources::check_token;
use super::step::StepCheck;
use super::{Findings, check_text, gateway_shape, received_shape};
use crate::spec::diag::Code;
use crate::spec::doc::{Doc, join};
use crate::spec::model::{InboxDecl, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;

/// Checks the declaration of an inbox.
pub(crate) fn check_inbox(
    doc: &Doc,
    name: &str,
    decl: &InboxDecl,
    base: &Scope,
    report: &mut Findings,
) {
    let pointer = join("/inboxes", name);
    let scope = base.clone().with("gateway", gateway_shape());
    let at = join(&pointer, "subject");
    check_token(doc, &at, &decl.subject, true, &scope, report);
    let scope = scope.with("item", Shape::object(received_shape()));
    let at = join(&pointer, "key");
    check_text(doc, &at, &decl.key.0, TextKind::Key, &scope, report);
}

impl StepCheck<'_> {
    /// A declared inbox.
    pub fn inbox(&mut self, key: &str, name: &str) {
        if self.resources.inboxes.contains(name) {
            return;
        }
        let known = self.resources.inboxes.iter().map(String::as_str);
        let help = suggest::declared("inboxes", name, known);
        let message = format!("this pack declares no inbox `{name}`");
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
    }
}
