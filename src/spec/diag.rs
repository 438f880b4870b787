//! Diagnostics: what is wrong, where, and what to do about it.
//!
//! A [`Report`] collects every problem of a run; nothing stops at the first one.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Place, Source};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// The document can be used, and probably does not do what was meant.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The stable code of a kind of problem, as printed in brackets.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code with its meaning, in order of declaration.
            pub const ALL: &'static [(Code, &'static str)] =
                &[$((Code::$name, concat!($($doc),+)),)+];

            /// The code as printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The file is not well-formed YAML or JSON, or is beyond the limits for size and depth.
    Syntax = "syntax",
    /// A value does not have the form the language (or a declared schema) demands.
    Schema = "schema",
    /// A key that the language does not know.
    UnknownKey = "unknown-key",
    /// A step has no verb, or more than one.
    Verb = "verb",
    /// A template or expression does not parse.
    Template = "template",
    /// A name in an expression is not declared.
    UnknownName = "unknown-name",
    /// A filter, test or function that the expression language does not have.
    UnknownFunction = "unknown-function",
    /// A stream, bucket, template file or other named thing that the pack does not declare.
    UnknownResource = "unknown-resource",
    /// The same name is declared twice.
    Duplicate = "duplicate",
    /// A subject, stream, bucket or key that NATS would refuse or that could be abused.
    Subject = "subject",
    /// An expression that could use memory without bound.
    Unbounded = "unbounded",
    /// A JSON Schema inside the file is itself not valid.
    BadSchema = "bad-schema",
    /// An optional argument is used where it may be absent.
    MaybeUndefined = "maybe-undefined",
    /// A tool's parts contradict each other.
    Tool = "tool",
    /// An environment variable that a config names is not set.
    Environment = "environment",
    /// A file or folder that was named cannot be read.
    Io = "io",
    /// A folder or program of this machine that the config does not let a pack use.
    NotAllowed = "not-allowed",
    /// A tool that is not what a person has approved: new, or changed since.
    NotApproved = "not-approved",
    /// The top level of an input schema is a union: `anyOf`, `oneOf` or `allOf`.
    ClientUnion = "client-union",
    /// An input schema refers to a part of itself or of another document with `$ref`.
    ClientRef = "client-ref",
    /// The name of a tool has characters besides letters, digits, `_` and `-`, or more than 64 of them.
    ClientName = "client-name",
    /// The name of a tool is too long together with what clients put before it.
    ClientNameBudget = "client-name-budget",
    /// The description of a tool has more than 1,024 characters.
    ClientDescription = "client-description",
    /// The instructions of a pack or of a server have more than 2 kB.
    ClientInstructions = "client-instructions",
    /// A tool, or all tools together, take much of a model's context.
    ClientTokens = "client-tokens",
    /// A tool does not say what its structured result looks like.
    MissingOutput = "missing-output",
    /// A tool does not say whether it changes or destroys anything.
    MissingAnnotations = "missing-annotations",
    /// A call may wait for longer than 60 s without a sign of life.
    LongWait = "long-wait",
    /// An allowance under `lint` that holds nothing back.
    UnusedAllow = "unused-allow",
}

impl Code {
    /// The codes that files may allow under `lint`: those of problems that are warnings.
    pub const ALLOWABLE: &'static [Code] = &[
        Code::ClientUnion,
        Code::ClientRef,
        Code::ClientName,
        Code::ClientNameBudget,
        Code::ClientDescription,
        Code::ClientInstructions,
        Code::ClientTokens,
        Code::MissingOutput,
        Code::MissingAnnotations,
        Code::LongWait,
        Code::MaybeUndefined,
        Code::UnknownKey,
        Code::UnknownResource,
    ];

    /// The code that is printed so.
    pub fn named(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().map(|(code, _)| *code);
        all.find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place a diagnostic points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file.
    pub source: Source,
    /// Bytes of the file.
    pub range: Range<usize>,
    /// What to say beside the underline; may be empty.
    pub text: String,
}

impl Label {
    /// A place with nothing to say beside it.
    pub fn new(source: &Source, range: Range<usize>) -> Self {
        Self {
            source: source.clone(),
            range: source.clamp(range),
            text: String::new(),
        }
    }

    /// Where it begins, and where what comes after it begins.
    pub fn places(&self) -> (Place, Place) {
        let place = |at| self.source.place(at);
        (place(self.range.start), place(self.range.end))
    }

    /// Its part on its first line: the whole of a block would bury the point.
    pub fn first_line(&self) -> Range<usize> {
        let range = self.source.clamp(self.range.clone());
        let end = self.source.text()[range.clone()]
            .find('\n')
            .map_or(range.end, |at| range.start + at);
        range.start..end
    }
}

/// A change of a file that mends a problem without any doubt about what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes that are replaced.
    pub range: Range<usize>,
    /// What takes their place.
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind.
    pub code: Code,
    /// Its weight.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; absent when the problem has no place in a file (a missing folder).
    pub label: Option<Label>,
    /// Further places, such as the first of two declarations.
    pub related: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// What mends it, in the file of `label`; empty where a person has to decide.
    pub fix: Vec<Edit>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(
        code: Code,
        source: &Source,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            label: Some(Label {
                source: source.clone(),
                range: source.clamp(range),
                text: String::new(),
            }),
            related: Vec::new(),
            help: None,
            fix: Vec::new(),
        }
    }

    /// An error that has no place in a file.
    pub fn global(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            label: None,
            related: Vec::new(),
            help: None,
            fix: Vec::new(),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what mends it.
    #[must_use]
    pub fn fix(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.fix.extend(edits);
        self
    }

    /// Says something beside the underline.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        if let Some(label) = &mut self.label {
            label.text = text.into();
        }
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(
        mut self,
        source: &Source,
        range: Range<usize>,
        text: impl Into<String>,
    ) -> Self {
        self.related.push(Label {
            source: source.clone(),
            range: source.clamp(range),
            text: text.into(),
        });
        self
    }

    /// Line and column, where there is a place.
    pub fn place(&self) -> Option<Place> {
        self.label.as_ref().map(|l| l.source.place(l.range.start))
    }

    /// The whole diagnostic as people read it, with the source line underlined.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .id(self.code.as_str())
            .elements(
                self.label
                    .iter()
                    .map(|l| snippet(l, AnnotationKind::Primary)),
            );
        for label in &self.related {
            group = group.element(snippet(label, AnnotationKind::Context));
        }
        let mut groups: Vec<Group<'_>> = vec![group];
        if let Some(help) = &self.help {
            groups.push(Group::with_title(
                Level::HELP.secondary_title(help.as_str()),
            ));
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&groups)
    }
}

fn snippet(label: &Label, kind: AnnotationKind) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    let mut annotation = kind.span(label.first_line());
    if !label.text.is_empty() {
        annotation = annotation.label(label.text.as_str());
    }
    Snippet::source(label.source.text())
        .path(label.source.name())
        .annotation(annotation)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All the problems of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    items: Vec<Diagnostic>,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one problem, unless the very same one is there already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.items.contains(&diagnostic) {
            self.items.push(diagnostic);
        }
    }

    /// Adds all of another report.
    pub fn extend(&mut self, other: Report) {
        for item in other.items {
            self.push(item);
        }
    }

    /// The same problems but for those that are dropped.
    #[must_use]
    pub fn without(mut self, mut dropped: impl FnMut(&Diagnostic) -> bool) -> Self {
        self.items.retain(|item| !dropped(item));
        self
    }

    /// The same problems as warnings.
    #[must_use]
    pub fn into_warnings(self) -> Self {
        let items = self.items.into_iter().map(Diagnostic::warning);
        Self {
            items: items.collect(),
        }
    }

    /// The same problems as errors.
    #[must_use]
    pub fn into_errors(mut self) -> Self {
        for item in &mut self.items {
            item.severity = Severity::Error;
        }
        self
    }

    /// The same problems; those without a place are here.
    #[must_use]
    pub fn or_at(self, label: &Label) -> Self {
        let mut report = self;
        for item in &mut report.items {
            item.label.get_or_insert_with(|| label.clone());
        }
        report
    }

    /// Whether anything stands in the way of use.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether there is nothing at all to say.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|d| d.severity == severity).count()
    }

    /// The problems, by file and place.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut items: Vec<&Diagnostic> = self.items.iter().collect();
        items.sort_by_key(|d| {
            let label = d.label.as_ref();
            (
                label.map(|l| l.source.name().to_owned()),
                label.map(|l| l.range.start),
                d.code,
            )
        });
        items
    }

    /// Everything as people read it, a blank line between, without a closing count.
    pub fn render(&self, color: bool) -> String {
        self.sorted()
            .iter()
            .map(|d| d.render(color))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

impl FromIterator<Diagnostic> for Report {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(items: I) -> Self {
        let mut report = Self::new();
        items.into_iter().for_each(|item| report.push(item));
        report
    }
}

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            items: vec![diagnostic],
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
