//! How a page of history is found: exact under gaps, filters and concurrent posts, within a bounded
//! number of round trips.
//!
//! Backward, the walk looks at windows of sequences `[low, high)` from the end down. How wide a
//! window must be is estimated from the density of matching messages: sparser than thought, and the
//! next window is wider; denser, and the window is narrowed and asked again. A window counts only
//! when it was read to its upper end, so the estimates steer and never decide what is on the page.

use super::api::WireState;
use super::direct::{BATCH, Batch};
use super::error::Error;
use super::read::{Accept, From, MAX_PAGE, Page, ReadRequest, Source, Start, Stored};

/// A page is cut short when its payloads reach this many bytes.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;
/// Most batches for one page; a page that needs more ends early and says so.
const MAX_TRIPS: usize = 128;
/// How much wider a window gets after an empty one.
const GROWTH: f64 = 8.0;

/// Builds one page.
pub(super) struct Walk<'a> {
    source: &'a Source<'a>,
    state: &'a WireState,
    accept: Accept<'a>,
    limit: usize,
    scan: usize,
    /// Messages that fit into half of [`MAX_PAGE_BYTES`], by the average of the stream.
    fitting: usize,
    looked: usize,
    bytes: usize,
    trips: usize,
    /// Matching messages per sequence, as far as is known.
    density: f64,
    /// Matching messages above the page asked for; unknown until it is needed.
    above: Option<u64>,
    page: Page,
}

/// What a look at a window gave.
enum Window {
    /// All its matching messages.
    Read(Vec<Stored>),
    /// It has too many to read them all; they are about this dense.
    Dense(f64),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        state: &'a WireState,
        request: &ReadRequest,
        accept: Accept<'a>,
    ) -> Self {
        let average = state.bytes.checked_div(state.messages).unwrap_or(0).max(1);
        let fitting = MAX_PAGE_BYTES as u64 / 2 / average;
        Self {
            source,
            state,
            accept,
            limit: request.limit.clamp(1, MAX_PAGE),
            scan: request.scan.max(1),
            fitting: usize::try_from(fitting).unwrap_or(BATCH).clamp(1, BATCH),
            looked: 0,
            bytes: 0,
            trips: 0,
            density: density(state.messages, state.first_seq, state.last_seq),
            above: None,
            page: Page {
                total: state.messages,
                first_seq: state.first_seq,
                last_seq: state.last_seq,
                ..Page::default()
            },
        }
    }

    pub(super) async fn run(mut self, from: From) -> Result<Page, Error> {
        if self.state.messages > 0 {
            match from {
                From::Newest => {
                    self.above = Some(0);
                    self.backward(u64::MAX).await?;
                }
                From::Before(end) => self.backward(end).await?,
                From::After(seq) => self.forward(Start::Seq(seq.saturating_add(1))).await?,
                From::Since(time) => self.forward(Start::Time(time)).await?,
            }
        }
        self.page.more = self.page.next.is_some();
        self.page.exhausted_scan = self.page.more && !self.full();
        Ok(self.page)
    }

    fn full(&self) -> bool {
        self.page.messages.len() >= self.limit
    }

    /// No further message may be looked at.
    fn done(&self) -> bool {
        self.full() || self.looked >= self.scan || self.bytes >= MAX_PAGE_BYTES
    }

    fn look(&mut self, stored: Stored) {
        self.looked += 1;
        if (self.accept)(&stored) {
            self.bytes = self.bytes.saturating_add(stored.payload.len());
            self.page.messages.push(stored);
        } else {
            self.page.skipped += 1;
        }
    }

    /// How many more messages to look at, given how many were accepted so far.
    fn want(&self) -> usize {
        let missing = self.limit - self.page.messages.len();
        let accepted = self.page.messages.len().max(1);
        let expected = match self.looked {
            0 => missing,
            looked => missing.saturating_mul(looked).div_ceil(accepted),
        };
        expected
            .min(self.scan - self.looked)
            .min(self.fitting)
            .clamp(1, BATCH)
    }

    async fn fetch(&mut self, start: Start, end: u64, most: usize) -> Result<Batch, Error> {
        self.trips += 1;
        self.source.fetch(start, end, most).await
    }

    /// The newest messages below `end`.
    async fn backward(&mut self, end: u64) -> Result<(), Error> {
        let end = end.min(self.state.last_seq.saturating_add(1));
        let Some(floor) = self.floor(end).await? else {
            return Ok(());
        };
        let mut high = end;
        while high > floor && !self.done() && self.trips < MAX_TRIPS {
            let want = self.want();
            let slack = if self.density >= 1.0 { 1.0 } else { 1.25 };
            // A float to integer cast saturates; the clamp bounds it.
            let span = (want as f64 / self.density * slack).ceil() as u64;
            let span = span.max(want as u64).min(high - floor);
            let low = high - span;
            match self.window(low, high, end, want).await? {
                Window::Dense(density) => self.density = density.max(self.density * 2.0).min(1.0),
                Window::Read(messages) => {
                    let met = messages.len() as f64 / span as f64;
                    self.density = met.max(self.density / GROWTH).min(1.0);
                    high = self.take_newest(messages).unwrap_or(low);
                }
            }
        }
        self.page.messages.reverse();
        // `floor` is a live matching message, so below a higher bound there is something left.
        self.page.next = (high > floor).then_some(high);
        Ok(())
    }

    /// The sequence of the oldest matching message; sets the density on the way. `None`: nothing
    /// matches below `end`.
    async fn floor(&mut self, end: u64) -> Result<Option<u64>, Error> {
        let first = self.state.first_seq;
        let all = self.state.last_seq.saturating_add(1);
        let (floor, total) = if self.source.filter == ">" {
            (first, Some(self.state.messages))
        } else if self.source.direct {
            let batch = self.fetch(Start::Seq(first), all, 1).await?;
            let Some(oldest) = batch.messages.first() else {
                return Ok(None);
            };
            (
                oldest.seq,
                batch.pending.map(|pending| pending.saturating_add(1)),
            )
        } else {
            match self.source.first(Start::Seq(first)).await? {
                Some(oldest) => (oldest.seq, None),
                None => return Ok(None),
            }
        };
        if floor >= end {
            return Ok(None);
        }
        if let Some(total) = total {
            self.density = density(total, floor, self.state.last_seq);
        }
        Ok(Some(floor))
    }

    /// Reads `[low, high)` to its upper end, unless it has far more than `want`.
    async fn window(
        &mut self,
        low: u64,
        high: u64,
        end: u64,
        want: usize,
    ) -> Result<Window, Error> {
        let enough = want.saturating_mul(2).max(256);
        let expected = (high - low) as f64 * self.density * 1.5;
        let mut most = (expected as usize).saturating_add(16).max(want);
        if self.density >= 1.0 {
            most = want;
        }
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
            let remaining = self
                .remaining(&found, batch.pending, start, left, end)
                .await?;
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
        end: u64,
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
                let batch = self.fetch(Start::Seq(end), u64::MAX, 1).await?;
                let count = if batch.messages.is_empty() { 0 } else { 1 };
                let above = batch.pending.map_or(count, |pending| pending + count);
                self.above = Some(above);
                above
            }
        };
        // All that was looked at lies above this window too.
        let above = above.saturating_add(self.looked as u64);
        let remaining = pending.saturating_sub(above).min(left);
        Ok(usize::try_from(remaining).unwrap_or(usize::MAX))
    }

    /// Looks at messages from the newest down. Returns where it stopped, if before the oldest.
    fn take_newest(&mut self, mut messages: Vec<Stored>) -> Option<u64> {
        while let Some(stored) = messages.pop() {
            if self.done() {
                return Some(stored.seq.saturating_add(1));
            }
            self.look(stored);
        }
        None
    }

    /// The oldest messages from `start` on.
    async fn forward(&mut self, start: Start) -> Result<(), Error> {
        let mut at = match start {
            Start::Seq(seq) => seq.max(self.state.first_seq),
            Start::Time(_) if self.source.direct => 0,
            Start::Time(_) => match self.source.first(start).await? {
                Some(stored) => stored.seq,
                None => return Ok(()),
            },
        };
        let mut start = if at == 0 { start } else { Start::Seq(at) };
        while !self.done() && self.trips < MAX_TRIPS {
            let want = self.want();
            let end = self.forward_end(at, want);
            let batch = self.fetch(start, end, want).await?;
            let (count, from) = (batch.messages.len(), at);
            for stored in batch.messages {
                if self.done() {
                    self.page.next = Some(at.saturating_sub(1));
                    return Ok(());
                }
                at = stored.seq.saturating_add(1);
                self.look(stored);
            }
            if batch.complete || count == 0 {
                if end > self.state.last_seq {
                    return Ok(());
                }
                let met = count as f64 / end.saturating_sub(from).max(1) as f64;
                self.density = met.max(self.density / GROWTH).max(f64::EPSILON);
                at = end;
            }
            start = Start::Seq(at);
        }
        // Without a number from the server, ask whether anything follows.
        let follows = self.source.direct || self.source.first(start).await?.is_some();
        self.page.next = follows.then_some(at.saturating_sub(1));
        Ok(())
    }

    /// Where a batch ends that begins at `at`. A direct get stops by itself; the leader is asked
    /// for many parts of a range at once, which must not be much wider than needed.
    fn forward_end(&self, at: u64, want: usize) -> u64 {
        if self.source.direct {
            return u64::MAX;
        }
        let span = (want as f64 / self.density).ceil() as u64;
        at.saturating_add(span)
            .min(self.state.last_seq.saturating_add(1))
    }
}

/// Messages per sequence when `messages` of them are spread over `first..=last`.
fn density(messages: u64, first: u64, last: u64) -> f64 {
    let range = last.saturating_sub(first).saturating_add(1);
    (messages as f64 / range as f64).clamp(f64::EPSILON, 1.0)
}
