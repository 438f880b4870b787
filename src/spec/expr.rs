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

/// Looks up every name of an expression or template, and tells the shape of an expression's value.
pub fn check(text: &str, form: Form, scope: &Scope) -> (Vec<Problem>, Shape) {
    let mut walker = Walker {
        text,
        scope: scope.clone(),
        lenient: 0,
        is_condition: form == Form::Condition,
        problems: Vec::new(),
    };
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
