//! Which type a file has, by its name, and whether it is text.

/// What is unknown.
const UNKNOWN: &str = "application/octet-stream";

/// Endings that the common table does not know, or takes for something else than a workspace has.
const OURS: &[(&str, &str)] = &[
    ("cfg", "text/plain"),
    ("conf", "text/plain"),
    ("env", "text/plain"),
    ("go", "text/x-go"),
    ("ini", "text/plain"),
    ("ipynb", "application/json"),
    ("jsonl", "application/jsonl"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("ndjson", "application/x-ndjson"),
    ("parquet", "application/vnd.apache.parquet"),
    ("py", "text/x-python"),
    ("rs", "text/x-rust"),
    ("rst", "text/x-rst"),
    ("sh", "text/x-shellscript"),
    ("sql", "application/sql"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsx", "text/x-typescript"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// Files that are text and have no ending.
const PLAIN: &[&str] = &[
    "AUTHORS",
    "CHANGELOG",
    "CHANGES",
    "COPYING",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "NOTICE",
    "README",
    "VERSION",
];

/// Types that are text although their names do not begin so.
const TEXTS: &[&str] = &[
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/sql",
    "application/toml",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
];

/// The MIME type of a file, by its name.
pub fn of(name: &str) -> &'static str {
    let last = name.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = last.rsplit_once('.') else {
        return if PLAIN.contains(&last) {
            "text/plain"
        } else {
            UNKNOWN
        };
    };
    let ending = ending.to_ascii_lowercase();
    let ours = OURS.iter().find(|(known, _)| *known == ending);
    ours.map(|(_, kind)| *kind)
        .or_else(|| mime_guess::from_ext(&ending).first_raw())
        .unwrap_or(UNKNOWN)
}

/// Whether a text has the form of a MIME type: `image/png`, perhaps with parameters.
pub fn is_kind(text: &str) -> bool {
    let token = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        !part.is_empty() && part.len() <= 127 && part.chars().all(fits)
    };
    let plain = text.split(';').next().unwrap_or_default().trim_end();
    plain
        .split_once('/')
        .is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// Whether what has this type is text.
pub fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || TEXTS.contains(&kind)
        || ["+json", "+xml", "+yaml"]
            .iter()
            .any(|end| kind.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_types_that_clients_expect() {
        for (name, kind, text) in [
            ("a.yaml", "application/yaml", true),
            ("a.YML", "application/yaml", true),
            ("deep/er/notes.md", "text/markdown", true),
            ("a.json", "application/json", true),
            ("a.jsonl", "application/jsonl", true),
            ("a.xml", "application/xml", true),
            ("a.txt", "text/plain", true),
            ("a.csv", "text/csv", true),
            ("a.html", "text/html", true),
            ("a.toml", "application/toml", true),
            ("a.py", "text/x-python", true),
            ("a.ts", "text/x-typescript", true),
            ("a.svg", "image/svg+xml", true),
            ("a.pdf", "application/pdf", false),
            ("a.png", "image/png", false),
            ("a.jpg", "image/jpeg", false),
            ("a.gif", "image/gif", false),
            ("a.webp", "image/webp", false),
            ("a.json.gz", "application/gzip", false),
            ("a.zip", "application/zip", false),
            ("README", "text/plain", true),
            ("yaml", UNKNOWN, false),
            ("a.", UNKNOWN, false),
            (".hidden", UNKNOWN, false),
            ("a.b/c", UNKNOWN, false),
        ] {
            assert_eq!((of(name), is_text(of(name))), (kind, text), "{name}");
        }
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(OURS.is_sorted() && PLAIN.is_sorted() && TEXTS.is_sorted());
    }
}
