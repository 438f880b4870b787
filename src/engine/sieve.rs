//! What the verbs that go through many elements share: `where`, `select`, and how the others are counted.

use minijinja::Error;
use minijinja::value::Value;

use super::call::Call;
use super::scope::Items;
use crate::catalog::Templates;
use crate::catalog::templates::Filter;
use crate::spec::env::is_omit;
use crate::spec::tree::{Expr, Tree};

/// What `where` and `select` keep of the elements of a list. The condition is compiled once for all of them.
pub(super) struct Sieve<'a> {
    templates: &'a Templates,
    items: Items,
    filter: Option<Filter<'a>>,
    select: Option<&'a Tree>,
}

impl<'a> Sieve<'a> {
    /// With the names that are in force now.
    ///
    /// # Errors
    /// A condition that does not parse.
    pub(super) fn new(
        call: &Call<'a>,
        filter: Option<&Expr>,
        select: Option<&'a Tree>,
    ) -> Result<Self, Error> {
        let templates = call.templates();
        Ok(Self {
            templates,
            items: call.scope.items(),
            filter: filter.map(|filter| templates.filter(filter)).transpose()?,
            select,
        })
    }

    /// Whether the element fits `where`; it is not made when there is none.
    ///
    /// # Errors
    /// Whatever the condition runs into.
    pub(super) fn fits(&self, item: impl FnOnce() -> Value) -> Result<bool, Error> {
        match &self.filter {
            None => Ok(true),
            Some(filter) => filter.holds(&self.items.context(item())),
        }
    }

    /// What is kept of the element: `None` where `select` says `omit`.
    ///
    /// # Errors
    /// Whatever `select` runs into.
    pub(super) fn kept(&self, item: Value) -> Result<Option<Value>, Error> {
        match self.select {
            None => Ok(Some(item)),
            Some(select) => self.made(select, item),
        }
    }

    /// What another expression makes of the element: `None` where it says `omit`.
    ///
    /// # Errors
    /// Whatever the expression runs into.
    pub(super) fn made(&self, tree: &Tree, item: Value) -> Result<Option<Value>, Error> {
        let made = self
            .templates
            .tree_or_omit(tree, &self.items.context(item))?;
        Ok(Some(made).filter(|made| !is_omit(made)))
    }
}
