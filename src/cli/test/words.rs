//! The texts of examples, compiled when they are needed.

use minijinja::value::{Serde, Value as Jinja};
use serde_json::Value;

use crate::catalog::{Catalog, Templates, Tool};
use crate::spec::data::{List, Text};
use crate::spec::model::TextKind;
use crate::spec::tree::{Expr, Template, Tree, is_template};

/// What the texts of an example see, and the texts themselves.
pub(super) struct Words {
    templates: Templates,
    names: Vec<(String, Jinja)>,
}

impl Words {
    /// With the names that a tool's own texts see when it is listed.
    pub(super) fn of(catalog: &Catalog, tool: &Tool) -> Self {
        let mut words = Self::with(catalog, Some(tool.pack), tool.tools.clone());
        let given = tool.given.iter();
        let given = given.map(|(name, value)| (name.to_string(), value.clone()));
        words.names.extend(given);
        words
    }

    /// With the names of a pack whose tools are not made yet.
    pub(super) fn before(catalog: &Catalog, pack: &str) -> Self {
        let mut packs = catalog.packs.iter();
        let index = packs.position(|loaded| loaded.pack.name == *pack);
        let none = Jinja::from_pairs(std::iter::empty::<(String, Jinja)>());
        Self::with(catalog, index, none)
    }

    fn with(catalog: &Catalog, pack: Option<usize>, tools: Jinja) -> Self {
        let pack = pack.and_then(|index| catalog.packs.get(index));
        let settings = pack.map(|p| p.settings.clone()).unwrap_or_default();
        let names = vec![
            ("project".to_owned(), catalog.project.clone()),
            ("config".to_owned(), settings),
            ("env".to_owned(), catalog.env.clone()),
            ("tools".to_owned(), tools),
        ];
        Self {
            templates: Templates::new(),
            names,
        }
    }

    /// The same names, for other texts.
    pub(super) fn copy(&self) -> Self {
        Self {
            templates: Templates::new(),
            names: self.names.clone(),
        }
    }

    /// Gives a name to a value.
    pub(super) fn bind(&mut self, name: &str, value: &Value) {
        self.names.retain(|(known, _)| known != name);
        self.names
            .push((name.to_owned(), Jinja::from(Serde(value))));
    }

    fn context(&self) -> Jinja {
        Jinja::from_pairs(self.names.iter().cloned())
    }

    fn learn(&mut self, texts: Vec<(TextKind, Text)>) -> Result<(), String> {
        let texts: List<(TextKind, Text)> = texts.into();
        self.templates.add(&texts).map_err(|e| e.to_string())
    }

    /// What a text comes to.
    pub(super) fn text(&mut self, template: &Template) -> Result<String, String> {
        if is_template(&template.0) {
            self.learn(vec![(TextKind::Text, template.0.clone())])?;
        }
        let context = self.context();
        let text = self.templates.text(template, &context);
        text.map_err(|e| e.to_string())
    }

    /// Whether a condition holds.
    pub(super) fn holds(&mut self, condition: &Expr) -> Result<bool, String> {
        self.learn(vec![(TextKind::Condition, condition.0.clone())])?;
        let context = self.context();
        let holds = self.templates.test(condition, &context);
        holds.map_err(|e| e.to_string())
    }

    /// What a value comes to.
    pub(super) fn value(&mut self, tree: &Tree) -> Result<Value, String> {
        let mut texts = Vec::new();
        collect(tree, &mut texts);
        self.learn(texts)?;
        let context = self.context();
        let value = self.templates.json(tree, &context);
        value.map_err(|e| e.to_string())
    }
}

/// The texts of a tree.
fn collect(tree: &Tree, texts: &mut Vec<(TextKind, Text)>) {
    match tree {
        Tree::Literal(_) => {}
        Tree::Expr(text) => texts.push((TextKind::Value, text.clone())),
        Tree::Template(text) => texts.push((TextKind::Text, text.clone())),
        Tree::List(items) => items.iter().for_each(|item| collect(item, texts)),
        Tree::Map(map) => map.iter().for_each(|(_, item)| collect(item, texts)),
    }
}
