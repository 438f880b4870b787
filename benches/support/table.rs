//! Samples, and the table of what they say.

use std::fmt;
use std::time::{Duration, Instant};

/// Times of one thing, in microseconds.
#[derive(Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes one time.
    pub fn push(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e6);
    }

    /// Runs and times something.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.push(begin.elapsed());
        done
    }

    /// Takes all times of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Each of these and the one of `other` that was taken in the same round, one after the other.
    pub fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a + b).collect())
    }

    /// The time that `percent` of the samples do not exceed (nearest rank).
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().unwrap_or(f64::NAN)
    }
}

/// The result, printed as Markdown.
pub struct Table {
    machine: String,
    rows: Vec<[String; 6]>,
}

impl Table {
    /// An empty table.
    pub fn new(machine: String) -> Self {
        Self {
            machine,
            rows: Vec::new(),
        }
    }

    /// Adds a row of times.
    pub fn times(&mut self, name: &str, samples: &Samples) {
        self.row(name, samples, String::new(), String::new());
    }

    /// Adds a row of times beside the floor they cannot go below.
    pub fn beside(&mut self, name: &str, samples: &Samples, floor: &Samples) {
        let (own, least) = (samples.percentile(50), floor.percentile(50));
        self.row(
            name,
            samples,
            format!("{:.2}", own / least),
            format!("{:+.0}", own - least),
        );
    }

    fn row(&mut self, name: &str, samples: &Samples, ratio: String, more: String) {
        let shown = |percent| format!("{} µs", number(samples.percentile(percent)));
        self.rows.push([
            name.to_owned(),
            samples.0.len().to_string(),
            shown(50),
            shown(99),
            ratio,
            more,
        ]);
        eprintln!("  {name}: {}", shown(50));
    }

    /// Adds a single value.
    pub fn value(&mut self, name: &str, count: usize, value: f64, unit: &str, ratio: Option<f64>) {
        let shown = format!("{} {unit}", number(value));
        eprintln!("  {name}: {shown}");
        self.rows.push([
            name.to_owned(),
            count.to_string(),
            shown,
            String::new(),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            String::new(),
        ]);
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 6] = ["What", "n", "p50", "p99", "ratio", "µs more"];
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.max(HEAD.get(column).map_or(0, |head| head.chars().count()))
        };
        let mut line = |cells: &mut dyn Iterator<Item = &str>| -> fmt::Result {
            for (column, cell) in cells.enumerate() {
                let width = width(column);
                match column {
                    0 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")
        };
        line(&mut HEAD.into_iter())?;
        line(&mut ["---", "--:", "--:", "--:", "--:", "--:"].into_iter())?;
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str))?;
        }
        write!(f, "\n{}", self.machine)
    }
}
