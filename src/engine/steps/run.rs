//! `run`

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use minijinja::value::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::machine::{blocking, texts};
use crate::spec::data::Map;
use crate::spec::verbs::forms::Run;

/// The time when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(30);
/// What is kept of each of its two outputs, in bytes.
const MAX_OUTPUT: usize = 1 << 20;
/// The most arguments.
const MAX_ARGS: usize = 1_000;
/// What a program sees of the gateway's environment: nothing that may hold the gateway's own credentials.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    // Without these nothing starts on Windows.
    "SystemRoot",
    "PATHEXT",
    "USERPROFILE",
    "TEMP",
];
/// The same by how names begin.
const KEPT_BEGINNINGS: &[&str] = &["LC_", "GIT_"];

pub(super) async fn run(step: &Run, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let timeout = call
        .reader(&context)
        .span_within("timeout", step.timeout.as_ref(), Run::MOST)?
        .unwrap_or(DEFAULT);
    let stdin = step
        .stdin
        .as_ref()
        .map(|text| templates.text(text, &context))
        .transpose()?;
    let mut command = command(step, call).await?;
    command.stdin(match &stdin {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    });
    let mut child = command.spawn().map_err(|error| {
        let text = format!(
            "the program `{}` cannot be started: {error}; check that it is installed for the gateway",
            step.program
        );
        Failure::new(FailureKind::Program, text)
    })?;
    // Whoever drops the call ends it, and all that it has started.
    let mut group = Group::of(&child);
    let ended = tokio::time::timeout(timeout, ended(&mut child, stdin)).await;
    let done = match ended {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            let text = format!(
                "the program `{}` cannot be waited for: {error}",
                step.program
            );
            return Err(Failure::new(FailureKind::Program, text));
        }
        Err(_) => {
            let text = format!(
                "the program `{}` took longer than {timeout:?} and was ended",
                step.program
            );
            return Err(Failure::new(FailureKind::Timeout, text));
        }
    };
    group.has_ended();
    Ok(done.value())
}

async fn command(step: &Run, call: &Call<'_>) -> Result<Command, Failure> {
    let context = call.context();
    let templates = call.templates();
    let program = call
        .engine
        .catalog
        .machine
        .program(call.home, &step.program);
    let program = program.ok_or_else(|| {
        let text = format!("no program is set for `{}`", step.program);
        Failure::new(FailureKind::Unconfigured, text)
    })?;
    let args = match &step.args {
        Some(tree) => texts("args", &templates.tree(tree, &context)?)?,
        None => Vec::new(),
    };
    if args.len() > MAX_ARGS || args.iter().any(|arg| arg.contains('\0')) {
        let text = format!("`args` has more than {MAX_ARGS} elements, or one with a NUL character");
        return Err(Failure::new(FailureKind::Range, text));
    }
    let mut command = Command::new(program);
    command.args(args).env_clear().kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let kept = std::env::vars_os().filter(|(name, _)| is_kept(name));
    command.envs(kept);
    for (name, value) in step.env.iter().flat_map(Map::iter) {
        command.env(name, templates.text(value, &context)?);
    }
    if let Some(folder) = &step.folder {
        let place = call.folder(folder)?;
        command.current_dir(&place.path);
        let what = format!("opening the folder `{folder}`");
        blocking(&what, move || Ok(place.open().map(drop)?)).await?;
    }
    Ok(command)
}

fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        KEPT.contains(&name) || KEPT_BEGINNINGS.iter().any(|begin| name.starts_with(begin))
    })
}

struct Done {
    status: ExitStatus,
    stdout: Output,
    stderr: Output,
}

impl Done {
    fn value(&self) -> Value {
        minijinja::context!(
            ok => self.status.success(), code => code(self.status), stdout => self.stdout.text(),
            stderr => self.stderr.text(), truncated => self.stdout.cut || self.stderr.cut,
            timed_out => false
        )
    }
}

/// The exit code; that of a signal as shells tell it.
fn code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(-1)
}

async fn ended(child: &mut Child, stdin: Option<String>) -> std::io::Result<Done> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async move {
        if let (Some(mut input), Some(text)) = (input, stdin) {
            // A program need not read what it is given.
            let _ = input.write_all(text.as_bytes()).await;
        }
    };
    let ((), stdout, stderr, status) = tokio::join!(
        feed,
        Output::read(output),
        Output::read(errors),
        child.wait()
    );
    Ok(Done {
        status: status?,
        stdout,
        stderr,
    })
}

/// What a program has written to one of its outputs.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

impl Output {
    /// Reads to the end; what is too much is dropped, so that the program does not wait for a reader.
    async fn read(from: Option<impl AsyncRead + Unpin>) -> Self {
        let mut output = Self::default();
        let Some(mut from) = from else { return output };
        let mut part = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut part).await {
            let room = MAX_OUTPUT - output.bytes.len();
            output.cut |= read > room;
            output.bytes.extend_from_slice(&part[..read.min(room)]);
        }
        output
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A program and all that it has started, ended when this is dropped.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self {
            leader: pid.and_then(rustix::process::Pid::from_raw),
        }
    }

    /// Its number may be another's from now on.
    fn has_ended(&mut self) {
        self.leader = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self {}
    }

    fn has_ended(&mut self) {}
}
