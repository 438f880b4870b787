//! Questions as the protocol has them.

use minijinja::value::Value as Jinja;
use serde_json::{Map, Value, json};

use crate::catalog::{NamedSchema, Templates};
use crate::engine::call::Call;
use crate::engine::contact::{About, Asker, Question};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::resources::Reader;
use crate::spec::data::List;
use crate::spec::model::Role;
use crate::spec::tree::{Template, Tree};
use crate::spec::verbs::ask::{self, Ask, Form, MOST_TOKENS, Page, Prefer, Sample};

/// The tokens of a sampled message when a spec does not say.
const TOKENS: u64 = 1_000;
/// The first version of the protocol in which a page has no id of its own.
const WITHOUT_ID: &str = "2026-07-28";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Form,
    Page,
    Sample,
    Roots,
}

/// A question that is put.
pub(super) struct Put {
    pub(super) question: Question,
    pub(super) kind: Kind,
    /// What the content of a form must be.
    pub(super) schema: Option<NamedSchema>,
}

impl Kind {
    fn of(question: &ask::Question) -> Self {
        match question {
            ask::Question { form: Some(_), .. } => Self::Form,
            ask::Question { url: Some(_), .. } => Self::Page,
            ask::Question {
                sample: Some(_), ..
            } => Self::Sample,
            _ => Self::Roots,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Form | Self::Page => "elicitation/create",
            Self::Sample => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    /// What the client must have declared for it.
    fn capability(self) -> (&'static str, Value) {
        match self {
            Self::Form => ("elicitation", json!({})),
            Self::Page => ("elicitation", json!({"url": {}})),
            Self::Sample => ("sampling", json!({})),
            Self::Roots => ("roots", json!({})),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Form => "a form for its user, the capability `elicitation`",
            Self::Page => "a page for its user, the capability `elicitation` with `url`",
            Self::Sample => "a message by its model, the capability `sampling`",
            Self::Roots => "its folders, the capability `roots`",
        }
    }

    /// Whether a client has declared that it can be asked this.
    fn is_known_to(self, client: &About) -> bool {
        let (name, _) = self.capability();
        let Some(declared) = client.capabilities.get(name) else {
            return false;
        };
        match self {
            // An empty declaration is that of forms, which came first.
            Self::Form => declared.get("form").is_some() || declared.get("url").is_none(),
            Self::Page => declared.get("url").is_some(),
            Self::Sample | Self::Roots => true,
        }
    }
}

/// The questions of a step that are put to this client.
///
/// # Errors
/// [`FailureKind::CannotAsk`] with all that the client lacks, and whatever expressions run into.
pub(super) fn put(step: &Ask, call: &Call<'_>, context: &Jinja) -> Result<Vec<Put>, Failure> {
    let mut all = Vec::new();
    let mut lacking = Vec::new();
    for (name, question) in step.questions.iter() {
        if let Some(when) = &question.when
            && !call.templates().test(when, context)?
        {
            continue;
        }
        let kind = Kind::of(question);
        let nobody = matches!(call.asker, Asker::Nobody);
        if nobody || !kind.is_known_to(&call.client) {
            if question.optional != Some(true) {
                lacking.push((name, kind));
            }
            continue;
        }
        let maker = Maker {
            templates: call.templates(),
            reader: call.reader(context),
            context,
        };
        let (params, schema) = maker.params(name, question, call)?;
        let question = Question {
            name: name.to_owned(),
            method: kind.method().to_owned(),
            params,
        };
        all.push(Put {
            question,
            kind,
            schema,
        });
    }
    match lacking.as_slice() {
        [] => Ok(all),
        lacking => Err(cannot_ask(lacking, &call.asker)),
    }
}

fn cannot_ask(lacking: &[(&str, Kind)], asker: &Asker) -> Failure {
    if matches!(asker, Asker::Nobody) {
        let names: Vec<String> = lacking
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let text = format!(
            "this asks its client {}, and there is no client here that can be asked; call it from a program that can",
            names.join(", ")
        );
        return Failure::new(FailureKind::CannotAsk, text);
    }
    let mut capabilities = Map::new();
    let mut words = Vec::new();
    for (name, kind) in lacking {
        let (capability, value) = kind.capability();
        let known = capabilities.entry(capability).or_insert_with(|| json!({}));
        if let (Some(known), Value::Object(more)) = (known.as_object_mut(), value) {
            known.extend(more);
        }
        words.push(format!("`{name}` ({})", kind.words()));
    }
    let text = format!(
        "this client cannot be asked {}, which it has not declared; use a client that can",
        words.join(", ")
    );
    match asker {
        // The protocol has a way to say it.
        Asker::Rounds(_) => Failure::lacking(text, capabilities),
        Asker::Nobody | Asker::Waits(_) => Failure::new(FailureKind::CannotAsk, text),
    }
}

struct Maker<'a> {
    templates: &'a Templates,
    reader: Reader<'a>,
    context: &'a Jinja,
}

impl Maker<'_> {
    fn params(
        &self,
        name: &str,
        question: &ask::Question,
        call: &Call<'_>,
    ) -> Result<(Map<String, Value>, Option<NamedSchema>), Failure> {
        let mut schema = None;
        let params = if let Some(form) = &question.form {
            let (params, compiled) = self.form(name, form)?;
            schema = Some(compiled);
            params
        } else if let Some(page) = &question.url {
            self.page(name, page, call)?
        } else if let Some(sample) = &question.sample {
            self.sample(sample)?
        } else {
            json!({})
        };
        match params {
            Value::Object(params) => Ok((params, schema)),
            _ => Ok((Map::new(), schema)),
        }
    }

    fn text(&self, text: &Template) -> Result<String, Failure> {
        Ok(self.templates.text(text, self.context)?)
    }

    fn texts(&self, texts: &List<Template>) -> Result<Vec<String>, Failure> {
        texts.iter().map(|text| self.text(text)).collect()
    }

    fn form(&self, name: &str, form: &Form) -> Result<(Value, NamedSchema), Failure> {
        let schema = self.templates.json(&form.schema, self.context)?;
        let compiled = NamedSchema::new(schema.clone()).map_err(|why| {
            let text = format!("the schema of the form `{name}` is none: {why}");
            Failure::new(FailureKind::Range, text)
        })?;
        let message = self.text(&form.message)?;
        let params = json!({"message": message, "requestedSchema": schema});
        Ok((params, compiled))
    }

    fn page(&self, name: &str, page: &Page, call: &Call<'_>) -> Result<Value, Failure> {
        let url = self.text(&page.url)?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            let text = format!("the `url` of `{name}` is {url:?}, and must begin with https://");
            return Err(Failure::new(FailureKind::Range, text));
        }
        let message = self.text(&page.message)?;
        let mut params = json!({"mode": "url", "message": message, "url": url});
        if call.client.protocol.as_str() < WITHOUT_ID {
            params["elicitationId"] = json!(format!("{}-{name}", call.id()));
        }
        Ok(params)
    }

    fn sample(&self, sample: &Sample) -> Result<Value, Failure> {
        let mut messages = Vec::new();
        for said in sample.messages.iter() {
            let role = match said.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            let content = json!({"type": "text", "text": self.text(&said.text)?});
            messages.push(json!({"role": role, "content": content}));
        }
        let tokens = self
            .reader
            .count("max_tokens", sample.max_tokens.as_ref(), MOST_TOKENS)?;
        let mut params = json!({"messages": messages, "maxTokens": tokens.unwrap_or(TOKENS)});
        if let Some(system) = &sample.system {
            params["systemPrompt"] = json!(self.text(system)?);
        }
        if let Some(temperature) = self.share("temperature", sample.temperature.as_ref())? {
            params["temperature"] = json!(temperature);
        }
        if let Some(stop) = &sample.stop {
            params["stopSequences"] = json!(self.texts(stop)?);
        }
        if let Some(prefer) = &sample.prefer {
            params["modelPreferences"] = self.preferences(prefer)?;
        }
        Ok(params)
    }

    fn preferences(&self, prefer: &Prefer) -> Result<Value, Failure> {
        let mut preferences = json!({});
        if let Some(hints) = &prefer.hints {
            let hints = self.texts(hints)?;
            let hints: Vec<Value> = hints.iter().map(|name| json!({"name": name})).collect();
            preferences["hints"] = Value::Array(hints);
        }
        for (key, shown, share) in [
            ("cost", "costPriority", &prefer.cost),
            ("speed", "speedPriority", &prefer.speed),
            ("intelligence", "intelligencePriority", &prefer.intelligence),
        ] {
            if let Some(share) = self.share(key, share.as_ref())? {
                preferences[shown] = json!(share);
            }
        }
        Ok(preferences)
    }

    /// A number from 0 to 1.
    fn share(&self, key: &str, share: Option<&Tree>) -> Result<Option<f64>, Failure> {
        let Some(share) = share else { return Ok(None) };
        let value = self.templates.json(share, self.context)?;
        let number = value.as_f64().filter(|n| (0.0..=1.0).contains(n));
        number.map(Some).ok_or_else(|| {
            let text = format!("`{key}` is {value}, and must be a number from 0 to 1");
            Failure::new(FailureKind::Range, text)
        })
    }
}
