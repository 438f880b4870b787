//! `list`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::env::is_omit;
use crate::spec::verbs::forms::List;

/// Entries when a spec does not say.
const DEFAULT: usize = 1_000;
/// The most entries of one call.
const MOST: usize = 10_000;

pub(super) async fn run(step: &List, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let limit: usize = call
        .reader(&context)
        .whole("limit", step.limit.as_ref())?
        .unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Failure::new(
            FailureKind::Range,
            format!("`limit` is {limit}, and must be from 1 to {MOST}"),
        ));
    }
    let filter = match &step.under {
        Some(under) => format!("{}.>", templates.token(under, &context)?),
        None => ">".to_owned(),
    };
    // What `where` leaves out must not count against the limit.
    let wanted = if step.r#where.is_some() { MOST } else { limit };
    let listing = bucket.list(&filter, wanted).await?;
    let mut more = listing.more;
    let mut entries = Vec::new();
    let filter = step.r#where.as_ref().map(|f| templates.filter(f));
    let filter = filter.transpose()?;
    let items = call.scope.items();
    for entry in &listing.entries {
        // An entry that is kept in memory is decoded once.
        let entry = entry.memo.get(|| payload::entry(&entry.key, Some(entry)));
        let item = items.context(entry.clone());
        if let Some(filter) = &filter
            && !filter.holds(&item)?
        {
            continue;
        }
        if entries.len() == limit {
            more = true;
            break;
        }
        let kept = match &step.select {
            Some(select) => templates.tree_or_omit(select, &item)?,
            None => entry,
        };
        if !is_omit(&kept) {
            entries.push(kept);
        }
    }
    Ok(minijinja::context!(count => entries.len(), entries => entries, more => more))
}
