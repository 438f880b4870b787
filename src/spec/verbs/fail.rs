//! `fail`: ends the call with an error.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// How a call ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Fail {
    /// With an error that the model reads: what happened, to what, and what to do.
    Text(Template),
    /// With one that it may not see.
    Refusal(Refusal),
}

/// An error of the protocol: the client is answered with no result at all, and its model is told nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The text of the error.
    pub text: Template,
    /// Whether it is an error of the protocol, for the client and not for its model.
    pub protocol: bool,
    /// Its code, as JSON-RPC has it: -32603 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

impl Refusal {
    /// The code of an error inside of the server.
    pub const INTERNAL: i32 = -32603;
}

impl<'de> Deserialize<'de> for Fail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(Template),
            Refusal(Refusal),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => Self::Text(text),
            Form::Refusal(refusal) => Self::Refusal(refusal),
        })
    }
}

impl Serialize for Fail {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (self, s.is_human_readable()) {
            (Self::Text(text), true) => text.serialize(s),
            (Self::Refusal(refusal), true) => refusal.serialize(s),
            (Self::Text(text), false) => s.serialize_newtype_variant("Fail", 0, "text", text),
            (Self::Refusal(refusal), false) => {
                s.serialize_newtype_variant("Fail", 1, "refusal", refusal)
            }
        }
    }
}

impl JsonSchema for Fail {
    fn schema_name() -> Cow<'static, str> {
        "Fail".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Template>();
        let refusal = generator.subschema_for::<Refusal>();
        schemars::json_schema!({
            "anyOf": [text, refusal],
            "description": "The text of the error that the model reads: what happened, to what, and what to do. Or an error of the protocol."
        })
    }
}

impl Grammar for Fail {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        match self {
            Self::Text(text) => cx.template("", text),
            Self::Refusal(refusal) => {
                cx.template("text", &refusal.text);
                if !refusal.protocol {
                    let message = "this is no error of the protocol".to_owned();
                    let help = "write `fail: TEXT` for an error that the model reads, or `protocol: true`";
                    cx.problem(Code::Schema, "protocol", message, help);
                }
            }
        }
        Shape::Any
    }

    fn repeats(&self) -> bool {
        true
    }
}
