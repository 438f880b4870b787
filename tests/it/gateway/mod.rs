//! The gateway as MCP clients see it.

mod aliases;
mod background;
mod bare;
mod beside;
mod bounds;
mod channels;
mod credentials;
mod generate;
mod micro;
mod mirror;
mod news;
mod outage;
mod own_pack;
mod permitted;
mod progress;
mod prompts;
mod protocol;
mod queues;
mod resources;
mod seal;
pub mod tasks;
mod wire;

use std::path::PathBuf;

use crate::support::place::Place;

/// Writes a pack of the user's own and a config that serves it beside `warp`; gives the config's path.
fn own_pack(place: &Place) -> PathBuf {
    place.write("mine/tools.yaml", include_str!("mine.yaml"));
    place.write("jacquard.yaml", "name: ours\npacks: [warp, ./mine]\n")
}

/// Writes the pack `presence` and a config that serves these packs; gives the config's path.
fn presence(place: &Place, packs: &[&str]) -> String {
    place.write("presence/presence.yaml", include_str!("presence.yaml"));
    let config = format!(
        "packs: [{}]\nsettings: {{presence: {{greeting: Hi}}}}\n",
        packs.join(", ")
    );
    let path = place.write("jacquard.yaml", &config);
    path.to_string_lossy().into_owned()
}
