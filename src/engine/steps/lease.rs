//! `lease`

use std::time::{Duration, Instant};

use minijinja::value::{Value, ValueKind};
use serde_json::{Map, Value as Json};

use crate::bus::{Bucket, Bytes, Entry, ErrorKind, Outgoing};
use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::verbs::forms::Lease;

/// The most keys that are tried.
const MOST: usize = 100;
/// How long a holder has to answer each time it is asked. NATS says at once when nobody listens, but not while somebody
/// watches all subjects: then only silence tells. A living holder answers within the second time even when it is busy.
const ANSWERS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];
/// All answers together.
const ALL_ANSWERS: Duration = Duration::from_secs(10);
/// The field of the stored value that says whose it is.
const HOLDER: &str = "holder";
/// How often a key is looked at that appears or vanishes while it is tried.
const LOOKS: usize = 3;

pub(super) async fn run(step: &Lease, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let keys = keys(step, call, &context)?;
    let holder = call.templates().text(&step.holder, &context)?;
    let taker = Taker {
        step,
        call,
        value: payload::encode_json(&value(step, call, &context, &holder)?)?,
        bucket,
        holder,
        until: Instant::now() + ALL_ANSWERS,
    };
    for (index, key) in keys.iter().enumerate() {
        if let Some((revision, taken_over)) = taker.take(key).await? {
            return Ok(minijinja::context!(key, index, revision, taken_over));
        }
    }
    Err(Failure::new(
        FailureKind::Bus(ErrorKind::AlreadyExists),
        format!(
            "none of the {} keys in the bucket {} is free: a living holder has each of them",
            keys.len(),
            taker.bucket.spec().name
        ),
    ))
}

fn keys(step: &Lease, call: &Call<'_>, context: &Value) -> Result<Vec<String>, Failure> {
    let list = call.templates().tree(&step.keys, context)?;
    let wrong = || {
        Failure::new(
            FailureKind::Range,
            format!("`keys` must be a list of 1 to {MOST} texts"),
        )
    };
    if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(wrong());
    }
    let keys: Option<Vec<String>> = list
        .try_iter()?
        .take(MOST + 1)
        .map(|key| key.as_str().map(str::to_owned))
        .collect();
    keys.filter(|keys| (1..=MOST).contains(&keys.len()))
        .ok_or_else(wrong)
}

fn value(step: &Lease, call: &Call<'_>, context: &Value, holder: &str) -> Result<Json, Failure> {
    match to_json(&call.templates().tree(&step.value, context)?)? {
        Json::Object(mut object) => {
            object.insert(HOLDER.to_owned(), holder.into());
            Ok(Json::Object(object))
        }
        _ => Err(Failure::new(
            FailureKind::Range,
            "`value` must be an object",
        )),
    }
}

struct Taker<'a, 'c> {
    step: &'a Lease,
    call: &'a Call<'c>,
    bucket: Bucket,
    holder: String,
    value: Bytes,
    /// When no more holders are asked.
    until: Instant,
}

impl Taker<'_, '_> {
    /// Takes a key unless a living holder has it: the revision, and whether a dead holder had it.
    async fn take(&self, key: &str) -> Result<Option<(u64, bool)>, Failure> {
        for _ in 0..LOOKS {
            match self.bucket.create(key, self.value.clone(), None).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                done => return Ok(Some((done?, false))),
            }
            let Some(entry) = self.bucket.get(key).await? else {
                continue;
            };
            let mine = self.is_mine(&entry);
            if !mine && self.lives(&entry).await? {
                return Ok(None);
            }
            match self
                .bucket
                .update(key, self.value.clone(), entry.revision)
                .await
            {
                Ok(revision) => return Ok(Some((revision, !mine))),
                // Somebody else was faster. If it was not another call of this holder, the next key is.
                Err(error) if error.kind() == ErrorKind::Conflict && mine => {}
                Err(error) if error.kind() == ErrorKind::Conflict => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn is_mine(&self, entry: &Entry) -> bool {
        let stored: Option<Map<String, Json>> = serde_json::from_slice(&entry.value).ok();
        let holder = stored
            .as_ref()
            .and_then(|value| value.get(HOLDER)?.as_str());
        holder == Some(&self.holder)
    }

    /// Whether somebody listens on the subject of the entry's holder.
    async fn lives(&self, entry: &Entry) -> Result<bool, Failure> {
        if Instant::now() > self.until {
            return Err(Failure::new(
                FailureKind::Bus(ErrorKind::Timeout),
                format!(
                    "the holders of the keys in the bucket {} took longer than {ALL_ANSWERS:?} to answer; nothing was taken",
                    self.bucket.spec().name
                ),
            ));
        }
        // What is no entry of this kind, and so names nobody to ask, is held by nobody: it must not keep the key for ever.
        let Ok(subject) = self.subject(entry) else {
            let own = Entry {
                value: self.value.clone(),
                ..entry.clone()
            };
            // Unless it is the template that is wrong.
            self.subject(&own)?;
            tracing::warn!(
                key = entry.key,
                bucket = self.bucket.spec().name,
                "the entry names no holder: it is taken over"
            );
            return Ok(false);
        };
        for answer in ANSWERS {
            let question = Outgoing::new(subject.clone(), Bytes::new());
            match self.call.bus().request(question, answer).await {
                Ok(_) => return Ok(true),
                Err(error) => match error.kind() {
                    ErrorKind::NoResponders | ErrorKind::InvalidSubject => return Ok(false),
                    ErrorKind::Timeout => {}
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(false)
    }

    /// Where the holder of an entry listens.
    fn subject(&self, entry: &Entry) -> Result<String, Failure> {
        let item = payload::entry(&entry.key, Some(entry));
        let context = self.call.scope.with("item", item).context();
        Ok(self.call.templates().token(&self.step.alive, &context)?)
    }
}
