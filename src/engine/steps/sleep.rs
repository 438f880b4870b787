//! `sleep`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::forms::Sleep;

pub(super) async fn run(step: &Sleep, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let given = call.reader(&context).pause("sleep", &step.0)?;
    if given > Sleep::MOST {
        return Err(Failure::new(
            FailureKind::Range,
            format!(
                "`sleep` is {given:?}, and must be at most {:?}",
                Sleep::MOST
            ),
        ));
    }
    tokio::time::sleep(given).await;
    let ms = u64::try_from(given.as_millis()).unwrap_or(u64::MAX);
    Ok(minijinja::context!(ms))
}
