//! What an expression or template uses: every name in it is looked up before anything runs.
//!
//! Walks the syntax tree of minijinja (feature `unstable_machinery`, version pinned) because only the tree has
//! the place of each name, filter and test.

mod paths;
mod statements;
mod walker;

use std::ops::Range;

use minijinja::machinery::{parse, parse_expr};

use super::diag::Code;
use super::shape::{Scope, Shape};
use walker::Walker;

pub use paths::paths;

/// Whether a text is one bare expression or a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `project.channels`: an expression whose value is used.
    Bare,
    /// `args.x and args.y > 1`: an expression that is asked for its truth, and that does not hold where a value it
    /// needs is absent.
    Condition,
    /// `text {{ args.x }}`
    Template,
}

/// Something wrong inside an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Whether it is only a warning.
    pub warning: bool,
}

/// The most operators, filters, field accesses and branches of one template. Its syntax tree is walked recursively, here and
/// by the template engine, so its depth must be bounded.
const MAX_PARTS: usize = 1_000;

/// Where a text is more than [`MAX_PARTS`] complex; a rough count that is never too low.
fn too_complex(text: &str, form: Form) -> Option<Range<usize>> {
    let mut parts = 0;
    let mut count = |code: &str| {
        parts += code
            .matches(|c: char| "|.[(+-*/%~<>=!,:".contains(c))
            .count();
        parts += code
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| WORDS.contains(word))
            .count();
        parts > MAX_PARTS
    };
    if form != Form::Template {
        return count(text).then_some(0..text.len());
    }
    let mut from = 0;
    while let Some(open) = text.get(from..).and_then(|rest| rest.find(['{'])) {
        let start = from + open;
        let rest = text.get(start..).unwrap_or_default();
        if rest.starts_with("{{") || rest.starts_with("{%") {
            // Up to the next opening: at least as much as belongs to this one.
            let inside = rest.get(2..).unwrap_or_default();
            let end = ["{{", "{%"]
                .iter()
                .filter_map(|mark| inside.find(mark))
                .min();
            let code = end.map_or(inside, |at| inside.get(..at).unwrap_or_default());
            let code = code
                .rfind(['}'])
                .map_or(code, |at| code.get(..at).unwrap_or_default());
            if count(code) {
                return Some(start..start + 2);
            }
            from = start + 2;
        } else {
            from = start + 1;
        }
    }
    None
}

/// Words that nest expressions or statements.
const WORDS: &[&str] = &["and", "or", "not", "in", "is", "if", "else", "elif"];

/// Looks up every name of an expression or template, and tells the shape of an expression's value.
pub fn check(text: &str, form: Form, scope: &Scope) -> (Vec<Problem>, Shape) {
    let mut walker = Walker {
        text,
        scope: scope.clone(),
        lenient: 0,
        is_condition: form == Form::Condition,
        problems: Vec::new(),
    };
    if let Some(range) = too_complex(text, form) {
        walker.push(
            Code::Template,
            range,
            format!(
                "this is too complex: more than {MAX_PARTS} operators, filters, fields and branches"
            ),
            "take it apart with `let`",
        );
        return (walker.problems, Shape::Any);
    }
    let shape = match form {
        Form::Bare => match parse_expr(text) {
            Ok(expr) => walker.expr(&expr),
            Err(error) => walker.syntax(&error, form),
        },
        Form::Condition => match parse_expr(text) {
            Ok(expr) => walker.condition(&expr),
            Err(error) => walker.syntax(&error, form),
        },
        Form::Template => match parse(text, "", Default::default()) {
            Ok(stmt) => walker.stmt_shape(&stmt),
            Err(error) => walker.syntax(&error, form),
        },
    };
    (walker.problems, shape)
}

#[cfg(test)]
mod tests;
