//! What a pack keeps: streams, buckets, queues and the rest, as tables.

use super::markdown::{Markdown, code, sentence};
use super::names::shown;
use super::tools::value_words;
use crate::spec::data::Text;
use crate::spec::model::{BucketDecl, Pack, QueueDecl, StreamDecl};
use crate::spec::tree::Template;
use crate::spec::tree::Tree;

/// All of it. What stands in braces is filled in.
pub fn sections(pack: &Pack, page: &mut Markdown) {
    streams(pack, page);
    buckets(pack, page);
    queues(pack, page);
    others(pack, page);
    of_the_machine(pack, page);
    offered(pack, page);
    by_itself(pack, page);
}

fn section<const N: usize>(
    page: &mut Markdown,
    title: &str,
    head: [&str; N],
    rows: Vec<[String; N]>,
) {
    if !rows.is_empty() {
        page.heading(2, title);
        page.table(head, &rows);
    }
}

fn told(description: Option<&Text>) -> String {
    description.map(|text| sentence(text)).unwrap_or_default()
}

/// `max_age: 7d, discard: new`
fn limits(all: &[(&str, Option<String>)]) -> String {
    let given = all
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let words: Vec<String> = given.map(|(key, value)| format!("{key} {value}")).collect();
    words.join(", ")
}

fn word(value: Option<&Tree>) -> Option<String> {
    value.map(value_words)
}

fn streams(pack: &Pack, page: &mut Markdown) {
    let rows = pack.streams.iter().map(|(name, stream)| {
        let subjects: Vec<String> = stream.subjects.iter().map(|s| code(&shown(&s.0))).collect();
        [
            code(name),
            code(&shown(&stream.name.0)),
            subjects.join(", "),
            stream_limits(stream),
            [told(stream.description.as_ref()), instances(stream)]
                .join(" ")
                .trim()
                .to_owned(),
        ]
    });
    let head = ["stream", "name on NATS", "subjects", "limits", ""];
    section(page, "Streams", head, rows.collect());
}

fn instances(stream: &StreamDecl) -> String {
    let mut text = Vec::new();
    if let Some(each) = &stream.each {
        text.push(format!("One for each of {}.", code(&each.0)));
    }
    if let Some(params) = &stream.params {
        text.push(one_for(params));
    }
    if let Some(when) = &stream.when {
        text.push(format!("Only where {} holds.", code(&when.0)));
    }
    text.join(" ")
}

fn one_for(params: &[Text]) -> String {
    let names: Vec<String> = params.iter().map(|name| code(name)).collect();
    format!("One for each {}.", names.join(" and "))
}

/// A word of the language.
fn plainly(value: &impl serde::Serialize) -> Option<String> {
    let value = serde_json::to_value(value).ok()?;
    Some(code(value.as_str()?))
}

fn stream_limits(stream: &StreamDecl) -> String {
    limits(&[
        ("retention", stream.retention.as_ref().and_then(plainly)),
        ("storage", stream.storage.as_ref().and_then(plainly)),
        ("max_age", word(stream.max_age.as_ref().map(|v| &v.0))),
        (
            "max_messages",
            word(stream.max_messages.as_ref().map(|v| &v.0)),
        ),
        (
            "max_messages_per_subject",
            word(stream.max_messages_per_subject.as_ref().map(|v| &v.0)),
        ),
        ("max_bytes", word(stream.max_bytes.as_ref().map(|v| &v.0))),
        (
            "max_message_size",
            word(stream.max_message_size.as_ref().map(|v| &v.0)),
        ),
        ("discard", stream.discard.as_ref().and_then(plainly)),
        (
            "duplicate_window",
            word(stream.duplicate_window.as_ref().map(|v| &v.0)),
        ),
        ("replicas", word(stream.replicas.as_ref().map(|v| &v.0))),
    ])
}

fn buckets(pack: &Pack, page: &mut Markdown) {
    let rows = pack.buckets.iter().map(|(name, bucket)| {
        let each = bucket.params.as_ref().map(|params| one_for(params));
        let text = [told(bucket.description.as_ref()), each.unwrap_or_default()];
        [
            code(name),
            code(&shown(&bucket.name.0)),
            bucket_limits(bucket),
            text.join(" ").trim().to_owned(),
        ]
    });
    section(
        page,
        "Buckets",
        ["bucket", "name on NATS", "limits", ""],
        rows.collect(),
    );
}

fn bucket_limits(bucket: &BucketDecl) -> String {
    limits(&[
        ("storage", bucket.storage.as_ref().and_then(plainly)),
        ("history", word(bucket.history.as_ref().map(|v| &v.0))),
        ("ttl", word(bucket.ttl.as_ref().map(|v| &v.0))),
        (
            "limit_markers",
            word(bucket.limit_markers.as_ref().map(|v| &v.0)),
        ),
        ("max_bytes", word(bucket.max_bytes.as_ref().map(|v| &v.0))),
        (
            "max_value_size",
            word(bucket.max_value_size.as_ref().map(|v| &v.0)),
        ),
        ("replicas", word(bucket.replicas.as_ref().map(|v| &v.0))),
    ])
}

fn queues(pack: &Pack, page: &mut Markdown) {
    let rows = pack.queues.iter().map(|(name, queue)| {
        let lanes = queue.params.as_ref().map(|params| {
            let names: Vec<String> = params.iter().map(|name| code(name)).collect();
            format!("A lane for each {}.", names.join(" and "))
        });
        let text = [told(queue.description.as_ref()), lanes.unwrap_or_default()];
        [
            code(name),
            code(&shown(&queue.subject.0)),
            made_of(queue),
            limits(&[
                ("levels", word(queue.levels.as_ref().map(|v| &v.0))),
                ("lease", word(Some(&queue.lease.0))),
                ("attempts", word(Some(&queue.attempts.0))),
            ]),
            text.join(" ").trim().to_owned(),
        ]
    });
    let head = ["queue", "subject", "made of", "limits", ""];
    section(page, "Queues", head, rows.collect());
}

fn made_of(queue: &QueueDecl) -> String {
    format!(
        "stream {}, leases in bucket {}, dead letters in stream {} on {}",
        code(&queue.stream),
        code(&queue.leases),
        code(&queue.dead.stream),
        code(&shown(&queue.dead.subject.0))
    )
}

fn others(pack: &Pack, page: &mut Markdown) {
    let rows = pack.tables.iter().map(|(name, table)| {
        let description = told(table.description.as_ref());
        [
            code(name),
            code(&table.stream),
            value_words(&table.ttl.0),
            description,
        ]
    });
    let head = ["table", "fed by the stream", "an entry lives", ""];
    section(page, "Tables", head, rows.collect());
    let rows = pack.inboxes.iter().map(|(name, inbox)| {
        let description = told(inbox.description.as_ref());
        [code(name), code(&shown(&inbox.subject.0)), description]
    });
    section(page, "Inboxes", ["inbox", "subject", ""], rows.collect());
}

fn of_the_machine(pack: &Pack, page: &mut Markdown) {
    let journals = pack.journals.iter().map(|(name, journal)| {
        let description = told(journal.description.as_ref());
        [
            code(name),
            "journal".to_owned(),
            value_words(&journal.file),
            description,
        ]
    });
    let folders = pack.folders.iter().map(|(name, folder)| {
        let kind = match folder.write {
            Some(true) => "folder, written",
            _ => "folder, read",
        };
        let description = told(folder.description.as_ref());
        [
            code(name),
            kind.to_owned(),
            value_words(&folder.path),
            description,
        ]
    });
    let programs = pack.programs.iter().map(|(name, program)| {
        let description = told(program.description.as_ref());
        [
            code(name),
            "program".to_owned(),
            value_words(&program.program),
            description,
        ]
    });
    let rows = journals.chain(folders).chain(programs).collect();
    section(page, "Of the machine", ["name", "is a", "where", ""], rows);
}

/// What clients have beside tools.
fn offered(pack: &Pack, page: &mut Markdown) {
    let about = |text: Option<&Template>| {
        let text = text.map(|text| sentence(&shown(&text.0)));
        text.unwrap_or_default()
    };
    let rows = pack.resources.iter().map(|(name, resource)| {
        let uri = shown(&resource.uri.0);
        let (address, what) = match &resource.folder {
            Some(folder) => (
                format!("{uri}…"),
                format!("files of the folder {}", code(folder)),
            ),
            None => (uri, "made when it is read".to_owned()),
        };
        [
            code(name),
            code(&address),
            what,
            about(resource.description.as_ref()),
        ]
    });
    let prompts = pack.prompts.iter().map(|(name, prompt)| {
        let arguments: Vec<String> = prompt.arguments.keys().map(code).collect();
        let text = about(prompt.description.as_ref());
        [code(name), arguments.join(", "), text]
    });
    section(
        page,
        "Prompts",
        ["prompt", "arguments", ""],
        prompts.collect(),
    );
    section(
        page,
        "Resources",
        ["resources", "address", "are", ""],
        rows.collect(),
    );
}

fn by_itself(pack: &Pack, page: &mut Markdown) {
    let timers = pack.timers.iter().map(|(name, timer)| {
        let every = format!("every {}", value_words(&timer.every.0));
        [format!("timer {}", code(name)), every]
    });
    let listeners = pack.listeners.iter().map(|(name, listener)| {
        let on = match (&listener.subject, &listener.stream) {
            (Some(subject), _) => format!("on {}", code(&shown(&subject.0))),
            (None, Some(stream)) => format!("on the stream {}", code(stream)),
            (None, None) => String::new(),
        };
        [format!("listener {}", code(name)), on]
    });
    let moments = [
        ("end of a session", pack.on.close.is_empty()),
        ("session that goes on elsewhere", pack.on.resume.is_empty()),
    ];
    let moments = moments.into_iter().filter(|(_, none)| !none);
    let moments = moments.map(|(text, _)| [text.to_owned(), String::new()]);
    let rows = timers.chain(listeners).chain(moments).collect();
    section(page, "By itself, in each session", ["", "when"], rows);
}
