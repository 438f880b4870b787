//! `read`

use minijinja::value::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bus::{From as Start, MAX_PAGE, ReadRequest, Stored};
use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::sieve::Sieve;
use crate::engine::{page, payload};
use crate::spec::verbs::forms::Read;

/// The most messages looked at when a spec does not say.
const SCAN: usize = 10_000;
/// The most messages a spec may look at.
const MOST_SCANNED: usize = 1_000_000;

pub(super) async fn run(step: &Read, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let stream = call.stream(&step.stream, step.with.as_ref(), &context)?;
    let subject = step
        .subject
        .as_ref()
        .map(|s| templates.token(s, &context))
        .transpose()?;
    let fixed: [&str; 2] = [
        stream.spec().name.as_str(),
        subject.as_deref().unwrap_or_default(),
    ];
    let filters = page::filters(call, &fixed, step.r#where.as_ref(), &context)?;
    let owner = Owner {
        tool: call.name,
        filters: &filters,
    };
    let (limit, scan) = bounds(step, call, &context)?;
    let request = ReadRequest {
        subjects: subject.into_iter().collect(),
        limit,
        from: start(step, call, owner, &context)?,
        scan,
    };
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let mut failed = None;
    let page = {
        let mut accept = |message: &Stored| {
            let fits = sieve.fits(|| payload::stored(message));
            fits.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                false
            })
        };
        stream.read(&request, &mut accept).await?
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut messages = Vec::with_capacity(page.messages.len());
    for message in &page.messages {
        messages.extend(sieve.kept(payload::stored(message))?);
    }
    let next = page.next.map(|seq| {
        owner.encode(match request.from {
            Start::Newest | Start::Before(_) => At::Before(seq),
            Start::After(_) | Start::Since(_) => At::After(seq),
        })
    });
    Ok(minijinja::context!(
        count => messages.len(), messages => messages, total => page.total, skipped => page.skipped,
        first_seq => page.first_seq, last_seq => page.last_seq, next => next
    ))
}

fn bounds(step: &Read, call: &Call<'_>, context: &Value) -> Result<(usize, usize), Failure> {
    let reader = call.reader(context);
    let limit = reader.count("limit", Some(&step.limit), MAX_PAGE)?;
    let limit = limit.unwrap_or(MAX_PAGE);
    let scan: usize = reader.whole("scan", step.scan.as_ref())?.unwrap_or(SCAN);
    Ok((limit, scan.clamp(limit, MOST_SCANNED)))
}

fn start(
    step: &Read,
    call: &Call<'_>,
    owner: Owner<'_>,
    context: &Value,
) -> Result<Start, Failure> {
    if let Some(page) = &step.page {
        let forward = step.after.is_some() || step.since.is_some();
        match owner.page(&call.templates().tree(page, context)?)? {
            Some(At::Before(seq)) if !forward => return Ok(Start::Before(seq)),
            Some(At::After(seq)) if forward => return Ok(Start::After(seq)),
            Some(_) => return Err(owner.other_way()),
            None => {}
        }
    }
    if let Some(after) = call.reader(context).whole("after", step.after.as_ref())? {
        return Ok(Start::After(after));
    }
    if let Some(since) = &step.since {
        let text = call.templates().text(since, context)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
            Failure::new(
                FailureKind::Range,
                format!("`since` is {text:?}, and must be a time such as 2026-01-31T08:15:00Z"),
            )
        })?;
        return Ok(Start::Since(time.into()));
    }
    Ok(Start::Newest)
}
