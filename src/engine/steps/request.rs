//! `request`

use std::time::Duration;

use minijinja::value::Value;
use tokio::time::{Instant, sleep_until};

use super::progress::done;
use super::read::listed;
use crate::bus::{Bytes, ErrorKind, Outgoing, Posted};
use crate::catalog::templates::Templates;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::inbox::Waiter;
use crate::engine::payload;
use crate::spec::data::List;
use crate::spec::env::is_omit;
use crate::spec::model::{Answer, Served, Telling};
use crate::spec::verbs::forms::Request;
use crate::spec::verbs::request::{LONGEST_ANSWER, LONGEST_EVERY, LONGEST_REPLY};

/// The wait when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(2);
/// How long it is remembered that somebody listens, when a spec does not say.
const EVERY: Duration = Duration::from_secs(10);
/// The most messages of which something is kept.
const KEPT: usize = 1000;
/// The most bytes of messages of which something is kept.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

pub(super) async fn run(step: &Request, call: &mut Call<'_>) -> Result<Value, Failure> {
    let begun = Instant::now();
    if step.answers.is_some() {
        // `else` names it, also when nothing is sent.
        call.aside = Some(("heard", Value::from(Vec::<Value>::new())));
    }
    let context = call.context();
    let templates = call.templates();
    let longest = match &step.answers {
        Some(_) => LONGEST_ANSWER,
        None => LONGEST_REPLY,
    };
    let reader = call.reader(&context);
    let timeout = reader.span_within("timeout", step.timeout.as_ref(), longest)?;
    let timeout = timeout.unwrap_or(DEFAULT);
    let payload = match &step.payload {
        Some(tree) => payload::encode(&templates.tree(tree, &context)?)?,
        None => Bytes::new(),
    };
    let message = Outgoing {
        subject: templates.token(&step.subject, &context)?,
        headers: call.headers(step.headers.as_ref(), &context)?,
        payload,
    };
    let Some(answers) = &step.answers else {
        let answer = call.bus().request(message, timeout).await?;
        return Ok(payload::message(&answer));
    };
    let idle = reader.span_within("idle", step.idle.as_ref(), LONGEST_ANSWER)?;
    let (subjects, every) = served(step.served.as_ref(), call, &context)?;
    let places = places(answers, templates, &context)?;
    let engine = call.engine;
    let waiter = engine.inboxes.wait(call.bus(), call.home, places).await?;
    let posted = call.bus().post(message).await?;
    let mut exchange = Exchange {
        step,
        call,
        waiter,
        posted,
        limits: Limits {
            timeout,
            end: begun + timeout,
            idle,
        },
        heard: Vec::new(),
        bytes: 0,
    };
    let outcome = {
        let served = engine.served.check(&engine.bus, subjects, every);
        exchange.run(served).await
    };
    let heard = Value::from(std::mem::take(&mut exchange.heard));
    match outcome {
        Ok(item) => Ok(minijinja::context!(heard => heard, ..item)),
        Err(failure) => {
            call.aside = Some(("heard", heard));
            Err(failure)
        }
    }
}

/// The subjects on which somebody must listen, and for how long it is remembered.
fn served(
    served: Option<&Served>,
    call: &Call<'_>,
    context: &Value,
) -> Result<(Vec<String>, Duration), Failure> {
    let Some(served) = served else {
        return Ok((Vec::new(), EVERY));
    };
    let subjects = listed(&served.subjects, call, context)?;
    let reader = call.reader(context);
    let every = reader.span_within("every", served.every.as_ref(), LONGEST_EVERY)?;
    Ok((subjects, every.unwrap_or(EVERY)))
}

/// The inboxes in which the call waits, with its keys.
fn places<'a>(
    answers: &'a List<Answer>,
    templates: &Templates,
    context: &Value,
) -> Result<Vec<(&'a str, String)>, Failure> {
    let mut places = Vec::new();
    for answer in answers.iter() {
        let here = match &answer.when {
            Some(when) => templates.test(when, context)?,
            None => true,
        };
        if here {
            places.push((answer.inbox.as_ref(), templates.text(&answer.key, context)?));
        }
    }
    if places.is_empty() {
        let text = "no `when` of `answers` holds, so the call would wait in no inbox";
        return Err(Failure::new(FailureKind::Range, text));
    }
    Ok(places)
}

struct Limits {
    timeout: Duration,
    end: Instant,
    idle: Option<Duration>,
}

/// A message that was sent, and what is heard of it.
struct Exchange<'a, 'c> {
    step: &'a Request,
    call: &'a Call<'c>,
    waiter: Waiter,
    posted: Posted,
    limits: Limits,
    heard: Vec<Value>,
    bytes: usize,
}

impl Exchange<'_, '_> {
    /// Waits for the answer. `served` fails when there cannot be one.
    async fn run(
        &mut self,
        served: impl Future<Output = Result<(), Failure>>,
    ) -> Result<Value, Failure> {
        tokio::pin!(served);
        let mut is_served = false;
        let mut last = Instant::now();
        loop {
            let quiet = self.limits.idle.and_then(|idle| last.checked_add(idle));
            let end = quiet.map_or(self.limits.end, |quiet| quiet.min(self.limits.end));
            tokio::select! {
                // An answer that is there counts, whatever has happened since.
                biased;
                message = self.waiter.next() => {
                    let item = message?;
                    if self.is_last(&item)? {
                        return Ok(item);
                    }
                    last = Instant::now();
                    if last >= self.limits.end {
                        return Err(self.timed_out());
                    }
                    self.keep(&item)?;
                    self.tell(&item);
                }
                error = self.posted.failed() => return Err(error.into()),
                outcome = &mut served, if !is_served => {
                    outcome?;
                    is_served = true;
                }
                () = sleep_until(end) => return Err(self.timed_out()),
            }
        }
    }

    /// The names in force when a message is looked at.
    fn context(&self, item: &Value) -> Value {
        let heard = Value::from(self.heard.clone());
        let scope = self.call.scope.with("item", item.clone());
        scope.with("heard", heard).context()
    }

    fn is_last(&self, item: &Value) -> Result<bool, Failure> {
        match &self.step.until {
            Some(until) => {
                let templates = self.call.templates();
                Ok(templates.test(until, &self.context(item))?)
            }
            None => Ok(true),
        }
    }

    /// Keeps what is wanted of a message; nothing of one that has no value for it.
    fn keep(&mut self, item: &Value) -> Result<(), Failure> {
        let Some(keep) = &self.step.keep else {
            return Ok(());
        };
        let text = item.get_attr("text").ok();
        let size = text.and_then(|text| text.as_str().map(str::len));
        let bytes = self.bytes + size.unwrap_or_default();
        if self.heard.len() >= KEPT || bytes > KEPT_BYTES {
            return Ok(());
        }
        let templates = self.call.templates();
        match templates.tree_or_omit(keep, &self.context(item)) {
            Ok(kept) if is_omit(&kept) => {}
            Ok(kept) => {
                self.heard.push(kept);
                self.bytes = bytes;
            }
            Err(error) if error.kind() == minijinja::ErrorKind::UndefinedError => {
                tracing::debug!(steps = %self.call.name, %error, "nothing is kept of a message");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Tells how far the work is. It does not end for that this cannot be told.
    fn tell(&self, item: &Value) {
        let progress = &self.call.progress;
        let telling = self.step.progress.as_ref();
        let Some(telling) = telling.filter(|_| progress.is_wanted()) else {
            return;
        };
        match self.stand(telling, &self.context(item)) {
            Ok(Some(stand)) => {
                progress.tell(stand);
            }
            Ok(None) => {}
            Err(failure) => {
                tracing::debug!(steps = %self.call.name, error = %failure, "progress is not told");
            }
        }
    }

    fn stand(
        &self,
        telling: &Telling,
        context: &Value,
    ) -> Result<Option<crate::engine::progress::Done>, Failure> {
        let (call, templates) = (self.call, self.call.templates());
        if let Some(when) = &telling.when
            && !templates.test(when, context)?
        {
            return Ok(None);
        }
        let (total, message) = (telling.total.as_ref(), telling.message.as_ref());
        done(call, &telling.done, total, message, context).map(Some)
    }

    fn timed_out(&self) -> Failure {
        let subjects = self.waiter.subjects();
        let waited = if Instant::now() >= self.limits.end {
            format!(
                "no answer came on {subjects} within {:?}",
                self.limits.timeout
            )
        } else {
            let idle = self.limits.idle.unwrap_or_default();
            format!("nothing was heard on {subjects} for {idle:?}")
        };
        let text = format!("{waited}; what was asked for may or may not have been done");
        Failure::new(FailureKind::Bus(ErrorKind::Timeout), text)
    }
}
