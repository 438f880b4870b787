//! Resources that steps make of their address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceTemplate};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::read::not_found;
use crate::catalog::{Catalog, Face};
use crate::engine::{Contact, Failure, FailureKind, Outcome, Session};
use crate::gateway::ask::{Again, Call, asks, declared};
use crate::gateway::content::{contents, face};
use crate::gateway::{Client, Gateway};
use crate::spec::model::{ResourceCache, ResourceDecl};
use crate::spec::tree::Template;
use crate::spec::uri::{UriTemplate, names_in};

/// What is written with `%` in the place of a parameter: all but what never is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A section of resources that steps make: one, or one for each set of values in its address.
#[derive(Debug)]
pub(in crate::gateway) struct Made {
    /// As it is declared.
    pub(super) name: String,
    pub(super) pack: usize,
    pub(super) scopes: Vec<String>,
    /// Subjects by which others say that something has changed.
    pub(super) changed: Vec<String>,
    /// The address as clients see it.
    pub(super) shown: String,
    pub(super) template: UriTemplate,
    pub(super) decl: ResourceDecl,
    title: Option<String>,
    description: Option<String>,
    mime: String,
    face: Face,
}

impl Made {
    /// Reads a declaration; `None` where its `when` does not hold.
    ///
    /// # Errors
    /// What cannot be made from this project and config.
    pub(super) fn new(
        catalog: &Catalog,
        pack: usize,
        name: &str,
        decl: &ResourceDecl,
    ) -> Result<Option<Self>, Failure> {
        let base = catalog.base_context(pack);
        let templates = &catalog.templates;
        if let Some(when) = &decl.when
            && !templates.test(when, &base)?
        {
            return Ok(None);
        }
        let text = |text: &Option<Template>| {
            let text = text.as_ref();
            text.map(|text| templates.text(text, &base)).transpose()
        };
        let shown = templates.text(&decl.uri, &base)?;
        let range =
            |why: String| Failure::new(FailureKind::Range, format!("`uri` is {shown:?}: {why}"));
        let template = UriTemplate::parse(&shown).map_err(range)?;
        if !template.names().eq(names_in(&decl.uri.0)) {
            let why = "its parameters are not those that are written out in it";
            return Err(range(why.to_owned()));
        }
        let usual = match (&decl.json, &decl.blob) {
            (Some(_), _) => "application/json",
            (None, Some(_)) => "application/octet-stream",
            (None, None) => "text/plain",
        };
        let changed = decl.changed.iter().map(|s| templates.token(s, &base));
        Ok(Some(Self {
            name: name.to_owned(),
            pack,
            scopes: decl.scopes.iter().map(ToString::to_string).collect(),
            changed: changed.collect::<Result<_, _>>()?,
            title: text(&decl.title)?,
            description: text(&decl.description)?,
            mime: text(&decl.mime)?.unwrap_or_else(|| usual.to_owned()),
            face: Face::build(
                &decl.face(),
                &catalog.packs[pack].pack.files,
                templates,
                &base,
            )?,
            decl: decl.clone(),
            shown,
            template,
        }))
    }

    /// How long clients may keep what is read, if that is declared.
    pub(in crate::gateway) fn cache(&self) -> Option<&ResourceCache> {
        self.decl.cache.as_ref()
    }

    /// As `resources/templates/list` shows it; `None` for a single resource.
    pub(super) fn listed_template(&self) -> Option<ResourceTemplate> {
        if self.template.is_plain() {
            return None;
        }
        let mut listed = ResourceTemplate::new(self.shown.as_str(), self.name.as_str())
            .with_mime_type(self.mime.as_str());
        listed.title.clone_from(&self.title);
        listed.description.clone_from(&self.description);
        (listed.meta, listed.icons) = face(&self.face);
        Some(listed)
    }

    /// The single resource, as `resources/list` shows it.
    fn listed(&self) -> Resource {
        let mut listed = Resource::new(self.shown.as_str(), self.name.as_str())
            .with_mime_type(self.mime.as_str());
        listed.title.clone_from(&self.title);
        listed.description.clone_from(&self.description);
        (listed.meta, listed.icons) = face(&self.face);
        listed
    }

    /// One of several resources, as `resources/list` shows it: `values` has one for each parameter.
    ///
    /// # Errors
    /// What is missing.
    fn instance(&self, values: &Value) -> Result<Resource, Failure> {
        // A single parameter needs no name.
        let plain = |_: &&Value| !values.is_object() && self.template.names().count() == 1;
        let text = |name: &str| match values.get(name).or(Some(values).filter(plain)) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let mut all = Vec::new();
        for name in self.template.names() {
            let value = text(name).ok_or_else(|| {
                let what = format!("an element of `list` has no text for `{name}`: {values}");
                Failure::new(FailureKind::Range, what)
            })?;
            all.push((name, value));
        }
        let uri = self.address(|name| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        });
        let names: Vec<&str> = all.iter().map(|(_, value)| value.as_str()).collect();
        let mut listed = self.listed();
        listed.uri = uri;
        listed.name = names.join("/");
        // A parameter may have one of these names.
        let own = |key: &str| {
            let named = values.is_object() && self.template.names().all(|name| name != key);
            text(key).filter(|_| named)
        };
        listed.title = own("title");
        listed.description = own("description").or_else(|| self.description.clone());
        Ok(listed)
    }

    fn address(&self, value: impl Fn(&str) -> String) -> String {
        self.template
            .expand(|name| utf8_percent_encode(&value(name), ENCODED).to_string())
    }

    /// The values of the parameters in an address; `None` where it is no address of these.
    pub(super) fn args(&self, uri: &str) -> Option<Map<String, Value>> {
        let values = self.template.values(uri)?.into_iter();
        let values = values.map(|(name, raw)| {
            let value = percent_decode_str(raw).decode_utf8().ok()?;
            Some((name.to_owned(), Value::from(value.into_owned())))
        });
        values.collect()
    }

    /// What a state of a request is good for that reads this; `None` where its steps do not ask and it brings none.
    pub(in crate::gateway) fn call(
        &self,
        uri: &str,
        client: &Client,
        again: &Again,
    ) -> Option<Call> {
        (again.state.is_some() || asks(&self.decl.steps))
            .then(|| Call::new("resources/read", uri, None, &declared(&self.decl), client))
    }

    /// The address that an address means, as lists show it.
    pub(super) fn canonical(&self, uri: &str) -> Option<String> {
        let args = self.args(uri)?;
        Some(self.address(|name| {
            let value = args.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        }))
    }
}

/// Refuses two sections with the same addresses.
pub(super) fn apart<'a>(
    mut made: impl Iterator<Item = &'a Made>,
    prefixes: impl Iterator<Item = &'a str>,
    new: &Made,
) -> Result<(), Failure> {
    let range = |text: String| Err(Failure::new(FailureKind::Range, text));
    if let Some(other) = made.find(|other| other.shown == new.shown) {
        return range(format!(
            "`uri` is {:?}, and so is that of `{}`",
            new.shown, other.name
        ));
    }
    for prefix in prefixes {
        if new.template.head().starts_with(prefix) {
            return range(format!(
                "`uri` is {:?}, and addresses that begin with {prefix:?} are files of a folder",
                new.shown
            ));
        }
    }
    Ok(())
}

impl Gateway {
    /// `resources/read`, for a client that may do all.
    ///
    /// # Errors
    /// An address that means nothing here, and what cannot be read.
    pub async fn read_resource(
        &self,
        session: &Session,
        uri: &str,
        cancel: &CancellationToken,
        contact: Contact,
    ) -> Result<Outcome<ReadResourceResult>, ErrorData> {
        let resources = self.resources().await;
        match resources.made_at(None, uri) {
            Some(made) => {
                let outcome = self.read_made(session, &made, uri, cancel, contact);
                outcome.await
            }
            None => {
                let read = resources.read(None, uri).await;
                read.map(|(read, _)| Outcome::Done(read))
            }
        }
    }

    /// Reads a resource that steps make.
    ///
    /// # Errors
    /// What its steps say; one that is not there, where they say that something is not found.
    pub(in crate::gateway) async fn read_made(
        &self,
        session: &Session,
        made: &Made,
        uri: &str,
        cancel: &CancellationToken,
        contact: Contact,
    ) -> Result<Outcome<ReadResourceResult>, ErrorData> {
        let args = made.args(uri).ok_or_else(|| not_found(uri))?;
        let name = made.name.as_str();
        let body = self
            .asked(("resource", name), session, cancel, |engine| {
                let args = &args;
                async move {
                    let whose = (made.pack, name);
                    engine
                        .resource(session, whose, &made.decl, uri, args, contact)
                        .await
                }
            })
            .await;
        let body = body.map_err(|failure| match failure.kind {
            FailureKind::NotFound => {
                let mut error = not_found(uri);
                error.message = format!("{}: {failure}", error.message).into();
                error
            }
            _ => self.refused("resource", name, &failure),
        })?;
        body.and_then(|body| {
            let mime = Some(made.mime.clone());
            Ok(ReadResourceResult::new(vec![contents(body, uri, mime)]))
        })
    }

    /// The resources of a section, as `resources/list` shows them.
    ///
    /// # Errors
    /// What its steps say.
    pub(in crate::gateway) async fn list_made(
        &self,
        session: &Session,
        made: &Made,
        cancel: &CancellationToken,
    ) -> Result<Vec<Resource>, ErrorData> {
        if made.template.is_plain() {
            return Ok(vec![made.listed()]);
        }
        if made.decl.list.is_none() {
            return Ok(Vec::new());
        }
        let name = made.name.as_str();
        let found = self.asked(("resource", name), session, cancel, |engine| async move {
            let whose = (made.pack, name);
            let found = engine.instances(session, whose, &made.decl).await?;
            found.iter().map(|values| made.instance(values)).collect()
        });
        let found = found.await;
        found.map_err(|failure| self.refused("list of the resource", name, &failure))
    }
}
