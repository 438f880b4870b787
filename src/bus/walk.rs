//! How a page of history is found: exact under gaps, filters and concurrent posts, within a bounded
//! number of round trips.
//!
//! Each filter is a [`Strand`] that fetches its messages in portions. The page looks at the messages of all strands in the
//! order of their sequences, each once, however many filters it fits. A strand that has nothing left to look at is asked for
//! more before the page goes on, all such strands at the same time.

use super::api::WireState;
use super::direct::BATCH;
use super::error::Error;
use super::read::{Accept, From, MAX_PAGE, Page, ReadRequest, Start, Stored};
use super::recall::Recall;
use super::strand::{Head, Strand};
use futures_util::future::try_join_all;

/// A page is cut short when its payloads reach this many bytes.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// Builds one page.
pub(super) struct Walk<'a> {
    strands: Vec<Strand<'a>>,
    state: &'a WireState,
    accept: Accept<'a>,
    limit: usize,
    scan: usize,
    /// Messages of one strand that fit into half of [`MAX_PAGE_BYTES`], by the average of the stream.
    fitting: usize,
    looked: usize,
    bytes: usize,
    page: Page,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        strands: Vec<Strand<'a>>,
        state: &'a WireState,
        request: &ReadRequest,
        accept: Accept<'a>,
    ) -> Self {
        let average = state.bytes.checked_div(state.messages).unwrap_or(0).max(1);
        let fitting = MAX_PAGE_BYTES as u64 / 2 / average / strands.len().max(1) as u64;
        Self {
            strands,
            state,
            accept,
            limit: request.limit.clamp(1, MAX_PAGE),
            scan: request.scan.max(1),
            fitting: usize::try_from(fitting).unwrap_or(BATCH).clamp(1, BATCH),
            looked: 0,
            bytes: 0,
            page: Page {
                total: state.messages,
                first_seq: state.first_seq,
                last_seq: state.last_seq,
                ..Page::default()
            },
        }
    }

    /// Reads the page. `heads` is what was asked for already of the newest: nothing, or one for each strand.
    pub(super) async fn run(
        mut self,
        from: From,
        heads: Vec<Option<Head>>,
        recall: &Recall,
    ) -> Result<Page, Error> {
        if self.state.messages > 0 {
            match from {
                From::Newest => {
                    self.backward(u64::MAX, heads).await?;
                    for strand in &self.strands {
                        recall.learn(strand.filter(), strand.learnt());
                    }
                }
                From::Before(end) => self.backward(end, Vec::new()).await?,
                From::After(seq) => {
                    let start = Start::Seq(seq.saturating_add(1));
                    self.forward(start).await?;
                }
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

    /// The newest messages below `end`.
    async fn backward(&mut self, end: u64, heads: Vec<Option<Head>>) -> Result<(), Error> {
        let newest = end > self.state.last_seq;
        let end = end.min(self.state.last_seq.saturating_add(1));
        let heads = heads.into_iter().chain(std::iter::repeat_with(|| None));
        for (strand, head) in self.strands.iter_mut().zip(heads) {
            strand.back_from(end, newest, head, self.state);
        }
        while !self.done() {
            // One more than is looked at: it shows that there is more, now and when the page is read again.
            let want = (self.want() + 1).min(BATCH);
            let hungry = |s: &&mut Strand<'_>| s.met.is_empty() && s.goes_down();
            let hungry: Vec<_> = self.strands.iter_mut().filter(hungry).collect();
            if hungry.iter().any(|strand| strand.tired()) {
                break;
            }
            if !hungry.is_empty() {
                try_join_all(hungry.into_iter().map(|s| s.down(want, self.state))).await?;
                continue;
            }
            let tops = self.strands.iter().filter_map(|s| s.met.back());
            let Some(seq) = tops.map(|stored| stored.seq).max() else {
                break;
            };
            // A message that fits several filters is the newest one of each of them.
            let fits = |s: &&mut Strand<'_>| s.met.back().is_some_and(|m| m.seq == seq);
            let taken = self.strands.iter_mut().filter(fits);
            if let Some(stored) = taken.filter_map(|s| s.met.pop_back()).last() {
                self.look(stored);
            }
        }
        self.page.messages.reverse();
        self.page.next = self.older().await?;
        Ok(())
    }

    /// Where the page before begins, if there is one.
    async fn older(&mut self) -> Result<Option<u64>, Error> {
        let below = |strands: &[Strand<'_>]| strands.iter().filter_map(Strand::below).max();
        let sure = |s: &Strand<'_>| s.below().is_some_and(|(_, sure)| sure);
        if !self.strands.iter().any(sure) {
            let unsure = self.strands.iter_mut().filter(|s| s.met.is_empty());
            try_join_all(unsure.map(|s| s.find_floor(self.state))).await?;
        }
        Ok(below(&self.strands).map(|(seq, _)| seq))
    }

    /// The oldest messages from `start` on.
    async fn forward(&mut self, start: Start) -> Result<(), Error> {
        let begun = self.strands.iter_mut();
        try_join_all(begun.map(|s| s.forth_from(start, self.state))).await?;
        let several = self.strands.len() > 1;
        while !self.done() {
            let want = self.want();
            if several {
                let last = self.state.last_seq;
                self.strands.iter_mut().for_each(|strand| strand.cut(last));
            }
            let hungry = |s: &&mut Strand<'_>| s.met.is_empty() && s.goes_up();
            let hungry: Vec<_> = self.strands.iter_mut().filter(hungry).collect();
            if hungry.iter().any(|strand| strand.tired()) {
                break;
            }
            if !hungry.is_empty() {
                try_join_all(hungry.into_iter().map(|s| s.up(want, self.state))).await?;
                continue;
            }
            let tops = self.strands.iter().filter_map(|s| s.met.front());
            let Some(seq) = tops.map(|stored| stored.seq).min() else {
                return Ok(());
            };
            let fits = |s: &&mut Strand<'_>| s.met.front().is_some_and(|m| m.seq == seq);
            let taken = self.strands.iter_mut().filter(fits);
            if let Some(stored) = taken.filter_map(|s| s.met.pop_front()).last() {
                self.look(stored);
            }
        }
        let follows = try_join_all(self.strands.iter().map(Strand::follows)).await?;
        if follows.contains(&true) {
            self.page.next = self.strands.iter().filter_map(Strand::seen).min();
        }
        Ok(())
    }
}
