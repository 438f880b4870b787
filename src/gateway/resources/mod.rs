//! MCP resources: files of folders that packs declare, and what steps make, listed, read and watched.
//!
//! Nothing is kept of a file: each list and each read looks at the folder. What is watched only tells clients that they
//! should look again.

mod changed;
mod compare;
mod made;
mod read;
mod source;
mod watch;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::model::{ErrorData, ListResourcesResult, ReadResourceResult, Resource, ResourceTemplate};
use tokio::sync::{Semaphore, watch as latest};
use tokio::task::JoinSet;

pub(super) use self::made::Made;
use self::source::Source;
use super::access::has_all;
use super::prompts::unknown;
use super::{Change, Client};
use crate::bus::Bus;
use crate::catalog::Catalog;
use crate::engine::Failure;
use crate::engine::resources::cannot_be_made;
use crate::files;
use crate::spec::data::Text;
use crate::spec::kind;
use crate::spec::model::ResourceCache;

/// Lists and reads at once: each may hold a whole file in memory.
const AT_ONCE: usize = 8;

/// The resources of a catalog.
#[derive(Debug)]
pub struct Resources {
    sources: Vec<Arc<Source>>,
    made: Vec<Arc<Made>>,
    permits: Arc<Semaphore>,
    /// How many folders are not watched yet.
    unwatched: latest::Sender<usize>,
}

impl Resources {
    /// Reads the declarations of the packs that the config names. Nothing is asked of the file system.
    ///
    /// # Errors
    /// A declaration that cannot be made from this project and config.
    pub fn new(catalog: &Catalog) -> Result<Self, Failure> {
        let mut sources: Vec<Arc<Source>> = Vec::new();
        let mut steps: Vec<Arc<Made>> = Vec::new();
        for (index, loaded) in catalog.packs.iter().enumerate().filter(|(_, p)| p.named) {
            for (name, decl) in loaded.pack.resources.iter() {
                let failed = |e| cannot_be_made("resource", catalog, index, name, e);
                if decl.folder.is_none() {
                    let new = Made::new(catalog, index, name, decl).map_err(failed)?;
                    steps.extend(new.map(Arc::new));
                    continue;
                }
                let new = Source::new(catalog, index, name, decl).map_err(failed)?;
                if let Some(new) = new {
                    source::apart(&sources, &new).map_err(failed)?;
                    sources.push(Arc::new(new));
                }
            }
        }
        for (index, new) in steps.iter().enumerate() {
            let before = steps.iter().take(index).map(Arc::as_ref);
            let prefixes = sources.iter().map(|source| source.prefix.as_str());
            made::apart(before, prefixes, new)
                .map_err(|e| cannot_be_made("resource", catalog, new.pack, &new.name, e))?;
        }
        Ok(Self {
            unwatched: latest::Sender::new(sources.len()),
            sources,
            made: steps,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Whether both are declared alike.
    pub(super) fn same(&self, other: &Self) -> bool {
        let mut pairs = self.sources.iter().zip(&other.sources);
        let mut made = self.made.iter().zip(&other.made);
        self.sources.len() == other.sources.len()
            && pairs.all(|(one, two)| one.same(two))
            && self.made.len() == other.made.len()
            && made.all(|(one, two)| one.decl == two.decl)
    }

    /// Whether there are sections of resources, with or without files.
    pub fn any(&self) -> bool {
        !self.sources.is_empty() || !self.made.is_empty()
    }

    /// Whether a parameter of an address has proposals.
    pub fn completes(&self) -> bool {
        let mut parameters = self.made.iter().flat_map(|m| m.decl.parameters.iter());
        parameters.any(|(_, parameter)| parameter.complete.is_some())
    }

    /// Every scope that is asked for.
    pub fn scopes(&self) -> impl Iterator<Item = &String> {
        let made = self.made.iter().flat_map(|made| &made.scopes);
        self.sources
            .iter()
            .flat_map(|source| &source.scopes)
            .chain(made)
    }

    /// The sections that a client sees; on stdio there is one client, which sees all.
    fn of(&self, client: Option<&Client>) -> Vec<Arc<Source>> {
        let open = |s: &&Arc<Source>| client.is_none_or(|client| has_all(client, &s.scopes));
        self.sources.iter().filter(open).cloned().collect()
    }

    /// Those of them that steps make.
    pub(super) fn made(&self, client: Option<&Client>) -> impl Iterator<Item = &Arc<Made>> {
        let open = move |made: &&Arc<Made>| client.is_none_or(|c| has_all(c, &made.scopes));
        self.made.iter().filter(open)
    }

    /// The section that makes what is at an address, unless a file is there. What has no parameters comes first.
    pub(super) fn made_at(&self, client: Option<&Client>, uri: &str) -> Option<Arc<Made>> {
        let fitting = || self.made(client).filter(|made| made.args(uri).is_some());
        let single = fitting().find(|made| made.shown == uri);
        let is_file = || self.of(client).iter().any(|s| uri.starts_with(&s.prefix));
        let found = single.or_else(|| fitting().find(|_| !is_file()));
        found.cloned()
    }

    /// Which completion of which pack proposes values for a parameter of an address, as it is listed.
    ///
    /// # Errors
    /// An address or a parameter that there is not.
    pub(super) fn completion(
        &self,
        client: &Client,
        shown: &str,
        parameter: &str,
    ) -> Result<(usize, Option<Text>), ErrorData> {
        let Some(made) = self.made(Some(client)).find(|made| made.shown == shown) else {
            let templates = self.templates(Some(client));
            if templates.iter().any(|t| t.uri_template == shown) {
                return Ok((0, None));
            }
            let known: Vec<&str> = templates.iter().map(|t| t.uri_template.as_str()).collect();
            return Err(unknown("resource template", shown, &known));
        };
        let names: Vec<&str> = made.template.names().collect();
        if !names.contains(&parameter) {
            return Err(unknown("parameter", parameter, &names));
        }
        let declared = made.decl.parameters.get(parameter);
        Ok((made.pack, declared.and_then(|p| p.complete.clone())))
    }

    /// Watches the folders and hears what others say of them, and tells what has changed, until it is dropped. Without
    /// resources it does nothing, for ever.
    pub async fn watch(&self, bus: &Bus, tell: impl Fn(Change) + Clone + Send + Sync + 'static) {
        let mut tasks = JoinSet::new();
        for source in &self.sources {
            let look = Arc::default();
            let (watched, unwatched) = (Arc::clone(source), self.unwatched.clone());
            tasks.spawn(watch::keep(
                watched,
                Arc::clone(&look),
                unwatched,
                tell.clone(),
            ));
            if !source.changed.is_empty() {
                let (source, bus) = (Arc::clone(source), bus.clone());
                tasks.spawn(changed::of_folder(source, bus, look, tell.clone()));
            }
        }
        for made in self.made.iter().filter(|made| !made.changed.is_empty()) {
            let (made, bus) = (Arc::clone(made), bus.clone());
            tasks.spawn(changed::of_steps(made, bus, tell.clone()));
        }
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }

    /// Waits until all folders are watched: from then on no change is missed.
    pub async fn watched(&self) {
        let mut unwatched = self.unwatched.subscribe();
        let _ = unwatched.wait_for(|left| *left == 0).await;
    }

    /// The files of `resources/list`.
    ///
    /// # Errors
    /// A cursor that is none, and a folder that cannot be read.
    pub(super) async fn list(
        &self,
        client: Option<&Client>,
        cursor: Option<&str>,
        most: usize,
    ) -> Result<ListResourcesResult, ErrorData> {
        let sources = self.of(client);
        let from = match cursor {
            None => Place::default(),
            Some(text) => Place::parse(text, &sources).ok_or_else(|| {
                let text = "this is no cursor of this list; list again without one";
                ErrorData::invalid_params(text, None)
            })?,
        };
        self.blocking(move || page(&sources, from, most)).await
    }

    /// `resources/templates/list`.
    pub(super) fn templates(&self, client: Option<&Client>) -> Vec<ResourceTemplate> {
        let sources = self.of(client);
        let templates = sources.iter().map(|source| {
            let template = format!("{}{{+path}}", source.prefix);
            let made = ResourceTemplate::new(template, source.name.clone());
            match &source.description {
                Some(text) => made.with_description(text.clone()),
                None => made,
            }
        });
        let made = self.made(client).filter_map(|made| made.listed_template());
        templates.chain(made).collect()
    }

    /// `resources/read` of a file, and how long clients may keep it if that is declared.
    ///
    /// # Errors
    /// An address that means no file, or one that is not served, and a file that cannot be read or is too large.
    pub(super) async fn read(
        &self,
        client: Option<&Client>,
        uri: &str,
    ) -> Result<(ReadResourceResult, Option<ResourceCache>), ErrorData> {
        let source = self.file_of(client, uri)?;
        let (uri, cache) = (uri.to_owned(), source.cache.clone());
        let contents = self.blocking(move || read::read(&source, &uri)).await?;
        Ok((ReadResourceResult::new(vec![contents]), cache))
    }

    /// The section of files that an address belongs to.
    fn file_of(&self, client: Option<&Client>, uri: &str) -> Result<Arc<Source>, ErrorData> {
        let found = read::whose(&self.of(client), uri);
        // What an address must begin with is said only where all begin so.
        found.map_err(|error| match self.made(client).next() {
            Some(_) => read::not_found(uri),
            None => error,
        })
    }

    /// The address to subscribe to for what a client asks for: as lists show it. The file need not be there yet.
    ///
    /// # Errors
    /// An address that can mean no file that is served.
    pub(super) fn canonical(
        &self,
        client: Option<&Client>,
        uri: &str,
    ) -> Result<String, ErrorData> {
        if let Some(made) = self.made_at(client, uri) {
            return made.canonical(uri).ok_or_else(|| read::not_found(uri));
        }
        let source = self.file_of(client, uri)?;
        source.canonical(uri).ok_or_else(|| read::not_found(uri))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ErrorData> + Send + 'static,
    ) -> Result<T, ErrorData> {
        // The semaphore is never closed. The permit goes with the work: whoever gives up does not stop it.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        let failed = |_| ErrorData::internal_error("reading resources failed; see the log", None);
        done.await.map_err(failed)?
    }
}

/// Where a list goes on: in which section, after which file.
#[derive(Debug, Default, PartialEq)]
struct Place {
    section: usize,
    after: Option<String>,
}

impl Place {
    /// Names the section by its prefix: after a restart there may be others.
    fn text(&self, sources: &[Arc<Source>]) -> Option<String> {
        let prefix = &sources.get(self.section)?.prefix;
        let after = self.after.as_deref().unwrap_or_default();
        Some(URL_SAFE_NO_PAD.encode(format!("{prefix}\n{after}")))
    }

    fn parse(text: &str, sources: &[Arc<Source>]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (prefix, after) = text.split_once('\n')?;
        let section = sources.iter().position(|s| s.prefix == prefix)?;
        let after = (!after.is_empty()).then(|| after.to_owned());
        Some(Self { section, after })
    }
}

fn page(
    sources: &[Arc<Source>],
    from: Place,
    most: usize,
) -> Result<ListResourcesResult, ErrorData> {
    let mut found = Vec::new();
    let mut after = from.after;
    for (section, source) in sources.iter().enumerate().skip(from.section) {
        let last = after.take();
        let room = most - found.len();
        if room == 0 {
            let next = Place {
                section,
                after: None,
            };
            return Ok(listed(found, next.text(sources)));
        }
        let Some(folder) = source.open().map_err(|e| unreadable(source, &e))? else {
            continue;
        };
        let files = folder.list(&source.listing(last.as_deref(), room));
        let files = files.map_err(|e| unreadable(source, &e))?;
        let full = files.files.len() >= room;
        let name = files.files.last().map(|file| file.name.clone());
        found.extend(files.files.into_iter().map(|file| {
            let uri = source.uri(&file.name);
            let kind = kind::of(&file.name);
            Resource::new(uri, file.name)
                .with_mime_type(kind)
                .with_size(file.bytes)
        }));
        if files.truncated && full {
            let next = Place {
                section,
                after: name,
            };
            return Ok(listed(found, next.text(sources)));
        }
    }
    Ok(listed(found, None))
}

fn listed(resources: Vec<Resource>, next: Option<String>) -> ListResourcesResult {
    let mut result = ListResourcesResult::with_all_items(resources);
    result.next_cursor = next;
    result
}

/// A folder that cannot be read: its path is for the log.
fn unreadable(source: &Source, error: &files::Error) -> ErrorData {
    let name = &source.name;
    tracing::warn!(resources = name, %error, "the folder of resources cannot be read");
    let text = format!("the folder of the resources `{name}` cannot be read; see the server's log");
    ErrorData::internal_error(text, None)
}
