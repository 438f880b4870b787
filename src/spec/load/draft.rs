//! The sections of one file, before they are checked.

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::spec::check::{self, AliasDraft, GeneratorDraft, MacroDraft, RoutineDraft, ToolDraft};
use crate::spec::data::{Json, List};
use crate::spec::doc::Doc;
use crate::spec::model::{
    BucketDecl, CompletionDecl, Example, Fixture, FolderDecl, ForeignForm, Generator, IconDecl,
    InboxDecl, JournalDecl, Listener, Macro, On, PackInfo, ProgramDecl, PromptDecl, QueueDecl,
    Reply, ResourceDecl, StreamDecl, TableDecl, Timer, Tool,
};
use crate::spec::tree::{Expr, Template, Tree};

/// One file: every entry that has the right form, the others left out (they are reported already).
pub(super) struct Draft {
    pub(super) doc: Doc,
    pub(super) pack: Option<PackInfo>,
    pub(super) settings: Option<Json>,
    pub(super) foreign: Vec<(String, Option<ForeignForm>)>,
    pub(super) session: Vec<(String, Json)>,
    pub(super) schemas: Vec<(String, Option<Json>)>,
    pub(super) streams: Vec<(String, Option<StreamDecl>)>,
    pub(super) buckets: Vec<(String, Option<BucketDecl>)>,
    pub(super) queues: Vec<(String, Option<QueueDecl>)>,
    pub(super) tables: Vec<(String, Option<TableDecl>)>,
    pub(super) journals: Vec<(String, Option<JournalDecl>)>,
    pub(super) macros: Vec<MacroDraft>,
    pub(super) whole_macros: Vec<(String, Option<Macro>)>,
    pub(super) folders: Vec<(String, Option<FolderDecl>)>,
    pub(super) programs: Vec<(String, Option<ProgramDecl>)>,
    pub(super) served: Vec<(String, Option<ResourceDecl>)>,
    pub(super) prompts: Vec<(String, Option<PromptDecl>)>,
    pub(super) completions: Vec<(String, Option<CompletionDecl>)>,
    pub(super) inboxes: Vec<(String, Option<InboxDecl>)>,
    pub(super) tools: Vec<ToolDraft>,
    pub(super) whole: Vec<(String, Option<Tool>)>,
    pub(super) generators: Vec<GeneratorDraft>,
    pub(super) fixtures: Vec<(String, Option<Fixture>)>,
    pub(super) aliases: Vec<AliasDraft>,
    pub(super) timers: Vec<(String, Option<Timer>)>,
    pub(super) listeners: Vec<(String, Option<Listener>)>,
    pub(super) on: Option<On>,
    pub(super) routines: Vec<RoutineDraft>,
    pub(super) tainted: bool,
}

impl Draft {
    pub(super) fn new(doc: Doc, tainted: bool) -> Self {
        let section = |name: &str| {
            doc.value
                .get(name)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let tools = section("tools");
        Self {
            pack: part(&doc.value, "pack"),
            settings: part(&doc.value, "settings"),
            foreign: entries(section("foreign")),
            session: entries(section("session"))
                .into_iter()
                .filter_map(|(n, v)| Some((n, v?)))
                .collect(),
            schemas: entries(section("schemas")),
            streams: entries(section("streams")),
            buckets: entries(section("buckets")),
            queues: entries(section("queues")),
            tables: entries(section("tables")),
            journals: entries(section("journals")),
            macros: check::macro_drafts(&section("macros")),
            whole_macros: entries(section("macros")),
            folders: entries(section("folders")),
            programs: entries(section("programs")),
            served: entries(section("resources")),
            prompts: entries(section("prompts")),
            completions: entries(section("completions")),
            inboxes: entries(section("inboxes")),
            whole: entries(tools.clone()),
            generators: section("generate")
                .iter()
                .map(|(name, value)| generator_draft(name, value))
                .collect(),
            fixtures: entries(section("fixtures")),
            aliases: entries(section("aliases"))
                .into_iter()
                .filter_map(|(n, v)| Some((n, v?)))
                .collect(),
            timers: entries(section("timers")),
            listeners: entries(section("listeners")),
            on: part(&doc.value, "on"),
            routines: check::routine_drafts(&doc.value),
            tools: tools
                .iter()
                .map(|(name, value)| tool_draft(name, value))
                .collect(),
            tainted,
            doc,
        }
    }
}

fn part<T: DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    value
        .get(key)
        .and_then(|v| serde_json::from_value(v.clone()).ok())
}

fn entries<T: DeserializeOwned>(
    section: serde_json::Map<String, Value>,
) -> Vec<(String, Option<T>)> {
    section
        .into_iter()
        .map(|(name, value)| (name, serde_json::from_value(value).ok()))
        .collect()
}

fn generator_draft(name: &str, value: &Value) -> GeneratorDraft {
    let tool = value.get("tool").unwrap_or(&Value::Null);
    GeneratorDraft {
        name: name.to_owned(),
        whole: Generator::deserialize(value).ok(),
        tool: tool_draft("", tool),
    }
}

fn tool_draft(name: &str, value: &Value) -> ToolDraft {
    ToolDraft {
        name: name.to_owned(),
        title: part::<Template>(value, "title"),
        description: part::<Template>(value, "description"),
        meta: part::<Tree>(value, "meta"),
        icons: part::<List<IconDecl>>(value, "icons"),
        when: part::<Expr>(value, "when"),
        input: part::<Tree>(value, "input"),
        output: part::<Tree>(value, "output"),
        steps: check::step_drafts(value, "steps"),
        reply: part::<Reply>(value, "reply"),
        failure: part::<Template>(value, "failure"),
        examples: check::list(value, "examples")
            .iter()
            .map(|raw| Example::deserialize(raw).ok())
            .collect(),
    }
}
