//! What the verbs with pages share: which filters a cursor belongs to.

use minijinja::value::Value;

use super::call::Call;
use super::failure::Failure;
use crate::spec::tree::Expr;

/// Everything that decides which elements there are to page through: what is `fixed`, and a `where` with the values it uses.
///
/// # Errors
/// A filter whose values cannot be made.
pub(super) fn filters(
    call: &Call<'_>,
    fixed: &[&str],
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
