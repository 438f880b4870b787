//! One filter of a page: its matching messages in one direction, fetched in portions.
//!
//! Backward it looks at windows of sequences `[low, high)` from the end down. How wide a window must be is known from an
//! earlier read ([`Trace`]) or estimated from the density of matching messages: sparser than thought, and the next window is
//! wider; denser, and the window is narrowed and asked again. A window counts only when it was read to its upper end, so
//! estimates and memories steer and never decide what is found.

use super::api::WireState;
use super::direct::Batch;
use super::error::Error;
use super::read::{Source, Start, Stored};
use super::recall::Trace;
use std::collections::VecDeque;

/// Most batches of one strand; a page that needs more ends early and says so.
const MAX_TRIPS: usize = 128;
/// How much wider a window gets after an empty one.
const GROWTH: f64 = 8.0;
/// Messages that may have come since what was remembered, without another request.
const NEWS: usize = 64;

/// The matching messages of one filter.
pub(super) struct Strand<'a> {
    source: Source<'a>,
    /// Fetched and not yet looked at, ascending.
    pub(super) met: VecDeque<Stored>,
    trace: Trace,
    /// Sequences of all messages that were found backward, descending.
    found: Vec<u64>,
    trips: usize,
    /// Matching messages per sequence, as far as is known.
    density: f64,
    /// Matching messages above the page asked for; unknown until it is needed.
    above: Option<u64>,
    /// Where the page ends (exclusive).
    end: u64,
    /// Backward: all from here to `end` is fetched.
    high: u64,
    /// Backward: where the oldest matching message is.
    floor: Floor,
    /// Forward: all before this is fetched.
    start: Start,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    Unknown,
    At(u64),
    /// Nothing matches (any more).
    None,
}

/// What was asked for before the state of the stream was known.
pub(super) struct Head {
    /// Where it begins.
    from: u64,
    batch: Batch,
}

/// What a look at a window gave.
enum Window {
    /// All its matching messages.
    Read(Vec<Stored>),
    /// It has too many to read them all; they are about this dense.
    Dense(f64),
}

impl Head {
    /// Asks for the newest `limit` messages where an earlier read says they are, else for the oldest one, which the way to
    /// the newest needs.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub(super) async fn newest(
        source: &Source<'_>,
        trace: &Trace,
        limit: usize,
    ) -> Result<Self, Error> {
        let (from, most) = match trace.begin(limit) {
            Some(from) => (from, limit + 1 + NEWS),
            None => (1, 1),
        };
        let batch = source.fetch(Start::Seq(from), u64::MAX, most).await?;
        Ok(Self { from, batch })
    }

    /// Whether it may lack messages up to `last`: it has all up to its own last one, and all up to `sure`, which were there
    /// before it was asked for.
    pub(super) fn may_lack(&self, last: u64, sure: u64) -> bool {
        let own = self.batch.messages.last().map_or(0, |stored| stored.seq);
        self.batch.complete && last > sure.max(own)
    }
}

impl<'a> Strand<'a> {
    pub(super) fn new(source: Source<'a>, trace: Trace, state: &WireState) -> Self {
        Self {
            source,
            met: VecDeque::new(),
            trace,
            found: Vec::new(),
            trips: 0,
            density: density(state.messages, state.first_seq, state.last_seq),
            above: None,
            end: 0,
            high: 0,
            floor: Floor::Unknown,
            start: Start::Seq(0),
            ended: false,
        }
    }

    /// The filter.
    pub(super) fn filter(&self) -> &str {
        self.source.filter
    }

    /// Whether no further portion may be asked for.
    pub(super) fn tired(&self) -> bool {
        self.trips >= MAX_TRIPS
    }

    async fn fetch(&mut self, start: Start, end: u64, most: usize) -> Result<Batch, Error> {
        self.trips += 1;
        self.source.fetch(start, end, most).await
    }
}

/// Backward.
impl Strand<'_> {
    /// Begins below `end`. `newest`: nothing is above it.
    pub(super) fn back_from(
        &mut self,
        end: u64,
        newest: bool,
        head: Option<Head>,
        state: &WireState,
    ) {
        (self.end, self.high) = (end, end);
        self.above = newest.then_some(0);
        if self.source.filter == ">" {
            self.floor = Floor::At(state.first_seq);
        }
        let Some(Head { from, batch }) = head else {
            return;
        };
        let first = batch.messages.first().map(|stored| stored.seq);
        let total = batch.total();
        if batch.complete {
            let known = self.trace.seqs.iter().filter(|seq| **seq >= from).count();
            if batch.messages.len() < known {
                // Some of what is remembered is gone: it says nothing of the way down.
                self.trace = Trace::default();
            }
            self.keep(batch.messages);
            self.high = from.min(end);
        }
        if from <= 1 {
            self.settle(first, total, state);
        }
    }

    /// Takes the messages of a window that was read.
    fn keep(&mut self, mut messages: Vec<Stored>) {
        messages.retain(|stored| stored.seq < self.end);
        self.found
            .extend(messages.iter().rev().map(|stored| stored.seq));
        for stored in messages.into_iter().rev() {
            self.met.push_front(stored);
        }
    }

    /// Notes the oldest matching message, and how many there are.
    fn settle(&mut self, first: Option<u64>, total: Option<u64>, state: &WireState) {
        self.floor = first.map_or(Floor::None, Floor::At);
        if let (Some(first), Some(total)) = (first, total) {
            self.density = density(total, first, state.last_seq);
        }
    }

    /// Whether there may be matching messages below those fetched; sure when it is known where the oldest is.
    pub(super) fn goes_down(&self) -> bool {
        match self.floor {
            Floor::Unknown => self.high > 0,
            Floor::At(floor) => self.high > floor,
            Floor::None => false,
        }
    }

    /// Where the page before this one begins (exclusive), if there is one: the sequence, and whether that is sure.
    pub(super) fn below(&self) -> Option<(u64, bool)> {
        match self.met.back() {
            Some(stored) => Some((stored.seq.saturating_add(1), true)),
            None => self
                .goes_down()
                .then_some((self.high, self.floor != Floor::Unknown)),
        }
    }

    /// What is known of the newest messages after a read of them.
    pub(super) fn learnt(&self) -> Trace {
        Trace {
            seqs: self.found.iter().rev().copied().collect(),
            whole: !self.goes_down(),
        }
    }

    /// Finds the oldest matching message.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub(super) async fn find_floor(&mut self, state: &WireState) -> Result<(), Error> {
        if self.floor != Floor::Unknown {
            return Ok(());
        }
        let first = Start::Seq(state.first_seq);
        if self.source.is_quick() {
            let all = state.last_seq.saturating_add(1);
            let batch = self.fetch(first, all, 1).await?;
            let oldest = batch.messages.first().map(|stored| stored.seq);
            self.settle(oldest, batch.total(), state);
        } else {
            let oldest = self.source.first(first).await?;
            self.settle(oldest.map(|stored| stored.seq), None, state);
        }
        Ok(())
    }

    /// Fetches about `want` messages more: at least one, unless a window has none.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub(super) async fn down(&mut self, want: usize, state: &WireState) -> Result<(), Error> {
        self.find_floor(state).await?;
        let Floor::At(floor) = self.floor else {
            return Ok(());
        };
        if self.high <= floor {
            return Ok(());
        }
        let high = self.high;
        let (low, most) = match self.trace.low(high, want) {
            Some(low) => (low.max(floor), want + NEWS),
            None => self.estimated(floor, want),
        };
        match self.window(low, want, most).await? {
            Window::Dense(density) => {
                self.trace = Trace::default();
                self.density = density.max(self.density * 2.0).min(1.0);
            }
            Window::Read(messages) => {
                if messages.len() < want {
                    // Some of what is remembered is gone, or it ends here.
                    self.trace = Trace::default();
                }
                let met = messages.len() as f64 / (high - low) as f64;
                self.density = met.max(self.density / GROWTH).min(1.0);
                self.keep(messages);
                self.high = low;
            }
        }
        Ok(())
    }

    /// Where a window for `want` messages begins by the density, and how many to ask for.
    fn estimated(&self, floor: u64, want: usize) -> (u64, usize) {
        let slack = if self.density >= 1.0 { 1.0 } else { 1.25 };
        // A float to integer cast saturates; the clamp bounds it.
        let span = (want as f64 / self.density * slack).ceil() as u64;
        let span = span.max(want as u64).min(self.high - floor);
        if self.density >= 1.0 {
            return (self.high - span, want);
        }
        let expected = span as f64 * self.density * 1.5;
        let most = (expected as usize).saturating_add(16).max(want);
        (self.high - span, most)
    }

    /// Reads `[low, high)` to its upper end, unless it has far more than `want`.
    async fn window(&mut self, low: u64, want: usize, mut most: usize) -> Result<Window, Error> {
        let enough = want.saturating_mul(2).max(256);
        let high = self.high;
        let mut start = low;
        let mut found: Vec<Stored> = Vec::new();
        loop {
            let batch = self.fetch(Start::Seq(start), high, most).await?;
            let last = batch.messages.last().map(|stored| stored.seq);
            found.extend(batch.messages);
            let Some(last) = last.filter(|_| !batch.complete) else {
                return Ok(Window::Read(found));
            };
            let left = high.saturating_sub(last).saturating_sub(1);
            let remaining = self.remaining(&found, batch.pending, start, left).await?;
            if remaining.saturating_add(found.len()) > enough && left > want as u64 {
                return Ok(Window::Dense(remaining as f64 / left as f64));
            }
            start = last.saturating_add(1);
            most = remaining.saturating_add(16);
        }
    }

    /// About how many matching messages are in the `left` sequences that follow the last found one.
    async fn remaining(
        &mut self,
        found: &[Stored],
        pending: Option<u64>,
        start: u64,
        left: u64,
    ) -> Result<usize, Error> {
        let Some(pending) = pending else {
            let seen = found
                .last()
                .map_or(1, |last| last.seq.saturating_sub(start) + 1);
            let density = found.len() as f64 / seen as f64;
            return Ok((density * left as f64).ceil() as usize);
        };
        let above = match self.above {
            Some(above) => above,
            None => {
                let batch = self.fetch(Start::Seq(self.end), u64::MAX, 1).await?;
                let count = if batch.messages.is_empty() { 0 } else { 1 };
                let above = batch.pending.map_or(count, |pending| pending + count);
                self.above = Some(above);
                above
            }
        };
        // All that was found lies above this window too.
        let above = above.saturating_add(self.found.len() as u64);
        let remaining = pending.saturating_sub(above).min(left);
        Ok(usize::try_from(remaining).unwrap_or(usize::MAX))
    }
}

/// Forward.
impl Strand<'_> {
    /// Begins at `start`.
    ///
    /// # Errors
    /// As [`Source::first`].
    pub(super) async fn forth_from(
        &mut self,
        start: Start,
        state: &WireState,
    ) -> Result<(), Error> {
        self.start = match start {
            Start::Seq(seq) => Start::Seq(seq.max(state.first_seq)),
            Start::Time(_) if self.source.direct => start,
            // The leader finds one message by its time.
            Start::Time(_) => match self.source.first(start).await? {
                Some(stored) => Start::Seq(stored.seq),
                None => {
                    self.ended = true;
                    start
                }
            },
        };
        Ok(())
    }

    /// Whether there may be matching messages above those fetched.
    pub(super) fn goes_up(&self) -> bool {
        !self.ended
    }

    /// Leaves out what was stored after `last`: another strand may not have been asked late enough to have it.
    pub(super) fn cut(&mut self, last: u64) {
        while self.met.back().is_some_and(|stored| stored.seq > last) {
            self.met.pop_back();
            self.ended = true;
        }
    }

    fn at(&self) -> u64 {
        match self.start {
            Start::Seq(seq) => seq,
            Start::Time(_) => 0,
        }
    }

    /// Fetches about `want` messages more, or finds that there are none.
    ///
    /// # Errors
    /// As [`Source::fetch`].
    pub(super) async fn up(&mut self, want: usize, state: &WireState) -> Result<(), Error> {
        let end = self.forward_end(want, state);
        let batch = self.fetch(self.start, end, want).await?;
        self.advance(batch, end, state);
        Ok(())
    }

    fn advance(&mut self, batch: Batch, end: u64, state: &WireState) {
        let (count, from) = (batch.messages.len(), self.at());
        if let Some(last) = batch.messages.last() {
            self.start = Start::Seq(last.seq.saturating_add(1));
        }
        self.met.extend(batch.messages);
        if !batch.complete && count > 0 {
            return;
        }
        if end > state.last_seq {
            self.ended = true;
            return;
        }
        let met = count as f64 / end.saturating_sub(from).max(1) as f64;
        self.density = met.max(self.density / GROWTH).max(f64::EPSILON);
        self.start = Start::Seq(end);
    }

    /// Where a batch ends. A quick source stops by itself; else the leader is asked for many parts of a range at once, which
    /// must not be much wider than needed.
    fn forward_end(&self, want: usize, state: &WireState) -> u64 {
        if self.source.is_quick() {
            return u64::MAX;
        }
        let span = (want as f64 / self.density).ceil() as u64;
        self.at()
            .saturating_add(span)
            .min(state.last_seq.saturating_add(1))
    }

    /// The sequence up to which all was looked at; `None`: to the end.
    pub(super) fn seen(&self) -> Option<u64> {
        let next = match self.met.front() {
            Some(stored) => Some(stored.seq),
            None => (!self.ended).then(|| self.at()),
        };
        next.map(|seq| seq.saturating_sub(1))
    }

    /// Whether anything follows what was fetched. The leader gives no number, so it is asked.
    ///
    /// # Errors
    /// As [`Source::first`].
    pub(super) async fn follows(&self) -> Result<bool, Error> {
        if self.ended || !self.met.is_empty() {
            return Ok(!self.met.is_empty());
        }
        Ok(self.source.direct || self.source.first(self.start).await?.is_some())
    }
}

/// Messages per sequence when `messages` of them are spread over `first..=last`.
fn density(messages: u64, first: u64, last: u64) -> f64 {
    let range = last.saturating_sub(first).saturating_add(1);
    (messages as f64 / range as f64).clamp(f64::EPSILON, 1.0)
}
