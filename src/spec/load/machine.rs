//! The sections about the machine: folders and programs.

use super::{Draft, Lowering};
use crate::spec::check::{self, Resources};
use crate::spec::shape::Scope;

impl Lowering<'_> {
    /// Checks folders and programs, and notes them.
    pub(super) fn check_machine(&mut self, draft: &Draft, base: &Scope, resources: &mut Resources) {
        for (name, decl) in &draft.folders {
            let known = decl
                .as_ref()
                .map(|decl| check::check_folder(&draft.doc, name, decl, base, self.report));
            resources.folders.insert(name.clone(), known);
        }
        for (name, decl) in &draft.programs {
            if let Some(decl) = decl {
                check::check_program(&draft.doc, name, decl, base, self.report);
            }
            resources.programs.insert(name.clone());
        }
    }
}
