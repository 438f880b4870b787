//! Addresses of resources in which `{name}` stands for a value: templates of RFC 6570, level 1.
//!
//! A value is percent-encoded in an address, so it has no reserved character such as `/`. Two values are told apart because
//! there is one between them.

/// An address, with `{name}` or without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UriTemplate {
    /// What comes before the first parameter.
    head: String,
    /// The parameters, each with what follows it.
    rest: Vec<(String, String)>,
}

impl UriTemplate {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = text.split('{');
        let head = pieces.next().unwrap_or_default().to_owned();
        scheme(&head)?;
        literal(&head)?;
        let mut rest: Vec<(String, String)> = Vec::new();
        for piece in pieces {
            let (name, after) = piece
                .split_once('}')
                .ok_or_else(|| "a `{` has no `}`".to_owned())?;
            if !is_name(name) {
                return Err(format!(
                    "`{{{name}}}` is no parameter: it is a name of small letters, digits and `_`"
                ));
            }
            literal(after)?;
            if rest.iter().any(|(other, _)| other == name) {
                return Err(format!("`{{{name}}}` stands in it twice"));
            }
            if let Some((other, between)) = rest.last()
                && !between.chars().any(is_reserved)
            {
                return Err(format!(
                    "`{{{other}}}` and `{{{name}}}` cannot be told apart: put a `/` between them"
                ));
            }
            rest.push((name.to_owned(), after.to_owned()));
        }
        Ok(Self { head, rest })
    }

    /// The names of the parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.rest.iter().map(|(name, _)| name.as_str())
    }

    /// What every address of it begins with.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Whether it is one address only.
    pub fn is_plain(&self) -> bool {
        self.rest.is_empty()
    }

    /// The address with these values, which must be percent-encoded.
    pub fn expand(&self, value: impl Fn(&str) -> String) -> String {
        let mut text = self.head.clone();
        for (name, after) in &self.rest {
            text.push_str(&value(name));
            text.push_str(after);
        }
        text
    }

    /// The values of an address, as they are written in it; `None` where it is no address of this template. No value is empty.
    pub fn values<'u>(&self, uri: &'u str) -> Option<Vec<(&str, &'u str)>> {
        let mut left = uri.strip_prefix(self.head.as_str())?;
        let mut values = Vec::with_capacity(self.rest.len());
        for (index, (name, after)) in self.rest.iter().enumerate() {
            let last = index + 1 == self.rest.len();
            let end = if last {
                left.strip_suffix(after.as_str())?.len()
            } else {
                left.find(after.as_str())?
            };
            let value = &left[..end];
            if value.is_empty() || value.chars().any(is_reserved) {
                return None;
            }
            values.push((name.as_str(), value));
            left = &left[end + after.len()..];
        }
        left.is_empty().then_some(values)
    }
}

/// The parameters of an address that has expressions in it, which are passed over.
pub fn names_in(text: &str) -> Vec<String> {
    let plain = without_expressions(text, "x");
    let names = plain.split('{').skip(1);
    let names = names.filter_map(|piece| piece.split_once('}').map(|(name, _)| name));
    names
        .filter(|name| is_name(name))
        .map(str::to_owned)
        .collect()
}

/// The address with a text in the place of each expression.
pub fn without_expressions(text: &str, instead: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = ["{{", "{%", "{#"].iter().filter_map(|b| rest.find(b)).min() {
        plain.push_str(&rest[..start]);
        let close = match rest.get(start..start + 2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            _ => "#}",
        };
        if close == "}}" {
            plain.push_str(instead);
        }
        rest = match rest[start + 2..].find(close) {
            Some(end) => &rest[start + 2 + end + 2..],
            None => "",
        };
    }
    plain.push_str(rest);
    plain
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a character is never part of an encoded value.
fn is_reserved(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '%') || !c.is_ascii())
}

/// Checks what an address begins with.
pub(super) fn scheme(text: &str) -> Result<(), &'static str> {
    let Some((scheme, _)) = text.split_once(':') else {
        return Err("an address begins with a scheme and `:`");
    };
    let first = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !first || !scheme.chars().all(plain) {
        return Err("the scheme of an address is small letters, digits, `+`, `-` and `.`");
    }
    Ok(())
}

fn literal(text: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '}' | '"' | '<' | '>' | '\\');
    if !text.chars().all(fits) {
        return Err(
            "an address has only characters that a URI may have: others are percent-encoded",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        let two = UriTemplate::parse("a://x/{one}-of/{two}.md").unwrap();
        assert_eq!(two.names().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!((two.head(), two.is_plain()), ("a://x/", false));
        let made = two.expand(|name| format!("{name}%20"));
        assert_eq!(made, "a://x/one%20-of/two%20.md");
        assert_eq!(
            two.values(&made),
            Some(vec![("one", "one%20"), ("two", "two%20")])
        );
        assert_eq!(
            two.values("a://x/1-of-of/b.md.md"),
            Some(vec![("one", "1-of"), ("two", "b.md")])
        );
        for other in [
            "a://x/1/2.md",
            "a://x/-of/2.md",
            "a://x/1-of/.md",
            "a://x/1/3-of/2.md",
            "a://x/1-of/2/3.md",
            "a://x/1-of/2.mdx",
            "b://x/1-of/2.md",
            "",
        ] {
            assert_eq!(two.values(other), None, "{other}");
        }
        let plain = UriTemplate::parse("a://x").unwrap();
        assert!(plain.is_plain());
        assert_eq!(plain.values("a://x"), Some(Vec::new()));
        assert_eq!(plain.values("a://x/"), None);
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (text, part) in [
            ("channels", "scheme"),
            ("{x}://a", "scheme"),
            ("A://a", "scheme"),
            ("a://{x", "no `}`"),
            ("a://{X}", "`{X}`"),
            ("a://{+x}", "`{+x}`"),
            ("a://{x}{y}", "told apart"),
            ("a://{x}-{y}", "told apart"),
            ("a://{x}/{x}", "twice"),
            ("a://b c", "characters"),
            ("a://é", "characters"),
            ("a://}", "characters"),
        ] {
            let error = UriTemplate::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn expressions_hide_no_parameters() {
        let text = "a://{{ {'x': 1} }}/{one}{# {no} #}/{% if a %}{two}{% endif %}";
        assert_eq!(names_in(text), ["one", "two"]);
        assert_eq!(without_expressions("a://{{ b }}/{c}", "x"), "a://x/{c}");
        assert_eq!(without_expressions("a://{{ b", "x"), "a://x");
    }
}
