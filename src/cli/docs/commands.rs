//! The page of the command line, made of the very declarations that read it.

use clap::{Arg, ArgAction, Command};

use super::markdown::{Markdown, anchor, code, plain};

/// The page.
pub fn page(command: Command) -> String {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut page = Markdown::page("The command line", super::MADE_BY);
    page.line(&plain(&about(&command)));
    let all = shown(&command);
    let rows: Vec<[String; 2]> = all
        .iter()
        .map(|(name, command)| {
            let heading = code(name);
            [
                format!("[{heading}](#{})", anchor(&heading)),
                plain(&short(command)),
            ]
        })
        .collect();
    page.table(["command", ""], &rows);
    page.line(
        "Every command has `--help`. Exit codes: 0 is success, 1 is failure, 2 is a command line that cannot be \
         understood or that names nothing to work on.",
    );
    for (name, command) in &all {
        page.heading(2, &code(name));
        page.line(&plain(&about(command)));
        page.code("text", &usage(name, command));
        arguments(command, &mut page);
    }
    page.finish()
}

/// The command and all below it that do something, each by its whole name.
fn shown(command: &Command) -> Vec<(String, &Command)> {
    let mut found = Vec::new();
    below(command.get_name(), command, &mut found);
    found
}

fn below<'a>(name: &str, command: &'a Command, found: &mut Vec<(String, &'a Command)>) {
    let parts = command.get_subcommands().filter(|c| !c.is_hide_set());
    for part in parts {
        let name = format!("{name} {}", part.get_name());
        // What only leads to others is told by these.
        if !part.is_subcommand_required_set() {
            found.push((name.clone(), part));
        }
        below(&name, part, found);
    }
}

fn short(command: &Command) -> String {
    let about = command.get_about();
    about.map(ToString::to_string).unwrap_or_default()
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

fn usage(name: &str, command: &Command) -> String {
    let rendered = command.clone().render_usage().to_string();
    let rest = rendered.trim().trim_start_matches("Usage:").trim();
    let known = command.get_bin_name().unwrap_or(name);
    format!("{name}{}", rest.strip_prefix(known).unwrap_or(rest))
}

fn arguments(command: &Command, page: &mut Markdown) {
    let rows: Vec<[String; 2]> = command
        .get_arguments()
        .filter(|a| !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version"))
        .map(|argument| [heading(argument), meaning(argument)])
        .collect();
    page.table(["argument", "meaning"], &rows);
}

/// `--config FILE`, `-c`; `PATH…`
fn heading(argument: &Arg) -> String {
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.first().map(|n| n.to_string()).unwrap_or_default();
    let many = argument.get_num_args().is_some_and(|n| n.max_values() > 1)
        || (argument.is_positional() && matches!(argument.get_action(), ArgAction::Append));
    let Some(long) = argument.get_long() else {
        return code(&format!("{value}{}", if many { "…" } else { "" }));
    };
    let optional = argument.get_num_args().is_some_and(|n| n.min_values() == 0);
    let mut text = match (takes, optional) {
        (true, true) => code(&format!("--{long} [{value}]")),
        (true, false) => code(&format!("--{long} {value}")),
        _ => code(&format!("--{long}")),
    };
    if let Some(short) = argument.get_short() {
        text.push_str(&format!(", {}", code(&format!("-{short}"))));
    }
    text
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = plain(&help.map(ToString::to_string).unwrap_or_default());
    if !text.ends_with(['.', ']', '\\']) {
        text.push('.');
    }
    let values = argument.get_possible_values();
    if argument.get_action().takes_values() && !values.is_empty() {
        let words = values.iter().filter(|v| !v.is_hide_set()).map(|value| {
            let told = value
                .get_help()
                .map(|h| format!(" ({})", plain(&h.to_string())));
            format!("{}{}", code(value.get_name()), told.unwrap_or_default())
        });
        text.push_str(&format!(
            " One of {}.",
            words.collect::<Vec<_>>().join(", ")
        ));
    }
    let defaults = argument.get_default_values();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let words = defaults.iter().map(|value| code(&value.to_string_lossy()));
        text.push_str(&format!(
            " Default: {}.",
            words.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(variable) = argument.get_env() {
        text.push_str(&format!(
            " Environment: {}.",
            code(&variable.to_string_lossy())
        ));
    }
    if matches!(argument.get_action(), ArgAction::Append) && !argument.is_positional() {
        text.push_str(" May be given several times.");
    }
    text
}
