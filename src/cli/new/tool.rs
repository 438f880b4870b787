//! `jacquard new tool`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::stock::{Stock, Used, taken};
use super::subject::Subject;
use super::templates::{On, STORED, TEMPLATES, Template, fill};
use super::{Refusal, Tool, absent, config, quoted, write};
use crate::catalog::packs::shown;
use crate::spec::load::load;
use crate::spec::model::Pack;
use crate::spec::source::Source;

/// The longest name that clients take.
const MAX_NAME: usize = 64;

/// Makes the file, or the two of a tool that needs another one, and says what is next.
pub fn make(request: &Tool) -> Result<String, Refusal> {
    let name = request.name.as_str();
    check(name)?;
    let stock = Stock::of(request)?;
    if let Some(words) = taken(&stock.pack, name) {
        return Err(words.into());
    }
    let template = template(&stock, request);
    let mut used = stock.used(template.on, request)?;
    let subject = subject(&stock, template, &used, request)?;
    if !used.known {
        used.subject = subject.clone().or(used.subject);
    }
    let mut files = Vec::new();
    let mut claim = None;
    if template.text.contains("__claim__") {
        let known = stock.claiming(&used.key).map(str::to_owned);
        claim = Some(known.unwrap_or_else(|| {
            let other = format!("{name}_take");
            let found = TEMPLATES.iter().find(|t| t.verb == "claim");
            let text = found.map_or("", |t| t.text);
            files.push((other.clone(), text));
            other
        }));
    }
    files.insert(0, (name.to_owned(), template.text));
    let (last, mut texts) = (files.len() - 1, Vec::new());
    for (index, (tool, text)) in files.iter().enumerate() {
        let mut text = (*text).to_owned();
        if index == last && !used.known {
            text.push_str(template.on.declaration());
        }
        let words = Words {
            tool,
            claim: claim.as_deref().unwrap_or_default(),
            pack: &stock.pack.name,
        };
        let path = stock.folder.join(format!("{tool}.yaml"));
        absent(&path)?;
        texts.push((path, words.put_into(&text, &used, subject.as_ref())));
    }
    let pack = loaded(&stock, &texts)?;
    for (path, text) in &texts {
        write(path, text)?;
    }
    Ok(told(&stock, &pack, &texts, template, &used, name))
}

/// What stands in a template for names.
struct Words<'a> {
    tool: &'a str,
    claim: &'a str,
    pack: &'a str,
}

impl Words<'_> {
    fn put_into(&self, text: &str, used: &Used, subject: Option<&Subject>) -> String {
        let subject = subject.or(used.subject.as_ref());
        let steps = subject.map(Subject::in_steps).unwrap_or_default();
        let example = subject.map(Subject::in_examples).unwrap_or_default();
        let wide = subject.map(Subject::wide).unwrap_or_default();
        let queued = format!("{steps}.p1");
        let arguments = subject.map(Subject::arguments).unwrap_or_default();
        let tokens = arguments.join(", ");
        let words = [
            ("tool", self.tool),
            ("tokens", &tokens),
            ("claim", self.claim),
            ("pack", self.pack),
            ("on", &used.key),
            ("name", &used.name),
            ("dead", &used.dead),
            ("subject", &steps),
            ("example", &example),
            ("wide", &wide),
            ("pattern", &wide),
            ("queued", &queued),
        ];
        fill(text, &arguments, &words)
    }
}

/// The template of the verb. A message is kept where a stream is named, or where the pack has one and no subject is told.
fn template(stock: &Stock, request: &Tool) -> Template {
    let has_stream = || {
        !stock.pack.streams.is_empty()
            && stock.used(On::Stream, request).is_ok_and(|used| used.known)
    };
    let kept = request.on.is_some() || (request.subject.is_none() && has_stream());
    if request.verb.verb == STORED.verb && kept {
        STORED
    } else {
        request.verb
    }
}

/// The subject of the tool, where it has one.
fn subject(
    stock: &Stock,
    template: Template,
    used: &Used,
    request: &Tool,
) -> Result<Option<Subject>, String> {
    let own = |tail: &str| Subject::read(&format!("{{{{ project.namespace }}}}.{tail}"));
    let Some(told) = &request.subject else {
        return match (template.on, template.verb) {
            (On::Subject, "publish") => own(&format!("{}.{{topic}}", stock.pack.name)).map(Some),
            (On::Subject, _) => own(&request.name).map(Some),
            _ => Ok(None),
        };
    };
    match template.on {
        On::Subject => {}
        On::Stream if !used.known || template.verb == STORED.verb => {}
        On::Stream => {
            return Err(format!(
                "--subject: the stream `{}` is there already and has subjects of its own; name a new one with --on",
                used.key
            ));
        }
        _ => {
            return Err(format!(
                "--subject: `{}` uses no subject of its own",
                template.verb
            ));
        }
    }
    if told.arguments().contains(&"text") {
        return Err(
            "--subject: `text` is an argument of the tool already; take another word for {text}"
                .into(),
        );
    }
    Ok(Some(told.clone()))
}

fn check(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(format!(
            "`{name}` cannot name a tool: a letter first, then letters, digits, - and _, at most {MAX_NAME}"
        ));
    }
    Ok(())
}

/// The pack with the new files. What would not load is never written.
fn loaded(stock: &Stock, texts: &[(PathBuf, String)]) -> Result<Pack, Refusal> {
    let mut files = stock.files.clone();
    let new = texts
        .iter()
        .map(|(path, text)| Source::new(shown(path), text.as_str()));
    files.specs.extend(new);
    let (pack, report) = load(&files);
    match pack {
        Some(pack) if !report.has_errors() => Ok(pack),
        _ => Err(report.into()),
    }
}

/// What was made, and what is next.
fn told(
    stock: &Stock,
    pack: &Pack,
    texts: &[(PathBuf, String)],
    template: Template,
    used: &Used,
    name: &str,
) -> String {
    let mut said = String::new();
    for (path, _) in texts {
        let _ = writeln!(said, "made {}", shown(path));
    }
    if let Some((other, _)) = texts.get(1) {
        let _ = writeln!(
            said,
            "  ({} is for its token: nothing in the pack took work from `{}`)",
            shown(other),
            used.key
        );
    }
    if let Some(section) = template.on.section() {
        let how = if used.known { "it uses" } else { "with" };
        let _ = writeln!(said, "  {how} `{}` of `{section}`", used.key);
    }
    let folder = quoted(&shown(&stock.folder));
    let _ = write!(
        said,
        "\nNext: change what it says and does, then\n  jacquard validate {folder}\n  jacquard test {folder}\n"
    );
    match config::serving(&stock.folder) {
        Some(config) => {
            let call = call(pack, name);
            let config = quoted(&shown(&config));
            let _ = write!(said, "  jacquard call -c {config} {name}{call}");
        }
        None => {
            let place = packs_entry(&stock.folder);
            let _ = write!(
                said,
                "and serve it: no config here has the pack yet. Put `packs: [{place}]` into a file gateway.yaml beside the pack's \
                 folder, then\n  jacquard call -c gateway.yaml {name}{}",
                call(pack, name)
            );
        }
    }
    said
}

/// The folder as a config beside it names it.
fn packs_entry(folder: &Path) -> String {
    let real = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    format!("./{name}")
}

/// The arguments of the first example, as they are written after `jacquard call`.
fn call(pack: &Pack, name: &str) -> String {
    let example = pack.tools.get(name).and_then(|tool| tool.examples.first());
    let call = example.map(|e| serde_json::to_value(&e.call).unwrap_or_default());
    let words = call.as_ref().and_then(|call| call.as_object()).map(|call| {
        call.iter().map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let text = if text.contains("{{") {
                "…".to_owned()
            } else {
                text
            };
            format!(" {}", quoted(&format!("{key}={text}")))
        })
    });
    words.map(Iterator::collect).unwrap_or_default()
}
