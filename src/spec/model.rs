//! The form of a spec file, and of a pack once its files are lowered into one.
//!
//! These types are read from YAML, described by the JSON Schema in `schemas/`, and written as constants by the
//! build script. Doc comments here become the descriptions in that schema.

mod tables;

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::{Json, List, Map, Text};
use super::tree::{Expr, Flag, Size, Span, Template, Token, Tree, Whole};
use super::verbs::Step;

pub use tables::{JournalDecl, TABLE_ENTRIES, TABLE_TTL, TableDecl};

/// The sections by which a file of a pack is told from other YAML. (`settings` stands in configs too, and `on` in files of
/// other programs.)
pub const SECTIONS: &[&str] = &[
    "pack",
    "session",
    "streams",
    "buckets",
    "queues",
    "tables",
    "journals",
    "schemas",
    "tools",
    "aliases",
    "timers",
    "listeners",
];

/// One file of a pack. A pack may be spread over any number of files; each section's entries are merged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    /// Who this pack is. In one file of the pack only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackInfo>,
    /// What a config may set for this pack: a JSON Schema of type object. Read as `config.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Json>,
    /// What a session remembers: a JSON Schema for each name. Read as `session.*`, written with `set:`.
    #[serde(default)]
    pub session: Map<Json>,
    /// JSON Schemas that the verb `check` knows by their names.
    #[serde(default)]
    pub schemas: Map<Json>,
    /// JetStream streams that tools of this pack use.
    #[serde(default)]
    pub streams: Map<StreamDecl>,
    /// JetStream key-value buckets that tools of this pack use.
    #[serde(default)]
    pub buckets: Map<BucketDecl>,
    /// Queues of work that tools of this pack use.
    #[serde(default)]
    pub queues: Map<QueueDecl>,
    /// Tables in memory that tools of this pack find things in.
    #[serde(default)]
    pub tables: Map<TableDecl>,
    /// Text files that tools of this pack write lines to.
    #[serde(default)]
    pub journals: Map<JournalDecl>,
    /// The tools.
    #[serde(default)]
    pub tools: Map<Tool>,
    /// Tools of the packs that this one uses, under other names: `new_name: tool`.
    #[serde(default)]
    pub aliases: Map<Text>,
    /// Steps that run again and again, for each session.
    #[serde(default)]
    pub timers: Map<Timer>,
    /// Subjects and streams that each session listens on.
    #[serde(default)]
    pub listeners: Map<Listener>,
    /// Steps that run at certain moments of a session. In one file of the pack only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
}

/// Who a pack is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackInfo {
    /// The name a config uses; the folder's name when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]*$"))]
    pub name: Option<Text>,
    /// The name people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// What a model is told about the tools as a whole, when a client connects. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Template>,
    /// Packs whose tools this one gives other names (`aliases`): names of built-in packs, or folders (`../mine`,
    /// relative to this pack's folder). Their tools keep their own state and settings, and are not listed by themselves.
    #[serde(default)]
    pub uses: List<Text>,
    /// What clients are told that the server can do, beyond what the protocol names.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// What clients are told that the server can do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Capabilities that clients and servers agree on by themselves: a name, and an object with what it says. Where several
    /// packs have the same name, clients see the fields of all.
    #[serde(default)]
    pub experimental: Map<Map<Json>>,
}

/// A pack: its files lowered into one, every name in it resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pack {
    /// Its name.
    pub name: Text,
    /// The name people read.
    pub title: Option<Text>,
    /// What a model is told about the tools as a whole.
    pub instructions: Option<Template>,
    /// The packs whose tools it gives other names.
    pub uses: List<Text>,
    /// What clients are told that the server can do.
    pub capabilities: Capabilities,
    /// JSON Schema of its settings.
    pub settings: Option<Json>,
    /// JSON Schemas of its session state.
    pub session: Map<Json>,
    /// JSON Schemas for the verb `check`, by name.
    pub schemas: Map<Json>,
    /// Its streams.
    pub streams: Map<StreamDecl>,
    /// Its buckets.
    pub buckets: Map<BucketDecl>,
    /// Its queues.
    pub queues: Map<QueueDecl>,
    /// Its tables.
    pub tables: Map<TableDecl>,
    /// Its journals.
    pub journals: Map<JournalDecl>,
    /// Its tools.
    pub tools: Map<Tool>,
    /// Tools of the packs it uses, by the names that it gives them.
    pub aliases: Map<Text>,
    /// Steps that run again and again.
    pub timers: Map<Timer>,
    /// Subjects and streams that each session listens on.
    pub listeners: Map<Listener>,
    /// Steps that run at certain moments of a session.
    pub on: On,
    /// Its template files, by name.
    pub templates: Map<Text>,
    /// Where each tool and alias is declared: `file:line:column`.
    pub origins: Map<Text>,
    /// Every expression and template in it: what a catalog compiles.
    pub texts: List<(TextKind, Text)>,
}

/// A JetStream stream. Existing streams are used as they are, and only changed where `adjust` says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// An expression that yields a list: one stream for each element, called `item` in the keys below. A step
    /// picks one by `with:`, which names fields of the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Expr>,
    /// Names of values that a step must give in `with:`; each combination is a stream of its own, made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The stream's name.
    pub name: Token,
    /// The subjects it stores.
    pub subjects: List<Token>,
    /// When messages go: by `limits` (the default), once acknowledged (`workqueue`), or once all consumers have
    /// acknowledged (`interest`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// On disk (`file`, the default) or in `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The most messages it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<Whole>,
    /// The most messages it keeps of one subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_messages_per_subject: Option<Whole>,
    /// The most bytes it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The largest message it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<Size>,
    /// How long it keeps messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// At a limit: drop the `old` messages (the default), or refuse the `new` one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard: Option<Discard>,
    /// How long a message id is remembered, to recognise duplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_window: Option<Span>,
    /// Copies in a cluster: 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Whole>,
    /// If true, the limits of a stream that exists (`max_age`, `max_bytes`, `max_messages`, `max_messages_per_subject`) are
    /// changed to those that are given here, and direct reading is allowed. Nothing is changed when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjust: Option<Flag>,
}

/// A JetStream key-value bucket. Existing buckets are used as they are and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Names of values that a step must give in `with:`; each combination is a bucket of its own, made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The bucket's name.
    pub name: Token,
    /// Revisions kept of each key: 1 (the default) to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Whole>,
    /// How long an entry lives after it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Allows a time to live of its own for an entry, and keeps a mark of its end for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_markers: Option<Span>,
    /// The most bytes it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The largest value it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value_size: Option<Size>,
    /// On disk (`file`, the default) or in `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Copies in a cluster: 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Whole>,
    /// Kept in memory by the gateway from the first `list` on, so that listing costs one small request whatever the bucket
    /// holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
}

/// One key of a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRef {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
}

/// A queue of work: items that are claimed for a time, extended, completed or given back. What is given back too often, or
/// cannot be worked on, goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Names of values that a step gives in `with:` or `from:`; each combination is a lane of its own. The values may be any
    /// text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The stream of the items, with `retention: workqueue`.
    pub stream: Text,
    /// Which of the stream's instances; may use the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// What the subjects of the items begin with: the values of the parameters (through the filter `token`) and the level
    /// follow. With `consumer` the whole subject, which may use the parameters.
    pub subject: Token,
    /// The durable consumer of another program: the queue is then one line, first in, first out, on exactly this subject and
    /// this durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Token>,
    /// Levels of urgency: 1 (the default) to 100. A higher level is claimed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Whole>,
    /// How long a claim holds unless it is extended: 1s to 24h.
    pub lease: Span,
    /// How often an item is handed out before it becomes a dead letter: 1 to 1000.
    pub attempts: Whole,
    /// An expression over the message (`item`) that yields the id of the work item. A message without one is a dead letter.
    pub id: Expr,
    /// An expression over the message (`item`) that yields the time after which the item is a dead letter (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expr>,
    /// An expression over the message (`item`) that yields the attempts made before the item came into this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Expr>,
    /// The bucket that says who holds what.
    pub leases: Text,
    /// Where dead letters go.
    pub dead: DeadLetters,
}

/// Where the dead letters of a queue go, and what they look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// A stream of this pack that keeps its messages.
    pub stream: Text,
    /// What their subjects begin with: the value of the queue's first parameter and the id of the item follow.
    pub subject: Token,
    /// The dead letter, made from `item`: `id`, `data`, `text`, `with`, `reason`, `attempts`, `errors`, `failed_at`.
    pub record: Tree,
    /// An expression over a dead letter of another program (`item`) that yields the id of its item: the `id` of the queue when
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Expr>,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
    };
}

words! {
    /// When a stream's messages go.
    Retention {
        /// At the stream's limits.
        Limits,
        /// Once acknowledged.
        Workqueue,
        /// Once every consumer has acknowledged.
        Interest,
    }
}
words! {
    /// Where messages are kept.
    Storage {
        /// On disk.
        File,
        /// In memory, lost when the server ends.
        Memory,
    }
}
words! {
    /// What gives way at a limit.
    Discard {
        /// The oldest messages.
        Old,
        /// The new message, which is refused.
        New,
    }
}

/// How a text of the language is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextKind {
    /// A bare expression.
    Expr,
    /// A bare expression that is asked for its truth.
    Condition,
    /// A bare expression that is asked of each element, called `item`.
    Filter,
    /// Exactly one `{{ … }}`: its value keeps its type.
    Value,
    /// A template that renders to a text.
    Text,
    /// A template that renders to a NATS name.
    Token,
}

/// How often a timer may run.
pub const TIMER_PERIOD: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// Steps that run again and again while a session lasts, first after one period. A run never overlaps the one before it. A
/// run that fails is logged, and the next one comes all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// How often: 1s to 24h. An expression may use `project` and `config`.
    pub every: Span,
    /// A run is left out unless this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What it does.
    pub steps: List<Step>,
}

/// What each session listens on while it lasts: a `subject`, whose messages come while one listens, or a `stream`, whose
/// messages come each once and in the order they were stored, over lost connections too. Messages are handled one after the
/// other; the message is `item`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The subject. It may use `project`, `config` and `session.id`; `*` and `>` may stand for whole tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Token>,
    /// A stream of this pack, instead of a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Text>,
    /// Which of the stream's instances; may use what `subject` may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Which of the stream's subjects; all when not given. As `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<List<Token>>,
    /// A message is passed over unless this holds of it (`item`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What is done with a message. A run that fails is logged, and sends no `reply`.
    #[serde(default)]
    pub steps: List<Step>,
    /// What is sent back after the steps, to a message on the `subject` that asks for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Tree>,
}

/// Steps that run at certain moments of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// When a session ends in order: the client has gone, or the gateway is told to stop. One second for all packs
    /// together. A failure is logged.
    #[serde(default)]
    pub close: List<Step>,
    /// When a session goes on in another gateway, or after it was laid aside for want of use. One second for all packs
    /// together. A failure is logged.
    #[serde(default)]
    pub resume: List<Step>,
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The name people read. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What a model reads to decide when to use the tool. May use `project`, `config` and `tools`.
    #[schemars(extend("minLength" = 1))]
    pub description: Template,
    /// Hints for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What a client must be allowed in order to see and call it, where clients log in.
    #[serde(default)]
    pub scopes: List<Text>,
    /// JSON Schema of the arguments, of type object. Its strings may hold expressions over `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Tree>,
    /// Takes a text such as `"5"` or `"true"` for the number or the truth value that an argument's schema wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coerce: Option<bool>,
    /// JSON Schema of the structured result, of type object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Tree>,
    /// What the tool does, in order.
    #[serde(default)]
    pub steps: List<Step>,
    /// What it answers.
    pub reply: Reply,
    /// How a failure of its steps is worded, instead of the failure's own text (`error.message`), which is that of the
    /// step's `else` where it has one. Names of steps that were not reached are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Template>,
    /// Calls with their expected results: tests and documentation at once.
    #[serde(default)]
    pub examples: List<Example>,
}

/// Hints for clients about what a tool does; clients must not rely on them for safety.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// It changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// It may destroy something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
    /// Calling it twice does no more than calling it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// It reaches things outside this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world: Option<bool>,
}

/// What a tool answers. At least one of the three keys is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The text a model reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// Instead of `text`: the name of a template file of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Text>,
    /// The structured result; needs `output`. Without a text, its JSON is the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Tree>,
}

/// A call with its expected result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// Calls made before it, in the same session.
    #[serde(default)]
    pub given: List<Given>,
    /// The arguments.
    pub call: Json,
    /// What comes back.
    pub expect: Expect,
}

/// A call made before an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The tool.
    pub tool: Text,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Json>,
}

/// What an example expects. Everything named must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The text, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// A part of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<Text>,
    /// The structured result: these keys with these values, others may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Json>,
    /// Whether the call fails; it must not when this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
}
