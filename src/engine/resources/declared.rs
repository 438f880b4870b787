//! One declared resource and its instances, whatever kind of resource it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use minijinja::value::Value;

use crate::bus::Bus;
use crate::catalog::{Catalog, Templates};
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::data::Map;
use crate::spec::tree::Expr;

/// The most instances of a parameterised resource whose handles are kept.
const MAX_KEPT: usize = 4096;

/// What is declared, by pack and name: the handles, none where only a call knows which.
pub type Declarations<'a, H> = Vec<((usize, &'a str), Option<Vec<H>>)>;

/// A declaration that becomes one or more handles of the bus.
pub(super) trait Declaration: Clone + 'static {
    /// The word for it in errors.
    const KIND: &'static str;
    /// What the bus makes a handle from.
    type Spec;
    /// The handle.
    type Handle: Clone;

    /// The condition without which there is none of it.
    fn when(&self) -> Option<&Expr>;
    /// The expression that yields one element for each instance.
    fn each(&self) -> Option<&Expr>;
    /// Whether a step gives values that pick the instance.
    fn has_params(&self) -> bool;
    /// What an instance is, with these names in force.
    fn spec(&self, templates: &Templates, context: &Value) -> Result<Self::Spec, Failure>;
    /// The name by which NATS knows it.
    fn name(spec: &Self::Spec) -> &str;
    /// Makes a handle. Nothing is asked of NATS.
    fn open(bus: &Bus, spec: Self::Spec) -> Self::Handle;
    /// Why NATS could never make it.
    fn problem(handle: &Self::Handle) -> Option<&str>;
}

enum Instances<H> {
    /// Its condition does not hold here.
    Absent,
    One(H),
    Each(Vec<(Value, H)>),
    Params(Mutex<HashMap<String, H>>),
}

struct Declared<D: Declaration> {
    decl: D,
    instances: Instances<D::Handle>,
}

/// All declarations of one kind, by pack and name.
pub(super) struct Family<D: Declaration>(HashMap<(usize, String), Declared<D>>);

impl<D: Declaration> Family<D> {
    /// Nothing is declared.
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Makes the handles of a pack's declarations, as far as they are known without a call.
    ///
    /// # Errors
    /// A declaration whose names or limits cannot be made from this project and config.
    pub(super) fn add(
        &mut self,
        catalog: &Catalog,
        bus: &Bus,
        pack: usize,
        decls: &Map<D>,
    ) -> Result<(), Failure> {
        let context = catalog.base_context(pack);
        for (name, decl) in decls.iter() {
            let instances = instances(decl, &catalog.templates, bus, &context)
                .and_then(usable::<D>)
                .map_err(|error| within::<D>(catalog, pack, name, error))?;
            let decl = decl.clone();
            self.0
                .insert((pack, name.to_owned()), Declared { decl, instances });
        }
        Ok(())
    }

    /// The handles of all that is there whatever is called.
    pub(super) fn fixed(&self) -> Vec<D::Handle> {
        self.0
            .values()
            .flat_map(|declared| match &declared.instances {
                Instances::One(handle) => vec![handle.clone()],
                Instances::Each(list) => list.iter().map(|(_, handle)| handle.clone()).collect(),
                Instances::Params(_) | Instances::Absent => Vec::new(),
            })
            .collect()
    }

    /// All that is declared and is there with these settings, by pack and name: the handles, none where only a call knows.
    pub(super) fn declared(&self) -> Declarations<'_, D::Handle> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .filter_map(|((pack, name), declared)| {
                let handles = match &declared.instances {
                    Instances::Absent => return None,
                    Instances::One(handle) => Some(vec![handle.clone()]),
                    Instances::Each(list) => Some(list.iter().map(|(_, h)| h.clone()).collect()),
                    Instances::Params(_) => None,
                };
                Some(((*pack, name.as_str()), handles))
            })
            .collect();
        all.sort_by_key(|(place, _)| *place);
        all
    }

    /// The handle that these values pick.
    ///
    /// # Errors
    /// [`FailureKind::NotFound`] when `with` matches no instance, or there is none here; [`FailureKind::Template`] when a name
    /// cannot be made.
    pub(super) fn get(
        &self,
        catalog: &Catalog,
        bus: &Bus,
        (pack, name): (usize, &str),
        with: &[(String, Value)],
    ) -> Result<D::Handle, Failure> {
        let declared = self.0.get(&(pack, name.to_owned())).ok_or_else(|| {
            let text = format!("the {} `{name}` is not declared", D::KIND);
            Failure::new(FailureKind::Internal, text)
        })?;
        match &declared.instances {
            Instances::Absent => Err(absent::<D>(catalog, pack, name)),
            Instances::One(handle) => Ok(handle.clone()),
            Instances::Each(list) => pick(D::KIND, name, list, with),
            Instances::Params(kept) => {
                let context = params_context(catalog, pack, with);
                let spec = declared.decl.spec(&catalog.templates, &context)?;
                let key = D::name(&spec).to_owned();
                Ok(keep(kept, key, || D::open(bus, spec)))
            }
        }
    }
}

fn instances<D: Declaration>(
    decl: &D,
    templates: &Templates,
    bus: &Bus,
    context: &Value,
) -> Result<Instances<D::Handle>, Failure> {
    if let Some(when) = decl.when()
        && !templates.test(when, context)?
    {
        return Ok(Instances::Absent);
    }
    if decl.has_params() {
        return Ok(Instances::Params(Mutex::default()));
    }
    let Some(each) = decl.each() else {
        return Ok(Instances::One(D::open(bus, decl.spec(templates, context)?)));
    };
    let mut list = Vec::new();
    let mut named: HashMap<String, Value> = HashMap::new();
    for item in templates.eval(each, context)?.try_iter()? {
        let inner = minijinja::context!(item => item.clone(), ..context.clone());
        let spec = decl.spec(templates, &inner)?;
        let name = D::name(&spec).to_owned();
        if let Some(other) = named.insert(name.clone(), item.clone()) {
            let kind = D::KIND;
            return Err(Failure::new(
                FailureKind::Range,
                format!("{other} and {item} would both be the {kind} {name}"),
            ));
        }
        list.push((item, D::open(bus, spec)));
    }
    Ok(Instances::Each(list))
}

/// Refuses what NATS could never make.
fn usable<D: Declaration>(
    instances: Instances<D::Handle>,
) -> Result<Instances<D::Handle>, Failure> {
    let first = match &instances {
        Instances::One(handle) => D::problem(handle),
        Instances::Each(list) => list.iter().find_map(|(_, handle)| D::problem(handle)),
        Instances::Params(_) | Instances::Absent => None,
    };
    match first {
        Some(problem) => Err(Failure::new(FailureKind::Range, problem)),
        None => Ok(instances),
    }
}

fn absent<D: Declaration>(catalog: &Catalog, pack: usize, name: &str) -> Failure {
    let pack = catalog.packs.get(pack).map_or("", |p| &p.pack.name);
    let kind = D::KIND;
    let text = format!(
        "the {kind} `{name}` of the pack `{pack}` is not there: its `when` does not hold with the settings of this gateway"
    );
    Failure::new(FailureKind::NotFound, text)
}

fn within<D: Declaration>(catalog: &Catalog, pack: usize, name: &str, error: Failure) -> Failure {
    cannot_be_made(D::KIND, catalog, pack, name, error)
}

/// Says which declaration it is that cannot work here.
pub fn cannot_be_made(
    kind: &str,
    catalog: &Catalog,
    pack: usize,
    name: &str,
    error: Failure,
) -> Failure {
    let pack = catalog.packs.get(pack).map_or("", |p| &p.pack.name);
    Failure::new(
        error.kind,
        format!("the {kind} `{name}` of the pack `{pack}` cannot be made: {error}"),
    )
}

/// The names in force in a declaration with parameters.
pub(super) fn params_context(catalog: &Catalog, pack: usize, with: &[(String, Value)]) -> Value {
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
