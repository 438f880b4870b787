//! The command line: one file a subcommand.

mod call;
mod demo;
mod docs;
mod doctor;
mod file;
mod install;
mod logging;
mod nats;
mod new;
mod permissions;
mod schema;
mod serve;
mod setup;
mod signals;
mod snd;
pub mod test;
mod tools;
mod validate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::spec::config::set::Setting;

/// MCP tools declared in YAML, carried on NATS JetStream.
#[derive(Debug, Parser)]
#[command(name = "jacquard", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Source,
}

/// What is served.
#[derive(Debug, Clone, Default, Args)]
struct Source {
    /// The config; without one, the built-in pack `warp` is served
    #[arg(long, short, value_name = "FILE", env = "JACQUARD_CONFIG")]
    config: Option<PathBuf>,
    /// The project's folder [default: MCP_PROJECT_PATH or the working directory]
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// A setting of a pack, before that of the config; the value is YAML
    #[arg(long, value_name = "PACK.KEY=VALUE")]
    set: Vec<Setting>,
    /// Only these of the tools and prompts: a toolset of the config
    #[arg(long, value_name = "NAME")]
    toolset: Option<String>,
    /// Never run a local nats-server
    #[arg(long)]
    no_local_nats: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP: on standard input and output, or over HTTP (the default command)
    Serve {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        way: serve::Way,
    },
    /// Make a pack, a tool or a project file to begin with
    New {
        #[command(subcommand)]
        kind: new::Kind,
    },
    /// Check specs, packs, configs and project files
    Validate(validate::Request),
    /// Run the examples of tools, each on a NATS of its own that is gone afterwards
    Test(test::Request),
    /// List the tools that a config serves, compare them, approve them
    Tools(tools::Request),
    /// Print the least permissions that the NATS user of a gateway needs, each with what needs it
    Permissions {
        #[command(flatten)]
        source: Source,
        /// For serving over HTTP; else as the config says
        #[arg(long)]
        http: bool,
        /// As the block of a user in the configuration of a nats-server, or as JSON
        #[arg(long, value_enum, default_value_t = permissions::Format::Conf)]
        format: permissions::Format,
    },
    /// Run one tool and print its reply
    Call {
        #[command(flatten)]
        source: Source,
        /// The tool
        tool: String,
        /// Arguments, each `name=value`
        #[arg(value_name = "NAME=VALUE")]
        arguments: Vec<String>,
        /// All arguments as one JSON object
        #[arg(long, conflicts_with = "arguments")]
        json: Option<String>,
        /// A value of the session, `name=value`, such as handle=planner
        #[arg(long, value_name = "NAME=VALUE")]
        session: Vec<String>,
        /// Print the structured result instead of the text
        #[arg(long)]
        structured: bool,
        /// Print the blocks of the answer as JSON, as a client gets them
        #[arg(long, conflicts_with = "structured")]
        content: bool,
    },
    /// Look whether a gateway can work here, and say what to do where it cannot; changes nothing
    Doctor(doctor::Request),
    /// Print a JSON Schema
    Schema {
        /// Of which kind of file
        kind: schema::Kind,
    },
    /// Write reference pages: tools of packs, and what they touch on NATS
    #[command(long_about = docs::ABOUT)]
    Docs(docs::Request),
    /// Put the gateway into an MCP client, or take it out
    Install(install::Request),
    /// Send a message to agents: `jacquard send --help`, or the same under the program name `snd`
    #[command(disable_help_flag = true)]
    Send {
        /// Options, an agent or group, and the message
        words: Vec<OsString>,
    },
    /// Show the messages that are sent to agents on the NATS of AGENTS_NATS_URL, until Ctrl-C
    Tail,
    /// Two agents talk and work together through JetStream, in this terminal
    Demo,
    /// The local nats-server
    Nats {
        #[command(subcommand)]
        action: nats::Action,
    },
}

/// Says what is wrong with these arguments, without running anything. Asking for help or the version is right.
///
/// # Errors
/// The message that a user would get.
pub fn check(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match Cli::try_parse_from(own_words(arguments.into_iter().collect())) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Runs the program with these arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(own_words(arguments.into_iter().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            return if error.use_stderr() || shown.is_err() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let command = cli.command.unwrap_or(Command::Serve {
        source: cli.serve,
        way: serve::Way::default(),
    });
    match command {
        Command::Serve { source, way } => serve::run(&source, &way),
        Command::New { kind } => new::run(&kind),
        Command::Validate(request) => validate::run(&request),
        Command::Test(request) => test::run(&request),
        Command::Tools(request) => tools::run(&request),
        Command::Permissions {
            source,
            http,
            format,
        } => permissions::run(&source, http, format),
        Command::Call {
            source,
            tool,
            arguments,
            json,
            session,
            structured,
            content,
        } => call::run(&call::Request {
            source,
            tool,
            arguments,
            json,
            session,
            structured,
            content,
        }),
        Command::Doctor(request) => doctor::run(&request),
        Command::Schema { kind } => schema::run(kind),
        Command::Docs(request) => docs::run(&request),
        Command::Install(request) => install::run(&request),
        Command::Send { words } => snd::run(words),
        Command::Tail => snd::tail(),
        Command::Demo => demo::run(),
        Command::Nats { action } => nats::run(&action),
    }
}

/// `send` has words of its own, in which dashes and `--` mean something else than here. Under the name `snd` the program
/// is that command alone.
fn own_words(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let program = arguments.first().map(std::path::Path::new);
    if program.and_then(|path| path.file_stem()) == Some(snd::NAME.as_ref()) {
        arguments.insert(1, "send".into());
    }
    if arguments.get(1).is_some_and(|word| word == "send") {
        arguments.insert(2, "--".into());
    }
    arguments
}

/// Says on standard error why the command cannot go on.
fn fail(message: impl std::fmt::Display) -> ExitCode {
    eprintln!("jacquard: {message}");
    ExitCode::FAILURE
}

/// Writes a line to standard output. A reader that has gone (`| head`) is no fault: there is nobody left to tell.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Shows on standard error what is wrong with the files.
fn refuse(report: &crate::spec::diag::Report) -> ExitCode {
    eprintln!("{}", report.render(color()));
    ExitCode::FAILURE
}

/// Stack of the threads that read files, in bytes: a document as deep as is read needs more than the default where it is
/// built for tests.
const STACK: usize = 8 * 1024 * 1024;

/// The runtime for commands that talk to NATS.
///
/// One thread: a call is a chain of small tasks, and handing each to another thread costs more than the task (measured in
/// `docs/performance.md`).
fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
}

/// Whether standard error is a terminal that wants colours.
fn color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
