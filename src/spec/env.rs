//! The expression language: Jinja as minijinja has it, with the filters, tests and functions of
//! [`vocabulary`](super::vocabulary) and no others.

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, filters, tests,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{coding, filters as own, lists, pattern, times, token};

pub use times::now;

/// Work one rendering may do, in instructions of the template machine.
const FUEL: u64 = 2_000_000;
/// Templates with this suffix render NATS names: every placeholder is checked to be one token.
pub const TOKEN_SUFFIX: &str = "#token";

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
    add_own_filters(&mut env);
    add_tests(&mut env);
    env.add_function("now", times::now_and);
    env.add_function("now_ms", times::now_ms);
    env.add_function("range", minijinja::functions::range);
    env.add_function("serial", serial);
    env.add_function("uuid", || uuid::Uuid::new_v4().to_string());
    env.add_global("omit", Value::from_object(Omit));
    env
}

fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("abs", filters::abs);
    env.add_filter("bool", filters::bool);
    env.add_filter("capitalize", filters::capitalize);
    env.add_filter("default", filters::default);
    env.add_filter("dictsort", filters::dictsort);
    env.add_filter("first", filters::first);
    env.add_filter("float", filters::float);
    env.add_filter("groupby", filters::groupby);
    env.add_filter("int", filters::int);
    env.add_filter("items", filters::items);
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
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("select", filters::select);
    env.add_filter("selectattr", filters::selectattr);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("string", filters::string);
    env.add_filter("sum", filters::sum);
    env.add_filter("title", filters::title);
    env.add_filter("tojson", filters::tojson);
    env.add_filter("trim", filters::trim);
    env.add_filter("unique", filters::unique);
    env.add_filter("upper", filters::upper);
    env.add_filter("urlencode", filters::urlencode);
}

fn add_own_filters(env: &mut Environment<'static>) {
    env.add_filter("age", times::age);
    env.add_filter("base64", coding::base64);
    env.add_filter("base64url", coding::base64url);
    env.add_filter("cell", own::cell);
    env.add_filter("clock", times::clock);
    env.add_filter("fixed", own::fixed);
    env.add_filter("from_base64url", coding::from_base64url);
    env.add_filter("from_json", coding::from_json);
    env.add_filter("from_ms", times::from_ms);
    env.add_filter("indent", own::indent);
    env.add_filter("join", own::join);
    env.add_filter("json", coding::json);
    env.add_filter("reachable", lists::reachable);
    env.add_filter("replace", own::replace);
    env.add_filter("sha256", own::sha256);
    env.add_filter("slug", own::slug);
    env.add_filter("stream_token", own::stream_token);
    env.add_filter("subject_tokens", subject_tokens);
    env.add_filter("thousands", own::thousands);
    env.add_filter("time", times::time);
    env.add_filter("token", own::token);
    env.add_filter("untoken", token::decode);
    env.add_filter("unwind", lists::unwind);
    env.add_filter("utf16_length", coding::utf16_length);
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
    env.add_test("like", pattern::is_like);
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

/// `serial()`: unique in this process.
fn serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
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
    use crate::spec::vocabulary::{FILTERS, FUNCTIONS, TESTS};
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
    fn a_serial_is_used_once() {
        let env = environment();
        let text = env.render_str("{{ [serial(), serial()] }}", ()).unwrap();
        let used: Vec<u64> = serde_json::from_str(&text).unwrap();
        assert!(used[0] < used[1], "{text}");
    }

    #[test]
    fn work_is_bounded() {
        let env = environment();
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(env.render_str(endless, ()).is_err());
    }
}
