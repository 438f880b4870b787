//! From declarations to handles: which stream, bucket or queue a step means.

mod declared;
mod reader;
mod specs;

use minijinja::value::Value;

pub use reader::{Reader, with_values};

use super::failure::Failure;
use crate::bus::{Bucket, Bus, Stream};
use crate::catalog::Catalog;
use crate::spec::model::{BucketDecl, StreamDecl};
use declared::Family;

/// All streams, buckets and queues of a catalog.
pub struct Resources {
    bus: Bus,
    streams: Family<StreamDecl>,
    buckets: Family<BucketDecl>,
}

impl Resources {
    /// Makes the handles of everything that is known without a call. Nothing is asked of NATS.
    ///
    /// # Errors
    /// A declaration whose names or limits cannot be made from this project and config.
    pub fn new(catalog: &Catalog, bus: Bus) -> Result<Self, Failure> {
        let (mut streams, mut buckets) = (Family::new(), Family::new());
        for (index, loaded) in catalog.packs.iter().enumerate() {
            streams.add(catalog, &bus, index, &loaded.pack.streams)?;
            buckets.add(catalog, &bus, index, &loaded.pack.buckets)?;
        }
        Ok(Self {
            bus,
            streams,
            buckets,
        })
    }

    /// The streams that exist whatever is called, to be made at start.
    pub fn fixed_streams(&self) -> Vec<Stream> {
        self.streams.fixed()
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
