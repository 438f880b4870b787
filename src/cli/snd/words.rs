//! What the words of the command line mean.

use std::ffi::OsString;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Words {
    /// To send this.
    Message(Target, String),
    /// To show what is sent.
    Tail,
    /// To explain.
    Help,
    /// There are no words.
    Nothing,
}

/// To whom.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// One agent.
    Agent(String),
    /// All of a group.
    Group(String),
}

impl Target {
    /// The subject of its messages: any name is one token of it.
    pub fn subject(&self) -> String {
        match self {
            Self::Agent(name) => format!("agents.dm.{}", URL_SAFE_NO_PAD.encode(name)),
            Self::Group(name) => format!("agents.broadcast.{}", URL_SAFE_NO_PAD.encode(name)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => f.write_str(name),
            Self::Group(name) => write!(f, "g:{name}"),
        }
    }
}

/// Reads the words. `--human` and `--tail` count anywhere, also inside the message, unless `--` comes before its first
/// word.
///
/// # Errors
/// What is missing or too much.
pub fn parse(arguments: Vec<OsString>) -> Result<Words, String> {
    let words: Result<Vec<String>, OsString> =
        arguments.into_iter().map(OsString::into_string).collect();
    let words = words.map_err(|word| format!("{} is not Unicode", word.display()))?;
    match words.first().map(String::as_str) {
        None => return Ok(Words::Nothing),
        Some("--help" | "-h") => return Ok(Words::Help),
        _ => {}
    }
    let (mut words, human) = options(words)?;
    let Some(words) = words.as_mut() else {
        return Ok(Words::Tail);
    };
    let flag = match words.first() {
        Some(Word::Option(word)) if word == "-t" || word == "-g" => word.clone(),
        _ => String::new(),
    };
    if !flag.is_empty() {
        words.remove(0);
    }
    let mut words = words.drain(..).map(Word::into_text);
    let (Some(name), Some(first)) = (words.next().filter(|n| !n.is_empty()), words.next()) else {
        return Err(match flag.as_str() {
            "-t" => "-t requires <agent> and a message".to_owned(),
            "-g" => "-g requires <group> and a message".to_owned(),
            _ => "need <agent> <message...>".to_owned(),
        });
    };
    let target = if flag == "-g" {
        Target::Group(name)
    } else {
        Target::Agent(name)
    };
    let message = words.fold(first, |message, word| message + " " + &word);
    let mark = if human { "[HUMAN] " } else { "" };
    Ok(Words::Message(target, format!("{mark}{message}")))
}

/// A word, and whether it may be an option.
#[derive(Debug)]
enum Word {
    Option(String),
    Text(String),
}

impl Word {
    fn into_text(self) -> String {
        match self {
            Self::Option(text) | Self::Text(text) => text,
        }
    }
}

/// Takes `--human` out, and `--` where it ends the options; whether a person speaks. Without words: `--tail`.
fn options(words: Vec<String>) -> Result<(Option<Vec<Word>>, bool), String> {
    let alone = words.len() == 1;
    let mut human = false;
    let mut ended = false;
    let mut left: Vec<Word> = Vec::new();
    for word in words {
        match word.as_str() {
            _ if ended => left.push(Word::Text(word)),
            "--human" => human = true,
            "--tail" if alone => return Ok((None, false)),
            "--tail" => return Err("--tail takes no other arguments".to_owned()),
            // Later it is part of the message, as people write it.
            "--" if before_message(&left) => ended = true,
            _ => left.push(Word::Option(word)),
        }
    }
    Ok((Some(left), human))
}

/// Whether no word of the message has come yet.
fn before_message(words: &[Word]) -> bool {
    match words {
        [] | [_] => true,
        [Word::Option(flag), _] => flag == "-t" || flag == "-g",
        _ => false,
    }
}

/// The help.
pub fn usage() -> &'static str {
    "\
Usage:
  snd <agent> <message...>      a message to one agent
  snd -t <agent> <message...>   the same
  snd -g <group> <message...>   a message to all agents of a group
  snd --tail                    show what is sent, until Ctrl-C

Options:
  --human      put [HUMAN] in front of the message
  --           before the message: all words after it belong to it
  -h, --help   show this

Environment:
  AGENTS_NATS_URL   where NATS is (required); `jacquard nats url` tells it of the local server
  SND_FROM          the sender's name [default: human]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Words, String> {
        parse(words.iter().map(OsString::from).collect())
    }

    fn to(name: &str, message: &str) -> Result<Words, String> {
        Ok(Words::Message(Target::Agent(name.into()), message.into()))
    }

    fn group(name: &str, message: &str) -> Result<Words, String> {
        Ok(Words::Message(Target::Group(name.into()), message.into()))
    }

    #[test]
    fn words_are_a_target_and_a_message() {
        for (words, expected) in [
            (&["bob", "hi", "there"][..], to("bob", "hi there")),
            (&["-t", "bob", "hi"], to("bob", "hi")),
            (&["-g", "ops", "hi", "-t", "x"], group("ops", "hi -t x")),
            (&["bob", ""], to("bob", "")),
            (&["bob", "a", "", "b"], to("bob", "a  b")),
            (&["-x", "hi"], to("-x", "hi")),
            (&["bob", "--help"], to("bob", "--help")),
            (
                &["bob", "hi", "--human", "you"],
                to("bob", "[HUMAN] hi you"),
            ),
            (&["--human", "-g", "ops", "hi"], group("ops", "[HUMAN] hi")),
            (&["bob", "--human", "a", "--human"], to("bob", "[HUMAN] a")),
            (
                &["bob", "--", "use", "--tail", "--human"],
                to("bob", "use --tail --human"),
            ),
            (
                &["--human", "bob", "--", "--human"],
                to("bob", "[HUMAN] --human"),
            ),
            (&["-g", "ops", "--", "--tail"], group("ops", "--tail")),
            (&["--", "-t", "hi"], to("-t", "hi")),
            (&["--", "--human", "--"], to("--human", "--")),
            (
                &["bob", "one", "--", "two", "--human"],
                to("bob", "[HUMAN] one -- two"),
            ),
        ] {
            assert_eq!(parsed(words), expected, "{words:?}");
        }
    }

    #[test]
    fn what_is_no_message() {
        for (words, expected) in [
            (&[][..], Ok(Words::Nothing)),
            (&["--help"], Ok(Words::Help)),
            (&["-h", "bob"], Ok(Words::Help)),
            (&["--tail"], Ok(Words::Tail)),
            (&["bob"], Err("need <agent> <message...>")),
            (&["--human"], Err("need <agent> <message...>")),
            (&["--human", "bob"], Err("need <agent> <message...>")),
            (&["", "hi"], Err("need <agent> <message...>")),
            (&["--"], Err("need <agent> <message...>")),
            (&["-t", "bob"], Err("-t requires <agent> and a message")),
            (&["-t"], Err("-t requires <agent> and a message")),
            (&["-g", "ops"], Err("-g requires <group> and a message")),
            (
                &["-g", "ops", "--human"],
                Err("-g requires <group> and a message"),
            ),
            (&["--tail", "bob"], Err("--tail takes no other arguments")),
            (
                &["bob", "see", "--tail"],
                Err("--tail takes no other arguments"),
            ),
        ] {
            assert_eq!(parsed(words), expected.map_err(str::to_owned), "{words:?}");
        }
    }

    #[test]
    fn any_name_is_one_token() {
        for (name, token) in [
            ("bob", "Ym9i"),
            ("#eng", "I2VuZw"),
            ("日本 語", "5pel5pysIOiqng"),
            ("a>b?c~~", "YT5iP2N-fg"),
        ] {
            assert_eq!(
                Target::Agent(name.into()).subject(),
                format!("agents.dm.{token}")
            );
        }
        let group = Target::Group("research".into());
        assert_eq!(group.subject(), "agents.broadcast.cmVzZWFyY2g");
    }
}
