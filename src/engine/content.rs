//! Blocks of contents, as steps make them: texts, pictures, sounds, and what is to be read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value as Jinja;

use super::call::Call;
use super::failure::{Failure, FailureKind};
use crate::spec::kind;
use crate::spec::model::{self, Embedded, Media, PackFile, Role};
use crate::spec::tree::Template;

/// The most blocks of a reply or a prompt.
const MAX_BLOCKS: usize = 1_000;
/// The most bytes that they have together, those in base64 as they are written: 32 MiB.
const MAX_BYTES: usize = 32 << 20;

/// A block of contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What it says or shows.
    pub content: Content,
    /// Whom it is meant for; whoever, when empty.
    pub audience: Vec<Role>,
    /// How much it matters, from 0 to 1.
    pub priority: Option<f64>,
}

/// What a block says or shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A picture.
    Image(Bytes),
    /// A sound.
    Audio(Bytes),
    /// Something to read.
    Resource {
        /// Its address.
        uri: String,
        /// Its type.
        mime: Option<String>,
        /// What is to be read.
        body: Body,
    },
    /// Where something is to be read.
    Link(Box<Link>),
}

/// Bytes of a known type.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes {
    /// The bytes, in base64.
    pub base64: String,
    /// Their type.
    pub mime: String,
}

/// What is read at an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A text.
    Text(String),
    /// Bytes, in base64.
    Blob(String),
}

impl Body {
    /// The size of what is read.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(blob) => decoded_bytes(blob),
        }
    }
}

/// How many bytes a sound base64 text stands for.
fn decoded_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// Where something is to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its address.
    pub uri: String,
    /// A name for it.
    pub name: String,
    /// The name people read.
    pub title: Option<String>,
    /// What is to be read there.
    pub description: Option<String>,
    /// Its type.
    pub mime: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

impl Block {
    /// The text, of one that is a text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it takes, in base64 where it has bytes.
    fn taken(&self) -> usize {
        match &self.content {
            Content::Text(text) => text.len(),
            Content::Image(bytes) | Content::Audio(bytes) => bytes.base64.len(),
            Content::Resource { body, .. } => match body {
                Body::Text(text) | Body::Blob(text) => text.len(),
            },
            Content::Link(_) => 0,
        }
    }
}

/// A text as it is; of anything else a line in brackets: its kind, its type, and its size or address.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |kind: &str, bytes: &Bytes| {
            let size = decoded_bytes(&bytes.base64);
            write!(f, "[{kind} {}, {size} bytes]", bytes.mime)
        };
        match &self.content {
            Content::Text(text) => f.write_str(text),
            Content::Image(bytes) => line("image", bytes),
            Content::Audio(bytes) => line("audio", bytes),
            Content::Resource { uri, mime, body } => {
                let mime = mime.as_deref().unwrap_or("text/plain");
                write!(f, "[resource {uri}, {mime}, {} bytes]", body.bytes())
            }
            Content::Link(link) => write!(f, "[link {}]", link.uri),
        }
    }
}

/// The texts among the blocks, one after another.
pub(super) fn texts(blocks: &[Block]) -> String {
    let texts: Vec<&str> = blocks.iter().filter_map(Block::text).collect();
    texts.join("\n")
}

/// What the blocks of a run have taken so far.
#[derive(Debug, Default)]
pub(super) struct Taken {
    blocks: usize,
    bytes: usize,
}

impl Taken {
    fn add(&mut self, block: &Block) -> Result<(), Failure> {
        self.blocks += 1;
        self.bytes += block.taken();
        let refuse = |most: String| Err(Failure::new(FailureKind::Range, most));
        if self.blocks > MAX_BLOCKS {
            return refuse(format!(
                "more than {MAX_BLOCKS} blocks: answer with less at once"
            ));
        }
        if self.bytes > MAX_BYTES {
            return refuse(format!(
                "the blocks have more than {MAX_BYTES} bytes together: answer with less at once, or with a `link`"
            ));
        }
        Ok(())
    }
}

impl Call<'_> {
    /// What comes of a block of a spec: none where its `when` does not hold, and with `each` any number. `place` names it in
    /// failures.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for base64, a type or an address that is none, [`FailureKind::Range`] for too much, and what its
    /// texts run into.
    pub(super) fn blocks(
        &self,
        decl: &model::Block<'_>,
        place: &str,
        taken: &mut Taken,
    ) -> Result<Vec<Block>, Failure> {
        let explained = |failure: Failure| {
            let text = format!("{place}: {failure}");
            failure.reworded(text)
        };
        let items = match decl.each {
            None => vec![None],
            Some(each) => {
                let list = self.templates().eval(each, &self.context());
                let items = list
                    .and_then(|list| Ok(list.try_iter()?.map(Some).take(MAX_BLOCKS + 1).collect()));
                let items: Vec<Option<Jinja>> = items.map_err(|error| explained(error.into()))?;
                if items.len() > MAX_BLOCKS {
                    let text = format!("`each` has more than {MAX_BLOCKS} elements");
                    return Err(explained(Failure::new(FailureKind::Range, text)));
                }
                items
            }
        };
        let mut blocks = Vec::new();
        for item in items {
            let context = match item {
                None => self.context(),
                Some(item) => self.scope.with("item", item).context(),
            };
            let made = Making {
                call: self,
                context,
            };
            let made = made.block(decl);
            if let Some(block) = made.map_err(explained)? {
                taken.add(&block).map_err(explained)?;
                blocks.push(block);
            }
        }
        Ok(blocks)
    }
}

/// A block that is being made.
struct Making<'c, 'a> {
    call: &'c Call<'a>,
    /// What its texts see.
    context: Jinja,
}

impl Making<'_, '_> {
    fn block(&self, decl: &model::Block<'_>) -> Result<Option<Block>, Failure> {
        let templates = self.call.templates();
        if let Some(when) = decl.when
            && !templates.test(when, &self.context)?
        {
            return Ok(None);
        }
        Ok(Some(Block {
            content: self.content(decl)?,
            audience: decl.audience.to_vec(),
            priority: decl.priority,
        }))
    }

    /// What the checks have let through has exactly one kind; anything else would be an empty text.
    fn content(&self, decl: &model::Block<'_>) -> Result<Content, Failure> {
        if let Some(media) = decl.image {
            return self.media("image", media).map(Content::Image);
        }
        if let Some(media) = decl.audio {
            return self.media("audio", media).map(Content::Audio);
        }
        if let Some(resource) = decl.resource {
            return self.embedded(resource);
        }
        if let Some(link) = decl.link {
            return Ok(Content::Link(Box::new(self.link(link)?)));
        }
        if let Some(name) = decl.template {
            let text = self.call.template_file(name, &self.context)?;
            return Ok(Content::Text(text));
        }
        let text = decl.text.map(|text| self.text(text)).transpose()?;
        Ok(Content::Text(text.unwrap_or_default()))
    }

    fn media(&self, wanted: &str, media: &Media) -> Result<Bytes, Failure> {
        let given = media
            .mime
            .as_ref()
            .map(|mime| self.kind(mime))
            .transpose()?;
        let (base64, by_name) = match (&media.file, &media.data) {
            (Some(name), _) => {
                let bytes = match self.file(name)? {
                    PackFile::Text(text) => STANDARD.encode(text.as_bytes()),
                    PackFile::Base64(bytes) => bytes.to_string(),
                };
                (bytes, Some(kind::of(name)))
            }
            (None, Some(data)) => (base64("data", &self.text(data)?)?, None),
            (None, None) => (String::new(), None),
        };
        let mime = given.unwrap_or_else(|| by_name.unwrap_or_default().to_owned());
        match mime.split_once('/') {
            Some((of, _)) if of == wanted => Ok(Bytes { base64, mime }),
            _ => Err(invalid(format!(
                "`mime` is {mime:?}, which is none of `{wanted}`"
            ))),
        }
    }

    fn embedded(&self, resource: &Embedded) -> Result<Content, Failure> {
        let given = resource
            .mime
            .as_ref()
            .map(|mime| self.kind(mime))
            .transpose()?;
        let (body, mime) = match &resource.file {
            None => {
                let (text, blob) = (resource.text.as_ref(), resource.blob.as_ref());
                (self.call.body(text, blob, &self.context)?, given)
            }
            Some(name) => {
                let body = match self.file(name)? {
                    PackFile::Text(text) => Body::Text(text.to_string()),
                    PackFile::Base64(bytes) => Body::Blob(bytes.to_string()),
                };
                (
                    body,
                    Some(given.unwrap_or_else(|| kind::of(name).to_owned())),
                )
            }
        };
        let uri = self.address(&resource.uri)?;
        Ok(Content::Resource { uri, mime, body })
    }

    fn link(&self, link: &model::Link) -> Result<Link, Failure> {
        let text = |text: &Option<Template>| text.as_ref().map(|t| self.text(t)).transpose();
        let size = match &link.size {
            None => None,
            Some(size) => {
                let value = self.call.templates().eval(size, &self.context)?;
                let absent = value.is_none() || value.is_undefined();
                let size = u64::try_from(value.clone());
                let wrong = |_| invalid(format!("`size` is {value}, which is no number of bytes"));
                (!absent).then(|| size.map_err(wrong)).transpose()?
            }
        };
        Ok(Link {
            uri: self.address(&link.uri)?,
            name: self.text(&link.name)?,
            title: text(&link.title)?,
            description: text(&link.description)?,
            mime: link.mime.as_ref().map(|mime| self.kind(mime)).transpose()?,
            size,
        })
    }

    fn text(&self, text: &Template) -> Result<String, Failure> {
        Ok(self.call.templates().text(text, &self.context)?)
    }

    fn address(&self, uri: &Template) -> Result<String, Failure> {
        let uri = self.text(uri)?;
        if uri.contains(':') {
            return Ok(uri);
        }
        Err(invalid(format!(
            "`uri` is {uri:?}, which is no address: it has no scheme"
        )))
    }

    fn kind(&self, mime: &Template) -> Result<String, Failure> {
        let mime = self.text(mime)?;
        if kind::is_kind(&mime) {
            return Ok(mime);
        }
        Err(invalid(format!(
            "`mime` is {mime:?}, which is no MIME type"
        )))
    }

    fn file(&self, name: &str) -> Result<&PackFile, Failure> {
        // The checks have found it.
        self.call.pack().pack.files.get(name).ok_or_else(|| {
            let text = format!("the pack has no file `{name}`");
            Failure::new(FailureKind::Internal, text)
        })
    }
}

impl Call<'_> {
    /// What is to be read: a text, or a blob in base64.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] for a `blob` that is no base64.
    pub(super) fn body(
        &self,
        text: Option<&Template>,
        blob: Option<&Template>,
        context: &Jinja,
    ) -> Result<Body, Failure> {
        if let Some(blob) = blob {
            let blob = self.templates().text(blob, context)?;
            return base64("blob", &blob).map(Body::Blob);
        }
        let text = text.map(|text| self.templates().text(text, context));
        Ok(Body::Text(text.transpose()?.unwrap_or_default()))
    }
}

/// Base64 without the line breaks that programs put into it.
fn base64(key: &str, text: &str) -> Result<String, Failure> {
    let plain: String = text.split_ascii_whitespace().collect();
    match STANDARD.decode(&plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(invalid(format!("`{key}` is no base64: {error}"))),
    }
}

fn invalid(text: String) -> Failure {
    Failure::new(FailureKind::Invalid, text)
}
