//! From declarations to handles: which stream or bucket a step means.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use minijinja::value::Value;

use super::failure::{Failure, FailureKind};
use crate::bus::{self, Bucket, BucketSpec, Bus, Stream, StreamSpec};
use crate::catalog::{Catalog, Templates};
use crate::spec::data::Map;
use crate::spec::model::{self, BucketDecl, StreamDecl};
use crate::spec::tree::{Size, Span, Tree, Whole, parse_size, parse_span};

/// The most instances of a parameterised resource whose handles are kept.
const MAX_KEPT: usize = 4096;

/// One declared resource and its instances.
struct Declared<D, H> {
    decl: D,
    pack: usize,
    instances: Instances<H>,
}

enum Instances<H> {
    One(H),
    Each(Vec<(Value, H)>),
    Params(Mutex<HashMap<String, H>>),
}

/// All streams and buckets of a catalog.
pub struct Resources {
    bus: Bus,
    streams: HashMap<(usize, String), Declared<StreamDecl, Stream>>,
    buckets: HashMap<(usize, String), Declared<BucketDecl, Bucket>>,
}

impl Resources {
    /// Makes the handles of everything that is known without a call. Nothing is asked of NATS.
    ///
    /// # Errors
    /// A declaration whose names or limits cannot be made from this project and config.
    pub fn new(catalog: &Catalog, bus: Bus) -> Result<Self, Failure> {
        let mut resources = Self {
            bus,
            streams: HashMap::new(),
            buckets: HashMap::new(),
        };
        for (index, loaded) in catalog.packs.iter().enumerate() {
            let context = catalog.base_context(index);
            for (name, decl) in loaded.pack.streams.iter() {
                let instances = resources
                    .stream_instances(catalog, decl, &context)
                    .and_then(|i| usable(i, Stream::problem));
                let instances =
                    instances.map_err(|e| within("stream", name, &loaded.pack.name, e))?;
                let declared = Declared {
                    decl: decl.clone(),
                    pack: index,
                    instances,
                };
                resources.streams.insert((index, name.to_owned()), declared);
            }
            for (name, decl) in loaded.pack.buckets.iter() {
                let instances = resources
                    .bucket_instances(catalog, decl, &context)
                    .and_then(|i| usable(i, Bucket::problem));
                let instances =
                    instances.map_err(|e| within("bucket", name, &loaded.pack.name, e))?;
                let declared = Declared {
                    decl: decl.clone(),
                    pack: index,
                    instances,
                };
                resources.buckets.insert((index, name.to_owned()), declared);
            }
        }
        Ok(resources)
    }

    /// The streams that exist whatever is called, to be made at start.
    pub fn fixed_streams(&self) -> Vec<Stream> {
        self.streams
            .values()
            .flat_map(|declared| match &declared.instances {
                Instances::One(stream) => vec![stream.clone()],
                Instances::Each(list) => list.iter().map(|(_, stream)| stream.clone()).collect(),
                Instances::Params(_) => Vec::new(),
            })
            .collect()
    }

    /// The stream that a step means.
    ///
    /// # Errors
    /// [`FailureKind::NotFound`] when `with` matches no instance; [`FailureKind::Template`] when a name cannot be made.
    pub fn stream(
        &self,
        catalog: &Catalog,
        pack: usize,
        name: &str,
        with: &[(String, Value)],
    ) -> Result<Stream, Failure> {
        let declared = self
            .streams
            .get(&(pack, name.to_owned()))
            .ok_or_else(|| undeclared("stream", name))?;
        match &declared.instances {
            Instances::One(stream) => Ok(stream.clone()),
            Instances::Each(list) => pick("stream", name, list, with),
            Instances::Params(kept) => {
                let context = params_context(catalog, declared.pack, with);
                let spec = stream_spec(&catalog.templates, &declared.decl, &context)?;
                Ok(keep(kept, spec.name.clone(), || self.bus.stream(spec)))
            }
        }
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
        let declared = self
            .buckets
            .get(&(pack, name.to_owned()))
            .ok_or_else(|| undeclared("bucket", name))?;
        match &declared.instances {
            Instances::One(bucket) => Ok(bucket.clone()),
            Instances::Each(list) => pick("bucket", name, list, with),
            Instances::Params(kept) => {
                let context = params_context(catalog, declared.pack, with);
                let spec = bucket_spec(&catalog.templates, &declared.decl, &context)?;
                Ok(keep(kept, spec.name.clone(), || self.bus.bucket(spec)))
            }
        }
    }

    fn stream_instances(
        &self,
        catalog: &Catalog,
        decl: &StreamDecl,
        context: &Value,
    ) -> Result<Instances<Stream>, Failure> {
        if decl.params.is_some() {
            return Ok(Instances::Params(Mutex::default()));
        }
        let Some(each) = &decl.each else {
            let spec = stream_spec(&catalog.templates, decl, context)?;
            return Ok(Instances::One(self.bus.stream(spec)));
        };
        let mut list: Vec<(Value, Stream)> = Vec::new();
        for item in catalog.templates.eval(each, context)?.try_iter()? {
            let inner = minijinja::context!(item => item.clone(), ..context.clone());
            let spec = stream_spec(&catalog.templates, decl, &inner)?;
            if let Some((other, _)) = list.iter().find(|(_, s)| s.spec().name == spec.name) {
                return Err(Failure::new(
                    FailureKind::Range,
                    format!("{other} and {item} would both be the stream {}", spec.name),
                ));
            }
            list.push((item, self.bus.stream(spec)));
        }
        Ok(Instances::Each(list))
    }

    fn bucket_instances(
        &self,
        catalog: &Catalog,
        decl: &BucketDecl,
        context: &Value,
    ) -> Result<Instances<Bucket>, Failure> {
        if decl.params.is_some() {
            return Ok(Instances::Params(Mutex::default()));
        }
        let spec = bucket_spec(&catalog.templates, decl, context)?;
        Ok(Instances::One(self.bus.bucket(spec)))
    }
}

/// Refuses what NATS could never make.
fn usable<H>(
    instances: Instances<H>,
    problem: impl Fn(&H) -> Option<&str>,
) -> Result<Instances<H>, Failure> {
    let first = match &instances {
        Instances::One(handle) => problem(handle),
        Instances::Each(list) => list.iter().find_map(|(_, handle)| problem(handle)),
        Instances::Params(_) => None,
    };
    match first {
        Some(problem) => Err(Failure::new(FailureKind::Range, problem)),
        None => Ok(instances),
    }
}

fn within(kind: &str, name: &str, pack: &str, error: Failure) -> Failure {
    Failure::new(
        error.kind,
        format!("the {kind} `{name}` of the pack `{pack}` cannot be made: {error}"),
    )
}

fn undeclared(kind: &str, name: &str) -> Failure {
    Failure::new(
        FailureKind::Internal,
        format!("the {kind} `{name}` is not declared"),
    )
}

fn params_context(catalog: &Catalog, pack: usize, with: &[(String, Value)]) -> Value {
    let params: Value = Value::from_pairs(with.iter().cloned());
    minijinja::context!(..params, ..catalog.base_context(pack))
}

fn keep<H: Clone>(kept: &Mutex<HashMap<String, H>>, name: String, make: impl FnOnce() -> H) -> H {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT && !kept.contains_key(&name) {
        // Handles are cheap to make anew: forgetting all of them costs one request each.
        kept.clear();
    }
    kept.entry(name).or_insert_with(make).clone()
}

fn pick<H: Clone>(
    kind: &str,
    name: &str,
    list: &[(Value, H)],
    with: &[(String, Value)],
) -> Result<H, Failure> {
    let fits = |item: &Value| {
        with.iter()
            .all(|(field, value)| item.get_attr(field).is_ok_and(|found| found == *value))
    };
    if let Some((_, handle)) = list.iter().find(|(item, _)| fits(item)) {
        return Ok(handle.clone());
    }
    let wanted: Vec<String> = with.iter().map(|(k, v)| format!("{k} = {v}")).collect();
    let known: Vec<String> = list
        .iter()
        .filter_map(|(item, _)| item.get_attr(&with.first()?.0).ok())
        .map(|value| value.to_string())
        .take(50)
        .collect();
    Err(Failure::new(
        FailureKind::NotFound,
        format!(
            "there is no {kind} `{name}` with {}; there are: {}",
            wanted.join(", "),
            known.join(", ")
        ),
    ))
}

fn stream_spec(
    templates: &Templates,
    decl: &StreamDecl,
    context: &Value,
) -> Result<StreamSpec, Failure> {
    let reader = Reader { templates, context };
    let subjects: Result<Vec<String>, Failure> = decl
        .subjects
        .iter()
        .map(|s| templates.token(s, context).map_err(Failure::from))
        .collect();
    Ok(StreamSpec {
        name: templates.token(&decl.name, context)?,
        subjects: subjects?,
        retention: match decl.retention {
            None | Some(model::Retention::Limits) => bus::Retention::Limits,
            Some(model::Retention::Workqueue) => bus::Retention::WorkQueue,
            Some(model::Retention::Interest) => bus::Retention::Interest,
        },
        storage: storage(decl.storage),
        max_messages: reader.whole("max_messages", decl.max_messages.as_ref())?,
        max_bytes: reader.size("max_bytes", decl.max_bytes.as_ref())?,
        max_message_size: reader.size("max_message_size", decl.max_message_size.as_ref())?,
        max_age: reader.span("max_age", decl.max_age.as_ref())?,
        max_messages_per_subject: reader.whole(
            "max_messages_per_subject",
            decl.max_messages_per_subject.as_ref(),
        )?,
        discard: match decl.discard {
            None | Some(model::Discard::Old) => bus::Discard::Old,
            Some(model::Discard::New) => bus::Discard::New,
        },
        duplicate_window: reader.span("duplicate_window", decl.duplicate_window.as_ref())?,
        replicas: reader.whole("replicas", decl.replicas.as_ref())?,
        description: decl.description.as_ref().map(ToString::to_string),
    })
}

fn bucket_spec(
    templates: &Templates,
    decl: &BucketDecl,
    context: &Value,
) -> Result<BucketSpec, Failure> {
    let reader = Reader { templates, context };
    Ok(BucketSpec {
        name: templates.token(&decl.name, context)?,
        description: decl.description.as_ref().map(ToString::to_string),
        history: reader.whole("history", decl.history.as_ref())?,
        ttl: reader.span("ttl", decl.ttl.as_ref())?,
        limit_markers: reader.span("limit_markers", decl.limit_markers.as_ref())?,
        max_bytes: reader.size("max_bytes", decl.max_bytes.as_ref())?,
        max_value_size: reader.size("max_value_size", decl.max_value_size.as_ref())?,
        storage: storage(decl.storage),
        replicas: reader.whole("replicas", decl.replicas.as_ref())?,
        mirror: decl.mirror.unwrap_or_default(),
    })
}

fn storage(declared: Option<model::Storage>) -> bus::Storage {
    match declared {
        None | Some(model::Storage::File) => bus::Storage::File,
        Some(model::Storage::Memory) => bus::Storage::Memory,
    }
}

/// Reads numbers, sizes and time spans that may be expressions.
pub struct Reader<'a> {
    /// The compiled texts.
    pub templates: &'a Templates,
    /// The names in force.
    pub context: &'a Value,
}

impl Reader<'_> {
    fn number<N: TryFrom<i64>>(&self, key: &str, value: &Value) -> Result<N, Failure> {
        i64::try_from(value.clone())
            .ok()
            .and_then(|n| N::try_from(n).ok())
            .ok_or_else(|| out_of_range(key, value, "a whole number in its range"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn whole<N: TryFrom<i64>>(
        &self,
        key: &str,
        whole: Option<&Whole>,
    ) -> Result<Option<N>, Failure> {
        whole
            .map(|whole| {
                let value = self.templates.tree(&whole.0, self.context)?;
                self.number(key, &value)
            })
            .transpose()
    }

    /// A size in bytes.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn size<N: TryFrom<i64>>(
        &self,
        key: &str,
        size: Option<&Size>,
    ) -> Result<Option<N>, Failure> {
        size.map(|size| {
            let value = self.templates.tree(&size.0, self.context)?;
            match value.as_str() {
                Some(text) => parse_size(text)
                    .and_then(|n| i64::try_from(n).ok())
                    .and_then(|n| N::try_from(n).ok())
                    .ok_or_else(|| out_of_range(key, &value, "a size such as 64KiB")),
                None => self.number(key, &value),
            }
        })
        .transpose()
    }

    /// A time span.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn span(
        &self,
        key: &str,
        span: Option<&Span>,
    ) -> Result<Option<std::time::Duration>, Failure> {
        span.map(|span| {
            let value = self.templates.tree(&span.0, self.context)?;
            value
                .as_str()
                .and_then(parse_span)
                .ok_or_else(|| out_of_range(key, &value, "a time span such as 500ms, 30s or 24h"))
        })
        .transpose()
    }
}

fn out_of_range(key: &str, value: &Value, wanted: &str) -> Failure {
    Failure::new(
        FailureKind::Range,
        format!("`{key}` is {value}, and must be {wanted}"),
    )
}

/// The values of `with:`.
///
/// # Errors
/// Whatever its expressions run into.
pub fn with_values(
    templates: &Templates,
    with: Option<&Map<Tree>>,
    context: &Value,
) -> Result<Vec<(String, Value)>, Failure> {
    with.into_iter()
        .flat_map(Map::iter)
        .map(|(key, tree)| Ok((key.to_owned(), templates.tree(tree, context)?)))
        .collect()
}
