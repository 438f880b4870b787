//! Which messages a listener handles.

use minijinja::value::Value;

use crate::catalog::templates::Filter;
use crate::engine::background::Routine;
use crate::engine::scope::Items;

/// The condition of a listener, ready to be asked of many messages.
pub(super) struct Gate<'e> {
    pub(super) filter: Option<Filter<'e>>,
    /// The names around the message, and of which look of the session.
    pub(super) items: Option<(u64, Items)>,
}

impl Gate<'_> {
    /// Whether a message is to be handled.
    ///
    /// # Errors
    /// What the condition runs into.
    pub(super) fn lets(
        &mut self,
        routine: &Routine,
        item: &Value,
    ) -> Result<bool, minijinja::Error> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        let looks = routine.session.looks();
        let items = match &self.items {
            Some((seen, items)) if *seen == looks => items,
            _ => &self.items.insert((looks, routine.call().scope.items())).1,
        };
        filter.holds(&items.context(item.clone()))
    }
}
