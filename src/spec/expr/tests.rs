//! Names are found where they stand.

use super::*;
use serde_json::json;

fn scope() -> Scope {
    let args = Shape::from_schema(&json!({
        "type": "object", "required": ["channel", "n", "any"],
        "properties": {
            "channel": {"type": "string"}, "n": {"type": "integer"},
            "note": {"type": "string"}, "limit": {"type": "integer", "default": 5},
            "any": {},
            "list": {"type": "array", "items": {"type": "object", "properties": {"name": {}}}, "default": []}
        }
    }));
    Scope::new().with("args", args)
}

fn problems(text: &str) -> Vec<(Code, String)> {
    let form = if text.contains("{{") || text.contains("{%") {
        Form::Template
    } else {
        Form::Bare
    };
    check(text, form, &scope())
        .0
        .into_iter()
        .map(|p| (p.code, text.get(p.range).unwrap_or("?").to_owned()))
        .collect()
}

#[test]
fn right_names_pass() {
    for good in [
        "args.channel",
        "args['channel']",
        "args.any.thing.else[0]",
        "args.limit * 2",
        "args.note is defined and args.note | length > 3",
        "{% for x in args.list %}{{ x.name | default('-') }}{{ loop.index }}{% endfor %}",
        "{% for x in args.list %}{{ 20 * loop.index0 }}{{ loop.first }}{% endfor %}",
        "{% if args.note %}{{ args.note }}{% endif %}",
        "{{ args.note | default(omit) }}",
        "{{ args.note if args.note else 'none' }}",
        "{{ now() }} {{ uuid() }}",
        "{% set x = args.n %}{{ x + 1 }}",
        "args.list | map(attribute='name') | list",
        "not args.note",
    ] {
        assert_eq!(problems(good), [], "{good}");
    }
}

#[test]
fn a_condition_may_compare_what_is_absent() {
    let found = |form| {
        check("args.note > 'x' and args.channel", form, &scope())
            .0
            .len()
    };
    assert_eq!((found(Form::Condition), found(Form::Bare)), (0, 1));
}

#[test]
fn wrong_names_are_found_where_they_stand() {
    for (text, code, at) in [
        ("args.chanel", Code::UnknownName, "chanel"),
        ("args['chanel']", Code::UnknownName, "'chanel'"),
        ("arg.channel", Code::UnknownName, "arg"),
        ("args.channel | uper", Code::UnknownFunction, "uper"),
        ("args.channel is strin", Code::UnknownFunction, "strin"),
        ("nowt()", Code::UnknownFunction, "nowt"),
        (
            "args.channel.upper()",
            Code::UnknownFunction,
            ".channel.upper",
        ),
        ("args.channel.name", Code::UnknownName, "name"),
        (
            "args.list | map(attribute='nam') | list",
            Code::UnknownName,
            "'nam'",
        ),
        ("{{ args.note }}", Code::MaybeUndefined, "note"),
        ("args.channel * 9", Code::Unbounded, "args.channel * 9"),
        (
            "{% for x in args.list %}{{ x.nam }}{% endfor %}",
            Code::UnknownName,
            "nam",
        ),
    ] {
        assert_eq!(problems(text), [(code, at.to_owned())], "{text}");
    }
}

#[test]
fn broken_syntax_is_one_problem_with_a_place() {
    for text in ["args.", "{{ args.channel", "{% if %}", "a b", "{{ x | }}"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found.first().map(|(c, _)| *c), Some(Code::Template));
    }
}
