//! `subjects`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::Failure;
use crate::engine::page;
use crate::engine::sieve::Sieve;
use crate::spec::verbs::forms::Subjects;

/// Subjects of a page when a spec does not say.
const DEFAULT: usize = 1_000;
/// The most subjects of a page.
const MOST: usize = 10_000;

pub(super) async fn run(step: &Subjects, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let stream = call.stream(&step.stream, step.with.as_ref(), &context)?;
    let limit = call
        .reader(&context)
        .count("limit", step.limit.as_ref(), MOST)?
        .unwrap_or(DEFAULT);
    let subject = match &step.subject {
        Some(subject) => templates.token(subject, &context)?,
        None => ">".to_owned(),
    };
    let fixed = [stream.spec().name.as_str(), &subject];
    let filters = page::filters(call, &fixed, step.r#where.as_ref(), &context)?;
    let owner = Owner {
        tool: call.name,
        filters: &filters,
    };
    let after = match &step.page {
        Some(page) => owner.page(&templates.tree(page, &context)?)?,
        None => None,
    };
    let after = match after {
        None => None,
        Some(At::Key(subject)) => Some(subject),
        Some(_) => return Err(owner.other_way()),
    };
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let (mut items, mut total, mut seen) = (Vec::new(), 0_usize, 0);
    let (mut last, mut more) = (None, false);
    for (subject, messages) in stream.subjects(&subject).await? {
        let item = minijinja::context!(subject => &subject, messages => messages);
        if !sieve.fits(|| item.clone())? {
            continue;
        }
        total += 1;
        // Those of the pages before count, and are not shown again.
        if after.as_ref().is_some_and(|after| subject <= *after) {
            continue;
        }
        if seen == limit {
            more = true;
            continue;
        }
        seen += 1;
        items.extend(sieve.kept(item)?);
        last = Some(subject);
    }
    let next = last.filter(|_| more).map(|key| owner.encode(At::Key(key)));
    Ok(minijinja::context!(count => items.len(), items => items, total => total, next => next))
}
