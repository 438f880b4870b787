//! Running another program with a bound on its time and on what is kept of its output.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes kept of a program's output: its end.
const KEPT: usize = 16 * 1024;
/// How long output may lag behind the end of the program. A grandchild that keeps the pipe open is not waited for.
const DRAIN: Duration = Duration::from_millis(200);

/// A program that ended by itself.
#[derive(Debug)]
pub(super) struct Finished {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// The end of stdout and stderr, mixed as they came.
    pub(super) output: String,
}

/// Why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("it could not be run")]
    Spawn(#[source] io::Error),
    #[error("it could not be waited for")]
    Wait(#[source] io::Error),
    #[error("it did not end within {} s and was killed", .limit.as_secs())]
    TimedOut { limit: Duration, output: String },
}

type Tail = Arc<Mutex<VecDeque<u8>>>;

/// Runs `command` without input for at most `limit`, calling `tick` with the elapsed time every few milliseconds.
pub(super) fn run(
    command: &mut Command,
    limit: Duration,
    tick: &mut dyn FnMut(Duration),
) -> Result<Finished, RunError> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(RunError::Spawn)?;
    let tail = Tail::default();
    let readers = [
        child.stdout.take().map(|pipe| keep_tail(pipe, &tail)),
        child.stderr.take().map(|pipe| keep_tail(pipe, &tail)),
    ];
    let ended = wait(&mut child, started, limit, tick);
    drain(&readers);
    let output = text(&tail);
    match ended? {
        Some(status) => Ok(Finished { status, output }),
        None => Err(RunError::TimedOut { limit, output }),
    }
}

/// The last `count` lines of `text` that are not blank, without control characters (progress bars, colours).
pub(super) fn last_lines(text: &str, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines.split_off(lines.len().saturating_sub(count))
}

fn wait(
    child: &mut Child,
    started: Instant,
    limit: Duration,
    tick: &mut dyn FnMut(Duration),
) -> Result<Option<ExitStatus>, RunError> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(RunError::Wait)? {
            return Ok(Some(status));
        }
        let elapsed = started.elapsed();
        if elapsed >= limit {
            child.kill().map_err(RunError::Wait)?;
            child.wait().map_err(RunError::Wait)?;
            return Ok(None);
        }
        tick(elapsed);
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn keep_tail(mut pipe: impl Read + Send + 'static, tail: &Tail) -> JoinHandle<()> {
    let tail = Arc::clone(tail);
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let mut kept = tail.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(buffer.iter().take(count));
            let excess = kept.len().saturating_sub(KEPT);
            kept.drain(..excess);
        }
    })
}

fn drain(readers: &[Option<JoinHandle<()>>]) {
    let deadline = Instant::now() + DRAIN;
    while readers.iter().flatten().any(|r| !r.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn text(tail: &Tail) -> String {
    let mut kept = tail.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_of_both_streams_is_kept() {
        let done = run(
            &mut sh("echo out; echo err >&2; exit 3"),
            Duration::from_secs(5),
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(done.status.code(), Some(3));
        assert!(done.output.contains("out") && done.output.contains("err"));
    }

    #[test]
    fn endless_output_and_endless_time_are_bounded() {
        let mut ticks = 0;
        let error = run(&mut sh("yes"), Duration::from_millis(200), &mut |_| {
            ticks += 1
        })
        .unwrap_err();
        let RunError::TimedOut { output, .. } = error else {
            panic!("expected a time-out, got {error}");
        };
        assert!(output.len() <= KEPT + 8 && ticks > 0);
    }

    #[test]
    fn a_grandchild_with_the_pipe_is_not_waited_for() {
        let started = Instant::now();
        run(
            &mut sh("sleep 3 & echo done"),
            Duration::from_secs(5),
            &mut |_| {},
        )
        .unwrap();
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn last_lines_skips_blanks_and_control_characters() {
        assert_eq!(last_lines("a\n\n\u{1b}b\n c\n\n", 2), ["b", " c"]);
        assert!(last_lines("", 3).is_empty());
    }
}
