//! What a pack has already, and which of it a new tool uses.

use std::path::{Path, PathBuf};

use super::subject::Subject;
use super::templates::On;
use super::{Refusal, Tool};
use crate::catalog::packs::shown;
use crate::catalog::touch::{self, Action};
use crate::spec::doc::Doc;
use crate::spec::files::{PackFiles, is_spec, read_folder, read_source};
use crate::spec::load::load;
use crate::spec::model::{Pack, QueueDecl, SECTIONS};
use crate::spec::tree::Token;

/// A pack on disk.
pub struct Stock {
    /// Its folder.
    pub folder: PathBuf,
    /// Its files.
    pub files: PackFiles,
    /// What they say.
    pub pack: Pack,
}

/// The stream, bucket or queue that a tool uses.
#[derive(Debug, Default)]
pub struct Used {
    /// Its name in the pack.
    pub key: String,
    /// Whether it is there already.
    pub known: bool,
    /// What NATS calls it.
    pub name: String,
    /// What it stores, or what the subjects of its items begin with.
    pub subject: Option<Subject>,
    /// What the subjects of its dead letters begin with.
    pub dead: String,
}

impl Stock {
    /// The pack that a tool is for.
    ///
    /// # Errors
    /// There is none, there are several, or it does not load.
    pub fn of(request: &Tool) -> Result<Self, Refusal> {
        let folder = match &request.pack {
            Some(folder) if folder.is_dir() => folder.clone(),
            Some(folder) => {
                let folder = shown(folder);
                return Err(Refusal::Words(format!(
                    "there is no folder {folder}: `jacquard new pack {folder}` makes a pack"
                )));
            }
            None => found()?,
        };
        let files = read_folder(&folder, &shown(&folder))?;
        let (pack, report) = load(&files);
        match pack {
            Some(pack) if !report.has_errors() => Ok(Self {
                folder,
                files,
                pack,
            }),
            _ => Err(report.into()),
        }
    }

    /// What the tool uses: what `--on` names, what has the pack's name, the only one, or a new one with the pack's name.
    ///
    /// # Errors
    /// Which one is meant cannot be told, or it is of a kind that a template knows nothing of.
    pub fn used(&self, on: On, request: &Tool) -> Result<Used, String> {
        let Some(section) = on.section() else {
            return match &request.on {
                Some(name) => Err(format!(
                    "--on {name}: `{}` uses no stream, bucket or queue",
                    request.verb.verb
                )),
                None => Ok(Used::default()),
            };
        };
        let own = &*self.pack.name;
        let names = self.names(on);
        let wanted = match &request.on {
            Some(name) => name.as_str(),
            None if names.contains(&own) => own,
            None => match names.as_slice() {
                [] => own,
                [one] => one,
                _ => {
                    return Err(format!(
                        "the pack {own} has {} {section}: name one of them with --on, or a new one: {}",
                        names.len(),
                        names.join(", ")
                    ));
                }
            },
        };
        if !is_key(wanted) {
            return Err(format!(
                "--on {wanted}: a small letter first, then small letters, digits, - and _"
            ));
        }
        match self.known(on, wanted) {
            Some(Ok(used)) => Ok(used),
            Some(Err(why)) => Err(format!(
                "`{wanted}` of `{section}` {why}, which no template knows of: take another one with --on, or write the step by hand"
            )),
            None => Ok(made(on, wanted)),
        }
    }

    /// A tool that takes items of this queue without being told anything, and hands on their tokens.
    pub fn claiming(&self, queue: &str) -> Option<&str> {
        let claims = |touch: &touch::Touch| {
            let this = matches!(&touch.on, touch::On::Queue(name) if name == queue);
            touch.action == Action::Claim && this
        };
        let tools = self.pack.tools.iter();
        let mut fitting = tools.filter(|(_, tool)| {
            let json = |tree| serde_json::to_value(tree).unwrap_or_default();
            let input = tool.input.as_ref().map(json).unwrap_or_default();
            let needs = input.get("required").and_then(|r| r.as_array());
            let output = tool.output.as_ref().map(json).unwrap_or_default();
            needs.is_none_or(Vec::is_empty)
                && output.pointer("/properties/token").is_some()
                && touch::of_tool(&self.pack, tool).iter().any(claims)
        });
        fitting.next().map(|(name, _)| name)
    }

    /// What there is to choose from; what only serves queues is left out.
    fn names(&self, on: On) -> Vec<&str> {
        let pack = &self.pack;
        let queues = || pack.queues.iter().map(|(_, queue)| queue);
        let positions = |name: &str| name.ends_with("_positions");
        match on {
            On::Stream => {
                let serves =
                    |name: &str| queues().any(|q| q.stream == name || q.dead.stream == name);
                pack.streams.keys().filter(|n| !serves(n)).collect()
            }
            On::Bucket => {
                let serves = |name: &str| queues().any(|q| q.leases == name) || positions(name);
                pack.buckets.keys().filter(|n| !serves(n)).collect()
            }
            On::Queue => pack.queues.keys().collect(),
            On::Subject | On::Nothing => Vec::new(),
        }
    }

    /// What is declared under this name, or why a template cannot use it.
    fn known(&self, on: On, name: &str) -> Option<Result<Used, &'static str>> {
        let used = |real: &Token, subject: Option<&Token>, dead: &str| {
            let subject = subject.map(|s| Subject::read(&s.0)).transpose();
            subject
                .map_err(|_| "has a subject of several expressions")
                .map(|subject| Used {
                    key: name.to_owned(),
                    known: true,
                    name: real.0.to_string(),
                    subject,
                    dead: dead.to_owned(),
                })
        };
        match on {
            On::Stream => self.pack.streams.get(name).map(|stream| {
                if stream.params.is_some() || stream.each.is_some() || stream.when.is_some() {
                    return Err("has `params`, `each` or `when`");
                }
                used(&stream.name, stream.subjects.first(), "")
            }),
            On::Bucket => self
                .pack
                .buckets
                .get(name)
                .map(|bucket| match bucket.params {
                    Some(_) => Err("has `params`"),
                    None => used(&bucket.name, None, ""),
                }),
            On::Queue => self.pack.queues.get(name).map(|queue| {
                plain(queue)?;
                used(&queue.subject, Some(&queue.subject), &queue.dead.subject.0)
            }),
            On::Subject | On::Nothing => None,
        }
    }
}

/// Whether a queue is one that templates know: one line, whose items have their ids where ours have them.
fn plain(queue: &QueueDecl) -> Result<(), &'static str> {
    if queue.params.is_some() || queue.consumer.is_some() || queue.with.is_some() {
        return Err("has `params`, `with` or `consumer`");
    }
    if queue.id.0 != "item.data.id" {
        return Err("finds the ids of its items elsewhere than in `item.data.id`");
    }
    Ok(())
}

/// What a declaration of our own makes.
fn made(on: On, key: &str) -> Used {
    // No subject of a stream may be one of a queue, nor what a program is asked on: the stream would answer.
    let base = match on {
        On::Queue => format!("{{{{ project.namespace }}}}.{key}_queue"),
        _ => format!("{{{{ project.namespace }}}}.{key}"),
    };
    let subject = match on {
        On::Queue => format!("{base}.todo"),
        _ => format!("{base}.{{topic}}"),
    };
    Used {
        key: key.to_owned(),
        known: false,
        name: format!("{{{{ project.namespace }}}}_{key}"),
        subject: Subject::read(&subject).ok(),
        dead: format!("{base}.dead"),
    }
}

/// Whether this can be the name of a stream, bucket or queue, and a part of names on NATS.
fn is_key(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

/// The pack in the working directory, or the only one in a folder of it.
fn found() -> Result<PathBuf, String> {
    let here = PathBuf::from(".");
    if is_pack(&here) {
        return Ok(here);
    }
    let entries = std::fs::read_dir(&here).map_err(|e| format!("the working directory: {e}"))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|path| path.is_dir() && is_pack(path))
        .collect();
    folders.sort();
    match folders.as_slice() {
        [] => Err("there is no pack here: `jacquard new pack NAME` makes one, and --pack DIR names one elsewhere".into()),
        [one] => Ok(one.clone()),
        several => {
            let names: Vec<String> = several.iter().map(|path| shown(path)).collect();
            Err(format!(
                "there are {} packs here: name one of them with --pack: {}",
                names.len(),
                names.join(", ")
            ))
        }
    }
}

/// Whether a folder has a spec.
fn is_pack(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = entries
        .map(|entry| entry.path())
        .filter(|path| is_spec(path));
    files.any(|path| {
        let doc = read_source(&path, &shown(&path)).and_then(Doc::parse);
        doc.is_ok_and(|doc| {
            let has = |key: &str| doc.value.get(key).is_some();
            !has("packs") && SECTIONS.iter().any(|key| has(key))
        })
    })
}

/// What to say of a name that is not free.
pub fn taken(pack: &Pack, name: &str) -> Option<String> {
    let place = pack.origins.get(name)?;
    let free = (2..100).map(|n| format!("{name}_{n}"));
    let free = free.into_iter().find(|n| pack.origins.get(n).is_none());
    Some(format!(
        "the pack {} has a tool `{name}` already, at {place}; `{}` is free",
        pack.name,
        free.unwrap_or_default()
    ))
}
