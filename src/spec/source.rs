//! A text file and the arithmetic of places in it.

use std::ops::Range;
use std::sync::Arc;

/// A file that was read: its name as shown to people, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    inner: Arc<(String, String)>,
}

/// A place in a source: line and column, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// Keeps `text` under the name people know it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            inner: Arc::new((name.into(), text.into())),
        }
    }

    /// The name as shown in diagnostics.
    pub fn name(&self) -> &str {
        &self.inner.0
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.inner.1
    }

    /// Where a byte offset lies; an offset past the end is the end.
    pub fn place(&self, offset: usize) -> Place {
        let text = self.text();
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// Makes a range safe to slice with: inside the text, on character boundaries, not reversed.
    pub fn clamp(&self, range: Range<usize>) -> Range<usize> {
        let text = self.text();
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(range.start);
        start..floor(range.end).max(start)
    }

    /// The byte offset of a line (from 1) and a character column (from 1).
    pub fn offset(&self, place: Place) -> usize {
        let text = self.text();
        let mut start = 0;
        for _ in 1..place.line {
            match text[start..].find('\n') {
                Some(at) => start += at + 1,
                None => return text.len(),
            }
        }
        text[start..]
            .char_indices()
            .nth(place.column.saturating_sub(1))
            .map_or(text.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        let source = Source::new("x", "a: ä\nbb: ö!\n");
        let at = source.text().find('!').unwrap_or(0);
        let place = source.place(at);
        assert_eq!((place.line, place.column), (2, 6));
        assert_eq!(source.offset(place), at);
        assert_eq!(source.place(10_000).line, 3);
    }
}
