//! What steps say has changed: for the clients of this gateway, and by NATS for those of the project's other gateways.

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::Engine;
use crate::bus::Outgoing;
use crate::catalog::Catalog;
use crate::spec::model::Pack;
use crate::spec::verbs::Verb;

/// Announcements that wait for the gateway to tell them.
const WAITING: usize = 64;

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The gateway where the steps ran, by its `gateway.id`.
    pub from: String,
    /// The list of tools.
    #[serde(default)]
    pub tools: bool,
    /// The list of prompts.
    #[serde(default)]
    pub prompts: bool,
    /// The list of resources.
    #[serde(default)]
    pub resources: bool,
    /// What the resources with these addresses say.
    #[serde(default)]
    pub updated: Vec<String>,
}

/// Where announcements of steps go, for as long as the gateway runs.
pub(super) fn channel() -> broadcast::Sender<Announcement> {
    broadcast::Sender::new(WAITING)
}

/// The subject on which the gateways of a project tell each other, if any pack of this catalog announces something.
pub fn subject(catalog: &Catalog) -> Option<String> {
    let announces = |pack: &Pack| pack.has_step(&|verb| matches!(verb, Verb::Announce(_)));
    if !catalog.packs.iter().any(|loaded| announces(&loaded.pack)) {
        return None;
    }
    let namespace = catalog.project.get_attr("namespace").ok()?;
    Some(format!("jacquard.news.{namespace}"))
}

impl Engine {
    /// The announcements of steps from now on.
    pub fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.announced.subscribe()
    }

    /// `gateway.id`: the same for all engines of a gateway.
    pub fn gateway_id(&self) -> String {
        let id = self.gateway.get_attr("id");
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// Tells this gateway and the others. Whether the others could be told.
    pub(super) async fn announce(&self, mut announcement: Announcement) -> bool {
        announcement.from = self.gateway_id();
        let told = match (subject(&self.catalog), serde_json::to_vec(&announcement)) {
            (Some(subject), Ok(payload)) => self.bus.publish(Outgoing::new(subject, payload)).await,
            _ => Ok(()),
        };
        // Nobody has to listen.
        let _ = self.announced.send(announcement);
        if let Err(error) = &told {
            tracing::warn!(%error, "the clients of other gateways are not told what has changed");
        }
        told.is_ok()
    }
}
