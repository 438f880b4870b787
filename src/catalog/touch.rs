//! What the tools and routines of a pack touch, told from their declarations alone.
//!
//! Names are those of the declarations and subjects are as they are written, with their placeholders: what they come to
//! for a project and a config is worked out where the permissions are.

use std::collections::BTreeSet;

use crate::spec::data::{Json, Map, Text};
use crate::spec::model::{self, Generator, Listener, Pack, QueueDecl, ResourceDecl, TableDecl};
use crate::spec::tree::{QueueName, SubjectList, Template, Token, Tree};
use crate::spec::verbs::forms::Request;
use crate::spec::verbs::{Step, Verb};

/// One thing that is done to one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Touch {
    /// What is done.
    pub action: Action,
    /// To what.
    pub on: On,
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident $flow:ident $word:literal,)+) => {
        /// What is done. Most actions are a verb of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[doc = $doc])+ $name,)+ }

        impl Action {
            /// The word for it: that of the verb, where it is one.
            pub fn name(self) -> &'static str {
                match self { $(Action::$name => $word,)+ }
            }

            /// Where the data goes.
            pub fn flow(self) -> Flow {
                match self { $(Action::$name => Flow::$flow,)+ }
            }
        }
    };
}

/// Where the data of an action goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// From the tool to what it touches.
    Out,
    /// From what it touches to the tool.
    In,
    /// Both ways.
    Both,
}

actions! {
    /// A message is sent.
    Publish Out "publish",
    /// A message is sent, and an answer awaited.
    Request Both "request",
    /// It is asked whether somebody listens.
    Ask Out "ask",
    /// A message on a subject is answered to whoever asked.
    Answer Out "answer",
    /// Messages are heard as they come.
    Listen In "listen",
    /// Stored messages are followed from some point on.
    Follow In "follow",
    /// Stored messages are read.
    Read In "read",
    /// Messages are taken at a read position.
    Take In "take",
    /// A read position is kept under a key.
    Position Both "position",
    /// The subjects of a stream are told.
    Subjects In "subjects",
    /// The size of a stream is told.
    Info In "info",
    /// A stream is deleted.
    Drop Out "drop",
    /// One message of a stream is removed.
    Erase Out "erase",
    /// A key is read.
    Get In "get",
    /// A key is written.
    Put Out "put",
    /// A key is written if it is not there.
    Create Out "create",
    /// A key is written if its revision is still the expected one.
    Update Out "update",
    /// Fields under a key are changed.
    Modify Both "modify",
    /// The first key that is free is taken.
    Lease Both "lease",
    /// A key is removed.
    Delete Out "delete",
    /// The keys of a bucket are read with their values.
    List In "list",
    /// Entries of a table are found.
    Find In "find",
    /// A line is written to a journal.
    Append Out "append",
    /// An item is put into a queue.
    Enqueue Out "enqueue",
    /// An item of a queue is taken.
    Claim Both "claim",
    /// A claimed item is held on to.
    Extend Out "extend",
    /// A claimed item is done.
    Complete Out "complete",
    /// A claimed item is given back.
    Release Out "release",
    /// The items of a queue are looked at.
    Peek In "peek",
    /// The items of a queue are counted.
    Depth In "depth",
    /// Dead letters are listed.
    Dead In "dead",
    /// A dead letter is put back.
    Revive Both "revive",
    /// A dead letter is removed.
    Discard Out "discard",
    /// What a queue is made of is used.
    Keep Both "keep",
    /// The files of a folder are listed.
    ListFiles In "list_files",
    /// A file is read.
    ReadFile In "read_file",
    /// A file is written.
    WriteFile Out "write_file",
    /// A file is removed.
    DeleteFile Out "delete_file",
    /// A program is run.
    Run Both "run",
    /// It is asked whether a server takes connections.
    Connect Out "connect",
    /// A web server is asked.
    Fetch In "fetch",
    /// The NATS services that are there are asked for.
    Discover In "discover",
}

/// What is touched. Names are those under which the pack declares it.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// A stream of the pack.
    Stream {
        /// Its name.
        stream: Text,
        /// Which of its instances.
        with: Option<Map<Tree>>,
        /// On which of its subjects.
        subjects: Subjects,
    },
    /// A bucket of the pack.
    Bucket {
        /// Its name.
        bucket: Text,
        /// Which of its instances.
        with: Option<Map<Tree>>,
        /// Which of its keys.
        keys: Keys,
    },
    /// A queue of the pack.
    Queue(Text),
    /// A plain subject.
    Subject(Token),
    /// Plain subjects that one expression (`{{ … }}`) yields.
    Subjects(Text),
    /// An inbox of the pack.
    Inbox(Text),
    /// A table of the pack.
    Table(Text),
    /// A journal of the pack.
    Journal(Text),
    /// A folder of the pack.
    Folder(Text),
    /// A program of the pack.
    Program(Text),
    /// A server beside NATS: an address or a URL.
    Server(Template),
    /// The NATS services that are there.
    Services,
}

impl On {
    /// The name under which the pack declares it, if it does.
    pub fn name(&self) -> Option<&str> {
        match self {
            On::Stream { stream: name, .. }
            | On::Bucket { bucket: name, .. }
            | On::Queue(name)
            | On::Inbox(name)
            | On::Table(name)
            | On::Journal(name)
            | On::Folder(name)
            | On::Program(name) => Some(name),
            On::Subject(_) | On::Subjects(_) | On::Server(_) | On::Services => None,
        }
    }
}

/// Which subjects of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Subjects {
    /// All that it stores, or its one own subject where a message is sent.
    Own,
    /// These; they may have wildcards.
    These(Vec<Token>),
    /// Those that one expression (`{{ … }}`) yields.
    Computed(Text),
}

/// Which keys of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub enum Keys {
    /// All, or those that an expression yields.
    Any,
    /// This one.
    One(Token),
    /// Those under this one.
    Under(Token),
}

/// Who touches something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner<'a> {
    /// A tool.
    Tool(&'a str),
    /// The tools that a generator makes.
    Generator(&'a str),
    /// A timer of each session.
    Timer(&'a str),
    /// A listener of each session.
    Listener(&'a str),
    /// The end of a session.
    Close,
    /// A session that goes on elsewhere.
    Resume,
    /// The files that clients read.
    Resource(&'a str),
    /// A table of a gateway.
    Table(&'a str),
    /// An inbox of a gateway.
    Inbox(&'a str),
    /// A queue, with whoever uses it.
    Queue(&'a str),
}

/// All of a pack that touches anything, in the order of its sections.
pub fn of_pack(pack: &Pack) -> Vec<(Owner<'_>, Vec<Touch>)> {
    let mut all = Vec::new();
    let mut add = |owner, touches: Vec<Touch>| {
        if !touches.is_empty() {
            all.push((owner, touches));
        }
    };
    for (name, queue) in pack.queues.iter() {
        add(Owner::Queue(name), of_queue(queue));
    }
    for (name, table) in pack.tables.iter() {
        add(Owner::Table(name), of_table(table));
    }
    for (name, resource) in pack.resources.iter() {
        add(Owner::Resource(name), of_resource(resource));
    }
    for (name, inbox) in pack.inboxes.iter() {
        let heard = On::Subject(inbox.subject.clone());
        add(Owner::Inbox(name), vec![touch(Action::Listen, heard)]);
    }
    for (name, tool) in pack.tools.iter() {
        add(Owner::Tool(name), of_tool(pack, tool));
    }
    for (name, generator) in pack.generate.iter() {
        add(Owner::Generator(name), of_generator(pack, generator));
    }
    for (name, timer) in pack.timers.iter() {
        add(Owner::Timer(name), of_steps(pack, &timer.steps));
    }
    for (name, listener) in pack.listeners.iter() {
        add(Owner::Listener(name), of_listener(pack, listener));
    }
    add(Owner::Close, of_steps(pack, &pack.on.close));
    add(Owner::Resume, of_steps(pack, &pack.on.resume));
    all
}

/// What the steps of a tool touch: each once, in order.
pub fn of_tool(pack: &Pack, tool: &model::Tool) -> Vec<Touch> {
    of_steps(pack, &tool.steps)
}

/// What steps touch, those of the macros that they use as well: each once, in order.
pub fn of_steps(pack: &Pack, steps: &[Step]) -> Vec<Touch> {
    let mut walk = Walk {
        pack,
        used: BTreeSet::new(),
        found: Vec::new(),
    };
    walk.steps(steps);
    walk.found
}

/// What a generator and the tools that it makes touch.
pub fn of_generator(pack: &Pack, generator: &Generator) -> Vec<Touch> {
    let mut found = of_tool(pack, &generator.tool);
    if generator.from.as_deref() == Some(model::MICRO) {
        found.push(touch(Action::Discover, On::Services));
    }
    found
}

/// What a listener touches: what it hears, its steps, and whom it answers.
pub fn of_listener(pack: &Pack, listener: &Listener) -> Vec<Touch> {
    let mut found = Vec::new();
    if let Some(stream) = &listener.stream {
        let subjects = listener.subjects.as_ref().map(|list| list.to_vec());
        let on = on_stream(stream, &listener.with, these(subjects));
        found.push(touch(Action::Follow, on));
    }
    if let Some(subject) = &listener.subject {
        found.push(touch(Action::Listen, On::Subject(subject.clone())));
        if listener.reply.is_some() {
            found.push(touch(Action::Answer, On::Subject(subject.clone())));
        }
    }
    for other in of_steps(pack, &listener.steps) {
        push(&mut found, other);
    }
    found
}

/// What a table is fed by.
pub fn of_table(table: &TableDecl) -> Vec<Touch> {
    let subjects = table.subjects.as_ref().map(|list| list.to_vec());
    let on = on_stream(&table.stream, &table.with, these(subjects));
    vec![touch(Action::Follow, on)]
}

/// What a queue is made of.
pub fn of_queue(queue: &QueueDecl) -> Vec<Touch> {
    let leases = On::Bucket {
        bucket: queue.leases.clone(),
        with: None,
        keys: Keys::Any,
    };
    let items = on_stream(&queue.stream, &queue.with, Subjects::Own);
    let dead = on_stream(&queue.dead.stream, &None, Subjects::Own);
    [items, leases, dead]
        .into_iter()
        .map(|on| touch(Action::Keep, on))
        .collect()
}

/// What the files that clients read touch.
pub fn of_resource(resource: &ResourceDecl) -> Vec<Touch> {
    let folder = touch(Action::ReadFile, On::Folder(resource.folder.clone()));
    let changed = resource.changed.iter();
    let heard = changed.map(|subject| touch(Action::Listen, On::Subject(subject.clone())));
    std::iter::once(folder).chain(heard).collect()
}

fn touch(action: Action, on: On) -> Touch {
    Touch { action, on }
}

fn push(found: &mut Vec<Touch>, new: Touch) {
    if !found.contains(&new) {
        found.push(new);
    }
}

fn on_stream(stream: &Text, with: &Option<Map<Tree>>, subjects: Subjects) -> On {
    On::Stream {
        stream: stream.clone(),
        with: with.clone(),
        subjects,
    }
}

fn these(subjects: Option<Vec<Token>>) -> Subjects {
    subjects.map_or(Subjects::Own, Subjects::These)
}

fn one(subject: &Option<Token>) -> Subjects {
    these(subject.clone().map(|subject| vec![subject]))
}

/// Collects what steps touch. Each macro is gone through once, however often it is used.
struct Walk<'a> {
    pack: &'a Pack,
    used: BTreeSet<&'a str>,
    found: Vec<Touch>,
}

impl<'a> Walk<'a> {
    fn steps(&mut self, steps: &'a [Step]) {
        for step in steps {
            self.verb(&step.verb);
        }
    }

    fn add(&mut self, action: Action, on: On) {
        push(&mut self.found, touch(action, on));
    }

    fn stream(
        &mut self,
        action: Action,
        stream: &Text,
        with: &Option<Map<Tree>>,
        subjects: Subjects,
    ) {
        self.add(action, on_stream(stream, with, subjects));
    }

    fn bucket(&mut self, action: Action, bucket: &Text, with: &Option<Map<Tree>>, keys: Keys) {
        let on = On::Bucket {
            bucket: bucket.clone(),
            with: with.clone(),
            keys,
        };
        self.add(action, on);
    }

    fn key(&mut self, action: Action, bucket: &Text, with: &Option<Map<Tree>>, key: &Token) {
        self.bucket(action, bucket, with, Keys::One(key.clone()));
    }

    /// A queue by its name; where an expression picks one, all that the pack has.
    fn queue(&mut self, action: Action, queue: &QueueName) {
        if let Tree::Literal(Json::Str(name)) = &queue.0 {
            return self.add(action, On::Queue(name.clone()));
        }
        for name in self.pack.queues.keys() {
            self.add(action, On::Queue(name.to_owned().into()));
        }
    }

    fn verb(&mut self, verb: &'a Verb) {
        match verb {
            Verb::Use(step) => {
                let called = self.pack.macros.get(&step.r#macro);
                if let (Some(called), true) = (called, self.used.insert(&step.r#macro)) {
                    self.steps(&called.steps);
                }
            }
            Verb::Require(_)
            | Verb::Let(_)
            | Verb::Set(_)
            | Verb::Fail(_)
            | Verb::Check(_)
            | Verb::Notify(_)
            | Verb::Progress(_)
            | Verb::Parse(_) => {}
            Verb::Publish(_)
            | Verb::Request(_)
            | Verb::Read(_)
            | Verb::Take(_)
            | Verb::Subjects(_)
            | Verb::Info(_)
            | Verb::Drop(_)
            | Verb::Erase(_) => self.messages(verb),
            Verb::Get(_)
            | Verb::Put(_)
            | Verb::Create(_)
            | Verb::Update(_)
            | Verb::Modify(_)
            | Verb::Lease(_)
            | Verb::Delete(_)
            | Verb::List(_) => self.keys(verb),
            Verb::Enqueue(_)
            | Verb::Claim(_)
            | Verb::Extend(_)
            | Verb::Complete(_)
            | Verb::Release(_)
            | Verb::Peek(_)
            | Verb::Depth(_)
            | Verb::Dead(_)
            | Verb::Revive(_)
            | Verb::DiscardDead(_) => self.queues(verb),
            Verb::Find(_)
            | Verb::Append(_)
            | Verb::ListFiles(_)
            | Verb::ReadFile(_)
            | Verb::WriteFile(_)
            | Verb::DeleteFile(_)
            | Verb::Run(_)
            | Verb::Connect(_)
            | Verb::Fetch(_) => self.outside(verb),
        }
    }

    fn messages(&mut self, verb: &Verb) {
        match verb {
            Verb::Publish(step) => match (&step.stream, &step.subject) {
                (Some(stream), subject) => {
                    self.stream(Action::Publish, stream, &step.with, one(subject));
                }
                (None, Some(subject)) => self.add(Action::Publish, On::Subject(subject.clone())),
                (None, None) => {}
            },
            Verb::Request(step) => self.request(step),
            Verb::Read(step) => {
                let subjects = match &step.subjects {
                    Some(SubjectList::List(list)) => Subjects::These(list.to_vec()),
                    Some(SubjectList::Expr(text)) => Subjects::Computed(text.clone()),
                    None => one(&step.subject),
                };
                self.stream(Action::Read, &step.stream, &step.with, subjects);
            }
            Verb::Take(step) => {
                self.stream(Action::Take, &step.stream, &step.with, Subjects::Own);
                let at = &step.position;
                self.key(Action::Position, &at.bucket, &at.with, &at.key);
            }
            Verb::Subjects(step) => {
                let subjects = one(&step.subject);
                self.stream(Action::Subjects, &step.stream, &step.with, subjects);
            }
            Verb::Info(step) => {
                self.stream(Action::Info, &step.stream, &step.with, Subjects::Own);
            }
            Verb::Drop(step) => {
                self.stream(Action::Drop, &step.stream, &step.with, Subjects::Own);
            }
            Verb::Erase(step) => {
                self.stream(Action::Erase, &step.stream, &step.with, Subjects::Own);
            }
            _ => {}
        }
    }

    fn request(&mut self, step: &Request) {
        let subject = On::Subject(step.subject.clone());
        let Some(answers) = &step.answers else {
            return self.add(Action::Request, subject);
        };
        // What is sent asks for no reply but the server's "nobody listens".
        self.add(Action::Publish, subject);
        for answer in answers.iter() {
            self.add(Action::Listen, On::Inbox(answer.inbox.clone()));
        }
        match step.served.as_ref().map(|served| &served.subjects) {
            Some(SubjectList::List(list)) => {
                for subject in list.iter() {
                    self.add(Action::Ask, On::Subject(subject.clone()));
                }
            }
            Some(SubjectList::Expr(text)) => self.add(Action::Ask, On::Subjects(text.clone())),
            None => {}
        }
    }

    fn keys(&mut self, verb: &Verb) {
        match verb {
            Verb::Get(s) => self.key(Action::Get, &s.bucket, &s.with, &s.key),
            Verb::Put(s) => self.key(Action::Put, &s.bucket, &s.with, &s.key),
            Verb::Create(s) => self.key(Action::Create, &s.bucket, &s.with, &s.key),
            Verb::Update(s) => self.key(Action::Update, &s.bucket, &s.with, &s.key),
            Verb::Modify(s) => self.key(Action::Modify, &s.bucket, &s.with, &s.key),
            Verb::Delete(s) => self.key(Action::Delete, &s.bucket, &s.with, &s.key),
            Verb::Lease(s) => {
                self.bucket(Action::Lease, &s.bucket, &s.with, Keys::Any);
                self.add(Action::Ask, On::Subject(s.alive.clone()));
            }
            Verb::List(s) => {
                let keys = s.under.clone().map_or(Keys::Any, Keys::Under);
                self.bucket(Action::List, &s.bucket, &s.with, keys);
            }
            _ => {}
        }
    }

    fn queues(&mut self, verb: &Verb) {
        match verb {
            Verb::Enqueue(s) => self.queue(Action::Enqueue, &s.queue),
            Verb::Claim(s) => self.queue(Action::Claim, &s.queue),
            Verb::Extend(s) => self.queue(Action::Extend, &s.queue),
            Verb::Complete(s) => self.queue(Action::Complete, &s.queue),
            Verb::Release(s) => self.queue(Action::Release, &s.queue),
            Verb::Peek(s) => self.queue(Action::Peek, &s.queue),
            Verb::Depth(s) => self.queue(Action::Depth, &s.queue),
            Verb::Dead(s) => self.queue(Action::Dead, &s.queue),
            Verb::Revive(s) => self.queue(Action::Revive, &s.queue),
            Verb::DiscardDead(s) => self.queue(Action::Discard, &s.queue),
            _ => {}
        }
    }

    /// What is not on NATS.
    fn outside(&mut self, verb: &Verb) {
        match verb {
            Verb::Find(s) => self.add(Action::Find, On::Table(s.table.clone())),
            Verb::Append(s) => self.add(Action::Append, On::Journal(s.journal.clone())),
            Verb::ListFiles(s) => self.add(Action::ListFiles, On::Folder(s.folder.clone())),
            Verb::ReadFile(s) => self.add(Action::ReadFile, On::Folder(s.folder.clone())),
            Verb::WriteFile(s) => self.add(Action::WriteFile, On::Folder(s.folder.clone())),
            Verb::DeleteFile(s) => self.add(Action::DeleteFile, On::Folder(s.folder.clone())),
            Verb::Run(s) => self.add(Action::Run, On::Program(s.program.clone())),
            Verb::Connect(s) => self.add(Action::Connect, On::Server(s.address.clone())),
            Verb::Fetch(s) => self.add(Action::Fetch, On::Server(s.url.clone())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::catalog::packs::builtin;
    use crate::spec::files::PackFiles;
    use crate::spec::load::load;
    use crate::spec::source::Source;

    /// Short words for touches: `publish stream log`.
    fn words(touches: &[Touch]) -> Vec<String> {
        let word = |touch: &Touch| {
            let on = match &touch.on {
                On::Subject(subject) => subject.0.to_string(),
                On::Subjects(text) => text.to_string(),
                On::Server(server) => server.0.to_string(),
                On::Services => "services".to_owned(),
                On::Bucket { bucket, keys, .. } => match keys {
                    Keys::Any => format!("{bucket}/>"),
                    Keys::One(key) => format!("{bucket}/{}", key.0),
                    Keys::Under(key) => format!("{bucket}/{}.>", key.0),
                },
                other => other.name().unwrap_or_default().to_owned(),
            };
            format!("{} {on}", touch.action.name())
        };
        touches.iter().map(word).collect()
    }

    fn loaded(text: &str) -> Pack {
        let (pack, report) = load(&PackFiles {
            name: "touching".to_owned(),
            specs: vec![Source::new("pack.yaml", text)],
            ..PackFiles::default()
        });
        pack.unwrap_or_else(|| panic!("{:?}", report.sorted()))
    }

    const PACK: &str = r#"
streams:
  log: {name: log, subjects: ["log.>"]}
buckets:
  state: {name: state}
inboxes:
  answers: {subject: "answers.{{ gateway.id }}", key: item.data.id}
macros:
  inner:
    params: [key]
    steps:
      - get: {bucket: state, key: "{{ key }}"}
  outer:
    params: [key]
    steps:
      - use: {macro: inner, with: {key: "{{ key }}"}}
      - list: {bucket: state, under: team}
tools:
  all:
    description: Touches most things.
    input:
      type: object
      required: [to, list]
      properties: {to: {type: string}, list: {type: array, items: {type: string}}}
    steps:
      - use: {macro: outer, with: {key: a}}
      - use: {macro: inner, with: {key: b}}
      - publish: {stream: log, subject: "log.{{ args.to }}", payload: x}
        each: args.list
      - publish: {stream: log, subject: "log.{{ args.to }}", payload: y}
      - request: {subject: "ask.{{ args.to }}"}
      - request:
          subject: begin
          payload: x
          answers: [{inbox: answers, key: "{{ call.id }}"}]
          served: {subjects: "{{ args.list }}"}
      - take: {stream: log, position: {bucket: state, key: "{{ args.to }}"}, limit: 5}
    reply: {text: done}
  none: {description: Nothing., reply: {text: x}}
listeners:
  heard:
    subject: "hear.{{ session.id }}"
    steps: [{put: {bucket: state, key: x, value: 1}}]
    reply: {}
on: {close: [{delete: {bucket: state, key: x}}]}
"#;

    #[test]
    fn each_thing_is_told_once_with_what_macros_do() {
        let pack = loaded(PACK);
        let all = of_pack(&pack);
        let told: Vec<_> = all
            .iter()
            .map(|(owner, touches)| (*owner, words(touches)))
            .collect();
        let tool = [
            "get state/{{ key }}",
            "list state/team.>",
            "publish log",
            "request ask.{{ args.to }}",
            "publish begin",
            "listen answers",
            "ask {{ args.list }}",
            "take log",
            "position state/{{ args.to }}",
        ];
        let listener = [
            "listen hear.{{ session.id }}",
            "answer hear.{{ session.id }}",
            "put state/x",
        ];
        let inbox = ["listen answers.{{ gateway.id }}"];
        let expected: [(Owner<'_>, &[&str]); 4] = [
            (Owner::Inbox("answers"), &inbox),
            (Owner::Tool("all"), &tool),
            (Owner::Listener("heard"), &listener),
            (Owner::Close, &["delete state/x"]),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(owner, words)| (*owner, words.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn an_expression_may_pick_any_queue_of_the_pack() {
        let pack = builtin("warp").unwrap();
        let tool = pack.tools.get("warp_work_claim");
        let names = words(&of_tool(pack, tool.unwrap()));
        for queue in pack.queues.keys() {
            assert!(names.contains(&format!("claim {queue}")), "{names:?}");
        }
    }
}
