//! From the files of a pack to its sections.

use std::collections::BTreeMap;

use super::{Draft, Lowering};
use crate::spec::data::Map;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::join;

impl Lowering<'_> {
    /// A section that only one file of a pack may have.
    pub(super) fn single<T>(
        &mut self,
        drafts: &[Draft],
        key: &str,
        get: impl Fn(&Draft) -> Option<T>,
    ) -> Option<T> {
        let mut found: Option<(&Draft, T)> = None;
        for draft in drafts {
            let Some(value) = get(draft) else { continue };
            match &found {
                None => found = Some((draft, value)),
                Some((first, _)) => {
                    let pointer = join("", key);
                    self.report.push(
                        Diagnostic::error(
                            Code::Duplicate,
                            &draft.doc.source,
                            draft.doc.key_range(&pointer),
                            format!("`{key}` stands in two files of this pack"),
                        )
                        .related(
                            &first.doc.source,
                            first.doc.key_range(&pointer),
                            "first here",
                        ),
                    );
                }
            }
        }
        found.map(|(_, value)| value)
    }

    /// A section whose entries all files of a pack share.
    pub(super) fn merged<T: Clone>(
        &mut self,
        drafts: &[Draft],
        key: &str,
        get: impl Fn(&Draft) -> Vec<(String, Option<T>)>,
    ) -> Map<T> {
        let mut merged: Map<T> = Map::default();
        let mut first: BTreeMap<String, &Draft> = BTreeMap::new();
        for draft in drafts {
            for (name, value) in get(draft) {
                if let Some(other) = first.get(&name) {
                    let pointer = join(&join("", key), &name);
                    self.report.push(
                        Diagnostic::error(
                            Code::Duplicate,
                            &draft.doc.source,
                            draft.doc.key_range(&pointer),
                            format!("`{name}` is declared twice under `{key}`"),
                        )
                        .related(
                            &other.doc.source,
                            other.doc.key_range(&pointer),
                            "first here",
                        )
                        .help("rename one of them, or take it out"),
                    );
                    continue;
                }
                first.insert(name.clone(), draft);
                match value {
                    Some(value) => merged.push(name, value),
                    // Its form is wrong, and the schema check has said so. If it had not, say at least this much.
                    None if !draft.tainted && !self.report.report.has_errors() => {
                        let pointer = join(&join("", key), &name);
                        self.report.push(Diagnostic::error(
                            Code::Schema,
                            &draft.doc.source,
                            draft.doc.key_range(&pointer),
                            format!("`{name}` does not have the form that `{key}` needs"),
                        ));
                    }
                    None => {}
                }
            }
        }
        merged
    }
}
