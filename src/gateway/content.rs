//! Blocks of contents as MCP has them.

use rmcp::model::{
    Annotations, AudioContent, ContentBlock, EmbeddedResource, Icon, IconTheme, ImageContent,
    MetaObject, Resource, ResourceContents, Role, TextContent,
};

use crate::catalog::Face;
use crate::engine::{Block, Body, Content, Link, Reply};
use crate::spec::model;

/// What a reply is made of: its text, or its blocks.
pub(crate) fn of_reply(reply: Reply) -> Vec<ContentBlock> {
    if reply.content.is_empty() {
        return vec![ContentBlock::text(reply.text)];
    }
    reply.content.into_iter().map(block).collect()
}

/// A block, with what clients are told of its use.
pub(super) fn block(block: Block) -> ContentBlock {
    let notes = annotations(&block);
    match block.content {
        Content::Text(text) => {
            let mut made = TextContent::new(text);
            made.annotations = notes;
            ContentBlock::Text(made)
        }
        Content::Image(bytes) => {
            let mut made = ImageContent::new(bytes.base64, bytes.mime);
            made.annotations = notes;
            ContentBlock::Image(made)
        }
        Content::Audio(bytes) => {
            let mut made = AudioContent::new(bytes.base64, bytes.mime);
            made.annotations = notes;
            ContentBlock::Audio(made)
        }
        Content::Resource { uri, mime, body } => {
            let mut made = EmbeddedResource::new(contents(body, &uri, mime));
            made.annotations = notes;
            ContentBlock::Resource(made)
        }
        Content::Link(link) => {
            let mut made = linked(*link);
            made.annotations = notes;
            ContentBlock::ResourceLink(made)
        }
    }
}

fn linked(link: Link) -> Resource {
    let mut made = Resource::new(link.uri, link.name);
    made.title = link.title;
    made.description = link.description;
    made.mime_type = link.mime;
    made.size = link.size;
    made
}

fn annotations(block: &Block) -> Option<Annotations> {
    let audience: Vec<Role> = block.audience.iter().map(|of| role(*of)).collect();
    let mut notes = Annotations::default();
    notes.audience = Some(audience).filter(|audience| !audience.is_empty());
    // Of two digits or so, which both kinds of numbers hold.
    #[allow(clippy::cast_possible_truncation)]
    let priority = block.priority.map(|priority| priority as f32);
    notes.priority = priority;
    Some(notes).filter(|notes| *notes != Annotations::default())
}

/// Who says a message, or whom a block is meant for.
pub(super) fn role(role: model::Role) -> Role {
    match role {
        model::Role::User => Role::User,
        model::Role::Assistant => Role::Assistant,
    }
}

/// What is read at an address.
pub(super) fn contents(body: Body, uri: &str, mime: Option<String>) -> ResourceContents {
    let (made, usual) = match body {
        Body::Text(text) => (ResourceContents::text(text, uri), "text/plain"),
        Body::Blob(blob) => (
            ResourceContents::blob(blob, uri),
            "application/octet-stream",
        ),
    };
    made.with_mime_type(mime.unwrap_or_else(|| usual.to_owned()))
}

/// What clients are told of something beside its name and description.
pub(super) fn face(face: &Face) -> (Option<MetaObject>, Option<Vec<Icon>>) {
    let icons: Vec<Icon> = face
        .icons
        .iter()
        .map(|icon| {
            let mut made = Icon::new(icon.src.as_str());
            made.mime_type.clone_from(&icon.mime);
            made.sizes = Some(icon.sizes.clone()).filter(|sizes| !sizes.is_empty());
            made.theme = icon.theme.map(|theme| match theme {
                model::Theme::Light => IconTheme::Light,
                model::Theme::Dark => IconTheme::Dark,
            });
            made
        })
        .collect();
    let icons = Some(icons).filter(|icons| !icons.is_empty());
    (face.meta.clone().map(MetaObject), icons)
}
