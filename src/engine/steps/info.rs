//! `info`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Info;

pub(super) async fn run(step: &Info, call: &mut Call<'_>) -> Result<Value, Failure> {
    let stream = call.stream(&step.stream, step.with.as_ref(), &call.context())?;
    let name = stream.spec().name.clone();
    Ok(match stream.info().await? {
        Some(state) => minijinja::context!(
            stream => name, exists => true, messages => state.messages, bytes => state.bytes,
            first_seq => state.first_seq, last_seq => state.last_seq, deleted => state.deleted,
            consumers => state.consumers
        ),
        None => minijinja::context!(
            stream => name, exists => false, messages => 0, bytes => 0, first_seq => 0,
            last_seq => 0, deleted => 0, consumers => 0
        ),
    })
}
