//! What a run of steps writes into the log of its client. What is not taken in time is dropped: it never holds a call up.

use tokio::sync::mpsc;

pub use crate::spec::verbs::log::Level;

/// Lines that wait to be sent.
const WAITING: usize = 64;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// Of what it tells.
    pub logger: String,
    /// What it says.
    pub data: serde_json::Value,
}

/// Where a run writes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Log(Option<Wanted>);

#[derive(Debug, Clone)]
struct Wanted {
    least: Level,
    lines: mpsc::Sender<Line>,
}

impl Log {
    /// For a client that wants lines of this level and graver ones; with it come the lines. The channel ends with the last clone.
    pub fn from(least: Level) -> (Self, mpsc::Receiver<Line>) {
        let (lines, waiting) = mpsc::channel(WAITING);
        (Self(Some(Wanted { least, lines })), waiting)
    }

    /// Sends a line, if it is wanted. Whether it was; never waits.
    pub fn write(&self, line: Line) -> bool {
        let wanted = self.0.as_ref().filter(|wanted| line.level >= wanted.least);
        wanted.is_some_and(|wanted| wanted.lines.try_send(line).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level) -> Line {
        Line {
            level,
            logger: "t".to_owned(),
            data: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_lines_that_are_grave_enough_are_written_and_they_are_bounded() {
        let (log, mut lines) = Log::from(Level::Warning);
        assert!(!log.write(line(Level::Notice)));
        assert!(log.write(line(Level::Warning)) && log.write(line(Level::Emergency)));
        assert_eq!(lines.try_recv().ok().map(|l| l.level), Some(Level::Warning));
        let taken = (0..2 * WAITING).filter(|_| log.write(line(Level::Alert)));
        assert_eq!(taken.count(), WAITING - 1);
        assert!(!Log::default().write(line(Level::Emergency)));
    }
}
