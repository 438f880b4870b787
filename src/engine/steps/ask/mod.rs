//! `ask`

mod answer;
mod question;

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value};

use crate::engine::call::Call;
use crate::engine::contact::{Asker, Question};
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::ask::LONGEST;
use crate::spec::verbs::forms::Ask;
use answer::{Misfit, read};
use question::Put;

/// The wait when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(5 * 60);

pub(super) async fn run(step: &Ask, call: &mut Call<'_>) -> Result<Jinja, Failure> {
    let context = call.context();
    let timeout = call
        .reader(&context)
        .span_within("timeout", step.timeout.as_ref(), LONGEST)?
        .unwrap_or(DEFAULT);
    let put = question::put(step, call, &context)?;
    let mut answers: Map<String, Value> = step
        .questions
        .keys()
        .map(|name| (name.to_owned(), Value::Null))
        .collect();
    let asker = call.asker.clone();
    let taken = match asker {
        // Nothing of it can be put to nobody, but all may be optional.
        Asker::Nobody => Map::new(),
        Asker::Waits(_) if put.is_empty() => Map::new(),
        Asker::Waits(asker) => {
            let questions = put.iter().map(|put| put.question.clone()).collect();
            let given = asker.ask(questions, timeout).await?;
            waited(&put, &given)?
        }
        Asker::Rounds(given) => {
            let taken = in_rounds(&put, &given, call)?;
            // They were for this step.
            call.asker = Asker::Rounds(Arc::default());
            taken
        }
    };
    answers.extend(taken);
    Ok(Jinja::from(Serde(&answers)))
}

/// The answers that have come at once.
fn waited(put: &[Put], given: &Map<String, Value>) -> Result<Map<String, Value>, Failure> {
    let mut taken = Map::new();
    for put in put {
        let name = &put.question.name;
        let answer = read(put, given.get(name).unwrap_or(&Value::Null));
        let answer = answer.map_err(|misfit| match misfit {
            Misfit::Declined(failure) => failure,
            Misfit::Other(why) => {
                let text = format!("the answer of the client to `{name}` does not fit: {why}");
                Failure::new(FailureKind::Invalid, text)
            }
        })?;
        taken.insert(name.clone(), answer);
    }
    Ok(taken)
}

/// The answers of this round and those before; the run ends with the questions that have none.
fn in_rounds(
    put: &[Put],
    given: &Map<String, Value>,
    call: &mut Call<'_>,
) -> Result<Map<String, Value>, Failure> {
    let mut taken = Map::new();
    let mut kept = Map::new();
    let mut open: Vec<Question> = Vec::new();
    for put in put {
        let name = &put.question.name;
        let found = given.get(name).or_else(|| call.answers.get(name));
        match found.map(|answer| (answer, read(put, answer))) {
            Some((raw, Ok(answer))) => {
                kept.insert(name.clone(), raw.clone());
                taken.insert(name.clone(), answer);
            }
            Some((_, Err(Misfit::Declined(failure)))) => return Err(failure),
            Some((_, Err(Misfit::Other(why)))) => {
                tracing::debug!(steps = %call.name, question = %name, %why, "asked again");
                open.push(put.question.clone());
            }
            None => open.push(put.question.clone()),
        }
    }
    if open.is_empty() {
        return Ok(taken);
    }
    call.answers = kept;
    call.asked = open;
    let text = "the client is asked, and calls again with its answers";
    Err(Failure::new(FailureKind::Asked, text))
}
