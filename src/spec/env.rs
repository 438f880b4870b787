//! The expression language: Jinja as minijinja has it, with the filters, tests and functions listed here and no
//! others. The lists are what names are checked against and what the reference prints.

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, filters, tests,
};
use std::sync::Arc;

use super::{filters as own, pattern, times, token};

pub use times::now;

/// Work one rendering may do, in instructions of the template machine.
const FUEL: u64 = 2_000_000;
/// Templates with this suffix render NATS names: every placeholder is checked to be one token.
pub const TOKEN_SUFFIX: &str = "#token";

/// Filters: name and meaning.
pub const FILTERS: &[(&str, &str)] = &[
    ("abs", "the absolute value"),
    (
        "age",
        "the seconds since a time (RFC 3339), with a fraction; absent where it is not a time",
    ),
    ("bool", "the truth of a value"),
    ("capitalize", "first letter upper case, the rest lower case"),
    (
        "cell",
        "as the text of one cell of a Markdown table: no line breaks, `|` as `\\|`",
    ),
    (
        "default",
        "another value when there is none: `default(5)`; `default(omit)` leaves the key out; a second argument `true` also replaces empty values and null",
    ),
    ("dictsort", "the pairs of an object, sorted by key"),
    ("first", "the first element"),
    ("fixed", "a number with so many decimals: `fixed(2)`"),
    ("float", "as a number"),
    (
        "from_json",
        "the value of a JSON text; absent where it is none",
    ),
    ("groupby", "groups a list of objects by an attribute"),
    ("indent", "indents all lines but the first"),
    ("int", "as a whole number"),
    ("items", "the pairs of an object"),
    ("join", "the elements as one text, with a separator"),
    ("last", "the last element"),
    ("length", "how many elements or characters"),
    ("lines", "the lines of a text as a list"),
    ("list", "as a list"),
    ("lower", "in lower case"),
    (
        "map",
        "an attribute of each element, or a filter on each: `map(attribute='name')`",
    ),
    ("max", "the largest element"),
    ("min", "the smallest element"),
    ("reject", "the elements that fail a test"),
    ("rejectattr", "the objects whose attribute fails a test"),
    ("replace", "replaces one text by another"),
    ("reverse", "back to front"),
    ("round", "rounded to a number of places"),
    ("select", "the elements that pass a test"),
    ("selectattr", "the objects whose attribute passes a test"),
    (
        "sha256",
        "the SHA-256 hash of a text, in 64 hexadecimal digits",
    ),
    (
        "slug",
        "as a name of lower-case letters, digits and hyphens: blanks and `_` become `-`, all else is left out",
    ),
    ("sort", "sorted, optionally by an attribute"),
    ("split", "splits a text at a separator"),
    (
        "stream_token",
        "as the last part of a stream name: upper case, every character outside A-Z and 0-9 as `_`",
    ),
    ("string", "as a text"),
    (
        "subject_tokens",
        "in a subject or key: lets a value be several tokens, separated by dots",
    ),
    ("sum", "the sum of the elements"),
    (
        "thousands",
        "a whole number with thousands separators: `12,345`",
    ),
    (
        "time",
        "a time (RFC 3339) in UTC with milliseconds; absent where it is not a time",
    ),
    ("title", "every word with a capital letter"),
    ("tojson", "as JSON text"),
    (
        "token",
        "any text as one token of a subject or key: `a-z`, digits, `_` and `-` stay, other bytes are `=XX`",
    ),
    ("trim", "without blanks at both ends"),
    ("unique", "every element once"),
    ("untoken", "the text that `token` has made a token of"),
    ("upper", "in upper case"),
    ("urlencode", "percent-encoded"),
    (
        "uuid_from",
        "a UUID made of the first 32 hexadecimal digits of a text, such as a `sha256`",
    ),
    (
        "with_field",
        "an object with one field set to another value: `with_field('attempts', 0)`",
    ),
];

/// Tests (`x is defined`): name and meaning.
pub const TESTS: &[(&str, &str)] = &[
    ("boolean", "is true or false"),
    ("containing", "contains the argument"),
    ("defined", "has a value"),
    ("divisibleby", "is divisible by the argument"),
    ("endingwith", "ends with the argument"),
    ("eq", "equals the argument"),
    ("even", "is an even number"),
    ("false", "is false"),
    ("float", "is a number with a fraction"),
    ("ge", "is greater than or equal to the argument"),
    ("gt", "is greater than the argument"),
    ("in", "is an element of the argument"),
    ("integer", "is a whole number"),
    ("iterable", "can be looped over"),
    ("le", "is less than or equal to the argument"),
    ("lower", "is in lower case"),
    ("lt", "is less than the argument"),
    ("mapping", "is an object"),
    (
        "match",
        "is a text in which a regular expression finds a match: `match('^[a-z]+$')`; the expression is written out, not computed",
    ),
    ("ne", "differs from the argument"),
    ("none", "is null"),
    ("number", "is a number"),
    ("odd", "is an odd number"),
    ("sequence", "is a list"),
    ("startingwith", "starts with the argument"),
    ("string", "is a text"),
    ("true", "is true"),
    ("undefined", "has no value"),
    ("upper", "is in upper case"),
];

/// Functions: name and meaning.
pub const FUNCTIONS: &[(&str, &str)] = &[
    (
        "now",
        "the time, UTC, RFC 3339 with milliseconds: `2026-01-31T08:15:00.000Z`; `now(-180)` is three minutes ago",
    ),
    (
        "range",
        "whole numbers from, to (exclusive), by: at most 100,000",
    ),
    ("uuid", "a new random UUID (version 4)"),
];

/// Names that stand for a value everywhere.
pub const CONSTANTS: &[(&str, &str)] = &[(
    "omit",
    "leaves the key out of its object, or the element out of its list",
)];

/// The marker behind the name `omit`.
#[derive(Debug)]
pub struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn render(self: &Arc<Self>, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A text with `omit` in it would be a text with a hole: fail instead.
        Err(std::fmt::Error)
    }
}

/// Whether a value is the `omit` marker.
pub fn is_omit(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// A value that may be several tokens of a subject.
#[derive(Debug)]
struct Tokens(String);

impl Object for Tokens {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fresh environment with the language and nothing else.
pub fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.set_auto_escape_callback(|name| {
        if name.ends_with(TOKEN_SUFFIX) {
            AutoEscape::Custom("token".into())
        } else {
            AutoEscape::None
        }
    });
    env.set_formatter(format_value);
    add_filters(&mut env);
    add_tests(&mut env);
    env.add_function("now", times::now_and);
    env.add_function("range", minijinja::functions::range);
    env.add_function("uuid", || uuid::Uuid::new_v4().to_string());
    env.add_global("omit", Value::from_object(Omit));
    env
}

fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("abs", filters::abs);
    env.add_filter("age", times::age);
    env.add_filter("bool", filters::bool);
    env.add_filter("capitalize", filters::capitalize);
    env.add_filter("default", filters::default);
    env.add_filter("cell", own::cell);
    env.add_filter("dictsort", filters::dictsort);
    env.add_filter("first", filters::first);
    env.add_filter("fixed", own::fixed);
    env.add_filter("float", filters::float);
    env.add_filter("from_json", own::from_json);
    env.add_filter("groupby", filters::groupby);
    env.add_filter("indent", own::indent);
    env.add_filter("int", filters::int);
    env.add_filter("items", filters::items);
    env.add_filter("join", own::join);
    env.add_filter("last", filters::last);
    env.add_filter("length", filters::length);
    env.add_filter("lines", filters::lines);
    env.add_filter("list", filters::list);
    env.add_filter("lower", filters::lower);
    env.add_filter("map", filters::map);
    env.add_filter("max", filters::max);
    env.add_filter("min", filters::min);
    env.add_filter("reject", filters::reject);
    env.add_filter("rejectattr", filters::rejectattr);
    env.add_filter("replace", own::replace);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("select", filters::select);
    env.add_filter("selectattr", filters::selectattr);
    env.add_filter("sha256", own::sha256);
    env.add_filter("slug", own::slug);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("stream_token", own::stream_token);
    env.add_filter("string", filters::string);
    env.add_filter("subject_tokens", subject_tokens);
    env.add_filter("sum", filters::sum);
    env.add_filter("thousands", own::thousands);
    env.add_filter("time", times::time);
    env.add_filter("title", filters::title);
    env.add_filter("tojson", filters::tojson);
    env.add_filter("token", own::token);
    env.add_filter("trim", filters::trim);
    env.add_filter("unique", filters::unique);
    env.add_filter("untoken", token::decode);
    env.add_filter("upper", filters::upper);
    env.add_filter("urlencode", filters::urlencode);
    env.add_filter("uuid_from", own::uuid_from);
    env.add_filter("with_field", own::with_field);
}

fn add_tests(env: &mut Environment<'static>) {
    env.add_test("boolean", tests::is_boolean);
    env.add_test(
        "containing",
        |state: &State<'_, '_>, hay: &Value, needle: &Value| tests::is_in(state, needle, hay),
    );
    env.add_test("defined", tests::is_defined);
    env.add_test("divisibleby", tests::is_divisibleby);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("eq", tests::is_eq);
    env.add_test("even", tests::is_even);
    env.add_test("false", tests::is_false);
    env.add_test("float", tests::is_float);
    env.add_test("ge", tests::is_ge);
    env.add_test("gt", tests::is_gt);
    env.add_test("in", tests::is_in);
    env.add_test("integer", tests::is_integer);
    env.add_test("iterable", tests::is_iterable);
    env.add_test("le", tests::is_le);
    env.add_test("lower", tests::is_lower);
    env.add_test("lt", tests::is_lt);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("match", pattern::is_match);
    env.add_test("ne", tests::is_ne);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("odd", tests::is_odd);
    // MiniJinja's own takes what is absent for an empty list.
    env.add_test("sequence", |value: &Value| value.kind() == ValueKind::Seq);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
    env.add_test("true", tests::is_true);
    env.add_test("undefined", tests::is_undefined);
    env.add_test("upper", tests::is_upper);
}

fn subject_tokens(text: &str) -> Result<Value, Error> {
    text.split('.').try_for_each(check_token)?;
    Ok(Value::from_object(Tokens(text.to_owned())))
}

/// The roots of subjects that belong to the server.
pub const SERVER_ROOTS: &[&str] = &["$SYS", "$JS", "$KV", "$O", "_INBOX"];

/// Whether a subject lies under a root that belongs to the server; the error says which.
pub fn check_root(subject: &str) -> Result<(), Error> {
    let root = subject.split('.').next().unwrap_or_default();
    if SERVER_ROOTS.contains(&root) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("subjects under `{root}` are the server's own"),
        ));
    }
    Ok(())
}

/// Whether a text may be one token of a subject; the error says why not.
///
/// NATS splits subjects at `.` and gives `*` and `>` a meaning; blanks and control characters break its protocol.
pub fn check_token(text: &str) -> Result<(), Error> {
    let problem = if text.is_empty() {
        "is empty".to_owned()
    } else if let Some(bad) = text
        .chars()
        .find(|c| matches!(c, '.' | '*' | '>') || c.is_whitespace() || c.is_control())
    {
        format!("contains {bad:?}")
    } else {
        return Ok(());
    };
    let shown: String = text.chars().take(64).collect();
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "{shown:?} cannot be one token of a NATS subject or key: it {problem} \
             (no dots, wildcards, blanks or control characters)"
        ),
    ))
}

fn format_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if matches!(state.auto_escape(), AutoEscape::Custom(kind) if kind == "token") {
        return format_token(out, value);
    }
    match value.kind() {
        // JSON is what a reader of a text expects of an object or a list.
        ValueKind::Map
        | ValueKind::Seq
        | ValueKind::Iterable
        | ValueKind::Bool
        | ValueKind::None => {
            let text = serde_json::to_string(value).map_err(|e| {
                Error::new(ErrorKind::InvalidOperation, "value has no JSON form").with_source(e)
            })?;
            out.write_str(&text).map_err(Error::from)
        }
        _ if is_omit(value) => Err(Error::new(
            ErrorKind::InvalidOperation,
            "`omit` leaves a whole key out and cannot be part of a text",
        )),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn format_token(out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    if let Some(tokens) = value.downcast_object_ref::<Tokens>() {
        return out.write_str(&tokens.0).map_err(Error::from);
    }
    match value.kind() {
        ValueKind::String | ValueKind::Number => {
            let text = value.to_string();
            check_token(&text)?;
            out.write_str(&text).map_err(Error::from)
        }
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a NATS subject or key cannot be made from a value of type {kind}"),
        )),
    }
}

#[cfg(test)]
mod check {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use minijinja::context;

    #[test]
    fn every_listed_name_exists_and_no_other() {
        let env = environment();
        let mut state = env.empty_state();
        for (name, _) in FILTERS {
            let error = state.apply_filter(name, &[]).map(|_| ());
            assert!(
                !matches!(&error, Err(e) if e.kind() == ErrorKind::UnknownFilter),
                "filter {name}"
            );
        }
        for (name, _) in TESTS {
            let error = state.perform_test(name, &[]);
            assert!(
                !matches!(&error, Err(e) if e.kind() == ErrorKind::UnknownTest),
                "test {name}"
            );
        }
        for (name, _) in FUNCTIONS {
            let call = format!(
                "{{{{ {name}({}) }}}}",
                if *name == "range" { "1" } else { "" }
            );
            assert!(env.render_str(&call, ()).is_ok(), "function {name}");
        }
        assert!(env.render_str("{{ 1 | pprint }}", ()).is_err());
    }

    #[test]
    fn a_placeholder_is_one_token() {
        let mut env = environment();
        env.add_template_owned("s#token", "a.{{ x }}.b").unwrap();
        let render = |x: &str| env.get_template("s#token").unwrap().render(context!(x));
        assert_eq!(render("ok-1_é").unwrap(), "a.ok-1_é.b");
        for bad in [
            "", "a.b", "*", ">", "a b", "a\tb", "a\nb", "\u{0}", "a\u{a0}b",
        ] {
            assert!(render(bad).is_err(), "accepted {bad:?}");
        }
        env.add_template_owned("m#token", "a.{{ x | subject_tokens }}")
            .unwrap();
        let many = |x: &str| env.get_template("m#token").unwrap().render(context!(x));
        assert_eq!(many("b.c").unwrap(), "a.b.c");
        assert!(many("b..c").is_err() && many("b.>").is_err());
    }

    #[test]
    fn texts_show_json_and_refuse_holes() {
        let env = environment();
        assert_eq!(
            env.render_str(
                "{{ x }} {{ x[:1] }} {{ true }} {{ none }} {{ range(2) }}",
                context!(x => vec![1, 2])
            )
            .unwrap(),
            "[1,2] [1] true null [0,1]"
        );
        assert!(env.render_str("a {{ omit }}", ()).is_err());
        assert_eq!(
            env.render_str("{{ 1234567 | thousands }} {{ 12|thousands }}", ())
                .unwrap(),
            "1,234,567 12"
        );
        assert_eq!(
            env.render_str("{{ 'code-review' | stream_token }}", ())
                .unwrap(),
            "CODE_REVIEW"
        );
    }

    #[test]
    fn work_is_bounded() {
        let env = environment();
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(env.render_str(endless, ()).is_err());
    }
}
