//! `jacquard install`: the gateway as a server of an MCP client.

mod client;
mod edit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

pub use client::{Client, Scope};

use self::client::Way;
pub use self::edit::Document;
use self::edit::pretty;
use super::file::{self, How};
use super::{fail, refuse, say, setup};
use crate::gateway::base_of;
use crate::project::Environment;
use crate::spec::files::read_source;

/// The longest name of a server.
const MAX_NAME: usize = 64;

/// What is installed where.
#[derive(Debug, Args)]
pub struct Request {
    /// The client
    client: Client,
    /// The config that is served [default: JACQUARD_CONFIG, else the built-in one]
    #[arg(long, short, value_name = "FILE", conflicts_with = "http")]
    config: Option<PathBuf>,
    /// Reach a gateway that runs at this address, instead of starting one; `/mcp` is added to an address without a path
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// The server's name in the client
    #[arg(long, default_value = "jacquard")]
    name: String,
    /// For whom
    #[arg(long, value_enum, default_value_t = Scope::Project)]
    scope: Scope,
    /// Only print what would be added
    #[arg(long, conflicts_with = "uninstall")]
    print: bool,
    /// Remove the entry
    #[arg(long, conflicts_with_all = ["config", "http"])]
    uninstall: bool,
}

pub fn run(request: &Request) -> ExitCode {
    let env = Environment::from_process();
    if let Err(message) = check_name(&request.name) {
        eprintln!("jacquard: {message}");
        return ExitCode::from(2);
    }
    let outcome = if request.uninstall {
        remove(request, &env)
    } else {
        match config_file(request, &env) {
            Ok(config) => add(request, config.as_deref(), &env),
            Err(code) => return code,
        }
    };
    match outcome {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(message) => fail(message),
    }
}

/// The config to serve. One that cannot be served is not installed.
fn config_file(request: &Request, env: &Environment) -> Result<Option<PathBuf>, ExitCode> {
    if request.http.is_some() {
        return Ok(None);
    }
    let told = env.get_os("JACQUARD_CONFIG").map(PathBuf::from);
    let Some(path) = request.config.clone().or(told) else {
        return Ok(None);
    };
    let source = read_source(&path, &path.display().to_string()).map_err(|r| refuse(&r))?;
    // The variables that it names need not be set in this shell.
    let (config, report) = setup::load(source, &base_of(&path), None, &[]);
    if config.is_none() {
        return Err(refuse(&report));
    }
    std::path::absolute(&path)
        .map(Some)
        .map_err(|error| fail(format!("{}: {error}", path.display())))
}

fn add(request: &Request, config: Option<&Path>, env: &Environment) -> Result<String, String> {
    let client = request.client;
    let way = match &request.http {
        Some(url) => Way::Url(address(url)?),
        None => program(config, env)?,
    };
    let (section, name) = (client.section(), request.name.as_str());
    if request.print {
        let entry = json!({section: {name: client.entry(&way, None)}});
        return Ok(pretty(&entry, "  "));
    }
    let path = place(request, env)?;
    let before = file::read(&path)?;
    let document = document(&path, before.as_deref(), client)?;
    let old = document.entry(section, name);
    let entry = client.entry(&way, old);
    if old == Some(&entry) {
        return Ok(format!("`{name}` is in {} already", path.display()));
    }
    let done = match old {
        Some(_) => "changed in",
        None => "added to",
    };
    let after = document.with(section, name, &entry);
    let after = after.map_err(|problem| format!("{} {problem}", path.display()))?;
    let line = written(request, &path, before.as_deref(), &after, done)?;
    Ok(format!("{line}\nStart the client anew to use it."))
}

fn remove(request: &Request, env: &Environment) -> Result<String, String> {
    let path = place(request, env)?;
    let before = file::read(&path)?;
    let document = document(&path, before.as_deref(), request.client)?;
    let after = document.without(request.client.section(), &request.name);
    match after.map_err(|problem| format!("{} {problem}", path.display()))? {
        Some(after) => written(request, &path, before.as_deref(), &after, "removed from"),
        None => Ok(format!("`{}` is not in {}", request.name, path.display())),
    }
}

fn place(request: &Request, env: &Environment) -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|e| format!("the working directory: {e}"))?;
    request.client.file(request.scope, &here, env)
}

pub fn document(path: &Path, text: Option<&str>, client: Client) -> Result<Document, String> {
    Document::parse(text.unwrap_or_default(), client.is_lenient()).map_err(|problem| {
        format!(
            "{} {problem}; it was left as it is: mend it first",
            path.display()
        )
    })
}

/// Writes the file and says so.
fn written(
    request: &Request,
    path: &Path,
    before: Option<&str>,
    after: &str,
    done: &str,
) -> Result<String, String> {
    let how = How {
        private: request.scope == Scope::User,
        backup: true,
    };
    let backup = file::replace(path, before, after, how)?;
    let kept = backup.map_or_else(String::new, |copy| {
        format!(" (as it was: {})", copy.display())
    });
    Ok(format!(
        "`{}` {done} {}{kept}",
        request.name,
        path.display()
    ))
}

/// How the client starts this program.
fn program(config: Option<&Path>, env: &Environment) -> Result<Way, String> {
    let exe = std::env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    let mut args = vec!["serve".to_owned()];
    if let Some(path) = config {
        args.extend(["--config".to_owned(), text(path)?]);
    }
    Ok(Way::Program {
        command: text(&lasting(exe, env))?,
        args,
    })
}

/// The name on the `PATH` that leads to this program, if there is one: it stays right when the program is replaced by a
/// newer one in another folder.
fn lasting(exe: PathBuf, env: &Environment) -> PathBuf {
    let (Some(path), Some(name)) = (env.get_os("PATH"), exe.file_name()) else {
        return exe;
    };
    let same = |found: &PathBuf| {
        found.is_absolute() && found.canonicalize().ok() == exe.canonicalize().ok()
    };
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(same);
    found.unwrap_or(exe)
}

/// A path in a JSON file has to be text.
fn text(path: &Path) -> Result<String, String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        format!(
            "{} is not Unicode: no JSON file can name it",
            path.display()
        )
    })
}

/// The gateway's address.
fn address(url: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("--http {url}: {why}");
    let parsed: axum::http::Uri = url.parse().map_err(|_| wrong("this is no address"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https"))
        || parsed.host().is_none_or(str::is_empty)
    {
        return Err(wrong("expected http://HOST:PORT/mcp or https://…"));
    }
    if parsed.path() == "/" && parsed.query().is_none() {
        return Ok(format!("{}/mcp", url.trim_end_matches('/')));
    }
    Ok(url.to_owned())
}

/// A name that every client takes.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(format!(
            "--name {name}: 1 to {MAX_NAME} of the characters A-Z, a-z, 0-9, - and _"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_completed() {
        for (url, full) in [
            ("http://127.0.0.1:8420", Some("http://127.0.0.1:8420/mcp")),
            ("http://127.0.0.1:8420/", Some("http://127.0.0.1:8420/mcp")),
            ("https://h/mcp/team?x=1", Some("https://h/mcp/team?x=1")),
            ("127.0.0.1:8420", None),
            ("ftp://h/mcp", None),
            ("http://", None),
            ("http://a b/", None),
            ("", None),
        ] {
            assert_eq!(address(url).ok().as_deref(), full, "{url}");
        }
    }

    #[test]
    fn names_are_those_that_every_client_takes() {
        for (name, fits) in [
            ("jacquard", true),
            ("a-B_9", true),
            ("", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
        assert!(check_name(&"x".repeat(65)).is_err());
    }
}
