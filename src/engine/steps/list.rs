//! `list`

use minijinja::value::Value;

use crate::bus::Listing;
use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::Failure;
use crate::engine::sieve::Sieve;
use crate::engine::{page, payload};
use crate::spec::verbs::forms::List;

/// Entries when a spec does not say.
const DEFAULT: usize = 1_000;
/// The most entries of one call.
const MOST: usize = 10_000;
/// The most entries looked at.
const LOOKED: usize = 100_000;

pub(super) async fn run(step: &List, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let limit = call
        .reader(&context)
        .count("limit", step.limit.as_ref(), MOST)?
        .unwrap_or(DEFAULT);
    let under = match &step.under {
        Some(under) => format!("{}.>", templates.token(under, &context)?),
        None => ">".to_owned(),
    };
    let filters = page::filters(
        call,
        &[&bucket.spec().name, &under],
        step.r#where.as_ref(),
        &context,
    )?;
    let owner = Owner {
        tool: call.name,
        filters: &filters,
    };
    let page = match &step.page {
        Some(page) => owner.page(&templates.tree(page, &context)?)?,
        None => None,
    };
    let after = match page {
        None => None,
        Some(At::Key(key)) => Some(key),
        Some(_) => return Err(owner.other_way()),
    };
    let listing = bucket.list(&under, LOOKED).await?;
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let picked = pick(&listing, after.as_ref(), limit, &sieve)?;
    let next = picked.last.filter(|_| picked.more);
    let next = next.map(|key| owner.encode(At::Key(key.clone())));
    Ok(minijinja::context!(
        count => picked.entries.len(), entries => picked.entries, total => picked.total,
        more => picked.more || listing.more, next => next
    ))
}

/// Goes through a listing to the end: what is on no page of its own counts too.
fn pick<'a>(
    listing: &'a Listing,
    after: Option<&String>,
    limit: usize,
    sieve: &Sieve<'_>,
) -> Result<Picked<'a>, Failure> {
    let mut picked = Picked::default();
    for entry in &listing.entries {
        // An entry that is kept in memory is decoded once.
        let value = entry.memo.get(|| payload::entry(&entry.key, Some(entry)));
        if !sieve.fits(|| value.clone())? {
            continue;
        }
        picked.total += 1;
        // Those of the pages before count, and are not shown again.
        if after.is_some_and(|after| entry.key <= *after) {
            continue;
        }
        if picked.seen == limit {
            picked.more = true;
            continue;
        }
        picked.seen += 1;
        picked.last = Some(&entry.key);
        picked.entries.extend(sieve.kept(value)?);
    }
    Ok(picked)
}

/// What of a listing is on the page.
#[derive(Default)]
struct Picked<'a> {
    entries: Vec<Value>,
    /// On the page, also those that `select` leaves out.
    seen: usize,
    /// All that fit.
    total: usize,
    more: bool,
    last: Option<&'a String>,
}
