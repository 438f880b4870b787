//! Programs that stand by in an example and answer.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::words::Words;
use crate::bus::{Bus, Message, Outgoing, Subscription};
use crate::engine::payload::decode;
use crate::spec::model::{Responder, Said};

/// What went wrong in a program that stands by.
pub(super) type Faults = Arc<Mutex<Vec<String>>>;

/// Starts the programs of a fixture; once this returns, they hear.
pub(super) async fn start(
    responders: &[Responder],
    words: &Words,
    bus: &Bus,
    tasks: &mut JoinSet<()>,
) -> Result<Faults, String> {
    let faults = Faults::default();
    for responder in responders {
        let mut words = words.copy();
        let subject = words.text(&responder.subject)?;
        let heard = bus
            .subscribe(&[subject], Subscription::CAPACITY)
            .await
            .map_err(|e| e.to_string())?;
        let (responder, bus, faults) = (responder.clone(), bus.clone(), Arc::clone(&faults));
        tasks.spawn(stand_by(responder, words, heard, bus, faults));
    }
    Ok(faults)
}

async fn stand_by(
    responder: Responder,
    mut words: Words,
    mut heard: Subscription,
    bus: Bus,
    faults: Faults,
) {
    while let Some(message) = heard.next().await {
        let outcome = match answer(&responder, &mut words, &message) {
            Ok(Some(answer)) => bus.publish(answer).await.map_err(|e| e.to_string()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            let fault = format!("answering a message on {}: {error}", message.subject);
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.push(fault);
        }
    }
}

/// The answer to a message, unless it is none of those that are answered.
fn answer(
    responder: &Responder,
    words: &mut Words,
    message: &Message,
) -> Result<Option<Outgoing>, String> {
    let (data, text) = decode(&message.payload);
    let headers = message.headers.iter();
    let headers: Map<String, Value> = headers
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let reply = message.reply.as_deref().unwrap_or_default();
    let seen = json!({
        "subject": message.subject, "data": data, "text": text, "headers": headers, "reply": reply,
    });
    words.bind("message", &seen);
    if let Some(when) = &responder.when
        && !words.holds(when)?
    {
        return Ok(None);
    }
    let to = match &responder.to {
        Some(to) => words.text(to)?,
        None if reply.is_empty() => {
            return Err("it wants no reply: say where the answer goes with `to`".to_owned());
        }
        None => reply.to_owned(),
    };
    let payload = words.value(&responder.payload)?;
    let mut answer = Outgoing::new(to, bytes(&payload));
    for (name, text) in responder.headers.iter() {
        answer.headers.push((name.to_owned(), words.text(text)?));
    }
    Ok(Some(answer))
}

/// What another program says.
pub(super) fn message(said: &Said, words: &mut Words) -> Result<Outgoing, String> {
    let payload = match &said.payload {
        Some(payload) => bytes(&words.value(payload)?),
        None => Vec::new(),
    };
    let mut message = Outgoing::new(words.text(&said.subject)?, payload);
    for (name, text) in said.headers.iter() {
        message.headers.push((name.to_owned(), words.text(text)?));
    }
    Ok(message)
}

/// A text goes out as it is, anything else as JSON.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}
