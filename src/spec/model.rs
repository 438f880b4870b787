//! The form of a spec file, and of a pack once its files are lowered into one.
//!
//! These types are read from YAML, described by the JSON Schema in `schemas/`, and written as constants by the
//! build script. Doc comments here become the descriptions in that schema.

mod content;
mod examples;
mod face;
mod foreign;
mod generate;
mod inboxes;
mod lint;
mod machine;
mod macros;
mod prompts;
mod queues;
mod routines;
mod served;
mod stores;
mod tables;
mod tools;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::{Json, List, Map, Text};
use super::tree::Template;
use super::verbs::{Step, Verb};

pub use content::{BLOCK_KINDS, Block, BlockDecl, Link, Media, MessageDecl, PackFile};
pub use examples::{
    Allowed, DEFAULT_FIXTURE, Example, Expect, Fixture, FixtureClient, Given, MAX_WITHIN, Parts,
    Responder, Said, Told, example_origin,
};
pub use face::{Face, IconDecl, Theme};
pub use foreign::{ForeignForm, Paths};
pub use generate::{Generator, MICRO};
pub use inboxes::{Answer, InboxDecl, Served, Telling};
pub use lint::LintDecl;
pub use machine::{FolderDecl, ProgramDecl};
pub use macros::Macro;
pub use prompts::{Argument, CompletionDecl, Embedded, PromptDecl, Role};
pub use queues::{DeadLetters, QueueDecl};
pub use routines::{Listener, On, TIMER_PERIOD, Timer};
pub use served::{Parameter, RESOURCE_BYTES, ResourceCache, ResourceDecl};
pub use stores::{BucketDecl, Discard, KeyRef, Retention, Storage, StreamDecl};
pub use tables::{JournalDecl, TABLE_ENTRIES, TABLE_TTL, TableDecl};
pub use tools::{Annotations, Reply, TaskUse, Tool};

/// The sections by which a file of a pack is told from other YAML. (`settings` stands in configs too, and `on` in files of
/// other programs.)
pub const SECTIONS: &[&str] = &[
    "pack",
    "foreign",
    "session",
    "streams",
    "buckets",
    "queues",
    "tables",
    "journals",
    "folders",
    "programs",
    "resources",
    "prompts",
    "completions",
    "inboxes",
    "schemas",
    "fixtures",
    "macros",
    "tools",
    "generate",
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
    /// Files of other programs that are served as if they were configs of this pack.
    #[serde(default)]
    pub foreign: Map<ForeignForm>,
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
    /// Steps with a name, that tools and others share.
    #[serde(default)]
    pub macros: Map<Macro>,
    /// Folders of this machine whose files tools of this pack use.
    #[serde(default)]
    pub folders: Map<FolderDecl>,
    /// Programs of this machine that tools of this pack run.
    #[serde(default)]
    pub programs: Map<ProgramDecl>,
    /// What clients read as MCP resources.
    #[serde(default)]
    pub resources: Map<ResourceDecl>,
    /// Messages that people pick from a menu of their client.
    #[serde(default)]
    pub prompts: Map<PromptDecl>,
    /// What proposes values for arguments of prompts and parameters of resources.
    #[serde(default)]
    pub completions: Map<CompletionDecl>,
    /// Subjects on which answers arrive.
    #[serde(default)]
    pub inboxes: Map<InboxDecl>,
    /// The tools.
    #[serde(default)]
    pub tools: Map<Tool>,
    /// Tools that are made when the gateway starts: one for each element of a list.
    #[serde(default)]
    pub generate: Map<Generator>,
    /// What the examples of the tools stand on.
    #[serde(default)]
    pub fixtures: Map<Fixture>,
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
    /// What `jacquard validate` leaves unsaid about this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint: Option<LintDecl>,
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
    /// Files of other programs that are served as if they were configs of it.
    pub foreign: Map<ForeignForm>,
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
    /// Its macros.
    pub macros: Map<Macro>,
    /// Its folders.
    pub folders: Map<FolderDecl>,
    /// Its programs.
    pub programs: Map<ProgramDecl>,
    /// What it serves as MCP resources.
    pub resources: Map<ResourceDecl>,
    /// Its prompts.
    pub prompts: Map<PromptDecl>,
    /// What proposes values for arguments.
    pub completions: Map<CompletionDecl>,
    /// Its inboxes.
    pub inboxes: Map<InboxDecl>,
    /// Its tools.
    pub tools: Map<Tool>,
    /// What makes tools of lists.
    pub generate: Map<Generator>,
    /// What the examples of its tools stand on.
    pub fixtures: Map<Fixture>,
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
    /// Its files that blocks show, by name.
    pub files: Map<PackFile>,
    /// Where each tool, alias, prompt (`prompts/NAME`) and generator (`generate/NAME`) is declared, and each example of a tool
    /// (`NAME#0`): `file:line:column`.
    pub origins: Map<Text>,
    /// Every expression and template in it: what a catalog compiles.
    pub texts: List<(TextKind, Text)>,
}

impl Pack {
    /// Whether any of its steps is such a one.
    pub fn has_step(&self, wanted: &dyn Fn(&Verb) -> bool) -> bool {
        let any = |steps: &[Step]| steps.iter().any(|step| wanted(&step.verb));
        any(&self.on.close)
            || any(&self.on.resume)
            || self.tools.iter().any(|(_, it)| any(&it.steps))
            || self.macros.iter().any(|(_, it)| any(&it.steps))
            || self.prompts.iter().any(|(_, it)| any(&it.steps))
            || self.completions.iter().any(|(_, it)| any(&it.steps))
            || self.timers.iter().any(|(_, it)| any(&it.steps))
            || self.listeners.iter().any(|(_, it)| any(&it.steps))
            || self
                .resources
                .iter()
                .any(|(_, it)| any(&it.steps) || any(&it.list_steps))
            || self.generate.iter().any(|(_, it)| any(&it.tool.steps))
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
    /// A bare expression in which whatever is absent is passed over.
    Key,
    /// Exactly one `{{ … }}`: its value keeps its type.
    Value,
    /// A template that renders to a text.
    Text,
    /// A template that renders to a NATS name.
    Token,
}
