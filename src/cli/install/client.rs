//! The MCP clients: where each keeps its servers, and how it writes one.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::project::Environment;

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Code
    Claude,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
}

/// For whom the entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// This user, in every project
    User,
    /// Everybody in the project of the working directory
    Project,
}

/// How a client reaches the gateway.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// By starting it.
    Program { command: String, args: Vec<String> },
    /// At an address.
    Url(String),
}

/// The keys of an entry that make sense for one way only.
const PROGRAM_KEYS: &[&str] = &["command", "args", "env", "envFile", "cwd"];
const URL_KEYS: &[&str] = &["url", "headers"];

impl Client {
    /// The file. `project` is the project's folder.
    ///
    /// # Errors
    /// An environment that does not say where the user's files are.
    pub fn file(self, scope: Scope, project: &Path, env: &Environment) -> Result<PathBuf, String> {
        Ok(match (self, scope) {
            (Self::Claude, Scope::Project) => project.join(".mcp.json"),
            (Self::Cursor, Scope::Project) => project.join(".cursor/mcp.json"),
            (Self::Vscode, Scope::Project) => project.join(".vscode/mcp.json"),
            (Self::Claude, Scope::User) => match env.get_os("CLAUDE_CONFIG_DIR") {
                Some(folder) => PathBuf::from(folder).join(".claude.json"),
                None => home(env)?.join(".claude.json"),
            },
            (Self::Cursor, Scope::User) => home(env)?.join(".cursor/mcp.json"),
            (Self::Vscode, Scope::User) => applications(env)?.join("Code/User/mcp.json"),
        })
    }

    /// The key under which a file has its servers.
    pub fn section(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            _ => "mcpServers",
        }
    }

    /// Whether it reads comments and trailing commas in its file.
    pub fn is_lenient(self) -> bool {
        self != Self::Claude
    }

    /// The entry. What an `old` one has beside the way to reach the gateway stays: variables, headers, and whatever
    /// else a client knows.
    pub fn entry(self, way: &Way, old: Option<&Value>) -> Value {
        let mut entry = old.and_then(Value::as_object).cloned().unwrap_or_default();
        let (kind, foreign) = match way {
            Way::Program { .. } => ("stdio", URL_KEYS),
            Way::Url(_) => ("http", PROGRAM_KEYS),
        };
        for key in foreign {
            entry.shift_remove(*key);
        }
        // Cursor tells the kind by the keys.
        if self == Self::Cursor {
            entry.shift_remove("type");
        } else {
            put(&mut entry, "type", kind.into());
        }
        match way {
            Way::Program { command, args } => {
                put(&mut entry, "command", command.as_str().into());
                put(&mut entry, "args", args.as_slice().into());
            }
            Way::Url(url) => put(&mut entry, "url", url.as_str().into()),
        }
        Value::Object(entry)
    }
}

fn put(entry: &mut Map<String, Value>, key: &str, value: Value) {
    entry.insert(key.to_owned(), value);
}

fn home(env: &Environment) -> Result<PathBuf, String> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    folder(env, name)
}

/// Where programs keep the settings of a user.
fn applications(env: &Environment) -> Result<PathBuf, String> {
    if cfg!(windows) {
        return folder(env, "APPDATA");
    }
    if cfg!(target_os = "macos") {
        return Ok(home(env)?.join("Library/Application Support"));
    }
    match folder(env, "XDG_CONFIG_HOME") {
        Ok(path) => Ok(path),
        Err(_) => Ok(home(env)?.join(".config")),
    }
}

fn folder(env: &Environment, name: &str) -> Result<PathBuf, String> {
    env.get_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .ok_or_else(|| {
            format!("{name} must be an absolute path: it says where the client's file is")
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn program() -> Way {
        Way::Program {
            command: "/bin/j".into(),
            args: vec!["serve".into()],
        }
    }

    #[test]
    fn each_client_has_its_files() {
        let env = Environment::from_iter([("HOME", "/h"), ("XDG_CONFIG_HOME", "not/absolute")]);
        let at = Path::new("/p");
        let shown = |client: Client, scope| client.file(scope, at, &env).unwrap();
        assert_eq!(shown(Client::Claude, Scope::Project), at.join(".mcp.json"));
        assert_eq!(
            shown(Client::Cursor, Scope::Project),
            at.join(".cursor/mcp.json")
        );
        assert_eq!(
            shown(Client::Vscode, Scope::Project),
            at.join(".vscode/mcp.json")
        );
        if cfg!(target_os = "linux") {
            let home = Path::new("/h");
            assert_eq!(
                shown(Client::Claude, Scope::User),
                home.join(".claude.json")
            );
            assert_eq!(
                shown(Client::Cursor, Scope::User),
                home.join(".cursor/mcp.json")
            );
            let code = home.join(".config/Code/User/mcp.json");
            assert_eq!(shown(Client::Vscode, Scope::User), code);
            let nowhere = Environment::from_iter([("HOME", "")]);
            let failed = Client::Cursor.file(Scope::User, at, &nowhere);
            assert!(failed.unwrap_err().contains("HOME"));
        }
        let moved = Environment::from_iter([("CLAUDE_CONFIG_DIR", "/c")]);
        let file = Client::Claude.file(Scope::User, at, &moved).unwrap();
        assert_eq!(file, Path::new("/c/.claude.json"));
    }

    #[test]
    fn an_entry_keeps_what_is_not_the_way_to_the_gateway() {
        let url = Way::Url("http://h/mcp".into());
        assert_eq!(
            Client::Claude.entry(&program(), None).to_string(),
            r#"{"type":"stdio","command":"/bin/j","args":["serve"]}"#
        );
        assert_eq!(
            Client::Cursor.entry(&url, None),
            json!({"url": "http://h/mcp"})
        );
        let old = json!({"env": {"A": "1"}, "command": "node", "args": ["x.js"], "disabled": true});
        assert_eq!(
            Client::Vscode.entry(&program(), Some(&old)).to_string(),
            r#"{"env":{"A":"1"},"command":"/bin/j","args":["serve"],"disabled":true,"type":"stdio"}"#
        );
        assert_eq!(
            Client::Vscode.entry(&url, Some(&old)),
            json!({"disabled": true, "type": "http", "url": "http://h/mcp"})
        );
        let old = json!({"type": "sse", "url": "http://old", "headers": {"Authorization": "x"}});
        assert_eq!(
            Client::Cursor.entry(&url, Some(&old)),
            json!({"url": "http://h/mcp", "headers": {"Authorization": "x"}})
        );
        assert_eq!(
            Client::Cursor.entry(&program(), Some(&json!("odd"))),
            json!({"command": "/bin/j", "args": ["serve"]})
        );
    }
}
