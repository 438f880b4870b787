//! What the tools and routines of a catalog need on NATS: what they touch, with the names that it has for this project and
//! config.

use minijinja::value::Value;

use crate::bus::permits::{LanePlace, OnBucket, OnLane, OnStream, Permits};
use crate::catalog::Catalog;
use crate::catalog::foresee::Known;
use crate::catalog::touch::{self, Action, Keys, On, Owner, Subjects, Touch};
use crate::spec::data::Map;
use crate::spec::model::{Pack, QueueDecl, StreamDecl};
use crate::spec::tree::{Token, Tree};

/// Adds what the catalog needs. `live`: streams are listened on as stdio does it, where messages are heard before they are
/// stored.
pub fn permits(catalog: &Catalog, live: bool, permits: &mut Permits) {
    for index in 0..catalog.packs.len() {
        let mut need = Need::new(catalog, index, live, permits);
        need.always();
        need.routines();
    }
    for tool in catalog.tools().iter() {
        let mut need = Need::new(catalog, tool.pack, live, permits);
        for (name, value) in &tool.given {
            need.known = need.known.with(name, Some(value.clone()));
        }
        let Some(loaded) = catalog.packs.get(tool.pack) else {
            continue;
        };
        need.all(&tool.name, &touch::of_tool(&loaded.pack, &tool.spec));
    }
}

/// A stream by the name that NATS knows, as far as it is known.
struct Place {
    name: String,
    subjects: Vec<String>,
    adjust: bool,
}

/// What one pack needs.
struct Need<'a> {
    catalog: &'a Catalog,
    pack: usize,
    live: bool,
    /// The names that all of the pack sees.
    base: Known<'a>,
    /// The names that the steps see.
    known: Known<'a>,
    permits: &'a mut Permits,
}

impl<'a> Need<'a> {
    fn new(catalog: &'a Catalog, pack: usize, live: bool, permits: &'a mut Permits) -> Self {
        let base = Known::new(&catalog.templates, catalog.base_context(pack));
        Self {
            catalog,
            pack,
            live,
            known: base.clone(),
            base,
            permits,
        }
    }

    fn spec(&self) -> Option<&'a Pack> {
        self.catalog.packs.get(self.pack).map(|p| &*p.pack)
    }

    /// What a gateway does by itself.
    fn always(&mut self) {
        let Some(pack) = self.spec() else { return };
        for (name, decl) in pack.streams.iter().filter(|(_, d)| d.params.is_none()) {
            let why = format!("the stream {name} of {}", pack.name);
            for place in self.streams(decl, None) {
                self.ensure(&why, &place);
            }
        }
        for (name, decl) in pack.queues.iter() {
            self.queue_kept(&format!("the queue {name} of {}", pack.name), decl);
        }
    }

    fn routines(&mut self) {
        let Some(pack) = self.spec() else { return };
        for (owner, touches) in touch::of_pack(pack) {
            let why = match owner {
                // Tools are told one by one, queues above, and what an inbox hears with the tools that wait there.
                Owner::Tool(_) | Owner::Queue(_) | Owner::Inbox(_) => continue,
                Owner::Generator(name) => format!("generate {name}"),
                Owner::Timer(name) => format!("timer {name}"),
                Owner::Listener(name) => format!("listener {name}"),
                Owner::Table(name) => format!("table {name}"),
                Owner::Resource(name) => format!("resource {name}"),
                Owner::Prompt(name) => format!("prompt {name}"),
                Owner::Completion(name) => format!("completion {name}"),
                Owner::Close => "on close".to_owned(),
                Owner::Resume => "on resume".to_owned(),
            };
            let why = format!("{}: {why}", pack.name);
            match owner {
                // Nobody knows which services there will be. Tools of documents are told one by one.
                Owner::Generator(_) if !touches.iter().any(|t| t.action == Action::Discover) => {
                    continue;
                }
                Owner::Resource(name) if !self.is_served(pack, name) => continue,
                Owner::Prompt(name) if !self.is_offered(name) => continue,
                _ => {}
            }
            let hears = self.live && matches!(owner, Owner::Listener(_));
            let live = std::mem::replace(&mut self.live, hears);
            self.all(&why, &touches);
            self.live = live;
        }
    }

    fn is_offered(&self, prompt: &str) -> bool {
        let mut prompts = self.catalog.prompts.iter();
        prompts.any(|offered| offered.name == prompt)
    }

    /// Only packs that the config names serve resources.
    fn is_served(&self, pack: &Pack, resource: &str) -> bool {
        if !self.catalog.packs.get(self.pack).is_some_and(|p| p.named) {
            return false;
        }
        let when = pack.resources.get(resource).and_then(|r| r.when.as_ref());
        let test = |when| self.catalog.templates.test(when, self.base.context());
        when.is_none_or(|when| test(when).unwrap_or(true))
    }

    fn all(&mut self, why: &str, touches: &[Touch]) {
        for touch in touches {
            self.one(&format!("{why} ({})", touch.action.name()), touch);
        }
    }

    fn one(&mut self, why: &str, Touch { action, on }: &Touch) {
        let Some(pack) = self.spec() else { return };
        match on {
            On::Stream {
                stream,
                with,
                subjects,
            } => {
                let Some(decl) = pack.streams.get(stream) else {
                    return;
                };
                for place in self.streams(decl, with.as_ref()) {
                    self.stream(why, *action, &place, subjects);
                }
            }
            On::Bucket { bucket, with, keys } => self.bucket(why, *action, (bucket, with), keys),
            On::Queue(name) => {
                if let Some(decl) = pack.queues.get(name) {
                    self.queue(why, *action, decl);
                }
            }
            On::Subject(subject) => {
                let subject = self.known.token(subject);
                self.subject(why, *action, &subject);
            }
            On::Subjects(text) => match self.known.list(text) {
                Some(list) => list.iter().for_each(|s| self.subject(why, *action, s)),
                None => self.subject(why, *action, ">"),
            },
            On::Inbox(name) => {
                if let Some(inbox) = pack.inboxes.get(name) {
                    let subject = self.base.token(&inbox.subject);
                    self.permits.listen(why, &subject);
                }
            }
            On::Services => self.permits.discover(why),
            // None of it is on NATS; tables are told for themselves.
            On::Table(_) | On::Journal(_) | On::Folder(_) | On::Program(_) | On::Server(_) => {}
        }
    }

    fn subject(&mut self, why: &str, action: Action, subject: &str) {
        match action {
            Action::Publish => self.permits.send(why, subject),
            Action::Request => self.permits.ask(why, subject),
            Action::Ask => self.permits.listened(why, subject),
            Action::Listen => self.permits.listen(why, subject),
            Action::Answer => self.permits.answer(why),
            _ => {}
        }
    }

    fn ensure(&mut self, why: &str, place: &Place) {
        self.permits.stream(why, &place.name, OnStream::Ensure);
        if place.adjust {
            self.permits.stream(why, &place.name, OnStream::Adjust);
        }
    }

    fn stream(&mut self, why: &str, action: Action, place: &Place, subjects: &Subjects) {
        let named = match subjects {
            Subjects::Own => place.subjects.clone(),
            Subjects::These(list) => list.iter().map(|s| self.known.token(s)).collect(),
            Subjects::Computed(text) => {
                let list = self.known.list(text);
                list.unwrap_or_else(|| place.subjects.clone())
            }
        };
        let mut uses = vec![OnStream::Ensure];
        match action {
            Action::Publish => uses.push(OnStream::Store(&named)),
            Action::Read | Action::Take => uses.push(OnStream::Read),
            Action::Subjects => uses.push(OnStream::Info),
            Action::Await => uses.push(OnStream::Await(&place.subjects)),
            Action::Trim => uses = vec![OnStream::Purge, OnStream::Erase],
            Action::Follow => {
                uses.push(OnStream::Follow);
                uses.extend(self.live.then_some(OnStream::Hear(&named)));
            }
            Action::Info => uses = vec![OnStream::Info],
            Action::Drop => uses = vec![OnStream::Delete],
            Action::Erase => uses = vec![OnStream::Erase],
            _ => uses.clear(),
        }
        if uses.contains(&OnStream::Ensure) && place.adjust {
            uses.push(OnStream::Adjust);
        }
        for used in uses {
            self.permits.stream(why, &place.name, used);
        }
    }

    fn bucket(
        &mut self,
        why: &str,
        action: Action,
        (bucket, with): (&str, &Option<Map<Tree>>),
        keys: &Keys,
    ) {
        let Some(decl) = self.spec().and_then(|pack| pack.buckets.get(bucket)) else {
            return;
        };
        let params = decl.params.iter().flat_map(|p| p.iter());
        let params: Vec<&str> = params.map(AsRef::as_ref).collect();
        let name = whole_name(&self.bound(&params, with.as_ref()), &decl.name);
        let keys = match keys {
            Keys::Any => ">".to_owned(),
            Keys::One(key) => self.known.token(key),
            Keys::Under(key) => format!("{}.>", self.known.token(key)),
        };
        let uses: &[OnBucket<'_>] = match action {
            Action::Get => &[OnBucket::Get(&keys)],
            Action::Put | Action::Update | Action::Delete => &[OnBucket::Put(&keys)],
            Action::Create | Action::Modify | Action::Position | Action::Lease => {
                &[OnBucket::Get(&keys), OnBucket::Put(&keys)]
            }
            Action::List => &[OnBucket::List],
            _ => return,
        };
        self.permits.bucket(why, &name, OnBucket::Ensure);
        for used in uses {
            self.permits.bucket(why, &name, *used);
        }
    }

    fn queue(&mut self, why: &str, action: Action, decl: &QueueDecl) {
        let uses: &[OnLane] = match action {
            Action::Enqueue | Action::Revive => &[OnLane::Store],
            Action::Claim => &[OnLane::Claim],
            Action::Await => &[OnLane::Await],
            Action::Extend | Action::Complete | Action::Release => &[OnLane::Settle],
            Action::Peek => &[OnLane::Look],
            Action::Depth => &[OnLane::Count],
            _ => &[],
        };
        for (place, lane) in self.lanes(decl) {
            self.ensure(why, &place);
            for used in uses {
                self.permits.lane(why, &lane, *used);
            }
        }
        let used = match action {
            Action::Dead => OnStream::Read,
            Action::Revive | Action::Discard => OnStream::Message,
            _ => return,
        };
        for place in self.dead(decl) {
            self.permits.stream(why, &place.name, used);
            if used == OnStream::Message {
                self.permits.stream(why, &place.name, OnStream::Erase);
            }
        }
    }

    /// What is done for a queue whoever uses it: who holds what, and what died with its holder.
    fn queue_kept(&mut self, why: &str, decl: &QueueDecl) {
        let leases = On::Bucket {
            bucket: decl.leases.clone(),
            with: None,
            keys: Keys::Any,
        };
        for action in [Action::Modify, Action::List] {
            let on = leases.clone();
            self.one(why, &Touch { action, on });
        }
        for (_, lane) in self.lanes(decl) {
            self.permits.lane(why, &lane, OnLane::Settle);
            self.permits.lane(why, &lane, OnLane::Count);
            if decl.expires.is_some() {
                self.permits.lane(why, &lane, OnLane::Look);
            }
        }
        let letters = vec![format!("{}.*.*", self.base.token(&decl.dead.subject))];
        for place in self.dead(decl) {
            self.ensure(why, &place);
            self.permits
                .stream(why, &place.name, OnStream::Store(&letters));
        }
    }

    fn dead(&self, decl: &QueueDecl) -> Vec<Place> {
        let stream = self.spec().and_then(|p| p.streams.get(&decl.dead.stream));
        stream.map_or_else(Vec::new, |stream| self.streams(stream, None))
    }

    /// The streams and lanes of a queue.
    fn lanes(&self, decl: &QueueDecl) -> Vec<(Place, LanePlace)> {
        let params = decl.params.iter().flat_map(|p| p.iter());
        let params: Vec<&str> = params.map(AsRef::as_ref).collect();
        let inner = self.bound(&params, None);
        let stream = self.spec().and_then(|pack| pack.streams.get(&decl.stream));
        let places = stream.map_or_else(Vec::new, |stream| {
            self.streams_at(stream, decl.with.as_ref(), &inner)
        });
        let (subject, consumer) = match &decl.consumer {
            Some(consumer) => (inner.token(&decl.subject), inner.token(consumer)),
            None => {
                // The values of the parameters and the level.
                let lanes = ".*".repeat(params.len() + 1);
                let prefix = self.base.token(&decl.subject);
                (format!("{prefix}{lanes}"), "*".to_owned())
            }
        };
        let lane = |place: Place| {
            let lane = LanePlace {
                stream: place.name.clone(),
                subject: subject.clone(),
                consumer: consumer.clone(),
            };
            (place, lane)
        };
        places.into_iter().map(lane).collect()
    }

    fn streams(&self, decl: &StreamDecl, with: Option<&Map<Tree>>) -> Vec<Place> {
        self.streams_at(decl, with, &self.known)
    }

    /// The streams that a step may mean, whose `with` sees these names.
    fn streams_at(
        &self,
        decl: &StreamDecl,
        with: Option<&Map<Tree>>,
        known: &Known<'_>,
    ) -> Vec<Place> {
        let templates = &self.catalog.templates;
        let here = |when| templates.test(when, self.base.context()).unwrap_or(true);
        if !decl.when.as_ref().is_none_or(here) {
            return Vec::new();
        }
        let Some(each) = &decl.each else {
            let params = decl.params.iter().flat_map(|p| p.iter());
            let params: Vec<&str> = params.map(AsRef::as_ref).collect();
            return vec![place(decl, &self.bound_at(&params, with, known))];
        };
        let given = |name: &str| {
            with.and_then(|with| with.get(name))
                .and_then(|v| known.value(v))
        };
        let fields = with.into_iter().flat_map(Map::keys);
        let wanted: Vec<(&str, Value)> = fields
            .filter_map(|field| Some((field, given(field)?)))
            .collect();
        let items = templates.eval(each, self.base.context());
        let items: Vec<Value> = items
            .and_then(|list| Ok(list.try_iter()?.collect()))
            .unwrap_or_default();
        let meant = |item: &&Value| {
            let fits =
                |(field, value): &(&str, Value)| item.get_attr(field).is_ok_and(|v| v == *value);
            wanted.iter().all(fits)
        };
        let instance = |item: &Value| place(decl, &self.base.with("item", Some(item.clone())));
        items.iter().filter(meant).map(instance).collect()
    }

    fn bound(&self, params: &[&str], with: Option<&Map<Tree>>) -> Known<'a> {
        self.bound_at(params, with, &self.known)
    }

    /// The names of a declaration with parameters, for these values of them.
    fn bound_at(&self, params: &[&str], with: Option<&Map<Tree>>, known: &Known<'_>) -> Known<'a> {
        params.iter().fold(self.base.clone(), |bound, param| {
            let value = with.and_then(|with| with.get(param));
            bound.with(param, value.and_then(|value| known.value(value)))
        })
    }
}

fn place(decl: &StreamDecl, known: &Known<'_>) -> Place {
    let adjust = decl.adjust.as_ref().map(|flag| known.value(&flag.0));
    Place {
        name: whole_name(known, &decl.name),
        subjects: decl.subjects.iter().map(|s| known.token(s)).collect(),
        // What is not known may be.
        adjust: adjust.is_some_and(|flag| flag.is_none_or(|flag| flag.is_true())),
    }
}

/// The name of a stream or a bucket, which is one token.
fn whole_name(known: &Known<'_>, name: &Token) -> String {
    let name = known.token(name);
    match name.contains(['.', '>']) {
        true => "*".to_owned(),
        false => name,
    }
}
