//! The page of the verbs: what each does, takes and yields.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::markdown::{Markdown, code, plain, to_heading};
use super::reference::{is_common, step_parts, step_rows};
use super::schema::lowered;
use crate::spec::check::result_of;
use crate::spec::diag::Report;
use crate::spec::doc::Doc;
use crate::spec::files::PackFiles;
use crate::spec::load::load;
use crate::spec::shape::Shape;
use crate::spec::source::Source;
use crate::spec::verbs::{Step, Verb};

/// A step of each verb, in a pack that has what they name.
const SAMPLES: &str = include_str!("verbs.yaml");
/// The tool in the samples whose steps they are.
const SHOWN: &str = "shown";

/// The verbs by what they are about, each with its round trips to NATS.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "Values and decisions",
        &[
            ("require", "0"),
            ("let", "0"),
            ("set", "0"),
            ("use", "those of its steps"),
            ("fail", "0"),
            ("check", "0"),
            ("parse", "0"),
            ("sleep", "0"),
        ],
    ),
    (
        "Messages",
        &[
            ("publish", "1"),
            ("request", "1"),
            ("read", "1 or more"),
            ("take", "4 or more"),
            ("subjects", "1 for 100,000 subjects"),
            ("info", "1"),
            ("erase", "1"),
            ("drop", "2"),
        ],
    ),
    (
        "The client",
        &[
            ("ask", "0"),
            ("notify", "0"),
            ("progress", "0"),
            ("log", "0"),
            ("announce", "0"),
            ("hang_up", "0"),
        ],
    ),
    (
        "Keys and values",
        &[
            ("get", "1"),
            ("put", "1"),
            ("create", "1"),
            ("update", "1"),
            ("modify", "2 or more"),
            ("lease", "1 or more"),
            ("delete", "1"),
            ("list", "1 for 1,024 keys; mirrored, 1 or 2 small ones"),
            ("find", "0; 1 where none is found"),
        ],
    ),
    (
        "Queues of work",
        &[
            ("enqueue", "1"),
            ("claim", "3 or more"),
            ("extend", "3"),
            ("complete", "3"),
            ("release", "3"),
            ("peek", "2 or more"),
            ("depth", "2 or more"),
            ("dead", "2 or more"),
            ("revive", "4"),
            ("discard", "2"),
        ],
    ),
    (
        "The machine",
        &[
            ("append", "0"),
            ("list_files", "0"),
            ("read_file", "0"),
            ("write_file", "0"),
            ("delete_file", "0"),
            ("run", "0"),
            ("connect", "0"),
            ("fetch", "0"),
        ],
    ),
];

/// The page, from the schema of specs.
///
/// # Errors
/// What is wrong with the samples.
pub fn page(schema: &Value) -> Result<String, Report> {
    let samples = Samples::read()?;
    let mut page = Markdown::page("The verbs", super::MADE_BY);
    page.line(
        "A step has exactly one verb, and any of the [keys of every step](#keys-of-every-step). The \
         [guide](../verbs.md) explains each verb at length; the kinds of values are told with [the spec \
         language](spec.md#kinds-of-values). A key in bold is needed. Round trips are those to NATS; the first use of a stream \
         or bucket costs one more, to see whether it exists, and another one to make it.",
    );
    for (group, verbs) in GROUPS {
        page.line(&format!("**{group}**"));
        let rows: Vec<[String; 3]> = verbs
            .iter()
            .map(|(verb, cost)| {
                [
                    to_heading(&code(verb), verb),
                    plain(said(verb)),
                    (*cost).to_owned(),
                ]
            })
            .collect();
        page.table(["verb", "what it does", "round trips"], &rows);
    }
    common(schema, &mut page);
    for (verb, _) in GROUPS.iter().flat_map(|(_, verbs)| verbs.iter()) {
        section(schema, verb, &samples, &mut page);
    }
    Ok(page.finish())
}

/// What a verb does, in a sentence.
fn said(verb: &str) -> &'static str {
    let found = Verb::ALL.iter().find(|(name, _)| *name == verb);
    found.map_or("", |(_, text)| text.trim())
}

fn step_schema(schema: &Value) -> Option<&Map<String, Value>> {
    schema.pointer("/$defs/Step")?.as_object()
}

fn common(schema: &Value, page: &mut Markdown) {
    page.heading(2, "Keys of every step");
    let Some(Value::Object(keys)) = step_schema(schema).and_then(|s| s.get("properties")) else {
        return;
    };
    let keys = keys.clone().into_iter().filter(|(key, _)| is_common(key));
    let object = Map::from_iter([("properties".to_owned(), Value::Object(keys.collect()))]);
    page.table(["key", "type", "meaning"], &step_rows(schema, &object));
}

fn section(schema: &Value, verb: &str, samples: &Samples, page: &mut Markdown) {
    page.heading(2, &code(verb));
    let form = step_schema(schema)
        .and_then(|step| step.get("properties")?.get(verb)?.get("$ref")?.as_str())
        .and_then(|pointer| schema.pointer(pointer.strip_prefix('#')?));
    let about = form.and_then(|form| form.get("description")?.as_str());
    let about = about.unwrap_or_default();
    let has_keys = form.is_some_and(|form| form.get("properties").is_some());
    page.line(&words(said(verb), about, has_keys));
    if let Some(sample) = samples.of(verb) {
        page.code("yaml-part", &sample.text);
    }
    if let Some(object) = form.and_then(Value::as_object) {
        page.table(["key", "type", "meaning"], &step_rows(schema, object));
        let keys = object.get("properties").and_then(Value::as_object);
        for (path, part) in keys
            .map(|k| step_parts(schema, verb, k))
            .unwrap_or_default()
        {
            page.line(&format!("In {}:", code(&path)));
            page.table(["key", "type", "meaning"], &step_rows(schema, &part));
        }
    }
    // What a mapping of names yields depends on the names.
    let yields = samples.of(verb).map(|sample| result_of(&sample.step.verb));
    let yields = yields.filter(|shape| has_keys || !matches!(shape, Shape::Object(_)));
    if let Some(told) = yields.as_ref().and_then(returns) {
        page.line(&format!("Returns {told}."));
    }
}

/// What a verb does: what is said of it in a sentence, and of its keys. Where both begin alike, the longer one is enough.
fn words(said: &str, about: &str, has_keys: bool) -> String {
    let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
    if !has_keys {
        format!("{} It takes {}", plain(said), plain(&lowered(about)))
    } else if first(said) == first(about) {
        plain(about)
    } else {
        format!("{} {}", plain(said), plain(about))
    }
}

/// What a result is, in words; nothing where it depends on the step.
fn returns(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Any => None,
        Shape::Object(fields) if fields.known.is_empty() => None,
        Shape::Object(fields) => {
            let fields = fields.known.iter();
            let words = fields.map(|(name, field)| match word(&field.shape) {
                "" => code(name),
                word => format!("{} ({word})", code(name)),
            });
            Some(words.collect::<Vec<_>>().join(", "))
        }
        other => Some(word(other).to_owned()),
    }
}

fn word(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "",
        Shape::Text => "string",
        Shape::Number => "number",
        Shape::Bool => "boolean",
        Shape::List(_) => "list",
        Shape::Object(_) => "object",
    }
}

/// A step of the samples, and how it is written.
struct Sample {
    step: Step,
    text: String,
}

struct Samples(Vec<Sample>);

impl Samples {
    fn read() -> Result<Self, Report> {
        let source = Source::new("verbs.yaml", SAMPLES);
        let files = PackFiles {
            name: "samples".to_owned(),
            specs: vec![source.clone()],
            ..PackFiles::default()
        };
        let (pack, report) = load(&files);
        let doc = Doc::parse(source)?;
        let pack = pack.ok_or(report)?;
        let steps = pack.tools.get(SHOWN).map(|tool| Cow::Borrowed(&tool.steps));
        let samples = steps.iter().flat_map(|steps| steps.iter()).enumerate();
        Ok(Self(
            samples
                .map(|(index, step)| Sample {
                    step: step.clone(),
                    text: written(&doc, index),
                })
                .collect(),
        ))
    }

    fn of(&self, verb: &str) -> Option<&Sample> {
        self.0.iter().find(|sample| sample.step.verb.name() == verb)
    }
}

/// A step as it is written, without what it is indented by: from its dash to that of the next one.
fn written(doc: &Doc, index: usize) -> String {
    let text = doc.source.text();
    let at = doc
        .value_range(&format!("/tools/{SHOWN}/steps/{index}"))
        .start;
    let line = text
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |end| end + 1);
    let rest = text.get(line..).unwrap_or_default();
    let indent = rest.len() - rest.trim_start().len();
    let ends = |line: &&str| {
        line.get(..=indent)
            .is_some_and(|start| start.trim_start().is_empty())
    };
    let mut lines = rest.lines();
    let first = lines.next().into_iter();
    let all = first.chain(lines.take_while(ends));
    let cut: Vec<&str> = all
        .map(|line| line.get(indent..).unwrap_or_default())
        .collect();
    cut.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_verb_stands_in_one_group_and_has_a_sample() {
        let samples = Samples::read().unwrap_or_else(|report| panic!("{report}"));
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, v)| v.iter().map(|(n, _)| *n))
            .collect();
        for (verb, _) in Verb::ALL {
            let times = grouped.iter().filter(|name| *name == verb).count();
            assert_eq!(times, 1, "{verb} stands in {times} groups of the reference");
            let sample = samples.of(verb);
            assert!(
                sample.is_some(),
                "{verb} has no step in src/cli/docs/verbs.yaml"
            );
        }
        assert_eq!(grouped.len(), Verb::ALL.len());
    }

    #[test]
    fn a_sample_is_told_as_it_is_written() {
        let samples = Samples::read().unwrap();
        let lock = samples.of("require").unwrap();
        assert_eq!(
            lock.text,
            "- require: args.name != 'root'\n  else: The name root is taken."
        );
    }
}
