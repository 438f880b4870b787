//! What the verbs with pages share: which filters a cursor belongs to, and reading it back.

use minijinja::value::Value;

use super::call::Call;
use super::cursor::{At, Owner};
use super::failure::{Failure, FailureKind};
use crate::spec::tree::{Expr, Tree};

/// Everything that decides which elements there are to page through.
///
/// # Errors
/// A filter whose values cannot be made.
pub(super) fn filters(
    call: &Call<'_>,
    fixed: [&str; 2],
    filter: Option<&Expr>,
    context: &Value,
) -> Result<Vec<String>, Failure> {
    let mut filters: Vec<String> = fixed.iter().map(ToString::to_string).collect();
    if let Some(filter) = filter {
        filters.push(filter.0.to_string());
        for value in call.templates().filter_inputs(filter, context)? {
            filters.push(value.to_string());
        }
    }
    Ok(filters)
}

/// The cursor of a `page` key; null and nothing are the first page.
///
/// # Errors
/// [`FailureKind::Cursor`] for a cursor of something else, and for anything that is none.
pub(super) fn cursor(
    call: &Call<'_>,
    owner: Owner<'_>,
    page: Option<&Tree>,
    context: &Value,
) -> Result<Option<At>, Failure> {
    let Some(page) = page else {
        return Ok(None);
    };
    let cursor = call.templates().tree(page, context)?;
    match cursor.as_str() {
        Some(text) => owner.decode(text).map(Some),
        None if cursor.is_none() => Ok(None),
        None => Err(Failure::new(
            FailureKind::Cursor,
            format!("`page` is {cursor}, and must be a cursor or null"),
        )),
    }
}

/// A cursor of this tool and these filters that goes another way.
pub(super) fn elsewhere() -> Failure {
    Failure::new(
        FailureKind::Cursor,
        "the cursor goes the other way: use it with the arguments it came from",
    )
}
