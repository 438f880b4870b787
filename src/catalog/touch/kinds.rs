//! What is done, to what, and by whom.

use crate::spec::data::{Map, Text};
use crate::spec::tree::{Template, Token, Tree};

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
    /// Old messages of a stream are removed.
    Trim Out "trim",
    /// It is waited for something new.
    Await In "await",
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
    /// A prompt.
    Prompt(&'a str),
    /// What proposes values for arguments.
    Completion(&'a str),
    /// A table of a gateway.
    Table(&'a str),
    /// An inbox of a gateway.
    Inbox(&'a str),
    /// A queue, with whoever uses it.
    Queue(&'a str),
}
