//! The page of every code: `docs/diagnostics.md`.

use std::fmt::Write as _;

use super::diag::Code;

/// What is said of a code beside its meaning.
struct Page {
    code: Code,
    /// Why it matters.
    why: &'static str,
    /// How to mend it.
    mend: &'static str,
    /// A file with the mistake, and what is said of it.
    example: (&'static str, &'static str),
}

/// A page whose example is one of the golden files.
macro_rules! page {
    ($code:ident, $file:literal, $why:literal, $mend:literal) => {
        Page {
            code: Code::$code,
            why: $why,
            mend: $mend,
            example: (
                include_str!(concat!("../../tests/it/cli/bad/", $file)),
                include_str!(concat!("../../tests/it/cli/bad/", $file, ".txt")),
            ),
        }
    };
}

/// In the order of [`Code::ALL`]; a test demands that none is missing.
const PAGES: &[Page] = &[
    page!(
        Syntax,
        "specs/colon-in-text.yaml",
        "Nothing of the file can be read.",
        "Put texts with `: `, `{{` or `#` in quotes, indent with blanks, and close what is opened. Files have at most 1 MiB."
    ),
    page!(
        Schema,
        "specs/age-in-words.yaml",
        "What is not understood would be left out in silence, and the tool would do something else than was meant.",
        "Write what the help asks for. The whole form is in the [language](spec-language.md), and editors know it from `schemas/`."
    ),
    page!(
        UnknownKey,
        "specs/key-of-tool-misspelt.yaml",
        "A misspelt key would do nothing. In a file of another program, which may be made for a newer version, it is a warning.",
        "Correct the key, or take it out."
    ),
    page!(
        Verb,
        "specs/two-verbs.yaml",
        "Steps run one after the other; of two verbs in one step nobody could tell which comes first.",
        "Make one step of each, and give each what it needs. The [verbs](verbs.md) say what that is."
    ),
    page!(
        Template,
        "specs/assignment-in-condition.yaml",
        "The call would fail each time it comes to the expression.",
        "Expressions are Jinja. Keys such as `when`, `require` and `each` are expressions already and take no braces."
    ),
    page!(
        UnknownName,
        "specs/argument-misspelt.yaml",
        "The value would be absent in every call.",
        "Use a name that is known there: an argument of `input`, the `as` of a step before, a name of `session`, `config` or `project`."
    ),
    page!(
        UnknownFunction,
        "specs/filter-of-another-engine.yaml",
        "Other engines of Jinja have filters that this one does not have.",
        "Take one of [those there are](spec-language.md#expressions)."
    ),
    page!(
        UnknownResource,
        "specs/stream-misspelt.yaml",
        "A step can only use what the pack declares.",
        "Correct the name, or declare the thing in any file of the pack."
    ),
    page!(
        Duplicate,
        "specs/tool-twice.yaml",
        "One of the two would win, and nobody would know which.",
        "Rename one of them, or take it out."
    ),
    page!(
        Subject,
        "specs/publish-to-wildcard.yaml",
        "NATS refuses such names, or takes them for something else: a wildcard, or the server's own subjects.",
        "Write tokens with single dots between. A placeholder is one token; several come from the filter `subject_tokens`."
    ),
    page!(
        Unbounded,
        "specs/multiplied-text.yaml",
        "One call could take all memory of the gateway.",
        "Say what the operands are: `| int`, `| float`."
    ),
    page!(
        BadSchema,
        "specs/required-in-property.yaml",
        "Clients would refuse the tool, or the check of the arguments would let everything pass.",
        "Write JSON Schema 2020-12: `required` is a list beside `properties`, and `type` one of seven words."
    ),
    page!(
        MaybeUndefined,
        "specs/optional-argument.yaml",
        "A call without the argument would fail half-way.",
        "Give a default in the schema or with `| default(…)`, or ask for the argument with `when` or `if`."
    ),
    page!(
        Tool,
        "specs/structured-without-output.yaml",
        "A client could not make sense of such a tool.",
        "Bring the parts into line, as the help says."
    ),
    page!(
        Environment,
        "configs/variable-not-set.yaml",
        "A gateway with half of its settings would use the wrong server or the wrong folder.",
        "Set the variable where the gateway starts, or give a default. `jacquard validate` does not look at the environment."
    ),
    page!(
        Io,
        "configs/folder-missing.yaml",
        "Without the file nothing of it can be checked or served.",
        "Correct the path. Paths in a config are relative to its folder."
    ),
    page!(
        NotAllowed,
        "configs/folder-not-allowed.yaml",
        "A pack may come from somebody else: what it reads, writes and runs on this machine is for the config to say.",
        "If the pack may, copy the line of the help into the config."
    ),
    page!(
        NotApproved,
        "configs/tool-not-approved.yaml",
        "What a tool tells a model, and what it does, may change under those who trust it. With `pin`, a person looks first.",
        "Look at what is other with `jacquard tools --diff`, then approve it: `jacquard tools --config FILE --approve TOOL`."
    ),
    page!(
        ClientUnion,
        "specs/union-at-the-top.yaml",
        "The API of Claude refuses a request with such a tool as a whole, so that none of the tools works any more.",
        "Declare all arguments under `properties`, and let a step check how they go together: `require`, with an `else` that says what is wanted."
    ),
    page!(
        ClientRef,
        "specs/reference-in-input.yaml",
        "Many clients hand the schema to the model as it is, and some refuse it. The model then guesses what the argument is.",
        "Write the schema out. An anchor and an alias of YAML do that with one text."
    ),
    page!(
        ClientName,
        "specs/dot-in-name.yaml",
        "MCP allows dots, but the APIs of models take `[a-zA-Z0-9_-]{1,64}`. Clients drop the tool, or call it something else than the instructions do. More than 64 characters are an error.",
        "Use `_` where the dot is."
    ),
    page!(
        ClientNameBudget,
        "configs/long-name.yaml",
        "Claude Code puts `mcp__SERVER__` before the name, and the result must have 64 characters at the most. Cursor drops a tool whose name and server's name have more than 60 together. The server's name is that of the client's entry; the `name` of the config is taken for it, or `jacquard`, as `jacquard install` writes it.",
        "Shorten the name of the server, or those of the tools."
    ),
    page!(
        ClientDescription,
        "specs/long-description.yaml",
        "The API of OpenAI refuses more than 1,024 characters, some clients cut off. And a model picks a tool by its first sentence.",
        "Say what the tool does and when to use it. What is about one argument belongs into that argument's `description`. Expressions are not counted in a spec; with a config, the rendered text is."
    ),
    page!(
        ClientInstructions,
        "specs/long-instructions.yaml",
        "Claude Code cuts instructions off at 2 kB; what is behind is never read.",
        "Say how the tools go together, the most important first. The instructions of all packs of a config count together."
    ),
    page!(
        ClientTokens,
        "specs/many-tokens.yaml",
        "Tools are part of every request to the model. Tools of widely used servers take 500 to 700 tokens on average, so one of more than 1,000 is large. All tools of a config should take 20,000 at the most: a tenth of a context of 200,000, from where on Claude Code hides tools behind a search. A token is reckoned as four bytes of the JSON that clients get.",
        "Shorten descriptions and schemas, make several tools of one, or serve fewer: `toolsets` offer some of them at a path of their own."
    ),
    page!(
        MissingOutput,
        "specs/output-missing.yaml",
        "Without `output` a client gets a text, and a program that calls the tool has to guess its form.",
        "Declare `output` and give the reply a `structured`; the text may stay. Allow it where the text is all there is."
    ),
    page!(
        MissingAnnotations,
        "specs/annotations-missing.yaml",
        "By the rules of MCP a tool that says nothing may destroy something: clients ask their user before each call.",
        "Say `read_only: true`, or `destructive: false` for a tool that only adds something, or `destructive: true` if it is so."
    ),
    page!(
        LongWait,
        "specs/waits-for-minutes.yaml",
        "Clients that use the SDKs of MCP give up after 60 s unless they are told otherwise: the work goes on, and its result is lost.",
        "Wait less, let the tool run as a `task`, or tell progress: by the verb `progress`, or `progress` of a `request`. Only waits of a macro and of a tool's own steps that are written out, or known from the settings, are seen."
    ),
    page!(
        UnusedAllow,
        "specs/allowance-without-need.yaml",
        "An allowance that outlives its reason hides the next mistake.",
        "Take it out."
    ),
];

/// The page of all codes, `docs/diagnostics.md`, as Markdown.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for (code, _) in Code::ALL {
        let _ = writeln!(page, "- [`{code}`](#{code})");
    }
    for (code, meaning) in Code::ALL {
        let _ = writeln!(page, "\n## {code}\n\n{}", meaning.trim());
        if let Some(found) = PAGES.iter().find(|page| page.code == *code) {
            let (file, said) = found.example;
            let language = if file.starts_with('{') {
                "json"
            } else {
                "yaml"
            };
            let _ = write!(
                page,
                "\n{}\n\nWrong:\n\n```{language} wrong\n{file}```\n\n```text\n{}```\n\n{}\n",
                found.why,
                first(said),
                found.mend
            );
        }
    }
    page
}

/// The first thing that is said; the count at the end is left out.
fn first(said: &str) -> String {
    let mut kept = String::new();
    for line in said.lines() {
        let next = line.starts_with("error[") || line.starts_with("warning[");
        if !kept.is_empty() && (next || line.contains(" checked: ")) {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    format!("{}\n", kept.trim_end())
}

const HEAD: &str = "# Diagnostics

<!-- Generated from src/spec/codes.rs and the golden files. To refresh it: UPDATE_GOLDEN=1 cargo test --lib codes -->

What `jacquard validate` and a gateway say about specs, configs and project files: each has a code in brackets, a place, and what to
write instead. Errors keep a file from being used. Warnings do not; a gateway says nothing of the client rules (`client-…`,
`missing-…`, `long-wait`), which only `jacquard validate` tells.

A warning that is meant so is allowed where it stands, best with a comment that says why:

```yaml-part
# The answers are a text for people, nothing for programs.
lint:
  allow: [missing-output]
```

In a spec file that holds for this file, in a config for what is found with this config. Errors cannot be allowed, and an allowance that
nothing needs is a warning itself.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_an_example_of_it() {
        let codes: Vec<Code> = Code::ALL.iter().map(|(code, _)| *code).collect();
        let pages: Vec<Code> = PAGES.iter().map(|page| page.code).collect();
        assert_eq!(pages, codes);
        for page in PAGES {
            let shown = first(page.example.1);
            assert!(shown.contains(&format!("[{}]", page.code)), "{shown}");
        }
    }

    #[test]
    fn the_page_is_fresh() {
        let path = format!("{}/docs/diagnostics.md", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            assert!(std::fs::write(&path, page()).is_ok());
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == page(),
            "docs/diagnostics.md is stale; refresh it with `UPDATE_GOLDEN=1 cargo test --lib codes`"
        );
    }
}
