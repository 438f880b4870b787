//! What a queue's declaration says of a message: evaluated for each one that is claimed, looked at or buried.

use std::sync::Arc;

use minijinja::value::Value;

use super::queues::lane_text;
use crate::bus::{Bytes, Dead, Error, Look, Rules, Stored};
use crate::catalog::Catalog;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::model::QueueDecl;
use crate::spec::tree::{Expr, Tree};

/// The expressions of one queue, with what they need to be evaluated at any time.
pub(super) struct ItemRules {
    catalog: Arc<Catalog>,
    pack: usize,
    queue: String,
    id: Expr,
    expires: Option<Expr>,
    base: Option<Expr>,
    record: Tree,
    dead_id: Expr,
}

impl ItemRules {
    pub(super) fn new(catalog: Arc<Catalog>, pack: usize, queue: &str, decl: &QueueDecl) -> Self {
        Self {
            catalog,
            pack,
            queue: queue.to_owned(),
            id: decl.id.clone(),
            expires: decl.expires.clone(),
            base: decl.base.clone(),
            record: decl.dead.record.clone(),
            dead_id: decl.dead.id.as_ref().unwrap_or(&decl.id).clone(),
        }
    }

    fn context(&self, item: Value) -> Value {
        minijinja::context!(item => item, ..self.catalog.base_context(self.pack))
    }

    /// The value of an expression over a message. Anybody may send any message, so one that the expression cannot be
    /// evaluated on just does not have the value.
    fn value(&self, expr: &Expr, context: &Value) -> Option<Value> {
        match self.catalog.templates.eval(expr, context) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::debug!(queue = %self.queue, %error, "a message without `{}`", expr.0);
                None
            }
        }
    }
}

impl Rules for ItemRules {
    fn look(&self, message: &Stored) -> Look {
        let context = self.context(payload::stored(message));
        let value = |expr: &Option<Expr>| self.value(expr.as_ref()?, &context);
        Look {
            id: self.value(&self.id, &context).and_then(|id| id_text(&id)),
            expires: value(&self.expires).and_then(|time| time.as_str().map(str::to_owned)),
            base: value(&self.base)
                .and_then(|base| u32::try_from(base).ok())
                .unwrap_or_default(),
        }
    }

    fn record(&self, dead: &Dead) -> Result<Bytes, Error> {
        let item = payload::lost(dead);
        let templates = &self.catalog.templates;
        let made = templates
            .tree(&self.record, &self.context(item.clone()))
            .map_err(Failure::from)
            .and_then(|record| payload::encode(&record));
        // An item for which the record cannot be made would block its queue: better a plain record than none.
        Ok(match made {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(
                    queue = %self.queue, id = %dead.id, %error,
                    "the record of a dead letter cannot be made; all that is known is kept instead"
                );
                item.to_string().into()
            }
        })
    }

    fn dead_id(&self, letter: &Stored) -> Option<String> {
        let context = self.context(payload::stored(letter));
        id_text(&self.value(&self.dead_id, &context)?)
    }
}

fn id_text(id: &Value) -> Option<String> {
    lane_text("id", id).ok()
}
