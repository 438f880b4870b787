//! `take`

mod bell;
mod position;

use std::time::Duration;

use minijinja::value::Value;
use tokio::time::Instant;

use crate::bus::{Bucket, ErrorKind, From as Start, MAX_PAGE, ReadRequest, Stored, Stream};
use crate::engine::call::Call;
use crate::engine::contest::{Contest, TRIES};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::engine::sieve::Sieve;
use crate::spec::filters::MAX_TEXT;
use crate::spec::verbs::forms::Take;

use bell::Bell;
use position::Position;

/// The most messages of one call.
const MOST: usize = 1_000;
/// The messages looked at when a spec does not say, and the most.
const SCAN: (usize, usize) = (1_000, 10_000);

pub(super) async fn run(step: &Take, call: &mut Call<'_>) -> Result<Value, Failure> {
    let until = Instant::now();
    let context = call.context();
    let taker = Taker::new(step, call, &context)?;
    let until = until + taker.wait;
    let mut bell = None;
    loop {
        let taken = taker.take().await?;
        if taken.some {
            return Ok(taken.result());
        }
        match &mut bell {
            None if taker.wait.is_zero() => return Ok(taken.result()),
            // What came between the first look and the bell is seen by the next look.
            None => bell = Some(Bell::new(call.bus(), &taker.stream, until).await?),
            Some(bell) => {
                if !bell.rings().await {
                    return Ok(taken.result());
                }
            }
        }
    }
}

struct Taker<'a> {
    sieve: Sieve<'a>,
    stream: Stream,
    bucket: Bucket,
    key: String,
    limit: usize,
    scan: usize,
    wait: Duration,
    peek: bool,
    /// With `peek`: only what lies after this is shown.
    after: u64,
    keep: Option<u64>,
}

/// What there was to take.
struct Taken {
    /// Something was handed out, even if `select` kept nothing of it.
    some: bool,
    messages: Vec<Value>,
    unread: usize,
    matching: usize,
    more: bool,
}

impl Taken {
    fn result(self) -> Value {
        minijinja::context!(
            count => self.messages.len(), messages => self.messages, unread => self.unread,
            matching => self.matching, more => self.more
        )
    }
}

/// What was handed out long ago. What is unread is never touched.
struct Old {
    /// Everything below this sequence.
    before: Option<u64>,
    /// Beyond the position: one message that stays unread must not let the stream fill up with those that were read.
    beyond: Vec<u64>,
}

impl Old {
    async fn remove(self, stream: Stream) {
        let mut removed = Ok(());
        if let Some(before) = self.before {
            removed = stream.purge_before(before).await;
        }
        if removed.is_ok() && !self.beyond.is_empty() {
            removed = stream.remove(&self.beyond).await;
        }
        // The messages are taken: that they stay a little longer is no reason to fail.
        if let Err(error) = removed {
            tracing::warn!(stream = %stream.spec().name, %error, "old messages stay");
        }
    }
}

/// What one look at the stream gave.
#[derive(Default)]
struct Look {
    /// All sequences that were there.
    looked: Vec<u64>,
    /// Those to be handed out.
    chosen: Vec<Stored>,
    bytes: usize,
    /// What follows must wait, so that the order is kept.
    full: bool,
    unread: usize,
    matching: usize,
    /// Of those that match, the ones on pages before this one.
    before: usize,
    failed: Option<minijinja::Error>,
}

impl<'a> Taker<'a> {
    fn new(step: &'a Take, call: &Call<'a>, context: &Value) -> Result<Self, Failure> {
        let at = &step.position;
        let reader = call.reader(context);
        let limit = reader.count("limit", Some(&step.limit), MOST)?;
        let scan = reader.count("scan", step.scan.as_ref(), SCAN.1)?;
        let wait = reader.span_within("wait", step.wait.as_ref(), Take::LONGEST)?;
        let peek = match &step.peek {
            Some(peek) => call.templates().tree(peek, context)?.is_true(),
            None => false,
        };
        Ok(Self {
            stream: call.stream(&step.stream, step.with.as_ref(), context)?,
            bucket: call.bucket(&at.bucket, at.with.as_ref(), context)?,
            key: call.templates().token(&at.key, context)?,
            sieve: Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?,
            limit: limit.unwrap_or(MOST),
            scan: scan.unwrap_or(SCAN.0),
            wait: wait.unwrap_or_default(),
            peek,
            after: reader.whole("after", step.after.as_ref())?.unwrap_or(0),
            keep: reader.whole("keep", step.keep.as_ref())?,
        })
    }

    /// Takes what there is.
    async fn take(&self) -> Result<Taken, Failure> {
        let mut contest = Contest::default();
        while contest.again().await {
            if let Some(taken) = self.attempt().await? {
                return Ok(taken);
            }
        }
        Err(Failure::new(
            FailureKind::Bus(ErrorKind::Conflict),
            format!(
                "others took messages of the stream {} during each of {TRIES} tries; nothing was taken; try again",
                self.stream.spec().name
            ),
        ))
    }

    /// `None`: somebody else has taken something meanwhile.
    async fn attempt(&self) -> Result<Option<Taken>, Failure> {
        let entry = self.bucket.get(&self.key).await?;
        let mut position = Position::read(&self.bucket, entry.as_ref());
        let (mut look, mut page) = self.look(&position).await?;
        if position.is_foreign(&page) {
            position = Position::default();
            (look, page) = self.look(&position).await?;
        }
        if let Some(error) = look.failed {
            return Err(error.into());
        }
        // Before the position moves: a `select` that fails must not lose messages.
        let messages = self.kept(&look.chosen)?;
        let mut taken = Taken {
            some: !look.chosen.is_empty(),
            messages,
            unread: look.unread,
            matching: look.matching - look.before,
            more: page.more,
        };
        if self.peek || !taken.some {
            return Ok(Some(taken));
        }
        taken.unread -= look.chosen.len();
        taken.matching -= look.chosen.len();
        let chosen: Vec<u64> = look.chosen.iter().map(|stored| stored.seq).collect();
        let moved = position.moved(&chosen, &look.looked, page.created.as_ref());
        let after = moved.after();
        let old = self.keep.map(|keep| Old {
            before: (after.saturating_sub(page.first_seq).saturating_add(1)
                >= keep.saturating_mul(2).max(1))
            .then(|| after.saturating_add(1).saturating_sub(keep)),
            beyond: moved.spare(keep),
        });
        let stored = moved.store(&self.bucket, &self.key, entry.as_ref()).await?;
        if let Some(old) = old.filter(|_| stored) {
            // Beside the answer: from here to it, what was taken must lose no time.
            tokio::spawn(old.remove(self.stream.clone()));
        }
        Ok(stored.then_some(taken))
    }

    /// Looks at what lies after the position.
    async fn look(&self, position: &Position) -> Result<(Look, crate::bus::Page), Failure> {
        let request = ReadRequest {
            subjects: Vec::new(),
            limit: MAX_PAGE,
            from: Start::After(position.after()),
            scan: self.scan,
        };
        let mut look = Look::default();
        // Nothing is put on the page: a full one would end the look.
        let mut see = |stored: &Stored| {
            self.see(position, stored, &mut look);
            false
        };
        let page = self.stream.read(&request, &mut see).await?;
        Ok((look, page))
    }

    fn see(&self, position: &Position, stored: &Stored, look: &mut Look) {
        look.looked.push(stored.seq);
        if position.is_done(stored.seq) {
            return;
        }
        look.unread += 1;
        match self.sieve.fits(|| payload::stored(stored)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                look.failed.get_or_insert(error);
                return;
            }
        }
        look.matching += 1;
        if self.peek && stored.seq <= self.after {
            look.before += 1;
            return;
        }
        look.bytes = look.bytes.saturating_add(stored.payload.len());
        // One message always fits, whatever its size.
        let fits = look.chosen.is_empty() || look.bytes <= MAX_TEXT;
        look.full |= look.chosen.len() == self.limit || !fits;
        if !look.full {
            look.chosen.push(stored.clone());
        }
    }

    fn kept(&self, chosen: &[Stored]) -> Result<Vec<Value>, Failure> {
        let mut messages = Vec::with_capacity(chosen.len());
        for stored in chosen {
            messages.extend(self.sieve.kept(payload::stored(stored))?);
        }
        Ok(messages)
    }
}
