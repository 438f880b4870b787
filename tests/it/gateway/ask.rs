//! Tools, prompts and resources that ask their client in the middle: in rounds, and while the client waits.

mod rounds;
mod waiting;

use serde_json::{Value, json};

use crate::support::place::Place;

const PACK: &str = include_str!("ask/pack.yaml");
const CONFIG: &str = "packs: [./asking]\n";

/// Writes the pack and its config; gives the path of that.
fn config(place: &Place) -> String {
    place.write("asking/tools.yaml", PACK);
    let path = place.write("jacquard.yaml", CONFIG);
    path.to_string_lossy().into_owned()
}

/// All that a client can be asked.
fn all() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

/// A form that the user has filled in.
fn accepted(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// What a model says.
fn sampled(text: &str) -> Value {
    json!({"role": "assistant", "model": "m1", "stopReason": "endTurn", "content": {"type": "text", "text": text}})
}
