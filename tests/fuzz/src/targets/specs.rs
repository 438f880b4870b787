//! Spec files, configs and project files: whatever they say, there is a report, and every place in it can be shown.
//!
//! An input is a text of several files. A line `%% NAME` begins one: `config` and `project` are what they say, a name that
//! begins with `templates/` is a template, any other is a spec file of the pack. What stands before the first is a spec file.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jacquard::bus::{Bus, BusConfig};
use jacquard::catalog::{Catalog, lint as served, packs};
use jacquard::engine::{About, Asker, Contact, Engine, Outcome};
use jacquard::gateway::Access;
use jacquard::project::check_project_file;
use jacquard::spec::config::{self, Around, Config};
use jacquard::spec::diag::Report;
use jacquard::spec::files::PackFiles;
use jacquard::spec::fix::{Kind, fixed};
use jacquard::spec::lint;
use jacquard::spec::load::load;
use jacquard::spec::source::Source;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The name of the pack, and of its folder.
const PACK: &str = "p";
/// What a config that names no pack of its own is tried with.
const CONFIG: &str = "packs: [./p]\n";

/// The most rounds of a call.
const MOST_ROUNDS: usize = 4;
/// The most tools of a pack that are called.
const MOST_CALLS: usize = 4;
/// How long a call may wait.
const WAIT: Duration = Duration::from_millis(20);

/// Where packs are written to be built.
struct Bed {
    folder: TempDir,
    runtime: Runtime,
}

static BED: LazyLock<Bed> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build();
    Bed {
        folder: tempfile::tempdir().unwrap_or_else(|error| panic!("a folder: {error}")),
        runtime: runtime.unwrap_or_else(|error| panic!("a runtime: {error}")),
    }
});

/// The config of an input without one. It is read once: that takes longer than most specs.
static PLAIN: LazyLock<Config> = LazyLock::new(|| {
    let (config, report) = config::load(Source::new("config.yaml", CONFIG), None);
    config.unwrap_or_else(|| panic!("{report}"))
});

/// The files of an input.
#[derive(Default)]
struct Files {
    pack: PackFiles,
    config: Option<Source>,
    project: Option<Source>,
}

/// Takes an input.
pub fn run(input: &[u8]) {
    // Files that are no text are refused before anything looks at them.
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let files = Files::of(text);
    let sound = pack(&files.pack);
    if sound {
        write(&files.pack);
        if files.config.is_none() {
            // It allows nothing of this machine, so that tools can be called.
            if let Some(catalog) = built(&PLAIN, BED.folder.path()) {
                BED.runtime.block_on(calls(catalog));
            }
        }
    }
    if let Some(source) = &files.config {
        config(source);
    }
    if let Some(source) = files.project {
        let check = |source: &Source| check_project_file(source.clone()).1;
        let report = check(&source);
        shown(&report);
        mended(&source, Kind::Project, &report, check);
    }
}

impl Files {
    fn of(text: &str) -> Self {
        let mut files = Self::default();
        files.pack.name = PACK.to_owned();
        let mut name = "a.yaml";
        let mut begin = 0;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some(next) = line.strip_prefix("%% ") {
                files.add(name, &text[begin..at]);
                name = next.trim();
                begin = at + line.len();
            }
            at += line.len();
        }
        files.add(name, &text[begin..]);
        files
    }

    fn add(&mut self, name: &str, text: &str) {
        let source = Source::new(name, text);
        match name {
            "config" => self.config = Some(source),
            "project" => self.project = Some(source),
            _ if text.is_empty() => {}
            _ => match name.strip_prefix("templates/") {
                Some(name) if is_plain(name) => {
                    let source = Source::new(name, text);
                    self.pack.templates.insert(name.to_owned(), source);
                }
                _ => {
                    // Two files of one folder never have one name.
                    let name = format!("{}.yaml", self.pack.specs.len());
                    self.pack.specs.push(Source::new(name, text));
                }
            },
        }
    }
}

/// Whether a file may have this name.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// Loads a pack; whether it is sound.
fn pack(files: &PackFiles) -> bool {
    if files.specs.is_empty() {
        return false;
    }
    let (pack, report) = load(files);
    shown(&report);
    assert_eq!(pack.is_some(), !report.has_errors(), "a pack, or errors");
    let with = |index: usize, source: &Source| {
        let mut files = files.clone();
        files.specs[index] = source.clone();
        load(&files).1
    };
    for (index, source) in files.specs.iter().enumerate() {
        mended(source, Kind::Spec, &report, |source| with(index, source));
    }
    shown(&lint::pack(files, report));
    if let Some(pack) = &pack {
        let printed = serde_json::to_string(pack);
        assert!(printed.is_ok(), "a pack can be printed: {printed:?}");
    }
    pack.is_some()
}

/// A file that was sound is sound when it has been fixed. `report` is what is wrong with it as it is.
fn mended(source: &Source, kind: Kind, report: &Report, check: impl Fn(&Source) -> Report) {
    let look = |version: &Source| match version.text() == source.text() {
        true => report.clone(),
        false => check(version),
    };
    let fixed = fixed(source.clone(), kind, look);
    if fixed.told.is_empty() {
        return;
    }
    let after = check(&fixed.source);
    shown(&after);
    assert!(
        report.has_errors() || !after.has_errors(),
        "fixing broke it:\n{after}\n{:?}",
        fixed.told
    );
}

/// Every place of a report is one of its file, and it can be shown in each way.
fn shown(report: &Report) {
    for diagnostic in report.sorted() {
        for label in diagnostic.label.iter().chain(&diagnostic.related) {
            let (text, range) = (label.source.text(), label.range.clone());
            assert!(
                text.get(range.clone()).is_some(),
                "{range:?} is no part of {} bytes: {}",
                text.len(),
                diagnostic.message
            );
            let _ = (label.places(), label.first_line());
        }
        for edit in &diagnostic.fix {
            let label = diagnostic.label.as_ref();
            let range = edit.range.clone();
            let fits = label.is_some_and(|label| label.source.text().get(range).is_some());
            assert!(fits, "{edit:?} is no part of the file");
        }
    }
    let _ = (report.render(true), report.render(false));
}

/// Writes the pack where configs find it.
fn write(files: &PackFiles) {
    let folder = BED.folder.path().join(PACK);
    let _ = std::fs::remove_dir_all(&folder);
    let write = || {
        std::fs::create_dir_all(folder.join("templates"))?;
        for source in &files.specs {
            std::fs::write(folder.join(source.name()), source.text())?;
        }
        for (name, source) in &files.templates {
            std::fs::write(folder.join("templates").join(name), source.text())?;
        }
        std::io::Result::Ok(())
    };
    write().unwrap_or_else(|error| panic!("a pack cannot be written: {error}"));
}

/// Reads a config as it is checked, and as it is served; builds what it serves.
fn config(source: &Source) {
    let base = BED.folder.path();
    let read = |source: Source, lookup| {
        let around = Around {
            lookup,
            forms: &packs::forms(),
            program: "jacquard",
            folder: &base.to_string_lossy(),
            set: &[],
        };
        config::load_with(source, &around)
    };
    let value = |name: &str| name.len().is_multiple_of(2).then(|| format!("{name}: [1"));
    for lookup in [Some(&value as config::Lookup<'_>), None] {
        let (config, report) = read(source.clone(), lookup);
        shown(&report);
        assert_eq!(
            config.is_some(),
            !report.has_errors(),
            "a config, or errors"
        );
        if lookup.is_none() {
            mended(source, Kind::Config, &report, |source| {
                read(source.clone(), None).1
            });
        }
        let config = config.filter(|_| lookup.is_none());
        if let Some(catalog) = config.and_then(|config| built(&config, base)) {
            BED.runtime.block_on(engine(catalog));
        }
    }
}

/// Builds what a config serves, as far as that needs no server.
fn built(config: &Config, base: &Path) -> Option<Catalog> {
    // Folders of this machine are no part of an input.
    let own = |name: &String| !name.contains(['/', '\\']) || name == "./p";
    if !config.packs.iter().all(own) {
        return None;
    }
    let project = json!({"name": "fuzz", "id": "0123456789abcdef", "path": "/fuzz", "namespace": "fuzz", "channels": []});
    match Catalog::build(config, base, &project) {
        Err(report) => {
            shown(&report);
            None
        }
        Ok((catalog, warnings)) => {
            shown(&warnings);
            let (_, found) = Access::new(config, &catalog.tools(), &catalog.prompts);
            shown(&found);
            shown(&served::config(&catalog, config, warnings));
            let _ = catalog.whole_fingerprint();
            Some(catalog)
        }
    }
}

/// Streams and buckets are worked out without a server. What cannot be made of this project is refused.
async fn engine(catalog: Catalog) -> Option<Engine> {
    let bus = Bus::idle(BusConfig::default()).await;
    let bus = bus.unwrap_or_else(|error| panic!("an idle connection: {error}"));
    Engine::new(Arc::new(catalog), bus).ok()
}

/// Calls some of the tools: what needs no server runs, and whatever comes of it is an answer.
async fn calls(catalog: Catalog) {
    let Some(engine) = engine(catalog).await else {
        return;
    };
    for tool in engine.catalog().tools().iter().take(MOST_CALLS) {
        for arguments in [Map::new(), arguments(&tool.input)] {
            // What waits for others, or for its time, is dropped.
            let _ = tokio::time::timeout(WAIT, rounds(&engine, &tool.name, arguments)).await;
        }
    }
}

/// A call in rounds: its client answers what it is asked.
async fn rounds(engine: &Engine, tool: &str, arguments: Map<String, Value>) {
    let session = engine.session();
    let client = About {
        capabilities: Map::from_iter([
            (String::from("elicitation"), json!({"form": {}, "url": {}})),
            (String::from("sampling"), json!({})),
            (String::from("roots"), json!({})),
        ]),
        ..About::default()
    };
    let client = Arc::new(client);
    let mut answers = Map::new();
    let mut from = None;
    for _ in 0..MOST_ROUNDS {
        let contact = Contact {
            client: Arc::clone(&client),
            asker: Asker::Rounds(Arc::new(std::mem::take(&mut answers))),
            from: from.take(),
            ..Contact::default()
        };
        let call = engine.call(&session, tool, Some(arguments.clone()), contact);
        match call.await {
            Ok(Outcome::Done(reply)) => {
                let broken = reply.is_error && reply.text.contains("a fault in the gateway");
                assert!(!broken, "a call has panicked: {}", reply.text);
                return;
            }
            Ok(Outcome::Asked(asked)) => {
                let questions = asked.questions.into_iter();
                answers.extend(questions.map(|q| (q.name, answer(&q.method, &q.params))));
                // As a client keeps it.
                let kept = serde_json::to_string(&asked.stand).unwrap_or_default();
                from = serde_json::from_str(&kept).ok();
                assert!(from.is_some(), "a state cannot be read: {kept}");
            }
            Ok(Outcome::Reached(_)) | Err(_) => return,
        }
    }
}

/// An answer of the kind that is asked for.
fn answer(method: &str, params: &Map<String, Value>) -> Value {
    match method {
        "elicitation/create" => {
            let form = params.get("requestedSchema").and_then(Value::as_object);
            json!({"action": "accept", "content": form.map(arguments).unwrap_or_default()})
        }
        "sampling/createMessage" => {
            json!({"role": "assistant", "content": {"type": "text", "text": "a"}, "model": "m"})
        }
        _ => json!({"roots": [{"uri": "file:///a"}]}),
    }
}

/// Arguments of the types that a schema asks for.
fn arguments(schema: &Map<String, Value>) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let value = |form: &Value| match form["type"].as_str() {
        _ if form["enum"].is_array() => form["enum"][0].clone(),
        Some("integer") => json!(3),
        Some("number") => json!(2.5),
        Some("boolean") => json!(true),
        Some("array") => json!(["a", "b"]),
        Some("object") => json!({"a": 1}),
        _ => json!("a"),
    };
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, form)| (name.clone(), value(form)))
        .collect()
}
