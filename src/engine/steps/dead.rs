//! `dead`

use minijinja::value::Value;

use super::queues::{self, Sieve};
use crate::bus::{DeadLetter, DeadQuery};
use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::engine::resources::lane_text;
use crate::spec::filters::token;
use crate::spec::verbs::forms::Dead;
use crate::spec::verbs::queues::MAX_LIMIT;

pub(super) async fn run(step: &Dead, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let limit = queues::number("limit", Some(&step.limit), MAX_LIMIT, call, &context)?;
    let mut query = DeadQuery {
        id: match &step.id {
            Some(id) => Some(queues::id(id, call, &context)?),
            None => None,
        },
        first: first(step, call, &context)?,
        after: 0,
        limit: usize::try_from(limit.unwrap_or(1)).unwrap_or(usize::MAX),
    };
    let filters = filters(step, call, &queue.name, &query, &context)?;
    let tool = call.tool.name.clone();
    let owner = Owner {
        tool: &tool,
        filters: &filters,
    };
    query.after = match &step.page {
        Some(page) => after(owner, &call.templates().tree(page, &context)?)?,
        None => 0,
    };
    let sieve = Sieve {
        filter: step.r#where.as_ref(),
        select: step.select.as_ref(),
    };
    let mut failed = None;
    let page = {
        let mut accept = |letter: &DeadLetter| {
            sieve
                .fits(&payload::dead(letter), call)
                .unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    false
                })
        };
        queue.handle.dead(&query, &mut accept).await?
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let mut items = Vec::with_capacity(page.letters.len());
    for letter in &page.letters {
        items.extend(sieve.kept(payload::dead(letter), call)?);
    }
    let next = page.next.map(|seq| owner.encode(At::After(seq)));
    Ok(minijinja::context!(
        count => items.len(), items => items, total => page.total, next => next
    ))
}

/// The token of the first value that is asked for; null asks for none.
fn first(step: &Dead, call: &Call<'_>, context: &Value) -> Result<Option<String>, Failure> {
    let Some(first) = &step.first else {
        return Ok(None);
    };
    let first = call.templates().tree(first, context)?;
    if first.is_none() {
        return Ok(None);
    }
    Ok(Some(token(&lane_text("first", &first)?)?))
}

/// Everything that decides which dead letters there are to page through.
fn filters(
    step: &Dead,
    call: &Call<'_>,
    queue: &str,
    query: &DeadQuery,
    context: &Value,
) -> Result<Vec<String>, Failure> {
    let mut filters = vec![
        queue.to_owned(),
        query.id.clone().unwrap_or_default(),
        query.first.clone().unwrap_or_default(),
    ];
    if let Some(filter) = &step.r#where {
        filters.push(filter.0.to_string());
        let inputs = call.templates().filter_inputs(filter, context)?;
        filters.extend(inputs.iter().map(ToString::to_string));
    }
    Ok(filters)
}

/// The sequence after which a page begins.
fn after(owner: Owner<'_>, page: &Value) -> Result<u64, Failure> {
    match owner.page(page)? {
        Some(At::After(seq)) => Ok(seq),
        Some(At::Before(_)) => Err(owner.other_way()),
        None => Ok(0),
    }
}
