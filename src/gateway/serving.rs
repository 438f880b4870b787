//! What is served at one moment: a config, its catalog on the connection, and what clients are told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::{Access, Client, Resources, Setup, StartError, listing};
use crate::catalog::{Catalog, Sources};
use crate::engine::Engine;
use crate::spec::config::Config;
use crate::spec::diag::Report;

/// What tools are made of that come and go: the entries of each source.
pub(super) type Entries = BTreeMap<String, Vec<Value>>;

/// What is served now; replaced as a whole.
pub(super) struct Serving {
    pub(super) engine: Arc<Engine>,
    pub(super) config: Config,
    pub(super) resources: Arc<Resources>,
    pub(super) offer: ArcSwap<Offer>,
}

impl Serving {
    /// Puts what was compiled on the connection of an engine. Nothing is asked of NATS, and the tables are not fed yet.
    ///
    /// # Errors
    /// [`StartError::Resources`].
    pub(super) fn new(engine: Engine, offer: Offer, config: Config) -> Result<Self, StartError> {
        let resources = Resources::new(engine.catalog()).map_err(StartError::Resources)?;
        Ok(Self {
            engine: Arc::new(engine),
            config,
            resources: Arc::new(resources),
            offer: ArcSwap::from_pointee(offer),
        })
    }

    /// Makes the tools of a source anew; whether they are listed otherwise now. Compiling many takes its time.
    pub(super) fn regenerate(&self, source: &str, entries: &[Value]) -> bool {
        let catalog = self.engine.catalog();
        let (changed, warnings) = catalog.regenerate(source, entries);
        if !warnings.is_empty() {
            tracing::warn!("not all tools of `{source}` can be made:\n{warnings}");
        }
        // Patterns of scopes that fit no tool were said at start; tools that come and go are no news of them.
        let offer = |_: &Arc<Offer>| Offer::new(&self.config, catalog).0;
        self.offer.rcu(offer);
        changed
    }
}

/// What clients are told of the tools of now; replaced as a whole when these change.
#[derive(PartialEq)]
pub(super) struct Offer {
    pub(super) tools: Vec<rmcp::model::Tool>,
    pub(super) access: Access,
}

impl Offer {
    pub(super) fn new(config: &Config, catalog: &Catalog) -> (Self, Report) {
        let tools = catalog.tools();
        let (access, unfit) = Access::new(config, &tools, &catalog.prompts);
        let tools = listing(&tools);
        (Self { tools, access }, unfit)
    }

    /// The tools that a client may use, as it sees them.
    pub(super) fn tools_for(&self, client: &Client) -> Vec<rmcp::model::Tool> {
        let open = |tool: &&rmcp::model::Tool| self.access.may(client, &tool.name);
        self.tools.iter().filter(open).cloned().collect()
    }
}

/// Compiles the catalog of a config, with tools of these entries where they come and go. Notes what is read for it, whatever
/// comes of it. Takes its time.
///
/// # Errors
/// All that is wrong. Warnings come with the catalog.
pub(super) fn compile(
    setup: &Setup,
    entries: &Entries,
    sources: &mut Sources,
) -> Result<(Arc<Catalog>, Offer, Report), Report> {
    let facts = setup.facts.to_json();
    let (catalog, mut warnings) = Catalog::build_from(&setup.config, &setup.base, &facts, sources)?;
    for (source, entries) in entries {
        catalog.regenerate(source, entries);
    }
    let (offer, unfit) = Offer::new(&setup.config, &catalog);
    warnings.extend(unfit);
    Ok((Arc::new(catalog), offer, warnings))
}
