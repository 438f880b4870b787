//! The entries of MCP clients that lead to a gateway: whether what they start is there.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use serde_json::Value;

use super::finding::{Findings, Subject};
use crate::cli::install::{Client, Document, Scope, document};
use crate::cli::{file, setup};
use crate::gateway::{Setup, base_of};
use crate::project::Environment;
use crate::spec::diag::Severity;
use crate::spec::files::read_source;

/// The name of this program, and the one that an entry has unless another is given.
const NAME: &str = "jacquard";

/// One entry that is ours.
struct Entry<'a> {
    client: Client,
    scope: Scope,
    name: &'a str,
    file: &'a Path,
    value: &'a Value,
    /// Where the client starts it, where that is known.
    folder: &'a Path,
    env: &'a Environment,
}

/// Looks at the entries of this project and this user.
pub fn look(setup: Option<&Setup>, env: &Environment, findings: &mut Findings) {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = setup.map_or(here, |setup| setup.facts.path.clone());
    let mut any = false;
    for client in Client::value_variants() {
        let mut seen = Vec::new();
        for scope in [Scope::Project, Scope::User] {
            // Where the environment does not tell the user's folder, there is nothing to look at.
            if let Ok(path) = client.file(scope, &folder, env) {
                one_file(*client, scope, (&path, &folder), env, &mut seen, findings);
            }
        }
        any |= !seen.is_empty();
    }
    if !any {
        let text = "no MCP client has an entry for a gateway here";
        let advice = "`jacquard install claude`, `cursor` or `vscode` adds one";
        findings.ok_but(Subject::Clients, text, advice);
    }
}

/// Looks at the entries of one file. `seen`: those of the client's other file, by name.
fn one_file(
    client: Client,
    scope: Scope,
    (path, folder): (&Path, &Path),
    env: &Environment,
    seen: &mut Vec<(String, PathBuf)>,
    findings: &mut Findings,
) {
    let Some(document) = read(client, path, findings) else {
        return;
    };
    for (name, value) in document.entries(client.section()) {
        if !is_ours(name, value) {
            continue;
        }
        let entry = Entry {
            client,
            scope,
            name,
            file: path,
            value,
            folder,
            env,
        };
        entry.judge(findings);
        if let Some((_, other)) = seen.iter().find(|(known, _)| known == name) {
            let (one, two) = (other.display(), path.display());
            findings.warn(
                Subject::Clients,
                format!("`{name}` is in {one} and in {two}: only one of them counts"),
                format!(
                    "remove one (`{} --uninstall`), or give it another name",
                    entry.command()
                ),
            );
        }
        seen.push((name.to_owned(), path.to_owned()));
    }
    for name in document.doubled(client.section()) {
        let text = format!(
            "{} has `{name}` twice: only the last one counts",
            path.display()
        );
        findings.warn(Subject::Clients, text, "remove one of them");
    }
}

fn read(client: Client, path: &Path, findings: &mut Findings) -> Option<Document> {
    let document = file::read(path).and_then(|text| {
        text.map(|text| document(path, Some(&text), client))
            .transpose()
    });
    document.unwrap_or_else(|problem| {
        findings.error(
            Subject::Clients,
            problem,
            "mend the file: the client cannot read it either",
        );
        None
    })
}

/// Whether an entry leads to a gateway, as far as it says.
fn is_ours(name: &str, entry: &Value) -> bool {
    let command = entry.get("command").and_then(Value::as_str);
    let stem = command.and_then(|c| Path::new(c).file_stem());
    name == NAME || stem.is_some_and(|stem| stem == NAME)
}

impl Entry<'_> {
    fn judge(&self, findings: &mut Findings) {
        let at = format!("{} (`{}`)", self.file.display(), self.name);
        if let Some(url) = self.value.get("url").and_then(Value::as_str) {
            return findings.ok(Subject::Clients, format!("{at} reaches {url}"));
        }
        let Some(command) = self.value.get("command").and_then(Value::as_str) else {
            let text = format!("{at} has neither `command` nor `url`");
            return findings.error(Subject::Clients, text, self.again());
        };
        if is_filled_in(command) {
            let text = format!("{at} starts {command}, which the client fills in");
            return findings.ok(Subject::Clients, text);
        }
        if !self.starts(command) {
            let text = format!("{at} starts {command}, which is no program here");
            return findings.error(Subject::Clients, text, self.again());
        }
        let Some(config) = self.config().filter(|config| !is_filled_in(config)) else {
            return findings.ok(Subject::Clients, format!("{at} starts {command}"));
        };
        match problem(&self.folder.join(&config)) {
            Some(problem) => findings.error(
                Subject::Clients,
                format!("{at} serves {config}: {problem}"),
                format!(
                    "mend it, or name another one: `{} --config FILE`",
                    self.command()
                ),
            ),
            None if Path::new(&config).is_absolute() => {
                findings.ok(
                    Subject::Clients,
                    format!("{at} starts {command} with {config}"),
                );
            }
            None => findings.warn(
                Subject::Clients,
                format!(
                    "{at} serves {config}, which is found only if the client starts it in {}",
                    self.folder.display()
                ),
                format!(
                    "name it by its full path: `{} --config {config}`",
                    self.command()
                ),
            ),
        }
    }

    /// The command that writes the entry.
    fn command(&self) -> String {
        let word = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |v| v.get_name().to_owned())
        };
        let client = word(self.client.to_possible_value());
        let scope = word(self.scope.to_possible_value());
        format!(
            "jacquard install {client} --name {} --scope {scope}",
            self.name
        )
    }

    fn again(&self) -> String {
        format!("`{}` writes it anew", self.command())
    }

    /// Whether the client can start it.
    fn starts(&self, command: &str) -> bool {
        let path = Path::new(command);
        if path.components().count() > 1 {
            return is_program(&self.folder.join(path));
        }
        let folders = self.env.get_os("PATH").unwrap_or_default();
        let names = [command.to_owned(), format!("{command}.exe")];
        std::env::split_paths(&folders)
            .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
            .any(|path| is_program(&path))
    }

    /// The config that it names.
    fn config(&self) -> Option<String> {
        let args: Vec<&str> = self
            .value
            .get("args")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let after = args.iter().position(|arg| ["--config", "-c"].contains(arg));
        let named = after.and_then(|at| args.get(at + 1).copied());
        let joined = || args.iter().find_map(|arg| arg.strip_prefix("--config="));
        let told = || self.value.get("env")?.get("JACQUARD_CONFIG")?.as_str();
        named.or_else(joined).or_else(told).map(str::to_owned)
    }
}

/// Clients replace variables in their entries.
fn is_filled_in(text: &str) -> bool {
    text.contains("${")
}

fn is_program(path: &Path) -> bool {
    let Ok(found) = path.metadata() else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        found.is_file() && found.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    found.is_file()
}

/// What keeps a config from being served, as far as it can be told without its packs and variables.
fn problem(path: &Path) -> Option<String> {
    let read = match read_source(path, &path.display().to_string()) {
        Ok(source) => source,
        Err(report) => return report.sorted().first().map(|d| d.message.clone()),
    };
    let report = setup::load(read, &base_of(path), None, &[]).1;
    let sorted = report.sorted();
    let first = sorted.iter().find(|d| d.severity == Severity::Error)?;
    Some(format!("{} [{}]", first.message, first.code.as_str()))
}
