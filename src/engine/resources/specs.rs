//! Streams and buckets: from declarations to what the bus takes.

use minijinja::value::Value;

use super::declared::Declaration;
use super::reader::Reader;
use crate::bus::{self, Bucket, BucketSpec, Bus, Stream, StreamSpec};
use crate::catalog::Templates;
use crate::engine::failure::Failure;
use crate::spec::model::{self, BucketDecl, StreamDecl};
use crate::spec::tree::Expr;

impl Declaration for StreamDecl {
    const KIND: &'static str = "stream";
    type Spec = StreamSpec;
    type Handle = Stream;

    fn when(&self) -> Option<&Expr> {
        self.when.as_ref()
    }

    fn each(&self) -> Option<&Expr> {
        self.each.as_ref()
    }

    fn has_params(&self) -> bool {
        self.params.is_some()
    }

    fn spec(&self, templates: &Templates, context: &Value) -> Result<StreamSpec, Failure> {
        let reader = Reader { templates, context };
        let subjects: Result<Vec<String>, Failure> = self
            .subjects
            .iter()
            .map(|s| templates.token(s, context).map_err(Failure::from))
            .collect();
        Ok(StreamSpec {
            name: templates.token(&self.name, context)?,
            subjects: subjects?,
            retention: match self.retention {
                None | Some(model::Retention::Limits) => bus::Retention::Limits,
                Some(model::Retention::Workqueue) => bus::Retention::WorkQueue,
                Some(model::Retention::Interest) => bus::Retention::Interest,
            },
            storage: storage(self.storage),
            max_messages: reader.whole("max_messages", self.max_messages.as_ref())?,
            max_bytes: reader.size("max_bytes", self.max_bytes.as_ref())?,
            max_message_size: reader.size("max_message_size", self.max_message_size.as_ref())?,
            max_age: reader.span("max_age", self.max_age.as_ref())?,
            max_messages_per_subject: reader.whole(
                "max_messages_per_subject",
                self.max_messages_per_subject.as_ref(),
            )?,
            discard: match self.discard {
                None | Some(model::Discard::Old) => bus::Discard::Old,
                Some(model::Discard::New) => bus::Discard::New,
            },
            duplicate_window: reader.span("duplicate_window", self.duplicate_window.as_ref())?,
            replicas: reader.whole("replicas", self.replicas.as_ref())?,
            description: self.description.as_ref().map(ToString::to_string),
            adjust: reader.flag("adjust", self.adjust.as_ref())?,
        })
    }

    fn name(spec: &StreamSpec) -> &str {
        &spec.name
    }

    fn open(bus: &Bus, spec: StreamSpec) -> Stream {
        bus.stream(spec)
    }

    fn problem(handle: &Stream) -> Option<&str> {
        handle.problem()
    }
}

impl Declaration for BucketDecl {
    const KIND: &'static str = "bucket";
    type Spec = BucketSpec;
    type Handle = Bucket;

    fn when(&self) -> Option<&Expr> {
        None
    }

    fn each(&self) -> Option<&Expr> {
        None
    }

    fn has_params(&self) -> bool {
        self.params.is_some()
    }

    fn spec(&self, templates: &Templates, context: &Value) -> Result<BucketSpec, Failure> {
        let reader = Reader { templates, context };
        Ok(BucketSpec {
            name: templates.token(&self.name, context)?,
            description: self.description.as_ref().map(ToString::to_string),
            history: reader.whole("history", self.history.as_ref())?,
            ttl: reader.span("ttl", self.ttl.as_ref())?,
            limit_markers: reader.span("limit_markers", self.limit_markers.as_ref())?,
            max_bytes: reader.size("max_bytes", self.max_bytes.as_ref())?,
            max_value_size: reader.size("max_value_size", self.max_value_size.as_ref())?,
            storage: storage(self.storage),
            mirror: self.mirror.unwrap_or_default(),
            replicas: reader.whole("replicas", self.replicas.as_ref())?,
        })
    }

    fn name(spec: &BucketSpec) -> &str {
        &spec.name
    }

    fn open(bus: &Bus, spec: BucketSpec) -> Bucket {
        bus.bucket(spec)
    }

    fn problem(handle: &Bucket) -> Option<&str> {
        handle.problem()
    }
}

fn storage(declared: Option<model::Storage>) -> bus::Storage {
    match declared {
        None | Some(model::Storage::File) => bus::Storage::File,
        Some(model::Storage::Memory) => bus::Storage::Memory,
    }
}
