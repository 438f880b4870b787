//! Dead letters: where they go, and finding and listing them.

use super::Queue;
use super::record::{Record, id_token};
use super::types::{DeadLetter, DeadPage, DeadQuery};
use crate::bus::api;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::message::is_match;
use crate::bus::read::{From, MAX_PAGE, ReadRequest, Stored};
use crate::spec::token;

/// Header with the key of the item: `<first>.<id token>`.
const ITEM: &str = "Jacquard-Item";
/// Header with the message that it was: stream, sequence, time.
const ORIGIN: &str = "Jacquard-Origin";
/// Letters looked at in one look at a subject that has them all.
const SCAN: usize = 100_000;

/// Which message of a queue a record is about, in a text.
pub(super) fn origin(record: &Record) -> String {
    format!("{}:{}:{}", record.stream, record.seq, record.time)
}

pub(super) fn headers(key: &str, origin: &str) -> Vec<(String, String)> {
    vec![
        (ITEM.to_owned(), key.to_owned()),
        (ORIGIN.to_owned(), origin.to_owned()),
    ]
}

/// Where the dead letter of a key goes: a subject of its own, or the plain one when the existing stream takes only that.
pub(super) async fn subject(queue: &Queue, key: &str) -> Result<String, Error> {
    let spec = queue.spec();
    let own = format!("{}.{key}", spec.dead_subject);
    spec.dead.ensure().await?;
    let name = &spec.dead.spec().name;
    let what = format!("asking for the subjects of the stream {name}");
    let link = queue.link(&what).await?;
    let info = match api::info(&link, &what, name).await {
        // Publishing makes it again.
        Err(failure) if failure.code() == api::code::STREAM_NOT_FOUND => return Ok(own),
        info => info.map_err(|failure| failure.into_error(&what))?,
    };
    let filters = info.config.get("subjects").and_then(|list| list.as_array());
    let takes = |subject: &str| {
        let texts = filters
            .into_iter()
            .flatten()
            .filter_map(|filter| filter.as_str());
        texts.into_iter().any(|filter| is_match(filter, subject))
    };
    Ok(match takes(&own) || !takes(&spec.dead_subject) {
        true => own,
        false => spec.dead_subject.clone(),
    })
}

/// The letters on a subject that `accept` takes, the newest `limit` of them.
async fn on(
    queue: &Queue,
    subject: String,
    limit: usize,
    accept: &mut (dyn FnMut(&Stored) -> bool + Send),
) -> Result<Vec<Stored>, Error> {
    let request = ReadRequest {
        subjects: vec![subject],
        limit,
        from: From::Newest,
        scan: SCAN,
    };
    let page = queue.spec().dead.read(&request, accept).await?;
    Ok(page.messages)
}

/// Whether this very message has its dead letter.
pub(super) async fn is_written(queue: &Queue, key: &str, origin: &str) -> Result<bool, Error> {
    let plain = queue.spec().dead_subject.clone();
    let mut accept = |stored: &Stored| stored.header(ORIGIN) == Some(origin);
    Ok(!on(queue, format!("{plain}.{key}"), 1, &mut accept)
        .await?
        .is_empty()
        || !on(queue, plain, 1, &mut accept).await?.is_empty())
}

/// Whether there is a dead letter of this key.
pub(super) async fn exists(queue: &Queue, key: &str) -> Result<bool, Error> {
    let Some((first, id)) = key.split_once('.') else {
        return Ok(false);
    };
    let letters = with_id(queue, &token::decode(id)).await?;
    Ok(letters
        .iter()
        .any(|letter| letter.first.as_deref().is_none_or(|of| of == first)))
}

/// The letters with an id, at most [`MAX_PAGE`] of each kind of subject.
pub(super) async fn with_id(queue: &Queue, id: &str) -> Result<Vec<DeadLetter>, Error> {
    let Ok(token) = id_token(id) else {
        return Ok(Vec::new());
    };
    let plain = &queue.spec().dead_subject;
    let mut found = on(queue, format!("{plain}.*.{token}"), MAX_PAGE, &mut |_| true).await?;
    let mut accept = |stored: &Stored| {
        letter(queue, stored).is_some_and(|letter| letter.id.as_deref() == Some(id))
    };
    found.extend(on(queue, plain.clone(), MAX_PAGE, &mut accept).await?);
    Ok(found
        .iter()
        .filter_map(|stored| letter(queue, stored))
        .collect())
}

/// A message of the dead stream as a letter; `None`: it has nothing to do with this queue's subject.
pub(super) fn letter(queue: &Queue, stored: &Stored) -> Option<DeadLetter> {
    let rest = stored
        .subject
        .strip_prefix(queue.spec().dead_subject.as_str())?;
    let own = rest.strip_prefix('.');
    if own.is_none() && !rest.is_empty() {
        return None;
    }
    // On the plain subject the header tells what the own subject would.
    let key = own.or_else(|| stored.header(ITEM));
    let parts = key
        .and_then(|key| key.split_once('.'))
        .filter(|(_, id)| !id.contains('.'));
    let (first, id) = match parts {
        Some((first, id)) => (Some(first.to_owned()), Some(token::decode(id))),
        None => (None, queue.0.rules.dead_id(stored)),
    };
    Some(DeadLetter {
        id,
        first,
        message: stored.clone(),
    })
}

pub(super) async fn list(
    queue: &Queue,
    query: &DeadQuery,
    accept: &mut (dyn FnMut(&DeadLetter) -> bool + Send),
) -> Result<DeadPage, Error> {
    let fits = |letter: &DeadLetter| {
        query.first.is_none() || letter.first.is_none() || query.first == letter.first
    };
    let mut found = DeadPage::default();
    let mut more = false;
    let mut see = |letter: DeadLetter| {
        if !fits(&letter) || !accept(&letter) {
            return;
        }
        found.total += 1;
        if letter.message.seq <= query.after {
            return;
        }
        match found.letters.len() < query.limit {
            true => found.letters.push(letter),
            false => more = true,
        }
    };
    match &query.id {
        Some(id) => with_id(queue, id).await?.into_iter().for_each(see),
        None => all(queue, &mut see).await?,
    }
    if more {
        found.next = found.letters.last().map(|letter| letter.message.seq);
    }
    Ok(found)
}

/// Shows every letter, the oldest first, at most [`SCAN`] messages.
async fn all(queue: &Queue, see: &mut (dyn FnMut(DeadLetter) + Send)) -> Result<(), Error> {
    let (mut from, mut looked) = (Some(0), 0);
    while let Some(after) = from.filter(|_| looked < SCAN) {
        let request = ReadRequest {
            subjects: Vec::new(),
            limit: MAX_PAGE,
            from: From::After(after),
            scan: SCAN - looked,
        };
        // Nothing is put on the page: a full one would end the look.
        let mut show = |stored: &Stored| {
            looked += 1;
            if let Some(letter) = letter(queue, stored) {
                see(letter);
            }
            false
        };
        from = queue.spec().dead.read(&request, &mut show).await?.next;
    }
    Ok(())
}

pub(super) fn missing(queue: &Queue, id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "the queue {} has no dead letter with the id {id:?}",
            queue.spec().name
        ),
    )
}
