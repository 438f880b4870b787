//! `find`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::sieve::Sieve;
use crate::spec::tree::Expr;
use crate::spec::verbs::find::MAX_FOUND;
use crate::spec::verbs::forms::Find;

/// Entries when a spec does not say.
const DEFAULT: usize = 1_000;

pub(super) async fn run(step: &Find, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let limit = call
        .reader(&context)
        .count("limit", step.limit.as_ref(), MAX_FOUND)?
        .unwrap_or(DEFAULT);
    let table = call.engine.tables.get(call.home, &step.table)?;
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    // What a table holds may be told as long as the connection keeps it true.
    let sure = step.fresh != Some(true) && table.is_fed() && call.bus().state().is_connected();
    let mut found = match sure {
        true => fitting(table.items(), &sieve)?,
        false => Vec::new(),
    };
    if found.is_empty() {
        table.catch_up().await?;
        found = fitting(table.items(), &sieve)?;
    }
    if let Some(sort) = &step.sort {
        found = sorted(found, sort, call)?;
    }
    let total = found.len();
    let mut items = Vec::new();
    for item in found.into_iter().take(limit) {
        items.extend(sieve.kept(item)?);
    }
    Ok(minijinja::context!(count => items.len(), total => total, items => items))
}

fn fitting(items: Vec<Value>, sieve: &Sieve<'_>) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        if sieve.fits(|| item.clone())? {
            found.push(item);
        }
    }
    Ok(found)
}

/// By the value of an expression; equal ones stay in the order of their keys.
fn sorted(items: Vec<Value>, sort: &Expr, call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    let (by, scope) = (call.templates().filter(sort)?, call.scope.items());
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        keyed.push((by.value(&scope.context(item.clone()))?, item));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}
