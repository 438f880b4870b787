//! From declarations to handles: which stream, bucket or queue a step means.

mod declared;
mod queues;
mod reader;
mod rules;
mod specs;

use std::sync::Arc;

use minijinja::value::Value;

pub use declared::{Declarations, cannot_be_made};
pub use queues::{Queue, lane_text};
pub use reader::{Reader, with_values};

use super::failure::{Failure, FailureKind};
use crate::bus::{Bucket, Bus, Stream};
use crate::catalog::Catalog;
use crate::spec::model::{BucketDecl, StreamDecl};
use crate::spec::suggest;
use declared::Family;

/// All streams, buckets and queues of a catalog.
pub struct Resources {
    bus: Bus,
    streams: Family<StreamDecl>,
    buckets: Family<BucketDecl>,
    queues: Vec<Queue>,
}

impl Resources {
    /// Makes the handles of everything that is known without a call. Nothing is asked of NATS.
    ///
    /// # Errors
    /// A declaration whose names or limits cannot be made from this project and config.
    pub fn new(catalog: &Arc<Catalog>, bus: Bus) -> Result<Self, Failure> {
        let (mut streams, mut buckets) = (Family::new(), Family::new());
        for (index, loaded) in catalog.packs.iter().enumerate() {
            streams.add(catalog, &bus, index, &loaded.pack.streams)?;
            buckets.add(catalog, &bus, index, &loaded.pack.buckets)?;
        }
        let mut resources = Self {
            bus,
            streams,
            buckets,
            queues: Vec::new(),
        };
        for (index, loaded) in catalog.packs.iter().enumerate() {
            for decl in loaded.pack.queues.iter() {
                let queue = Queue::new(&resources, catalog, index, decl)?;
                resources.queues.push(queue);
            }
        }
        Ok(resources)
    }

    /// All queues.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The queue of a pack.
    ///
    /// # Errors
    /// `NotFound` when the pack declares no such queue.
    pub fn queue(&self, pack: usize, name: &str) -> Result<&Queue, Failure> {
        let mut own = self.queues.iter().filter(|queue| queue.pack() == pack);
        own.clone().find(|queue| queue.name == name).ok_or_else(|| {
            let names: Vec<&str> = own.by_ref().map(|queue| queue.name.as_str()).collect();
            let help = suggest::help(name, names);
            Failure::new(
                FailureKind::NotFound,
                format!("there is no queue `{name}`; {help}"),
            )
        })
    }

    /// The streams that exist whatever is called, to be made at start.
    pub fn fixed_streams(&self) -> Vec<Stream> {
        self.streams.fixed()
    }

    /// All streams that are declared, by pack and name: the handles, none where only a call knows which.
    pub fn declared_streams(&self) -> Declarations<'_, Stream> {
        self.streams.declared()
    }

    /// All buckets, likewise.
    pub fn declared_buckets(&self) -> Declarations<'_, Bucket> {
        self.buckets.declared()
    }

    /// The stream that a step means.
    ///
    /// # Errors
    /// `NotFound` when `with` matches no instance; `Template` when a name cannot be made.
    pub fn stream(
        &self,
        catalog: &Catalog,
        pack: usize,
        name: &str,
        with: &[(String, Value)],
    ) -> Result<Stream, Failure> {
        self.streams.get(catalog, &self.bus, (pack, name), with)
    }

    /// The bucket that a step means.
    ///
    /// # Errors
    /// As [`Resources::stream`].
    pub fn bucket(
        &self,
        catalog: &Catalog,
        pack: usize,
        name: &str,
        with: &[(String, Value)],
    ) -> Result<Bucket, Failure> {
        self.buckets.get(catalog, &self.bus, (pack, name), with)
    }
}
