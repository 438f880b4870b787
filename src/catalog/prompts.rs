//! The prompts that are served: what clients are told of them, rendered for this project.

use std::sync::Arc;

use minijinja::value::Value as Jinja;

use super::{Catalog, Face, Templates};
use crate::spec::data::Map;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::join;
use crate::spec::model::{PackFile, PromptDecl};
use crate::spec::suggest;
use crate::spec::tree::Template;

/// A prompt of the catalog.
#[derive(Debug, PartialEq)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// Index of its pack in the catalog.
    pub pack: usize,
    /// Where it is declared.
    pub origin: String,
    /// The name people read.
    pub title: Option<String>,
    /// What people read to decide whether to pick it.
    pub description: Option<String>,
    /// What clients are told beside that.
    pub face: Face,
    /// Its arguments, in order.
    pub arguments: Vec<PromptArgument>,
    /// The spec.
    pub spec: PromptDecl,
}

/// An argument of a prompt, as clients see it.
#[derive(Debug, PartialEq)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// The name people read.
    pub title: Option<String>,
    /// What is to be given.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}

impl Prompt {
    fn build(
        name: &str,
        pack: usize,
        origin: &str,
        spec: &PromptDecl,
        (templates, files): (&Templates, &Map<PackFile>),
        context: &Jinja,
    ) -> Result<Option<Self>, minijinja::Error> {
        if let Some(when) = &spec.when
            && !templates.test(when, context)?
        {
            return Ok(None);
        }
        let text = |text: &Option<Template>| {
            let text = text.as_ref();
            text.map(|text| templates.text(text, context)).transpose()
        };
        let arguments = spec.arguments.iter().map(|(name, argument)| {
            Ok(PromptArgument {
                name: name.to_owned(),
                title: text(&argument.title)?,
                description: text(&argument.description)?,
                required: argument.required == Some(true),
            })
        });
        Ok(Some(Self {
            name: name.to_owned(),
            pack,
            origin: origin.to_owned(),
            title: text(&spec.title)?,
            description: text(&spec.description)?,
            face: Face::build(&spec.face(), files, templates, context)?,
            arguments: arguments.collect::<Result<_, minijinja::Error>>()?,
            spec: spec.clone(),
        }))
    }

    /// What does not fit in the arguments that a client gives: a line each, empty when all is well.
    pub fn misfits<'a>(&self, given: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
        let known = || self.arguments.iter().map(|argument| argument.name.as_str());
        let missing = self.arguments.iter().filter(|argument| {
            let name = argument.name.as_str();
            argument.required && !given.clone().any(|other| other == name)
        });
        let mut lines: Vec<String> = missing
            .map(|argument| format!("`{}` is missing", argument.name))
            .collect();
        for name in given.clone().filter(|name| known().all(|k| k != *name)) {
            let shown: String = name.chars().take(100).collect();
            let help = suggest::help(name, known());
            lines.push(format!("there is no `{shown}` ({help})"));
        }
        lines
    }
}

/// The prompts of the packs that the config names.
pub(super) fn of(catalog: &Catalog, report: &mut Report) -> Vec<Arc<Prompt>> {
    let mut prompts: Vec<Arc<Prompt>> = Vec::new();
    for (index, loaded) in catalog.packs.iter().enumerate().filter(|(_, p)| p.named) {
        let context = catalog.base_context(index);
        for (name, spec) in loaded.pack.prompts.iter() {
            let origin = loaded.pack.origins.get(&join("prompts", name));
            let origin = origin.map_or("", |o| o.as_ref());
            let known = (&catalog.templates, &loaded.pack.files);
            let problem = match Prompt::build(name, index, origin, spec, known, &context) {
                Ok(None) => continue,
                Ok(Some(prompt)) => match prompts.iter().find(|p| p.name == name) {
                    None => {
                        prompts.push(Arc::new(prompt));
                        continue;
                    }
                    Some(first) => Diagnostic::global(
                        Code::Duplicate,
                        format!(
                            "the prompt `{name}` is declared twice: {} and {origin}",
                            first.origin
                        ),
                    )
                    .help("give one of them another name, or leave one out"),
                },
                Err(error) => Diagnostic::global(
                    Code::Template,
                    format!("the prompt `{name}` ({origin}) cannot be made: {error}"),
                ),
            };
            report.push(problem);
        }
    }
    prompts
}
