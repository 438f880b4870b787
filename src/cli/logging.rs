//! Logs go to standard error, always: standard output belongs to MCP.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::gateway::Setup;
use crate::project::{Environment, Format, Level};
use crate::spec::config::{LogFormat, LogLevel};

/// Starts logging, as text unless asked otherwise: the environment comes before the config, the project's files and the
/// command's own `usual` level. A panic becomes a log line too.
pub fn start(setup: &Setup, env: &Environment, usual: LevelFilter) {
    let config = &setup.config.log;
    let logging = &setup.facts.logging;
    let level_word = env.get("LOG_LEVEL");
    let told_level = level_word.as_deref().and_then(level);
    let level = told_level
        .or(config.level.map(of_config))
        .or(logging.level.map(of_project))
        .unwrap_or(usual);
    let format_word = env.get("LOG_FORMAT");
    let told_json = format_word.as_deref().and_then(is_json);
    let json = told_json
        .or(config.format.map(|format| format == LogFormat::Json))
        .or(logging.format.map(|format| format == Format::Json))
        .unwrap_or(false);
    // The library tells as a warning that a client was refused something, and as an error that one is gone.
    let clients = if level >= LevelFilter::DEBUG {
        "warn"
    } else {
        "off"
    };
    let filter = format!("warn,rmcp::service={clients},jacquard={level}");
    let filter = EnvFilter::builder().parse_lossy(filter);
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(super::color())
        // Else a line that cannot be written is told to standard error, which panics when that is closed.
        .log_internal_errors(false)
        .with_target(false);
    let started = if json {
        logs.json().flatten_event(true).try_init()
    } else {
        logs.try_init()
    };
    if started.is_err() {
        eprintln!("jacquard: logging was started twice");
    }
    if level_word.is_some() && told_level.is_none() {
        tracing::warn!("LOG_LEVEL is not used: it must be off, error, warn, info, debug or trace");
    }
    if format_word.is_some() && told_json.is_none() {
        tracing::warn!("LOG_FORMAT is not used: it must be json or text");
    }
    for warning in &setup.facts.warnings {
        tracing::warn!("{warning}");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(place, "fault in the program: {text}");
    }));
}

fn level(word: &str) -> Option<LevelFilter> {
    match word.to_ascii_lowercase().as_str() {
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

fn is_json(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "json" => Some(true),
        "text" => Some(false),
        _ => None,
    }
}

fn of_config(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn of_project(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}
