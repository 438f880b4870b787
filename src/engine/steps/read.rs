//! `read`

use minijinja::value::{Value, ValueKind};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bus::{From as Start, MAX_PAGE, ReadRequest, Stored};
use crate::engine::call::Call;
use crate::engine::cursor::{At, Owner};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::sieve::Sieve;
use crate::engine::{page, payload};
use crate::spec::env::check_root;
use crate::spec::tree::{SubjectList, Tree};
use crate::spec::verbs::forms::Read;

/// The most messages looked at when a spec does not say.
const SCAN: usize = 10_000;
/// The most messages a spec may look at.
const MOST_SCANNED: usize = 1_000_000;
/// The most subjects of one read.
const MOST_SUBJECTS: usize = 16;

pub(super) async fn run(step: &Read, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let stream = call.stream(&step.stream, step.with.as_ref(), &context)?;
    let subjects = subjects(step, call, &context)?;
    let fixed: Vec<&str> = std::iter::once(&stream.spec().name)
        .chain(&subjects)
        .map(String::as_str)
        .collect();
    let filters = page::filters(call, &fixed, step.r#where.as_ref(), &context)?;
    let owner = Owner {
        tool: call.name,
        filters: &filters,
    };
    let (limit, scan) = bounds(step, call, &context)?;
    let request = ReadRequest {
        subjects,
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
    let newest = page.messages.last().map_or(0, |message| message.seq);
    let upto = match (request.from, page.next) {
        (Start::After(_) | Start::Since(_), Some(seq)) => seq,
        _ => page.last_seq.max(newest),
    };
    let next = page.next.map(|seq| {
        owner.encode(match request.from {
            Start::Newest | Start::Before(_) => At::Before(seq),
            Start::After(_) | Start::Since(_) => At::After(seq),
        })
    });
    Ok(minijinja::context!(
        count => messages.len(), messages => messages, total => page.total, skipped => page.skipped,
        first_seq => page.first_seq, last_seq => page.last_seq, upto => upto, next => next
    ))
}

/// The subjects that are asked for; none: all.
fn subjects(step: &Read, call: &Call<'_>, context: &Value) -> Result<Vec<String>, Failure> {
    let templates = call.templates();
    let token = |token| templates.token(token, context).map_err(Failure::from);
    match (&step.subject, &step.subjects) {
        (Some(subject), _) => Ok(vec![token(subject)?]),
        (None, None) => Ok(Vec::new()),
        (None, Some(subjects)) => listed(subjects, call, context),
    }
}

/// Several subjects.
pub(super) fn listed(
    subjects: &SubjectList,
    call: &Call<'_>,
    context: &Value,
) -> Result<Vec<String>, Failure> {
    let templates = call.templates();
    let token = |token| templates.token(token, context).map_err(Failure::from);
    let given = match subjects {
        SubjectList::List(list) => list.iter().map(token).collect(),
        SubjectList::Expr(text) => {
            let value = templates.tree(&Tree::Expr(text.clone()), context)?;
            whole_subjects(&value)
        }
    }?;
    match given.len() {
        1..=MOST_SUBJECTS => Ok(given),
        count => Err(Failure::new(
            FailureKind::Range,
            format!("`subjects` has {count} elements, and must have 1 to {MOST_SUBJECTS}"),
        )),
    }
}

/// Subjects that an expression yields. They are values, so a wildcard in them is refused as it is in a placeholder.
fn whole_subjects(value: &Value) -> Result<Vec<String>, Failure> {
    let refuse = |value: &Value| {
        Failure::new(
            FailureKind::Range,
            format!("`subjects` has {value}, and must be a list of subjects without wildcards"),
        )
    };
    if value.kind() != ValueKind::Seq && value.kind() != ValueKind::Iterable {
        return Err(refuse(value));
    }
    let mut subjects = Vec::new();
    for element in value.try_iter()?.take(MOST_SUBJECTS + 1) {
        let subject = element.as_str().ok_or_else(|| refuse(&element))?;
        if subject.split('.').any(|token| matches!(token, "*" | ">")) {
            return Err(refuse(&element));
        }
        check_root(subject)?;
        subjects.push(subject.to_owned());
    }
    Ok(subjects)
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
