//! `announce`

use minijinja::value::Value;

use crate::engine::announced::Announcement;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Announce;

pub(super) async fn run(step: &Announce, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let updated = step.updated.iter();
    let updated = updated.map(|uri| call.templates().text(uri, &context));
    let announcement = Announcement {
        from: String::new(),
        tools: step.tools,
        prompts: step.prompts,
        resources: step.resources,
        updated: updated.collect::<Result<_, _>>()?,
    };
    let everywhere = call.engine.announce(announcement).await;
    Ok(minijinja::context!(everywhere))
}
