//! How long names and texts are, and how much of a model's context they take.

use serde_json::{Value, json};

use super::{Finding, input};
use crate::spec::diag::Code;

/// The longest name that the APIs of models take, in characters.
pub const LONGEST_NAME: usize = 64;
/// The longest description of a tool, in characters: what the API of OpenAI takes.
const LONGEST_DESCRIPTION: usize = 1_024;
/// The longest instructions, in bytes: Claude Code cuts off what follows.
const LONGEST_INSTRUCTIONS: usize = 2_048;
/// How many tokens one tool should take at the most. Tools of widely used servers take 500 to 700 on average.
const MOST_TOKENS: usize = 1_000;
/// How many tokens all tools together should take at the most: a tenth of a context of 200,000 tokens, from where on Claude
/// Code no longer shows tools to the model but has it search for them.
pub(super) const MOST_CATALOG_TOKENS: usize = 20_000;
/// How many bytes make one token, about: what tokenisers make of English and JSON.
const BYTES_PER_TOKEN: usize = 4;

/// About how many tokens a tool takes that clients are shown so.
pub fn tokens(shown: &Value) -> usize {
    shown.to_string().len().div_ceil(BYTES_PER_TOKEN)
}

/// A number as people read it: `1,024`.
fn counted(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is found about the name of a tool.
pub fn name(name: &str) -> Option<Finding> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let odd = name.chars().find(|c| !fits(*c));
    // More than the language takes of a name is an error.
    let odd = odd.filter(|_| crate::spec::check::is_tool_name(name))?;
    let better: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    Some(Finding::new(
        Code::ClientName,
        "",
        format!(
            "has `{odd}` in its name: APIs of models take letters, digits, `_` and `-` alone, and clients drop or rename the tool"
        ),
        format!("call it `{better}`"),
    ))
}

/// The name of a tool as Claude Code shows it to the model.
fn whole(server: &str, tool: &str) -> String {
    format!("mcp__{server}__{tool}")
}

/// How long it is, in characters.
pub fn name_length(server: &str, tool: &str) -> usize {
    whole(server, tool).chars().count()
}

/// The most names that are told.
const MAX_TOLD: usize = 5;

/// What is found about names that are too long together with that of the server.
pub fn name_budget(server: &str, tools: &[&str]) -> Option<Finding> {
    let longest = tools.iter().max_by_key(|tool| tool.len())?;
    let length = name_length(server, longest);
    let named: Vec<String> = tools
        .iter()
        .take(MAX_TOLD)
        .map(|t| format!("`{t}`"))
        .collect();
    let more = match tools.len().saturating_sub(MAX_TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(Finding::new(
        Code::ClientNameBudget,
        "",
        format!(
            "the names of {} tool(s) are too long: Claude Code calls the longest `{}`, which is {length} characters, and APIs of models take {LONGEST_NAME} (Cursor drops a tool whose name and server have more than 60 together)",
            tools.len(),
            whole(server, longest),
        ),
        format!(
            "make the name of the server (`name`) {} shorter, or those of the tools: {}{more}",
            length - LONGEST_NAME,
            named.join(", ")
        ),
    ))
}

/// What is found about instructions.
pub fn instructions(text: &str) -> Option<Finding> {
    let length = plain(text).len();
    (length > LONGEST_INSTRUCTIONS).then(|| {
        Finding::new(
            Code::ClientInstructions,
            "",
            format!(
                "has {} bytes: clients cut off what follows the first {}",
                counted(length),
                counted(LONGEST_INSTRUCTIONS)
            ),
            "say how the tools go together, and leave to each tool's description what is about it alone",
        )
    })
}

/// What is found about a tool as it is listed: `description`, `input` and so on, as written or as rendered.
pub fn listed(tool: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    let description = tool.get("description").and_then(Value::as_str);
    let length = plain(description.unwrap_or_default()).chars().count();
    if length > LONGEST_DESCRIPTION {
        found.push(Finding::new(
            Code::ClientDescription,
            "/description",
            format!(
                "has a description of {} characters: some clients take {}, and cut off or refuse what is longer",
                counted(length),
                counted(LONGEST_DESCRIPTION)
            ),
            "say first what the tool does and when to use it; what is about one argument belongs into the `description` of that",
        ));
    }
    found.extend(
        tool.get("input")
            .iter()
            .flat_map(|value| input::schema(value)),
    );
    let part = |key: &str| tool.get(key).unwrap_or(&Value::Null);
    let takes = tokens(&json!([
        part("title"),
        part("description"),
        part("input"),
        part("output")
    ]));
    if takes > MOST_TOKENS {
        found.push(Finding::new(
            Code::ClientTokens,
            "",
            format!(
                "takes about {} tokens of the model's context in every conversation; more than {} is much for one tool",
                counted(takes),
                counted(MOST_TOKENS)
            ),
            "shorten its descriptions and schemas, or make several tools of it",
        ));
    }
    found
}

/// What is found about all tools together, which take so many tokens.
pub fn catalog(takes: usize, tools: usize) -> Option<Finding> {
    (takes > MOST_CATALOG_TOKENS).then(|| {
        Finding::new(
            Code::ClientTokens,
            "",
            format!(
                "take about {} tokens of the model's context in every conversation; more than {} is much",
                counted(takes),
                counted(MOST_CATALOG_TOKENS)
            ),
            format!("serve fewer of the {tools} tools: leave packs out, or offer some of them under `toolsets`"),
        )
    })
}

/// A text without its expressions, of which only the rendered text tells the length.
fn plain(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some(open) = rest.find('{') {
        let closing = match rest.get(open..open + 2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            _ => {
                plain.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
                continue;
            }
        };
        let Some(end) = rest[open..].find(closing) else {
            break;
        };
        plain.push_str(&rest[..open]);
        rest = &rest[open + end + 2..];
    }
    plain.push_str(rest);
    plain
}
