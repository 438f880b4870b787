//! `connect`

use std::time::{Duration, Instant};

use minijinja::value::Value;
use tokio::net::TcpStream;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::address::Address;
use crate::spec::verbs::forms::Connect;

/// The wait when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(3);

pub(super) async fn run(step: &Connect, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let text = call.templates().text(&step.address, &context)?;
    let addresses =
        Address::several(&text).map_err(|problem| Failure::new(FailureKind::Range, problem))?;
    call.may_look_at(&addresses)?;
    let timeout = call
        .reader(&context)
        .span_within("timeout", step.timeout.as_ref(), Connect::MOST)?
        .unwrap_or(DEFAULT);
    let began = Instant::now();
    // One that does not answer must not take the time of the others.
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut problems = Vec::new();
    let mut answered = None;
    for address in &addresses {
        match reached(address, share).await {
            Ok(()) => {
                answered = Some(address);
                break;
            }
            Err(problem) => problems.push(format!("{address}: {problem}")),
        }
    }
    let (message, address) = match answered {
        Some(address) => ("connected".to_owned(), address.to_string()),
        None => (
            problems.join("; "),
            addresses
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
    };
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(minijinja::context!(
        ok => answered.is_some(), message => message, ms => ms, address => address
    ))
}

async fn reached(address: &Address, limit: Duration) -> Result<(), String> {
    let connect = TcpStream::connect((address.host.as_str(), address.port));
    match tokio::time::timeout(limit, connect).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}
