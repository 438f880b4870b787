//! The verbs: one file each says which keys a verb has, what is checked of them at load, and what it returns.
//!
//! A verb's counterpart in `src/engine/steps/` runs it. To add one: a file here with its struct and
//! [`Grammar`], its line in `verbs!` below, and a file there; the compiler names what is still missing.

pub mod files;
pub mod queues;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::check::StepCheck;
use super::data::Text;
use super::shape::Shape;
use super::tree::{Expr, Template, Tree};

/// What the language knows of a verb.
pub trait Grammar {
    /// Resolves the names in the verb's keys and tells the shape of its result (what `as:` binds).
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape;

    /// Names the verb binds for the steps after it, besides `as:`.
    fn binds(&self, _cx: &mut StepCheck<'_>) -> Vec<(String, Shape)> {
        Vec::new()
    }

    /// A name that the step's `else` sees besides `error`.
    fn aside(&self) -> Option<(&'static str, Shape)> {
        None
    }

    /// Optional paths known to be there once the step has passed.
    fn proves(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether a step that was cut off, and may have been done or not, can be run again: twice is no more than once. A task that
    /// lost its gateway goes on with such a step.
    fn repeats(&self) -> bool {
        false
    }
}

macro_rules! verbs {
    ($($(#[doc = $doc:literal])+ $key:ident: $file:ident::$variant:ident,)+) => {
        $(pub mod $file;)+

        /// The structs of all verbs.
        pub mod forms { $(pub use super::$file::$variant;)+ }

        /// What one step does.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Verb { $($(#[doc = $doc])+ $variant($file::$variant),)+ }

        impl Verb {
            /// Every verb with what it does.
            pub const ALL: &'static [(&'static str, &'static str)] =
                &[$((name_of(stringify!($key)), concat!($($doc),+)),)+];

            /// The key in a step.
            pub fn name(&self) -> &'static str {
                match self { $(Verb::$variant(_) => name_of(stringify!($key)),)+ }
            }

            /// What the language knows of it.
            pub fn grammar(&self) -> &dyn Grammar {
                match self { $(Verb::$variant(verb) => verb,)+ }
            }

            /// The names that it binds besides `as:`.
            pub fn names(&self) -> impl Iterator<Item = &str> {
                let bound = match self {
                    Verb::Let(step) => Some(step.0.keys()),
                    _ => None,
                };
                bound.into_iter().flatten()
            }

            fn serialize_entry<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self { $(Verb::$variant(verb) => map.serialize_entry(self.name(), verb),)+ }
            }
        }

        /// A step as written: one verb and the keys every step may have.
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct StepForm {
            $($(#[doc = $doc])+ #[serde(default)] $key: Option<$file::$variant>,)+
            /// The name under which later steps and the reply find the result.
            #[serde(default, rename = "as")]
            #[schemars(regex(pattern = r"^[a-z_][a-z0-9_]*$"))]
            bind: Option<Text>,
            /// The step is left out unless this holds.
            #[serde(default)]
            when: Option<Expr>,
            /// An expression that yields a list: the step runs once for each element, called `item`; the result is the list of `{item, result}`.
            #[serde(default)]
            each: Option<Expr>,
            /// With `each`: what to keep of each round, instead of `{item, result}`.
            #[serde(default)]
            select: Option<Tree>,
            /// With `each`: so many rounds at once instead of one after the other. Results keep the order of the elements.
            #[serde(default)]
            #[schemars(range(min = 1, max = 16))]
            parallel: Option<u64>,
            /// The step may be answered with no: then it leaves null behind, and the steps after it go on. This holds for the outcomes that a step is there to find out, not for anything that goes wrong.
            #[serde(default)]
            optional: Option<bool>,
            /// Whatever goes wrong in the step, the steps after it go on: its result is then `{error: {kind, message}}`.
            #[serde(default)]
            continue_on_error: Option<bool>,
            /// What the tool answers when the step does not succeed, instead of the built-in text. Without `error.message` or `error.kind` in it, it speaks only for the outcome that the step is there to find out: the condition of `require` does not hold, the key of `get` is not there, the key of `create` is there already, the revision of `update` or `delete` has changed, the `where` of `modify` does not hold, the value of `check` does not fit, no key is free for `lease`, nobody answers a `request`. Anything else that goes wrong keeps its own words.
            #[serde(default, rename = "else")]
            otherwise: Option<Template>,
        }

        impl StepForm {
            fn verbs(&mut self) -> Vec<Verb> {
                let mut found = Vec::new();
                $(if let Some(verb) = self.$key.take() { found.push(Verb::$variant(verb)); })+
                found
            }
        }
    };
}

verbs! {
    /// Goes on only if the expression is true; `else` is what the tool answers otherwise.
    require: require::Require,
    /// Gives names to values for the steps after it and the reply.
    r#let: let_::Let,
    /// Changes what the session remembers.
    set: set::Set,
    /// Runs the steps of a macro.
    r#use: use_::Use,
    /// Ends the call with an error.
    fail: fail::Fail,
    /// Checks a value against a schema of the pack.
    check: check::Check,
    /// Asks the client: its user, its model, or for its folders.
    ask: ask::Ask,
    /// Sends a message: into a declared stream, acknowledged, or to a plain subject.
    publish: publish::Publish,
    /// Sends a message and waits for an answer: a reply, or a message in an inbox.
    request: request::Request,
    /// Tells the client of the session something unasked.
    notify: notify::Notify,
    /// Tells a client that asks how far the call is.
    progress: progress::Progress,
    /// Waits for a time.
    sleep: sleep::Sleep,
    /// Reads stored messages without consuming them, page by page.
    read: read::Read,
    /// Takes messages that nobody has taken at a read position, and moves the position.
    take: take::Take,
    /// Tells which subjects a stream holds messages of.
    subjects: subjects::Subjects,
    /// Tells the size and the sequence range of a stream.
    info: info::Info,
    /// Deletes a stream that holds nothing.
    drop: drop::Drop,
    /// Reads one key of a bucket.
    get: get::Get,
    /// Writes one key of a bucket, whatever was there.
    put: put::Put,
    /// Writes one key of a bucket only if it is not there.
    create: create::Create,
    /// Writes one key of a bucket only if its revision is still the expected one.
    update: update::Update,
    /// Changes fields of the JSON object under one key of a bucket, whoever else changes it meanwhile.
    modify: modify::Modify,
    /// Takes the first of several keys that no living holder has.
    lease: lease::Lease,
    /// Removes one key of a bucket.
    delete: delete::Delete,
    /// Reads all keys of a bucket that match, with their values.
    list: list::List,
    /// Finds entries of a table.
    find: find::Find,
    /// Writes a line to a journal.
    append: append::Append,
    /// Lists the files of a folder.
    list_files: list_files::ListFiles,
    /// Reads one file of a folder.
    read_file: read_file::ReadFile,
    /// Writes one file of a folder, as a whole.
    write_file: write_file::WriteFile,
    /// Removes one file of a folder.
    delete_file: delete_file::DeleteFile,
    /// Reads a text as YAML or JSON.
    parse: parse::Parse,
    /// Starts a program and waits for its end.
    run: run::Run,
    /// Tells whether a server takes connections.
    connect: connect::Connect,
    /// Asks a web server.
    fetch: fetch::Fetch,
    /// Removes one message of a stream.
    erase: erase::Erase,
    /// Puts an item into a queue.
    enqueue: enqueue::Enqueue,
    /// Takes the most urgent item of a queue for a time.
    claim: claim::Claim,
    /// Holds on to a claimed item.
    extend: extend::Extend,
    /// Says that the work on a claimed item is done.
    complete: complete::Complete,
    /// Gives a claimed item back.
    release: release::Release,
    /// Looks at the items of a queue without taking one.
    peek: peek::Peek,
    /// Counts the items of a queue.
    depth: depth::Depth,
    /// Lists the dead letters of a queue, page by page.
    dead: dead::Dead,
    /// Puts a dead letter back into its queue.
    revive: revive::Revive,
    /// Removes a dead letter for good.
    discard: discard::DiscardDead,
}

/// Rust keywords among the verbs are written `r#let`; people write `let`.
const fn name_of(key: &'static str) -> &'static str {
    match key.as_bytes() {
        [b'r', b'#', ..] => key.split_at(2).1,
        _ => key,
    }
}

/// One step of a tool: a verb, and the keys that every step may have.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// `as:` the name of its result.
    pub bind: Option<Text>,
    /// `when:` the condition for running it.
    pub when: Option<Expr>,
    /// `each:` the list it runs over.
    pub each: Option<Expr>,
    /// `select:` what to keep of each round.
    pub select: Option<Tree>,
    /// `parallel:` how many rounds run at once, 1 to 16.
    pub parallel: Option<u64>,
    /// `optional:` whether no is an answer too.
    pub optional: bool,
    /// `continue_on_error:` whether a failure is a result too.
    pub continue_on_error: bool,
    /// `else:` what the tool answers when it does not succeed.
    pub otherwise: Option<Template>,
}

impl Step {
    /// The keys that every step may have, as they are written.
    pub const KEYS: &'static [&'static str] = &[
        "as",
        "when",
        "each",
        "select",
        "parallel",
        "optional",
        "continue_on_error",
        "else",
    ];
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut form = StepForm::deserialize(deserializer)?;
        let mut verbs = form.verbs();
        match (verbs.pop(), verbs.is_empty()) {
            (Some(verb), true) => Ok(Step {
                verb,
                bind: form.bind,
                when: form.when,
                each: form.each,
                select: form.select,
                parallel: form.parallel,
                optional: form.optional.unwrap_or_default(),
                continue_on_error: form.continue_on_error.unwrap_or_default(),
                otherwise: form.otherwise,
            }),
            _ => Err(D::Error::custom("a step has exactly one verb")),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if !s.is_human_readable() {
            let mut out = s.serialize_struct("Step", 8)?;
            out.serialize_field("verb", &self.verb)?;
            out.serialize_field("bind", &self.bind)?;
            out.serialize_field("when", &self.when)?;
            out.serialize_field("each", &self.each)?;
            out.serialize_field("select", &self.select)?;
            out.serialize_field("parallel", &self.parallel)?;
            out.serialize_field("optional", &self.optional)?;
            out.serialize_field("continue_on_error", &self.continue_on_error)?;
            out.serialize_field("otherwise", &self.otherwise)?;
            return out.end();
        }
        let mut map = s.serialize_map(None)?;
        self.verb.serialize_entry(&mut map)?;
        if let Some(bind) = &self.bind {
            map.serialize_entry("as", bind)?;
        }
        if let Some(when) = &self.when {
            map.serialize_entry("when", when)?;
        }
        if let Some(each) = &self.each {
            map.serialize_entry("each", each)?;
        }
        if let Some(select) = &self.select {
            map.serialize_entry("select", select)?;
        }
        if let Some(parallel) = &self.parallel {
            map.serialize_entry("parallel", parallel)?;
        }
        if self.optional {
            map.serialize_entry("optional", &true)?;
        }
        if self.continue_on_error {
            map.serialize_entry("continue_on_error", &true)?;
        }
        if let Some(otherwise) = &self.otherwise {
            map.serialize_entry("else", otherwise)?;
        }
        map.end()
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        StepForm::json_schema(generator)
    }
}

/// A received or stored message as expressions see it.
pub fn message_shape() -> Shape {
    Shape::object([
        ("seq", Shape::Number),
        ("time", Shape::Text),
        ("subject", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("headers", Shape::Any),
    ])
}

/// A key-value entry as expressions see it.
pub fn entry_shape() -> Shape {
    entry_with(Shape::Any)
}

/// An entry whose value has a known shape.
pub fn entry_with(value: Shape) -> Shape {
    Shape::object([
        ("found", Shape::Bool),
        ("key", Shape::Text),
        ("value", value),
        ("text", Shape::Text),
        ("revision", Shape::Number),
        ("time", Shape::Text),
    ])
}
