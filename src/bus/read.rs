//! Pages of history: what can be asked, what comes back, and where the messages come from.
//! How a page is found is in `walk.rs`.
//!
//! In a cluster any replica may answer a direct get; one that lags behind the leader does not have
//! the very newest messages yet.

use super::api::{self, Failure, Info, code};
use super::direct::{self, BATCH, BATCH_BYTES, Batch};
use super::ensure::Resource;
use super::error::{Error, ErrorKind};
use super::leader;
use super::link::Link;
use super::message::{Bytes, check_filter};
use super::pull;
use super::recall::{Recall, Trace};
use super::strand::{Head, Strand};
use super::time::rfc3339;
use super::walk::Walk;
use futures_util::future::{try_join, try_join_all};
use serde_json::json;
use std::time::SystemTime;

/// Largest page.
pub const MAX_PAGE: usize = 1000;

/// Which page of history is wanted.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Only messages on these subjects; wildcards allowed. Empty: all.
    pub subjects: Vec<String>,
    /// Most accepted messages, 1 to [`MAX_PAGE`]; other values are moved into that range.
    pub limit: usize,
    /// Where the page starts, and its direction.
    pub from: From,
    /// Most messages shown to `accept`; at least 1.
    pub scan: usize,
}

impl Default for ReadRequest {
    fn default() -> Self {
        Self {
            subjects: Vec::new(),
            limit: 50,
            from: From::Newest,
            scan: 10_000,
        }
    }
}

/// Where a page starts, and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The newest messages.
    Newest,
    /// The newest messages below this sequence (exclusive).
    Before(u64),
    /// The oldest messages above this sequence (exclusive).
    After(u64),
    /// The oldest messages stored at this time or later.
    Since(SystemTime),
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Sequence in the stream.
    pub seq: u64,
    /// When it was stored, RFC 3339 UTC as NATS gives it.
    pub time: String,
    /// Subject it was sent to.
    pub subject: String,
    /// Headers, sorted by name.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub payload: Bytes,
}

impl Stored {
    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A page of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Accepted messages, always ascending by sequence.
    pub messages: Vec<Stored>,
    /// Messages in the stream when the page was read, of all subjects.
    pub total: u64,
    /// Oldest sequence of the stream; 0 when it was never used.
    pub first_seq: u64,
    /// Newest sequence of the stream.
    pub last_seq: u64,
    /// When the stream was created, RFC 3339: tells it from one of the same name before or after it.
    pub created: Option<String>,
    /// Messages that were looked at and not accepted.
    pub skipped: u64,
    /// Whether more matching messages exist in this direction, accepted or not.
    pub more: bool,
    /// Start of the next page of the same direction: [`From::Before`] or [`From::After`] this.
    /// `None` exactly when `more` is false.
    pub next: Option<u64>,
    /// The page ended because `scan` messages were looked at (or an equal bound of round trips or
    /// bytes was met), not because it is full.
    pub exhausted_scan: bool,
}

pub(super) type Accept<'a> = &'a mut (dyn FnMut(&Stored) -> bool + Send);

/// Reads a page; a vanished stream is made again (and is then empty).
pub(super) async fn page(
    resource: &Resource,
    request: &ReadRequest,
    accept: Accept<'_>,
) -> Result<Page, Error> {
    let all = [">".to_owned()];
    let filters = match &request.subjects[..] {
        [] => &all[..],
        subjects => subjects,
    };
    for filter in filters {
        check_filter(filter)?;
    }
    let what = format!("reading the {}", resource.label);
    let recall = &resource.recall;
    let traces = filters.iter().map(|filter| match request.from {
        From::Newest => recall.get(filter),
        _ => Trace::default(),
    });
    let traces: Vec<Trace> = traces.collect();
    let mut link = resource.ready(&what).await?;
    let (info, heads) = match begin(resource, &link, &what, (filters, &traces), request).await {
        Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
            link = resource.again(&what).await?;
            let info = api::info(&link, &what, &resource.name).await;
            info.map(|info| (info, Vec::new()))
        }
        begun => begun,
    }
    .map_err(|failure| failure.into_error(&what))?;
    let direct = info.allows_direct();
    recall.set_ahead(direct && !info.clustered && !link.clustered());
    let pull = (!direct && info.keeps() && recall.may_pull()).then_some(recall);
    let strands = filters.iter().zip(traces).map(|(filter, trace)| {
        let (link, what, stream) = (&*link, what.as_str(), resource.name.as_str());
        let source = Source {
            link,
            what,
            stream,
            filter,
            direct,
            pull,
        };
        Strand::new(source, trace, &info.state)
    });
    let page = Walk::new(strands.collect(), &info.state, request, accept)
        .run(request.from, heads, recall)
        .await?;
    Ok(Page {
        created: info.created,
        ..page
    })
}

/// Asks what there is, and, where one server answers both, for the messages at the same time.
///
/// The page ends with the last sequence of the info, so the messages must not be older than the info; the server may answer
/// the two in any order. What may lack messages is asked for again.
async fn begin(
    resource: &Resource,
    link: &Link,
    what: &str,
    (filters, traces): (&[String], &[Trace]),
    request: &ReadRequest,
) -> Result<(Info, Vec<Option<Head>>), Failure> {
    let recall = &resource.recall;
    let (created, end) = recall.end();
    let info = api::info(link, what, &resource.name);
    // Whoever goes on from a position must not meet what a stream that was deleted meanwhile still answers.
    if !recall.ahead() || request.from != From::Newest {
        let info = info.await?;
        recall.set_end(info.created.clone(), info.state.last_seq);
        return Ok((info, Vec::new()));
    }
    let ask = async |filter: &String, trace: &Trace| {
        let source = Source {
            link,
            what,
            stream: &resource.name,
            filter,
            direct: true,
            pull: None,
        };
        source.head(trace, request).await
    };
    let asked = filters.iter().zip(traces);
    let heads = try_join_all(asked.clone().map(|(filter, trace)| ask(filter, trace)));
    // When the info fails the others are given up.
    let (info, heads) = try_join(info, async { given(heads.await) }).await?;
    recall.set_end(info.created.clone(), info.state.last_seq);
    let sure = if created == info.created { end } else { 0 };
    let heads = heads
        .into_iter()
        .zip(asked)
        .map(async |(head, (filter, trace))| {
            let lacks = |head: &Head| head.may_lack(info.state.last_seq, sure);
            match head.as_ref().is_some_and(lacks) {
                true => ask(filter, trace).await,
                false => Ok(head),
            }
        });
    let heads = given(try_join_all(heads).await)?;
    Ok((info, heads))
}

/// What was asked for ahead; nothing, when the stream is gone: the info tells that.
fn given(heads: Result<Vec<Option<Head>>, Error>) -> Result<Vec<Option<Head>>, Failure> {
    match heads {
        Err(error) if error.kind() == ErrorKind::NoStream => Ok(Vec::new()),
        heads => heads.map_err(Failure::Failed),
    }
}

/// Where batches come from.
pub(super) struct Source<'a> {
    pub(super) link: &'a Link,
    pub(super) what: &'a str,
    pub(super) stream: &'a str,
    pub(super) filter: &'a str,
    /// Batch direct get; else from the leader.
    pub(super) direct: bool,
    /// From the leader by a consumer, unless that is refused; else message by message.
    pub(super) pull: Option<&'a Recall>,
}

/// The first message of a batch.
#[derive(Clone, Copy)]
pub(super) enum Start {
    Seq(u64),
    Time(SystemTime),
}

impl Source<'_> {
    /// Whether a batch costs about the same whatever range it is of, and says how much follows.
    pub(super) fn is_quick(&self) -> bool {
        self.direct || self.pull.is_some_and(Recall::may_pull)
    }

    /// What a page most likely needs, asked for before it is known what there is.
    async fn head(&self, trace: &Trace, request: &ReadRequest) -> Result<Option<Head>, Error> {
        let limit = request.limit.clamp(1, MAX_PAGE).min(request.scan.max(1));
        match request.from {
            // The oldest message of all is known by the info.
            From::Newest if self.filter == ">" && trace.begin(limit).is_none() => Ok(None),
            From::Newest => Head::newest(self, trace, limit).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Matching messages from `start` up to `end` (exclusive), the first `most` of them.
    pub(super) async fn fetch(&self, start: Start, end: u64, most: usize) -> Result<Batch, Error> {
        let most = most.clamp(1, BATCH);
        if !self.direct {
            return self.fetch_from_leader(start, end, most).await;
        }
        let mut body =
            json!({ "next_by_subj": self.filter, "batch": most, "max_bytes": BATCH_BYTES });
        match start {
            Start::Seq(seq) => body["seq"] = seq.into(),
            Start::Time(time) => body["start_time"] = rfc3339(time).into(),
        }
        direct::batch(self.link, self.what, self.stream, &body, end)
            .await
            .map_err(|trouble| trouble.into_error(self.what))
    }

    async fn fetch_from_leader(&self, start: Start, end: u64, most: usize) -> Result<Batch, Error> {
        let Self {
            link,
            what,
            stream,
            filter,
            pull,
            ..
        } = *self;
        if let (Start::Seq(low), Some(recall)) = (start, pull) {
            match pull::batch(link, what, stream, filter, low..end, most).await? {
                Some(batch) => return Ok(batch),
                None => recall.refuse_pull(),
            }
        }
        match start {
            Start::Seq(low) => leader::batch(link, what, stream, filter, low..end, most).await,
            // Only the first one: it says where the time is.
            Start::Time(_) => Ok(Batch {
                messages: self.first(start).await?.into_iter().collect(),
                ..Batch::default()
            }),
        }
    }

    /// The first matching message from `start` on, asked from the leader.
    pub(super) async fn first(&self, start: Start) -> Result<Option<Stored>, Error> {
        let body = match start {
            Start::Seq(seq) => json!({ "seq": seq, "next_by_subj": self.filter }),
            Start::Time(time) => {
                json!({ "start_time": rfc3339(time), "next_by_subj": self.filter })
            }
        };
        leader::get(self.link, self.what, self.stream, &body)
            .await
            .map_err(|failure| failure.into_error(self.what))
    }
}
