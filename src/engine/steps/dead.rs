//! `dead`

use std::collections::HashMap;

use minijinja::value::Value;

use super::queues;
use crate::bus::{DeadLetter, DeadPage, DeadQuery};
use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::Failure;
use crate::engine::resources::{Queue, lane_text};
use crate::engine::sieve::Sieve;
use crate::engine::{page, payload};
use crate::spec::filters::token;
use crate::spec::tree::Tree;
use crate::spec::verbs::forms::Dead;
use crate::spec::verbs::queues::MAX_LIMIT;

pub(super) async fn run(step: &Dead, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let limit = call
        .reader(&context)
        .count("limit", Some(&step.limit), MAX_LIMIT)?;
    let mut query = DeadQuery {
        id: match &step.id {
            Some(id) => Some(queues::id(id, call, &context)?),
            None => None,
        },
        first: first(step, call, &context)?,
        after: 0,
        limit: limit.unwrap_or(1),
    };
    let fixed = [
        queue.name.as_str(),
        query.id.as_deref().unwrap_or_default(),
        query.first.as_deref().unwrap_or_default(),
    ];
    let filters = page::filters(call, &fixed, step.r#where.as_ref(), &context)?;
    let owner = Owner {
        tool: call.name,
        filters: &filters,
    };
    query.after = match &step.page {
        Some(page) => after(owner, &call.templates().tree(page, &context)?)?,
        None => 0,
    };
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let (page, tally) = look(queue, &query, &sieve, step.count_by.as_ref()).await?;
    let mut items = Vec::with_capacity(page.letters.len());
    for letter in &page.letters {
        items.extend(sieve.kept(payload::dead(letter))?);
    }
    let next = page.next.map(|seq| owner.encode(At::After(seq)));
    Ok(minijinja::context!(
        count => items.len(), items => items, total => page.total, counts => tally.list(), next => next
    ))
}

/// A page of the letters that fit, and how many of all that fit there are of each value.
async fn look(
    queue: &Queue,
    query: &DeadQuery,
    sieve: &Sieve<'_>,
    count_by: Option<&Tree>,
) -> Result<(DeadPage, Tally), Failure> {
    let mut failed = None;
    let mut tally = Tally::default();
    let page = {
        let mut accept = |letter: &DeadLetter| {
            let item = payload::dead(letter);
            let fits = sieve.fits(|| item.clone()).and_then(|fits| {
                if let (true, Some(by)) = (fits, count_by) {
                    tally.count(sieve.made(by, item)?);
                }
                Ok(fits)
            });
            fits.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                false
            })
        };
        queue.handle.dead(query, &mut accept).await?
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok((page, tally))
}

/// How many there are of each value, in the order of the first of each.
#[derive(Default)]
struct Tally {
    values: Vec<(Value, u64)>,
    places: HashMap<String, usize>,
}

impl Tally {
    fn count(&mut self, value: Option<Value>) {
        let Some(value) = value else { return };
        let next = self.values.len();
        let place = *self.places.entry(value.to_string()).or_insert(next);
        match self.values.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => self.values.push((value, 1)),
        }
    }

    fn list(self) -> Vec<Value> {
        let pairs = self.values.into_iter();
        pairs
            .map(|(value, count)| minijinja::context!(value, count))
            .collect()
    }
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

/// The sequence after which a page begins.
fn after(owner: Owner<'_>, page: &Value) -> Result<u64, Failure> {
    match owner.page(page)? {
        Some(At::After(seq)) => Ok(seq),
        Some(_) => Err(owner.other_way()),
        None => Ok(0),
    }
}
