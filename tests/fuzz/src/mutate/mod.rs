//! Mutations that know what an input is: most random changes of bytes are refused by the first parser.

mod bodies;
mod chance;
mod json;
mod lines;
mod yaml;

use crate::targets::Target;
use chance::Chance;

/// A changed input; `None` where bytes shall be changed blindly, which is a third of the time.
pub fn mutated(target: Target, input: &[u8], seed: u32) -> Option<Vec<u8>> {
    let mut chance = Chance::new(seed);
    let text = std::str::from_utf8(input).ok()?;
    if chance.below(3) == 0 {
        return None;
    }
    let rounds = 1 + chance.below(4);
    let mut made = text.to_owned();
    for _ in 0..rounds {
        made = match target {
            Target::Specs => yaml::mutated(&made, &mut chance),
            Target::Lines => lines::mutated(&made, &mut chance),
            Target::Bodies => bodies::mutated(&made, &mut chance),
        };
    }
    (made != text).then(|| made.into_bytes())
}
