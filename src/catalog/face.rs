//! What clients are told of a tool, a prompt or a resource beside its name and description, rendered for this project.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value as Jinja;
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::templates::Templates;
use crate::spec::data;
use crate::spec::kind;
use crate::spec::model::{self, IconDecl, PackFile, Theme};

/// `meta` and `icons`, as clients see them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Face {
    /// What is passed on as `_meta`.
    pub meta: Option<Map<String, Value>>,
    /// Small pictures.
    pub icons: Vec<Icon>,
}

/// A small picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Icon {
    /// Its address; a file of the pack is in it.
    pub src: String,
    /// Its type.
    pub mime: Option<String>,
    /// Its sizes.
    pub sizes: Vec<String>,
    /// For which background it is made.
    pub theme: Option<Theme>,
}

impl Face {
    /// Renders it; `files` are those of the pack.
    ///
    /// # Errors
    /// What its texts run into, and a `meta` that is no object.
    pub fn build(
        face: &model::Face<'_>,
        files: &data::Map<PackFile>,
        templates: &Templates,
        context: &Jinja,
    ) -> Result<Self, Error> {
        let icon = |icon: &IconDecl| {
            let (src, by_name) = match (&icon.src, &icon.file) {
                (Some(src), _) => (templates.text(src, context)?, None),
                (None, Some(name)) => {
                    let kind = icon.mime.as_deref().unwrap_or(kind::of(name));
                    (data_uri(kind, files.get(name)), Some(kind::of(name)))
                }
                (None, None) => (String::new(), None),
            };
            Ok(Icon {
                src,
                mime: icon.mime.as_deref().or(by_name).map(str::to_owned),
                sizes: icon
                    .sizes
                    .iter()
                    .flat_map(|s| s.iter())
                    .map(ToString::to_string)
                    .collect(),
                theme: icon.theme,
            })
        };
        let meta = match face.meta {
            None => None,
            Some(tree) => match templates.json(tree, context)? {
                Value::Object(map) => Some(map),
                other => {
                    let text = format!("`meta` is {other}, and must be an object");
                    return Err(Error::new(ErrorKind::InvalidOperation, text));
                }
            },
        };
        Ok(Self {
            meta,
            icons: face.icons.iter().map(icon).collect::<Result<_, Error>>()?,
        })
    }
}

/// A file of a pack as an address that has it in itself.
fn data_uri(kind: &str, file: Option<&PackFile>) -> String {
    let base64 = match file {
        Some(PackFile::Text(text)) => STANDARD.encode(text.as_bytes()),
        Some(PackFile::Base64(bytes)) => bytes.to_string(),
        // The checks have found it.
        None => String::new(),
    };
    format!("data:{kind};base64,{base64}")
}
