//! `run`: starts a program and waits for its end.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::doc::join;
use crate::spec::shape::Shape;
use crate::spec::tree::{Span, Template, Tree};

/// Starts a program, without a shell, and waits for its end. A code other than 0 is a result (`ok` is false); a program that cannot
/// be started or takes too long is a failure, and is killed with all it has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// A program of this pack.
    pub program: Text,
    /// Its arguments, a list; each is passed as it is. `omit` leaves one out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Tree>,
    /// A folder of this pack in which it runs; the gateway's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Text>,
    /// How long it may take: 30s when not given, 10m at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What it reads; nothing when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Template>,
    /// Environment variables besides `PATH`, `HOME`, `LANG`, `LC_*`, `TMPDIR`, `SSH_AUTH_SOCK` and `GIT_*` of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Map<Template>>,
}

impl Run {
    /// The longest time that it may take.
    pub const MOST: Duration = Duration::from_secs(600);
}

impl Grammar for Run {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.program("program", &self.program);
        if let Some(args) = &self.args {
            cx.value("args", args);
        }
        if let Some(folder) = &self.folder {
            cx.folder("folder", folder, false);
        }
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, Self::MOST);
        }
        if let Some(stdin) = &self.stdin {
            cx.template("stdin", stdin);
        }
        for (name, value) in self.env.iter().flat_map(Map::iter) {
            cx.inside("env").template(name, value);
            if name.is_empty() || name.contains(['=', '\0']) {
                let at = join("env", name);
                cx.problem(
                    crate::spec::diag::Code::Schema,
                    &at,
                    format!("`{name}` cannot be the name of an environment variable"),
                    "take letters, digits and `_`",
                );
            }
        }
        Shape::object([
            ("ok", Shape::Bool),
            ("code", Shape::Number),
            ("stdout", Shape::Text),
            ("stderr", Shape::Text),
            ("truncated", Shape::Bool),
            ("timed_out", Shape::Bool),
        ])
    }
}
