//! "Did you mean": the nearest known name.

/// The candidate nearest to `word`, if one is near enough to be a plausible typing error.
///
/// Nearness is the edit distance with swaps of neighbours (Damerau, restricted), ignoring case and the
/// difference between `-`, `_` and nothing. At most a third of the word may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(word, candidates)
        .into_iter()
        .min_by_key(|(far, name)| (*far, name.len()))
        .map(|(_, name)| name)
}

/// The candidate that was meant without any doubt: it differs only in case, `-` and `_`, or no other one is near. Words of
/// one or two characters are near to too much.
pub fn only<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut near = near(word, candidates);
    near.sort_unstable();
    near.dedup();
    match near.as_slice() {
        [(0, name)] | [(0, name), (1.., _), ..] => Some(name),
        [(_, name)] if fold(word).len() > 2 => Some(name),
        _ => None,
    }
}

/// Candidates that are near enough, each with its distance.
fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
    let plain = fold(word);
    let limit = (plain.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|name| *name != word)
        .map(|name| (distance(&plain, &fold(name)), name))
        .filter(|(far, _)| *far <= limit)
        .collect()
}

/// A help line: "did you mean `x`?", or else the list of what is known (at most a dozen).
pub fn help<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(word, candidates.clone()) {
        return format!("did you mean `{name}`?");
    }
    let mut names: Vec<&str> = candidates.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "nothing is declared here".to_owned();
    }
    let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
    let rest = names.len().saturating_sub(12);
    let tail = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("known here: {}{tail}", shown.join(", "))
}

/// The same for a name that a section of the pack is to declare: where it declares none, how to.
pub fn declared<'a>(
    section: &str,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if candidates.clone().into_iter().next().is_none() {
        return format!("declare it: `{section}: {{{word}: …}}`");
    }
    help(word, candidates)
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0usize; (a.len() + 1) * width];
    for (j, cell) in rows.iter_mut().take(width).enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        rows[i * width] = i;
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[(i - 1) * width + j] + 1)
                .min(rows[i * width + j - 1] + 1)
                .min(rows[(i - 1) * width + j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[(i - 2) * width + j - 2] + 1);
            }
            rows[i * width + j] = best;
        }
    }
    rows[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_no_doubt_is_certain() {
        let known = ["read_only", "get", "set", "put", "publish", "to"];
        assert_eq!(only("publsh", known), Some("publish"));
        assert_eq!(only("readOnly", known), Some("read_only"));
        assert_eq!(only("gte", known), Some("get"));
        assert_eq!(
            only("pet", known),
            None,
            "`get`, `set` and `put` are as near"
        );
        assert_eq!(only("tp", known), None, "too short to tell");
        assert_eq!(only("TO", known), Some("to"));
        assert_eq!(only("colour", known), None);
        assert_eq!(only("a-b", ["a_b", "ab"]), None);
    }

    #[test]
    fn finds_what_was_meant() {
        let known = ["channel", "message", "limit"];
        assert_eq!(nearest("chanel", known), Some("channel"));
        assert_eq!(nearest("mesasge", known), Some("message"));
        assert_eq!(nearest("Limit", known), Some("limit"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(
            help("colour", known),
            "known here: `channel`, `limit`, `message`"
        );
    }
}
