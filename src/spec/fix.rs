//! What a program may change in an author's file: only what leaves no doubt, and nothing around it.
//!
//! Files are never printed anew: each fix is an edit of some bytes of the source, so that comments and layout stay.

mod order;
mod renamed;

use super::diag::{Edit, Report};
use super::doc::Doc;
use super::source::Source;

/// The most rounds of fixing one file: mending one thing may bring another to light.
const MAX_ROUNDS: usize = 16;

/// What a file is, which decides what may be fixed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of a pack.
    Spec,
    /// A config of Jacquard's own, or a file of another program in the place of one.
    Config,
    /// A project file.
    Project,
}

/// A fix and what to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fix {
    edit: Edit,
    what: String,
}

/// A file with what could be fixed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The file as it should be.
    pub source: Source,
    /// What was fixed: `line: what`, in order of fixing.
    pub told: Vec<String>,
}

/// Fixes a file until there is nothing more to fix. `check` tells what is wrong with a version of it.
pub fn fixed(source: Source, kind: Kind, check: impl Fn(&Source) -> Report) -> Fixed {
    let mut fixed = Fixed {
        source,
        told: Vec::new(),
    };
    for _ in 0..MAX_ROUNDS {
        let Some(fixes) = fixes(&fixed.source, kind, &check(&fixed.source)) else {
            break;
        };
        let line = |fix: &Fix| fixed.source.place(fix.edit.range.start).line;
        let told = fixes
            .iter()
            .map(|fix| format!("{}: {}", line(fix), fix.what))
            .collect::<Vec<_>>();
        let text = applied(fixed.source.text(), fixes.iter().map(|fix| &fix.edit));
        fixed.source = Source::new(fixed.source.name(), text);
        fixed.told.extend(told);
    }
    fixed
}

/// The fixes of one round, by place, none over another: what a report tells and what the language writes otherwise now, and
/// when that is done, the order of keys.
fn fixes(source: &Source, kind: Kind, report: &Report) -> Option<Vec<Fix>> {
    let doc = Doc::parse(source.clone()).ok()?;
    let mut found = reported(source, report);
    if kind == Kind::Config && doc.value.get("packs").is_some() {
        found.extend(renamed::environment(&doc));
    }
    if found.is_empty() && kind == Kind::Spec {
        found = order::tools(&doc);
    }
    found.sort_by_key(|fix| fix.edit.range.start);
    let mut end = 0;
    found.retain(|fix| {
        let free = fix.edit.range.start >= end;
        if free {
            end = fix.edit.range.end;
        }
        free
    });
    (!found.is_empty()).then_some(found)
}

/// The fixes that diagnostics of this very text bring. (Credentials may be covered in theirs, byte for byte.)
fn reported(source: &Source, report: &Report) -> Vec<Fix> {
    let mut found = Vec::new();
    for diagnostic in report.sorted() {
        let here = diagnostic.label.as_ref().is_some_and(|label| {
            label.source.name() == source.name() && label.source.text().len() == source.text().len()
        });
        for edit in diagnostic.fix.iter().filter(|_| here) {
            let before = &source.text()[source.clamp(edit.range.clone())];
            found.push(Fix {
                what: format!("`{before}` is now `{}`", edit.text),
                edit: edit.clone(),
            });
        }
    }
    found
}

/// The text with these edits, which are sorted by place and do not overlap.
fn applied<'a>(text: &str, edits: impl Iterator<Item = &'a Edit>) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        changed.push_str(&text[at..edit.range.start]);
        changed.push_str(&edit.text);
        at = edit.range.end;
    }
    changed.push_str(&text[at..]);
    changed
}

#[cfg(test)]
mod tests;
