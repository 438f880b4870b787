//! What the files of a pack name: places, tools, templates and other files.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::draft::Draft;
use crate::spec::check;
use crate::spec::data::{Map, Text};
use crate::spec::model::{Block, Face, PackFile, Reply};
use crate::spec::source::Source;

/// Where something is declared: `file:line:column`.
pub(super) fn place(draft: &Draft, pointer: &str) -> String {
    let place = draft.doc.source.place(draft.doc.key_range(pointer).start);
    let file = draft.doc.source.name();
    format!("{file}:{}:{}", place.line, place.column)
}

/// The names of `tools`: those of the pack's own tools, its aliases, and the tools that these stand for.
pub(super) fn tool_names(drafts: &[Draft]) -> impl Iterator<Item = &str> {
    drafts.iter().flat_map(|draft| {
        let own = draft.tools.iter().map(|tool| tool.name.as_str());
        let aliases = draft.aliases.iter();
        own.chain(aliases.flat_map(|(name, target)| [name.as_str(), target.as_str()]))
    })
}

/// What examples may name, besides what their texts see.
pub(super) fn known_to_examples(drafts: &[Draft]) -> check::KnownToExamples {
    let names =
        |draft: &Draft| -> Vec<String> { draft.fixtures.iter().map(|(n, _)| n.clone()).collect() };
    let prompts = drafts.iter().flat_map(|draft| draft.prompts.iter());
    // One that is broken has no arguments that are known.
    let prompts = prompts.map(|(name, prompt)| {
        let arguments = prompt.iter().flat_map(|prompt| prompt.arguments.keys());
        (name.clone(), arguments.map(str::to_owned).collect())
    });
    check::KnownToExamples {
        tools: tool_names(drafts).map(str::to_owned).collect(),
        makes_tools: drafts.iter().any(|d| !d.generators.is_empty()),
        fixtures: drafts.iter().flat_map(names).collect(),
        prompts: prompts.collect(),
    }
}

/// Only the template files that a reply or a prompt names travel with the pack.
pub(super) fn used_templates(drafts: &[Draft], files: &BTreeMap<String, Source>) -> Map<Text> {
    let whole = replies(drafts).filter_map(|reply| reply.template.as_deref());
    let blocks = blocks(drafts).filter_map(|block| block.template.map(Text::as_ref));
    let used: Vec<&str> = whole.chain(blocks).collect();
    let mut templates = Map::default();
    for (name, source) in files {
        if used.contains(&name.as_str()) {
            templates.push(name.clone(), Text::from(source.text().to_owned()));
        }
    }
    templates
}

/// Only the files that a block or an icon shows travel with the pack.
pub(super) fn used_files(drafts: &[Draft], files: &BTreeMap<String, Vec<u8>>) -> Map<PackFile> {
    let in_blocks = blocks(drafts).filter_map(|block| block.file());
    let in_faces = faces(drafts).flat_map(|face| face.files());
    let used: Vec<&str> = in_blocks.chain(in_faces).map(Text::as_ref).collect();
    let mut shown = Map::default();
    for (name, bytes) in files {
        if used.contains(&name.as_str()) {
            let file = match std::str::from_utf8(bytes) {
                Ok(text) => PackFile::Text(text.to_owned().into()),
                Err(_) => PackFile::Base64(STANDARD.encode(bytes).into()),
            };
            shown.push(name.clone(), file);
        }
    }
    shown
}

/// The replies that are sound.
fn replies(drafts: &[Draft]) -> impl Iterator<Item = &Reply> {
    drafts
        .iter()
        .flat_map(|d| d.tools.iter().chain(d.generators.iter().map(|g| &g.tool)))
        .filter_map(|tool| tool.reply.as_ref())
}

/// What clients are told of tools, prompts and resources beside their names.
fn faces(drafts: &[Draft]) -> impl Iterator<Item = Face<'_>> {
    drafts.iter().flat_map(|draft| {
        let made = draft.generators.iter().map(|generator| &generator.tool);
        let tools = draft.tools.iter().chain(made);
        let tools = tools.map(|tool| Face::of(tool.meta.as_ref(), tool.icons.as_ref()));
        let prompts = draft
            .prompts
            .iter()
            .filter_map(|(_, prompt)| Some(prompt.as_ref()?.face()));
        let served = draft
            .served
            .iter()
            .filter_map(|(_, decl)| Some(decl.as_ref()?.face()));
        tools.chain(prompts).chain(served)
    })
}

/// The blocks of replies and prompts.
fn blocks(drafts: &[Draft]) -> impl Iterator<Item = Block<'_>> {
    let contents = replies(drafts).filter_map(|reply| reply.content.as_deref());
    let messages = drafts
        .iter()
        .flat_map(|d| d.prompts.iter().filter_map(|(_, prompt)| prompt.as_ref()))
        .flat_map(|prompt| prompt.messages.iter());
    contents
        .flatten()
        .map(|decl| decl.block())
        .chain(messages.map(|message| message.block()))
}
