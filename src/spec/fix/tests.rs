#![allow(clippy::unwrap_used)]

use super::*;
use crate::spec::config;
use crate::spec::files::PackFiles;
use crate::spec::load::load;

fn spec(text: &str) -> Fixed {
    let fixed = run(text, Kind::Spec);
    let again = run(fixed.source.text(), Kind::Spec);
    assert_eq!(again.source, fixed.source);
    assert!(again.told.is_empty(), "{:?}", again.told);
    fixed
}

fn run(text: &str, kind: Kind) -> Fixed {
    fixed(Source::new("a.yaml", text), kind, |source| match kind {
        Kind::Spec => {
            let files = PackFiles {
                specs: vec![source.clone()],
                ..PackFiles::default()
            };
            load(&files).1
        }
        _ => config::load(source.clone(), None).1,
    })
}

#[test]
fn misspelt_keys_are_mended_and_nothing_around_them() {
    let before = "\
# A tool.
tols:   # all of them
  t:
    descripton: 'It''s fine'   # one word
    input: {type: object, propertis: {a: {type: string, minlength: 1}}}
    steps:
      # tells
      - \"publsh\": {subject: x, paylod: y}
        As:   told
    reply: {text: ok}
";
    let after = before
        .replace("tols", "tools")
        .replace("descripton", "description")
        .replace("propertis", "properties")
        .replace("minlength", "minLength")
        .replace("publsh", "publish")
        .replace("paylod", "payload")
        .replace("As:", "as:");
    let fixed = spec(before);
    assert_eq!(fixed.source.text(), after);
    assert_eq!(fixed.told[0], "2: `tols` is now `tools`");
    assert_eq!(fixed.told.len(), 7, "{:?}", fixed.told);
    assert!(
        fixed
            .told
            .contains(&"8: `\"publsh\"` is now `\"publish\"`".to_owned())
    );
}

#[test]
fn what_leaves_a_doubt_stays() {
    for text in [
        // The right key is there already, or both of two would become it.
        "tools: {t: {description: x, descripton: y, reply: {text: ok}}}\n",
        "tools: {t: {descripton: x, desciption: y, reply: {text: ok}}}\n",
        // `get`, `set` and `put` are as near.
        "tools: {t: {description: x, steps: [{pet: {}}], reply: {text: ok}}}\n",
        "tools: {t: {description: x, colour: y, reply: {text: ok}}}\n",
        // An escape hides the name.
        "tools: {t: {description: x, \"repl\\u0079y\": {text: ok}}}\n",
        "tools: [\n",
        "",
    ] {
        assert_eq!(spec(text).source.text(), text);
    }
}

#[test]
fn keys_of_a_tool_get_the_order_of_the_language_with_their_comments() {
    let before = "\
tools:
  t:
    # What it says.
    # In two lines.
    reply: {text: ok}   # here

    steps:
    - publish: {subject: x, payload: |-
          a
          # no comment
          b}
    input:
      type: object
      # inside
    title: T
    description: >-
      D

      E

  # The next one.
  u: {reply: {text: 'it''s, {fine}'}, description: \"a, \\\"b\\\"\", title: it's}
";
    // A block scalar cannot stand in a flow mapping: the file is refused, and stays.
    assert_eq!(run(before, Kind::Spec).source.text(), before);
    let before = before.replace(
        "|-\n          a\n          # no comment\n          b}",
        "a}",
    );
    let after = "\
tools:
  t:
    title: T
    description: >-
      D

      E
    input:
      type: object
      # inside
    steps:
    - publish: {subject: x, payload: a}
    # What it says.
    # In two lines.
    reply: {text: ok}   # here

  # The next one.
  u: {title: it's, description: \"a, \\\"b\\\"\", reply: {text: 'it''s, {fine}'}}
";
    let fixed = spec(&before);
    assert_eq!(fixed.source.text(), after);
    assert_eq!(
        fixed.told,
        [
            "3: the keys of `t` are now in the order of the language",
            "19: the keys of `u` are now in the order of the language"
        ]
    );
}

#[test]
fn an_order_that_would_change_the_meaning_is_left() {
    for text in [
        // The anchor must come first.
        "tools:\n  t:\n    reply: {text: &a ok}\n    description: *a\n",
        // The blank lines at the end belong to the text.
        "tools:\n  t:\n    reply: {text: ok}\n    description: |+\n      a\n\n\n",
    ] {
        assert_eq!(spec(text).source.text(), text);
    }
    let last = "tools:\n  t:\n    reply: {text: ok}\n    description: a";
    let after = "tools:\n  t:\n    description: a\n    reply: {text: ok}";
    assert_eq!(spec(last).source.text(), after);
}

#[test]
fn tools_that_are_generated_are_ordered_too() {
    let before = "generate:\n  g:\n    from: micro\n    name: n\n    tool:\n      reply: {text: ok}\n      description: D\n";
    let after = before.replace(
        "      reply: {text: ok}\n      description: D\n",
        "      description: D\n      reply: {text: ok}\n",
    );
    assert_eq!(spec(before).source.text(), after);
}

#[test]
fn variables_of_a_config_are_written_in_the_new_way() {
    for (before, after) in [
        ("\"{{ env.A }}\"", "\"${A}\""),
        ("'{{env.A_1}}'", "'${A_1}'"),
        (
            "\"nats://{{ env.H | default('localhost') }}:{{ env.P }}\"",
            "\"nats://${H:-localhost}:${P}\"",
        ),
        ("'{{ env.A | default(\"x y\") }}'", "'${A:-x y}'"),
        ("'{{ env.A | default(''x'') }}'", "'${A:-x}'"),
        ("\"{{ env.A | default('') }}\"", "\"${A:-}\""),
    ] {
        let text = |value: &str| format!("packs: [warp] # {before}\nnats: {{password: {value}}}\n");
        let fixed = run(&text(before), Kind::Config);
        assert_eq!(fixed.source.text(), text(after));
        assert!(run(&text(after), Kind::Config).told.is_empty());
    }
}

#[test]
fn variables_in_what_needs_an_expression_stay() {
    for value in [
        "\"{{ env.A | upper }}\"",
        "\"{{ env.A }}{{ env.B | default(omit) }}\"",
        "\"{% if env.A %}x{% endif %}{{ env.A }}\"",
        "\"{{ env.A | default('a}b') }}\"",
        "\"{{ env.A | default(5) }}\"",
        "\"${B}{{ env.A }}\"",
        "\"${{ env.A }}\"",
    ] {
        let text = format!("packs: [warp]\nnats: {{password: {value}}}\n");
        assert_eq!(run(&text, Kind::Config).source.text(), text);
    }
    // No config of ours.
    let text = "tools: {t: \"{{ env.A }}\"}\n";
    assert_eq!(run(text, Kind::Config).source.text(), text);
}

#[test]
fn what_is_said_of_a_variable_does_not_tell_its_default() {
    let text = "packs: [warp]\nnats: {password: \"{{ env.A | default('hunter2') }}\"}\n";
    let told = run(text, Kind::Config).told;
    assert_eq!(told, ["2: `{{ env.A }}` is now `${A}`"]);
}
