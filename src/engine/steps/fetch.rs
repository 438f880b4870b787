//! `fetch`

use std::time::{Duration, Instant};

use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::address::Address;
use crate::spec::verbs::forms::Fetch;

/// The wait when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// The most redirects that are followed, all on one server.
const MAX_REDIRECTS: usize = 3;

pub(super) async fn run(step: &Fetch, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let url = call.templates().text(&step.url, &context)?;
    let Some((_, server)) = origin(&url) else {
        let text = "`url` must begin with `http://` or `https://` and name a server";
        return Err(Failure::new(FailureKind::Range, text));
    };
    call.may_look_at(&[server])?;
    let headers = call.headers(step.headers.as_ref(), &context)?;
    let timeout = call
        .reader(&context)
        .span_within("timeout", step.timeout.as_ref(), Fetch::MOST)?
        .unwrap_or(DEFAULT);
    let work = tokio::task::spawn_blocking(move || fetched(url, &headers, timeout));
    // Looking a name up has no limit of its own.
    let answer = match tokio::time::timeout(timeout, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::failed(error.to_string()),
        Err(_) => Answer::failed(format!("no answer within {timeout:?}")),
    };
    Ok(answer.value())
}

#[derive(Default)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    message: String,
}

impl Answer {
    fn failed(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    fn value(&self) -> Value {
        let ok = (200..300).contains(&self.status) && self.message.is_empty();
        let message = if self.message.is_empty() {
            format!("status {}", self.status)
        } else {
            self.message.clone()
        };
        let (data, text) = payload::decode(&self.body);
        Value::from(Serde(&json!({
            "ok": ok, "status": self.status, "text": text, "data": data, "message": message,
        })))
    }
}

/// Asks, and follows redirects on the same server.
fn fetched(mut url: String, headers: &[(String, String)], timeout: Duration) -> Answer {
    let began = Instant::now();
    for _ in 0..=MAX_REDIRECTS {
        let left = timeout.saturating_sub(began.elapsed());
        match asked(&url, headers, left) {
            Err(message) => return Answer::failed(message),
            Ok((answer, None)) => return answer,
            Ok((answer, Some(location))) => match redirected(&url, &location) {
                Some(next) => url = next,
                None => {
                    let message = "it redirects to another server, which is not followed";
                    return Answer {
                        message: message.to_owned(),
                        ..answer
                    };
                }
            },
        }
    }
    Answer::failed(format!("it redirects more than {MAX_REDIRECTS} times"))
}

/// One answer, and where it leads.
fn asked(
    url: &str,
    headers: &[(String, String)],
    timeout: Duration,
) -> Result<(Answer, Option<String>), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        // The server that the config allows is asked, and no other one.
        .proxy(None)
        .build()
        .into();
    let request = headers
        .iter()
        .fold(agent.get(url), |request, (name, value)| {
            request.header(name, value)
        });
    let mut response = request.call().map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let location = response.headers().get("location");
    let location = location
        .filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308))
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body = response.body_mut().with_config().limit(MAX_ANSWER);
    let (body, message) = match body.read_to_vec() {
        Ok(body) => (body, String::new()),
        Err(error) => (Vec::new(), format!("its answer cannot be read: {error}")),
    };
    let answer = Answer {
        status,
        body,
        message,
    };
    Ok((answer, location))
}

/// The scheme and the server of a URL.
fn origin(url: &str) -> Option<(&'static str, Address)> {
    let (scheme, _) = url.split_once("://")?;
    let scheme = ["http", "https"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((scheme, Address::parse(url).ok()?))
}

/// Where a redirect leads, if it stays on the server: a path from its root, or a whole URL.
fn redirected(url: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        let start = url.find("://")? + 3;
        let end = url[start..]
            .find(['/', '?', '#'])
            .map_or(url.len(), |at| start + at);
        return Some(format!("{}{location}", &url[..end]));
    }
    (origin(location)? == origin(url)?).then(|| location.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_server() {
        let next = |location| redirected("http://h:8080/a?b#c", location);
        assert_eq!(next("/x"), Some("http://h:8080/x".to_owned()));
        assert_eq!(next("http://H:8080/x"), Some("http://H:8080/x".to_owned()));
        assert_eq!(redirected("http://h", "/x"), Some("http://h/x".to_owned()));
        for other in [
            "//other/x",
            "http://h/x",
            "https://h:8080/x",
            "http://other:8080/",
            "x",
            "",
        ] {
            assert_eq!(next(other), None, "{other}");
        }
    }
}
