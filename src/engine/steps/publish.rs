//! `publish`

use minijinja::value::Value;

use crate::bus::Outgoing;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::verbs::forms::Publish;

pub(super) async fn run(step: &Publish, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let subject = step
        .subject
        .as_ref()
        .map(|s| templates.token(s, &context))
        .transpose()?;
    let payload = payload::encode(&templates.tree(&step.payload, &context)?)?;
    let headers = call.headers(step.headers.as_ref(), &context)?;
    let Some(name) = &step.stream else {
        let subject = subject.unwrap_or_default();
        let message = Outgoing {
            subject: subject.clone(),
            headers,
            payload,
        };
        if step.needs_listener == Some(true) {
            call.bus().deliver(message).await?;
        } else {
            call.bus().publish(message).await?;
        }
        // Nothing is stored: there is no sequence.
        return Ok(
            minijinja::context!(subject => subject, stream => "", seq => 0, duplicate => false),
        );
    };
    let stream = call.stream(name, step.with.as_ref(), &context)?;
    let subject = match subject {
        Some(subject) => subject,
        None => stream.spec().subjects.first().cloned().ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                format!("the stream `{name}` has no subject"),
            )
        })?,
    };
    let id = step
        .id
        .as_ref()
        .map(|id| templates.text(id, &context))
        .transpose()?
        .or_else(|| call.message_id());
    let message = Outgoing {
        subject: subject.clone(),
        headers,
        payload,
    };
    let ack = stream.publish(message, id.as_deref()).await?;
    Ok(minijinja::context!(
        subject => subject, stream => ack.stream, seq => ack.seq, duplicate => ack.duplicate
    ))
}
