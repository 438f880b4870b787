//! Queues: their declarations, and what a step must say to pick one and its lanes.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::step::{StepCheck, check_new_name};
use super::{Findings, Instances, Resources, check_text, check_tree, literal_shape};
use crate::spec::data::{Json, Map, Text};
use crate::spec::diag::Code;
use crate::spec::doc::{Doc, join};
use crate::spec::model::{DeadLetters, QueueDecl, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;
use crate::spec::tree::{Expr, QueueName, Span, Tree, Whole, parse_span};
use crate::spec::verbs::{message_shape, queues};

/// The most levels of a queue.
pub const MAX_LEVELS: u32 = 100;
/// The most times that an item is handed out.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// How long a claim may hold.
pub const LEASE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// The most lanes that one step may claim from.
pub const MAX_LANES: usize = 64;

/// What is known of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueInfo {
    /// The names of the values that pick a lane.
    pub params: Vec<String>,
    /// The levels, unless an expression says how many.
    pub levels: Option<u64>,
    /// Whether all its lanes can be found in its stream.
    pub findable: bool,
}

/// Checks the declaration of a queue. The streams and buckets of all files must be known.
pub(crate) fn check_queue(
    doc: &Doc,
    name: &str,
    decl: &QueueDecl,
    base: &Scope,
    resources: &Resources,
    report: &mut Findings,
) -> QueueInfo {
    let pointer = join("/queues", name);
    let params = decl.params.as_deref().unwrap_or_default();
    let mut lane = base.clone();
    for (index, param) in params.iter().enumerate() {
        let at = format!("{pointer}/params/{index}");
        check_new_name(doc, &at, param, report);
        lane.bind(param, Shape::Text);
    }
    let mut cx = StepCheck {
        doc,
        pointer: pointer.clone(),
        scope: base,
        resources,
        report,
    };
    cx.reserved(params);
    cx.numbers(decl);
    cx.about_items(decl);
    cx.single("bucket", "leases", &decl.leases, &resources.buckets);
    cx.lease_bucket(&decl.leases);
    // With a durable of another program the whole subject is given, and may differ from lane to lane.
    let mut cx = StepCheck {
        scope: if decl.consumer.is_some() { &lane } else { base },
        ..cx
    };
    cx.token("subject", Some(&decl.subject));
    let mut cx = StepCheck { scope: &lane, ..cx };
    cx.stream("stream", &decl.stream, decl.with.as_ref());
    cx.lasting_stream("stream", &decl.stream);
    cx.token("consumer", decl.consumer.as_ref());
    cx.items_are_stored(decl, params.len());
    StepCheck {
        pointer: join(&pointer, "dead"),
        scope: base,
        ..cx
    }
    .dead_letters(&decl.dead);
    let plain = decl.consumer.is_some();
    QueueInfo {
        params: params.iter().map(ToString::to_string).collect(),
        levels: match (&decl.levels, plain) {
            (_, true) | (None, _) => Some(1),
            (Some(levels), false) => literal_whole(levels),
        },
        findable: !plain && decl.with.as_ref().is_none_or(is_literal),
    }
}

fn literal_whole(whole: &Whole) -> Option<u64> {
    match &whole.0 {
        Tree::Literal(Json::Int(number)) => u64::try_from(*number).ok(),
        Tree::Literal(Json::Uint(number)) => Some(*number),
        _ => None,
    }
}

fn is_literal(with: &Map<Tree>) -> bool {
    with.iter().all(|(_, tree)| tree.is_literal())
}

/// Rules for declarations.
impl StepCheck<'_> {
    /// What `depth` tells of a lane stands beside the values that pick it.
    fn reserved(&mut self, params: &[Text]) {
        for (index, param) in params.iter().enumerate() {
            let message = if queues::COUNTS.contains(&param.as_ref()) {
                format!("`{param}` is what `depth` tells of each lane: choose another name")
            } else if params.iter().take(index).any(|other| other == param) {
                format!("`{param}` stands here twice")
            } else {
                continue;
            };
            let at = self.at("params");
            self.error(Code::Schema, &join(&at, &index.to_string()), message, None);
        }
    }

    fn numbers(&mut self, decl: &QueueDecl) {
        if let Some(levels) = &decl.levels {
            self.whole("levels", levels, 1..=u64::from(MAX_LEVELS));
            if decl.consumer.is_some() {
                let message = "`levels` and `consumer` exclude each other: a durable of another \
                               program hands out first in, first out";
                self.error(Code::Schema, &self.at("levels"), message.to_owned(), None);
            }
        }
        self.whole("attempts", &decl.attempts, 1..=u64::from(MAX_ATTEMPTS));
        self.lease(&decl.lease);
    }

    fn lease(&mut self, lease: &Span) {
        self.span("lease", lease, *LEASE.end());
        if let Tree::Literal(Json::Str(text)) = &lease.0
            && parse_span(text).is_some_and(|given| given < *LEASE.start())
        {
            let message = format!("`lease` must be at least {}s", LEASE.start().as_secs());
            self.error(Code::Schema, &self.at("lease"), message, None);
        }
    }

    /// What is read from each message.
    fn about_items(&mut self, decl: &QueueDecl) {
        self.of_message("id", Some(&decl.id));
        self.of_message("expires", decl.expires.as_ref());
        self.of_message("base", decl.base.as_ref());
    }

    fn of_message(&mut self, key: &str, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            let scope = self.scope.clone().with("item", message_shape());
            let at = self.at(key);
            check_text(self.doc, &at, &expr.0, TextKind::Expr, &scope, self.report);
        }
    }

    /// A stream or bucket that is the same one for all lanes.
    fn single<V: AsInstances>(
        &mut self,
        kind: &str,
        key: &str,
        name: &str,
        known: &std::collections::BTreeMap<String, V>,
    ) {
        let (message, help) = match known.get(name).map(AsInstances::instances) {
            Some(Instances::One | Instances::Unknown) => return,
            Some(_) => (
                format!("the {kind} `{name}` has several instances, and a queue needs one"),
                "name one without `each` and `params`".to_owned(),
            ),
            None => (
                format!("this pack declares no {kind} `{name}`"),
                suggest::declared(&format!("{kind}s"), name, known.keys().map(String::as_str)),
            ),
        };
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
    }

    /// What is known of an item that is completed stays for a while, and must end by itself.
    fn lease_bucket(&mut self, name: &str) {
        if self.resources.endless_buckets.contains(name) {
            let message = format!("the entries of the bucket `{name}` never end");
            let help = "write `limit_markers: 1m` into its declaration, or a `ttl` longer than any item waits";
            self.error(Code::Schema, &self.at("leases"), message, Some(help.into()));
        }
    }

    fn items_are_stored(&mut self, decl: &QueueDecl, params: usize) {
        let stream = decl.stream.as_ref();
        if !self.resources.streams.contains_key(stream) {
            return;
        }
        if !self.resources.work_streams.contains(stream) {
            let message = format!("the stream `{stream}` keeps items that are completed");
            let help = "write `retention: workqueue` into its declaration";
            self.error(Code::Schema, &self.at("stream"), message, Some(help.into()));
        }
        if decl.consumer.is_some() {
            return self.stored_subject("subject", stream, &decl.subject.0);
        }
        let lanes = ".{{ param }}".repeat(params);
        self.stored_subject("subject", stream, &format!("{}{lanes}.p1", decl.subject.0));
    }

    fn dead_letters(&mut self, dead: &DeadLetters) {
        self.single("stream", "stream", &dead.stream, &self.resources.streams);
        self.lasting_stream("stream", &dead.stream);
        if self.resources.work_streams.contains(dead.stream.as_ref()) {
            let message = format!(
                "the stream `{}` loses what is acknowledged, and dead letters are to be kept",
                dead.stream
            );
            self.error(Code::Schema, &self.at("stream"), message, None);
        }
        self.token("subject", Some(&dead.subject));
        let subject = format!("{}.{{{{ first }}}}.{{{{ id }}}}", dead.subject.0);
        self.stored_subject("subject", &dead.stream, &subject);
        let scope = self.scope.clone().with("item", queues::lost_shape());
        let at = self.at("record");
        check_tree(self.doc, &at, &dead.record, &scope, self.report);
        self.of_message("id", dead.id.as_ref());
    }
}

/// How a declared resource becomes actual ones.
trait AsInstances {
    fn instances(&self) -> &Instances;
}

impl AsInstances for Instances {
    fn instances(&self) -> &Instances {
        self
    }
}

impl AsInstances for (Instances, Vec<String>) {
    fn instances(&self) -> &Instances {
        &self.0
    }
}

/// Rules for steps.
impl StepCheck<'_> {
    /// The queues that a step may mean: the one that it names; with an expression, all.
    pub fn queue(&mut self, queue: &QueueName) -> Vec<(String, QueueInfo)> {
        let known = &self.resources.queues;
        let Tree::Literal(Json::Str(name)) = &queue.0 else {
            self.value("queue", &queue.0);
            if known.is_empty() {
                let message = "this pack declares no queue".to_owned();
                self.error(Code::UnknownResource, &self.at("queue"), message, None);
            }
            let sound = known.iter();
            return sound
                .filter_map(|(name, info)| Some((name.clone(), info.clone()?)))
                .collect();
        };
        match known.get(name.as_ref()) {
            Some(Some(info)) => vec![(name.to_string(), info.clone())],
            Some(None) => Vec::new(),
            None => {
                let help = suggest::declared("queues", name, known.keys().map(String::as_str));
                let message = format!("this pack declares no queue `{name}`");
                let at = self.at("queue");
                self.error(Code::UnknownResource, &at, message, Some(help));
                Vec::new()
            }
        }
    }

    /// The values that pick one lane.
    pub fn lane(&mut self, queues: &[(String, QueueInfo)], with: Option<&Map<Tree>>) {
        let at = self.at("with");
        let mut given = Vec::new();
        for (name, tree) in with.into_iter().flat_map(Map::iter) {
            let shape = check_tree(self.doc, &join(&at, name), tree, self.scope, self.report);
            self.lane_value(&join(&at, name), name, &shape);
            given.push(name);
        }
        self.all_params(queues, &given, "with", &at);
    }

    /// The lanes to look at: a list of the values that pick one. `everywhere` says that without it all lanes are meant, where
    /// they can be found.
    pub fn lanes(&mut self, queues: &[(String, QueueInfo)], from: Option<&Tree>, everywhere: bool) {
        let at = self.at("from");
        let Some(from) = from else {
            for (name, info) in queues {
                if info.params.is_empty() || (everywhere && info.findable) {
                    continue;
                }
                self.needs(&format!(
                    "`from` must say which lanes of the queue `{name}`: a list of objects of {}",
                    info.params.join(", ")
                ), "write `from: [{…}]`");
            }
            return;
        };
        let shapes: Vec<Shape> = match from {
            Tree::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.value(&format!("from/{index}"), item))
                .collect(),
            Tree::Literal(Json::List(items)) => items.iter().map(literal_shape).collect(),
            other => {
                let shape = self.value("from", other);
                return match shape {
                    Shape::Any | Shape::List(_) => self.lane_shape(queues, &shape.element(), &at),
                    _ => self.no_list(&at),
                };
            }
        };
        if !(1..=MAX_LANES).contains(&shapes.len()) {
            let message = format!("`from` names 1 to {MAX_LANES} lanes");
            self.error(Code::Schema, &at, message, None);
        }
        for (index, shape) in shapes.iter().enumerate() {
            self.lane_shape(queues, shape, &join(&at, &index.to_string()));
        }
    }

    fn lane_shape(&mut self, queues: &[(String, QueueInfo)], shape: &Shape, at: &str) {
        match shape {
            Shape::Any => {}
            Shape::Object(fields) if fields.open => {}
            Shape::Object(fields) => {
                for (name, field) in &fields.known {
                    self.lane_value(at, name, &field.shape);
                }
                let given: Vec<&str> = fields.known.keys().map(String::as_str).collect();
                self.all_params(queues, &given, "from", at);
            }
            _ => self.no_list(at),
        }
    }

    fn no_list(&mut self, at: &str) {
        let message = "`from` is a list of objects, one for each lane".to_owned();
        self.error(Code::Schema, at, message, None);
    }

    fn lane_value(&mut self, at: &str, name: &str, shape: &Shape) {
        if matches!(shape, Shape::Bool | Shape::List(_) | Shape::Object(_)) {
            let message = format!("`{name}` picks a lane, and must be a text");
            self.error(Code::Schema, at, message, None);
        }
    }

    fn all_params(&mut self, queues: &[(String, QueueInfo)], given: &[&str], key: &str, at: &str) {
        for (name, info) in queues {
            let complete = info.params.iter().all(|p| given.contains(&p.as_str()))
                && given.len() == info.params.len();
            if complete {
                continue;
            }
            let message = match info.params.as_slice() {
                [] => format!("the queue `{name}` has one lane: leave `{key}` out"),
                params => format!(
                    "`{key}` must give exactly what the queue `{name}` needs: {}",
                    params.join(", ")
                ),
            };
            self.error(Code::Schema, at, message, None);
        }
    }

    /// The level of a new item.
    pub fn level(&mut self, queues: &[(String, QueueInfo)], level: Option<&Whole>) {
        if let Some(level) = level {
            let all = u64::from(MAX_LEVELS);
            let most = queues.iter().map(|(_, info)| info.levels.unwrap_or(all));
            self.whole("level", level, 1..=most.max().unwrap_or(all));
        }
    }

    /// What `depth` tells of each lane of these queues, beside the counts.
    pub fn lane_fields(queues: &[(String, QueueInfo)]) -> Option<Vec<&str>> {
        let ((_, first), rest) = queues.split_first()?;
        let same = rest.iter().all(|(_, info)| info.params == first.params);
        same.then(|| first.params.iter().map(String::as_str).collect())
    }
}
