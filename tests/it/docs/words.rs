//! What a line of shell calls, as far as it calls this program.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::blocks::Block;

/// The calls of the program in a line, each with its name first. Substitutions (`$(…)`) are looked into.
pub fn calls(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for words in commands(line, &mut found) {
        found.extend(call(words));
    }
    found
}

/// The command of a sentence of the shell without variables before it, if it is the program.
fn call(words: Vec<String>) -> Option<Vec<String>> {
    let variable = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let mut words: Vec<String> = words.into_iter().skip_while(variable).collect();
    if words
        .first()
        .is_some_and(|word| word == "exec" || word == "!")
    {
        words.remove(0);
    }
    let plain: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
    if let ["cargo", "run", "--"] = plain.as_slice() {
        words.drain(..2);
        words[0] = "jacquard".to_owned();
    }
    let own = words.first()?.rsplit('/').next()? == "jacquard";
    own.then_some(words)
}

/// The commands of a line. What substitutions in it call goes to `inside`.
fn commands(line: &str, inside: &mut Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    let end = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(last)) = (word.take(), commands.last_mut()) {
            last.push(word);
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' => word
                .get_or_insert_default()
                .extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => quoted(&mut chars, word.get_or_insert_default(), inside),
            '\\' if chars.next_if_eq(&'\n').is_some() => end(&mut word, &mut commands),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '$' if chars.peek() == Some(&'(') => {
                substituted(&mut chars, word.get_or_insert_default(), inside)
            }
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '|' | '&' | ';' | '\n' | '(' | ')' => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            '<' | '>' => {
                // A number before it belongs to it, and so does the file after it.
                if word.as_ref().is_some_and(|word| word.parse::<u8>().is_ok()) {
                    word = None;
                }
                end(&mut word, &mut commands);
                while chars.next_if(|c| matches!(c, '>' | '&' | ' ')).is_some() {}
                while chars.next_if(|c| !c.is_whitespace()).is_some() {}
            }
            c if c.is_whitespace() => end(&mut word, &mut commands),
            c => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut commands);
    commands
}

fn quoted(chars: &mut Peekable<Chars>, word: &mut String, inside: &mut Vec<Vec<String>>) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => word.extend(chars.next()),
            '$' if chars.peek() == Some(&'(') => substituted(chars, word, inside),
            c => word.push(c),
        }
    }
}

fn substituted(chars: &mut Peekable<Chars>, word: &mut String, inside: &mut Vec<Vec<String>>) {
    let mut depth = 0;
    let mut text = String::new();
    for c in chars.by_ref() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            break;
        }
        text.push(c);
    }
    inside.extend(calls(text.trim_start_matches('(')));
    // What comes of it is not known; it is one value here.
    word.push('1');
}

/// The calls that entries of MCP clients make.
pub fn clients(block: &Block) -> Vec<Vec<String>> {
    let value: Value =
        serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{block}: {error}"));
    let servers = ["mcpServers", "servers"]
        .iter()
        .filter_map(|key| value.get(key)?.as_object());
    let entries = servers.flat_map(|servers| servers.values());
    let words = entries.filter_map(|entry| {
        let args = entry["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let command = entry["command"].as_str()?;
        call(
            std::iter::once(command)
                .chain(args)
                .map(str::to_owned)
                .collect(),
        )
    });
    words.collect()
}

/// What a container or a unit of systemd starts.
pub fn started(block: &Block) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut entry: Vec<String> = Vec::new();
    for line in block.text.lines() {
        if let Some(command) = line.strip_prefix("ExecStart=") {
            found.extend(calls(command));
        }
        let list = |list: &str| -> Vec<String> {
            serde_json::from_str(list).unwrap_or_else(|error| panic!("{block}: {list}: {error}"))
        };
        if let Some(command) = line.strip_prefix("ENTRYPOINT ") {
            entry = list(command);
        }
        if let Some(command) = line.strip_prefix("CMD ") {
            entry.extend(list(command));
        }
    }
    found.extend(call(entry));
    found
}

#[test]
fn a_line_of_shell_is_taken_apart() {
    let one = |line: &str| {
        calls(line)
            .into_iter()
            .map(|words| words.join("|"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        one("A=b ./bin/jacquard call t a='b c' \"d e\" > out # x"),
        ["./bin/jacquard|call|t|a=b c|d e"]
    );
    assert_eq!(
        one("echo jacquard && jacquard tools | head; true"),
        ["jacquard|tools"]
    );
    assert_eq!(
        one("export A=\"$(jacquard nats url)\""),
        ["jacquard|nats|url"]
    );
    assert_eq!(one("cargo run -- demo  # two"), ["jacquard|demo"]);
    assert_eq!(
        one("jacquard docs \\\n  --out x 2>&1"),
        ["jacquard|docs|--out|x"]
    );
}
