//! Which subjects each operation of the bus needs, so that a NATS user can be allowed these and no others.
//!
//! A name or a part of a subject that is not known yet is a `*`. What is needed in cases that a gateway can do without (telling
//! which stream has a subject, reading a stream of another program that does not allow direct get) is not among them.

use std::collections::{BTreeMap, BTreeSet};

use super::feed::{self, covers};

/// What a NATS user may do, and what each line is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    publish: Lines,
    subscribe: Lines,
    /// Who answers whoever asks, on subjects that nobody knows before.
    answers: BTreeSet<String>,
    /// What the subjects of answers to this user begin with.
    inbox: String,
}

/// Subjects, each with its reasons.
type Lines = BTreeMap<String, BTreeSet<String>>;

/// What is done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStream<'a> {
    /// It is made if it is not there.
    Ensure,
    /// Its limits are changed.
    Adjust,
    /// Messages on these subjects are stored.
    Store(&'a [String]),
    /// Pages of history are read.
    Read,
    /// It is asked what it holds.
    Info,
    /// What it stores is followed.
    Follow,
    /// What it will store on these subjects is heard, each message before it is stored.
    Hear(&'a [String]),
    /// It is waited for a message on these subjects.
    Await(&'a [String]),
    /// Single messages are removed.
    Erase,
    /// Old messages are removed.
    Purge,
    /// It is deleted.
    Delete,
    /// A single message is read.
    Message,
}

/// What is done with a bucket. Keys may have wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBucket<'a> {
    /// It is made if it is not there.
    Ensure,
    /// A key is read.
    Get(&'a str),
    /// A key is written or removed.
    Put(&'a str),
    /// Keys are read with their values.
    List,
    /// All revisions of a key are read.
    History,
}

/// What is done with a lane of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLane {
    /// Items are put into it.
    Store,
    /// Items are handed out.
    Claim,
    /// It is heard when an item comes.
    Await,
    /// Items that were handed out are held, done, or given back.
    Settle,
    /// Items are looked at.
    Look,
    /// Items are counted.
    Count,
}

/// What the operations on a lane are about.
#[derive(Clone, Debug)]
pub struct LanePlace {
    /// The stream of the items.
    pub stream: String,
    /// The subjects of its levels.
    pub subject: String,
    /// Its durables.
    pub consumer: String,
}

/// Whether a line of permissions allows a subject.
pub fn allows(line: &str, subject: &str) -> bool {
    covers(line, subject)
}

/// One line of what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The subject, perhaps with wildcards.
    pub subject: String,
    /// What it is for, sorted.
    pub why: Vec<String>,
}

impl Permits {
    /// Nothing is allowed; answers come to subjects that begin so.
    pub fn new(inbox: &str) -> Self {
        Self {
            inbox: inbox.to_owned(),
            ..Self::default()
        }
    }

    /// What may be sent, without what is covered by another line.
    pub fn publish(&self) -> Vec<Line> {
        merged(&self.publish)
    }

    /// What may be heard, likewise.
    pub fn subscribe(&self) -> Vec<Line> {
        merged(&self.subscribe)
    }

    /// Who answers whoever asks: `allow_responses` of a NATS server. Nobody, if it is empty.
    pub fn answers(&self) -> Vec<String> {
        self.answers.iter().cloned().collect()
    }

    /// Messages are sent on core NATS. The server tells by an echo that it has handled one.
    pub fn send(&mut self, why: &str, subject: &str) {
        self.publishes(why, subject);
        self.echo(why);
    }

    /// Messages are sent whose answers come some other way ([`Bus::post`](super::Bus::post)).
    pub fn post(&mut self, why: &str, subject: &str) {
        self.ask(why, subject);
    }

    /// It is asked who listens ([`Bus::listened`](super::Bus::listened)).
    pub fn listened(&mut self, why: &str, subject: &str) {
        self.publishes(why, subject);
        self.echo(why);
    }

    /// Requests are sent, and answered.
    pub fn ask(&mut self, why: &str, subject: &str) {
        self.publishes(why, subject);
        self.hears_answers(why);
    }

    /// Messages are heard. The server tells by an echo that it has handled the subscription.
    pub fn listen(&mut self, why: &str, subject: &str) {
        self.subscribes(why, subject);
        self.echo(why);
    }

    /// Whoever asks is answered.
    pub fn answer(&mut self, why: &str) {
        self.answers.insert(why.to_owned());
    }

    /// Whether this is where answers come to this user.
    pub(super) fn is_own_inbox(&self, subject: &str) -> bool {
        subject == self.own()
    }

    /// Something is done with a stream.
    pub fn stream(&mut self, why: &str, name: &str, what: OnStream<'_>) {
        let mut api = |verb: &str| self.api(why, &format!("{verb}.{name}"));
        match what {
            OnStream::Ensure => {
                api("STREAM.INFO");
                api("STREAM.CREATE");
            }
            OnStream::Adjust => api("STREAM.UPDATE"),
            OnStream::Store(subjects) => {
                for subject in subjects {
                    self.ask(why, subject);
                }
            }
            OnStream::Read => {
                api("STREAM.INFO");
                api("DIRECT.GET");
            }
            OnStream::Info => api("STREAM.INFO"),
            OnStream::Follow => {
                api("STREAM.INFO");
                api("DIRECT.GET");
                api("STREAM.MSG.GET");
                self.api(why, &format!("CONSUMER.CREATE.{name}.*"));
                self.api(why, &format!("CONSUMER.DELETE.{name}.*"));
                self.publishes(why, &format!("$JS.FC.{name}.>"));
            }
            OnStream::Hear(subjects) => {
                for subject in feed::heard_on(subjects) {
                    self.listen(why, &subject);
                }
            }
            OnStream::Await(subjects) => {
                for subject in subjects {
                    self.listen(why, subject);
                }
            }
            OnStream::Erase => api("STREAM.MSG.DELETE"),
            OnStream::Purge => api("STREAM.PURGE"),
            OnStream::Delete => {
                api("STREAM.INFO");
                api("STREAM.DELETE");
            }
            OnStream::Message => api("STREAM.MSG.GET"),
        }
    }

    /// Something is done with a bucket.
    pub fn bucket(&mut self, why: &str, name: &str, what: OnBucket<'_>) {
        let stream = format!("KV_{name}");
        match what {
            OnBucket::Ensure => self.stream(why, &stream, OnStream::Ensure),
            OnBucket::Get(key) => {
                self.api(why, &format!("DIRECT.GET.{stream}.$KV.{name}.{key}"));
            }
            OnBucket::Put(key) => self.ask(why, &format!("$KV.{name}.{key}")),
            OnBucket::List | OnBucket::History => self.stream(why, &stream, OnStream::Read),
        }
    }

    /// Something is done with a lane of a queue.
    pub fn lane(&mut self, why: &str, lane: &LanePlace, what: OnLane) {
        let LanePlace {
            stream,
            subject,
            consumer,
        } = lane;
        match what {
            OnLane::Store => self.ask(why, subject),
            OnLane::Claim => {
                self.api(why, &format!("CONSUMER.INFO.{stream}.{consumer}"));
                self.api(
                    why,
                    &format!("CONSUMER.CREATE.{stream}.{consumer}.{subject}"),
                );
                self.api(why, &format!("CONSUMER.MSG.NEXT.{stream}.{consumer}"));
                self.stream(why, stream, OnStream::Info);
                self.lane(why, lane, OnLane::Settle);
            }
            OnLane::Await => self.listen(why, subject),
            OnLane::Settle => {
                self.ask(why, &format!("$JS.ACK.{stream}.{consumer}.>"));
                self.stream(why, stream, OnStream::Message);
                self.stream(why, stream, OnStream::Erase);
            }
            OnLane::Look => self.stream(why, stream, OnStream::Read),
            OnLane::Count => self.stream(why, stream, OnStream::Info),
        }
    }

    /// The services on NATS are asked for.
    pub fn discover(&mut self, why: &str) {
        self.ask(why, super::services::discover::INFO);
    }

    /// A service is offered: it tells about itself, and answers on these subjects.
    pub fn offer<'a>(
        &mut self,
        why: &str,
        name: &str,
        subjects: impl IntoIterator<Item = &'a str>,
    ) {
        for verb in ["PING", "INFO", "STATS"] {
            for rest in [String::new(), format!(".{name}"), format!(".{name}.*")] {
                self.subscribes(why, &format!("$SRV.{verb}{rest}"));
            }
        }
        for subject in subjects {
            self.subscribes(why, subject);
        }
        self.echo(why);
        self.answer(why);
    }

    /// A request to the JetStream API.
    fn api(&mut self, why: &str, verb: &str) {
        self.ask(why, &format!("$JS.API.{verb}"));
    }

    fn echo(&mut self, why: &str) {
        let own = self.own();
        self.publishes(why, &own);
        self.hears_answers(why);
    }

    fn hears_answers(&mut self, why: &str) {
        let own = self.own();
        self.subscribes(why, &own);
    }

    fn own(&self) -> String {
        format!("{}.>", self.inbox)
    }

    fn publishes(&mut self, why: &str, subject: &str) {
        note(&mut self.publish, why, subject);
    }

    fn subscribes(&mut self, why: &str, subject: &str) {
        note(&mut self.subscribe, why, subject);
    }
}

fn note(lines: &mut Lines, why: &str, subject: &str) {
    let reasons = lines.entry(subject.to_owned()).or_default();
    reasons.insert(why.to_owned());
}

/// The lines that no other covers, each with the reasons of those that it covers.
fn merged(lines: &Lines) -> Vec<Line> {
    let wider = |subject: &String| {
        let other = |wide: &&String| *wide != subject && covers(wide, subject);
        lines.keys().any(|wide| other(&wide))
    };
    let kept = lines.keys().filter(|subject| !wider(subject));
    kept.map(|subject| {
        let covered = lines.iter().filter(|(narrow, _)| covers(subject, narrow));
        let why: BTreeSet<&String> = covered.flat_map(|(_, reasons)| reasons).collect();
        Line {
            subject: subject.clone(),
            why: why.into_iter().cloned().collect(),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.subject.as_str()).collect()
    }

    #[test]
    fn a_line_that_another_covers_goes_and_leaves_its_reason() {
        let mut permits = Permits::new("_INBOX_me");
        permits.bucket("read", "b", OnBucket::Get("*"));
        permits.bucket("look", "b", OnBucket::Get("fixed"));
        assert_eq!(
            permits.publish(),
            [Line {
                subject: "$JS.API.DIRECT.GET.KV_b.$KV.b.*".to_owned(),
                why: vec!["look".to_owned(), "read".to_owned()],
            }]
        );
        assert_eq!(subjects(&permits.subscribe()), ["_INBOX_me.>"]);
    }

    #[test]
    fn a_lane_needs_its_durables_and_nothing_of_another() {
        let mut permits = Permits::new("_INBOX");
        let lane = LanePlace {
            stream: "S".to_owned(),
            subject: "work.*.*".to_owned(),
            consumer: "*".to_owned(),
        };
        permits.lane("claim", &lane, OnLane::Claim);
        assert_eq!(
            subjects(&permits.publish()),
            [
                "$JS.ACK.S.*.>",
                "$JS.API.CONSUMER.CREATE.S.*.work.*.*",
                "$JS.API.CONSUMER.INFO.S.*",
                "$JS.API.CONSUMER.MSG.NEXT.S.*",
                "$JS.API.STREAM.INFO.S",
                "$JS.API.STREAM.MSG.DELETE.S",
                "$JS.API.STREAM.MSG.GET.S",
            ]
        );
        permits.lane("wait", &lane, OnLane::Await);
        assert_eq!(subjects(&permits.subscribe()), ["_INBOX.>", "work.*.*"]);
    }
}
