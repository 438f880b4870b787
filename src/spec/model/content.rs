//! Blocks of contents: what a reply, a message of a prompt or whatever else a client is given is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Embedded, Role};
use crate::spec::data::{List, Text};
use crate::spec::tree::{Expr, Template};

/// The kinds of blocks, by their keys.
pub const BLOCK_KINDS: &[&str] = &["text", "template", "image", "audio", "resource", "link"];

/// Declares a struct with the keys of a block, and keys of its own before them.
macro_rules! block {
    ($(#[$doc:meta])+ $name:ident { $($(#[$head_doc:meta])+ $head:ident: $of:ty,)* }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$head_doc])+ pub $head: $of,)*
            /// It is left out unless this holds.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub when: Option<Expr>,
            /// An expression that yields a list: it is there once for each element, called `item`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub each: Option<Expr>,
            /// A text.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub text: Option<Template>,
            /// A text: the name of a template file of the pack.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub template: Option<Text>,
            /// A picture.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub image: Option<Media>,
            /// A sound.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub audio: Option<Media>,
            /// Something to read, in the block itself.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub resource: Option<Embedded>,
            /// Something to read, by its address.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub link: Option<Link>,
            /// Whom it is meant for; both when not given.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub audience: Option<List<Role>>,
            /// How much it matters: from 0, which may be left out, to 1, which may not.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 0.0, max = 1.0))]
            pub priority: Option<f64>,
        }

        impl $name {
            /// The keys of a block.
            pub fn block(&self) -> Block<'_> {
                Block {
                    when: self.when.as_ref(),
                    each: self.each.as_ref(),
                    text: self.text.as_ref(),
                    template: self.template.as_ref(),
                    image: self.image.as_ref(),
                    audio: self.audio.as_ref(),
                    resource: self.resource.as_ref(),
                    link: self.link.as_ref(),
                    audience: self.audience.as_deref().unwrap_or_default(),
                    priority: self.priority,
                }
            }
        }
    };
}

block! {
    /// A block of a reply: exactly one of `text`, `template`, `image`, `audio`, `resource` and `link`.
    BlockDecl {}
}

block! {
    /// A message of a prompt: exactly one of `text`, `template`, `image`, `audio`, `resource` and `link`.
    MessageDecl {
        /// Who says it.
        role: Role,
    }
}

/// The keys of a block, wherever it stands.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Whether it is there.
    pub when: Option<&'a Expr>,
    /// A block for each element of this list.
    pub each: Option<&'a Expr>,
    /// A text.
    pub text: Option<&'a Template>,
    /// The name of a template file.
    pub template: Option<&'a Text>,
    /// A picture.
    pub image: Option<&'a Media>,
    /// A sound.
    pub audio: Option<&'a Media>,
    /// Something to read.
    pub resource: Option<&'a Embedded>,
    /// Where something is to be read.
    pub link: Option<&'a Link>,
    /// Whom it is meant for; whoever, when empty.
    pub audience: &'a [Role],
    /// From 0 to 1.
    pub priority: Option<f64>,
}

impl<'a> Block<'a> {
    /// The keys of [`BLOCK_KINDS`] that it has: one, if it is sound.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            self.text.is_some(),
            self.template.is_some(),
            self.image.is_some(),
            self.audio.is_some(),
            self.resource.is_some(),
            self.link.is_some(),
        ];
        let kinds = BLOCK_KINDS.iter().zip(given);
        kinds.filter(|(_, given)| *given).map(|(kind, _)| *kind)
    }

    /// The file of the pack that it shows, if any.
    pub fn file(&self) -> Option<&'a Text> {
        let media = self.image.or(self.audio);
        let shown = media.and_then(|media| media.file.as_ref());
        shown.or_else(|| self.resource?.file.as_ref())
    }
}

/// A picture or a sound: `data` or `file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Its bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Template>,
    /// Instead of `data`: the name of a file in the folder `files` of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// Its type, such as `image/png`. That of the file, by its name, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<Template>,
}

/// Something that a client may read by its address: a resource of this gateway, or of somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its address.
    pub uri: Template,
    /// A name for it.
    pub name: Template,
    /// The name people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What is to be read there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Template>,
    /// Its type, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<Template>,
    /// How many bytes it has, if that is known: an expression that yields a number, or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Expr>,
}

/// A file of a pack that a block shows or an icon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackFile {
    /// One that is UTF-8 text.
    Text(Text),
    /// Any other, in base64.
    Base64(Text),
}
