//! Whatever is wrong with files, arguments and settings is said on standard error, with a code in brackets, a place
//! and a way out; the exit code tells a script; standard output stays empty where a client might read it.

use std::time::Duration;

use crate::support::place::{Done, Place, run};

/// A pack with one tool, whose description is followed by these lines.
fn tool(lines: &str) -> String {
    format!("pack: {{name: mine}}\ntools:\n  t:\n    description: Does it.\n{lines}")
}

/// Everything that must be in the text is.
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

/// A spec is refused by `validate` and by a gateway that serves it, in the same words.
fn refused(spec: &str, parts: &[&str]) {
    let place = Place::without_nats();
    place.write("mine/tools.yaml", spec);
    let config = place.write("c.yaml", "packs: [./mine]\n");
    let config = config.to_str().unwrap();
    let validated = place.run(&["validate", "mine"]);
    assert_eq!(validated.code, Some(1), "{validated:?}");
    says(&validated.stderr, parts);
    says(&validated.stdout, &["1 error(s)"]);
    for args in [
        &["serve", "-c", config][..],
        &["tools", "-c", config],
        &["call", "-c", config, "t"],
    ] {
        let done = place.run(args);
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        assert_eq!(done.stdout, "", "{args:?}");
        says(&done.stderr, parts);
    }
}

#[test]
fn an_unknown_verb_is_pointed_at_with_the_one_that_was_meant() {
    let steps = "    steps:\n      - publsh: {subject: x, payload: y}\n    reply: {text: ok}\n";
    let parts = [
        "error[unknown-key]",
        "mine/tools.yaml:6:9",
        "did you mean `publish`?",
    ];
    refused(&tool(steps), &parts);
}

#[test]
fn an_unknown_name_in_an_expression_is_pointed_at() {
    let lines = "    input: {type: object, required: [name], properties: {name: {type: string}}}\n    reply: {text: \"{{ args.nme }}\"}\n";
    refused(
        &tool(lines),
        &[
            "error[unknown-name]",
            "mine/tools.yaml:6:28",
            "did you mean `name`?",
        ],
    );
    let lines = "    reply: {text: \"{{ sesion.id }}\"}\n";
    refused(
        &tool(lines),
        &["error[unknown-name]", "mine/tools.yaml:5:23", "`session`"],
    );
    let lines = "    reply: {text: \"{{ 'a' | uper }}\"}\n";
    refused(
        &tool(lines),
        &["error[unknown-function]", "did you mean `upper`?"],
    );
    let lines = "    steps:\n      - get: {bucket: notes, key: k}\n    reply: {text: ok}\n";
    refused(
        &tool(lines),
        &["error[unknown-resource]", "mine/tools.yaml:6:23", "notes"],
    );
}

#[test]
fn a_template_that_does_not_compile_is_pointed_at() {
    for bad in [
        "{{ 1 + }}",
        "{% if %}",
        "{{ unclosed",
        "{% for x %}{% endfor %}",
    ] {
        let lines = format!("    reply: {{text: \"{bad}\"}}\n");
        refused(&tool(&lines), &["error[template]", "mine/tools.yaml:5:"]);
    }
}

#[test]
fn a_schema_that_is_none_is_pointed_at() {
    let lines =
        "    input: {type: object, properties: {name: {type: strin}}}\n    reply: {text: ok}\n";
    refused(&tool(lines), &["error[bad-schema]", "mine/tools.yaml:5:53"]);
}

#[test]
fn malformed_yaml_is_pointed_at() {
    for (bad, at) in [
        ("pack: {name: a\ntools: [\n", "mine/tools.yaml:2"),
        ("tools:\n  t:\n   - a\n  b: c\n", "mine/tools.yaml:"),
        ("pack: \"open\n", "mine/tools.yaml:"),
        ("pack: {name: a}\npack: {name: b}\n", "mine/tools.yaml:2:1"),
        ("a: *nowhere\n", "mine/tools.yaml:1:4"),
    ] {
        let place = Place::without_nats();
        place.write("mine/tools.yaml", bad);
        let done = place.run(&["validate", "mine"]);
        assert_eq!(done.code, Some(1), "{bad:?}: {done:?}");
        says(&done.stderr, &["error[", at]);
    }
}

#[test]
fn a_yaml_bomb_is_defused_quickly() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (from, to) in ('a'..='m').zip('b'..='n') {
        let aliases = vec![format!("*{from}"); 9].join(",");
        bomb.push_str(&format!("{to}: &{to} [{aliases}]\n"));
    }
    let deep = format!("a: {}{}\n", "[".repeat(50_000), "]".repeat(50_000));
    let wide = format!("a: [{}]\n", "x,".repeat(2_000_000));
    for bad in [bomb, deep, wide] {
        let place = Place::without_nats();
        place.write("mine/tools.yaml", &bad);
        let done = place.run(&["validate", "mine"]);
        assert_eq!(done.code, Some(1));
        says(&done.stderr, &["error[syntax]"]);
        assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
        assert!(done.stderr.len() < 5_000, "{} bytes", done.stderr.len());
    }
}

#[test]
fn a_tool_of_two_packs_names_both_places() {
    let place = Place::without_nats();
    for pack in ["one", "two"] {
        let spec = tool("    reply: {text: ok}\n").replace("mine", pack);
        place.write(format!("{pack}/tools.yaml"), &spec);
    }
    let config = place.write("c.yaml", "packs: [./one, ./two]\n");
    for args in [["validate", "."], ["tools", "-c"], ["serve", "-c"]] {
        let target = if args[1] == "." {
            vec![]
        } else {
            vec![config.to_str().unwrap()]
        };
        let done = place.run(&[&args[..], &target].concat());
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        says(
            &done.stderr,
            &[
                "error[duplicate]",
                "one/tools.yaml:3:3",
                "two/tools.yaml:3:3",
            ],
        );
    }
}

#[test]
fn an_unknown_key_of_the_project_file_is_pointed_at() {
    let place = Place::without_nats();
    place.project("{\n  \"namespace\": \"x\",\n  \"chanels\": []\n}\n");
    let parts = [
        "error[unknown-key]",
        ".loominal-config.json:3:3",
        "did you mean `channels`?",
    ];
    for args in [
        &["validate", "."][..],
        &["serve"],
        &["tools"],
        &["call", "warp_channels_list"],
    ] {
        let done = place.run(args);
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        says(&done.stderr, &parts);
        assert!(args[0] == "validate" || done.stdout.is_empty(), "{done:?}");
    }
}

#[test]
fn a_variable_of_the_config_that_is_not_set_is_named_and_not_asked_for_by_validate() {
    let place = Place::without_nats();
    let config = place.write(
        "c.yaml",
        "packs: [warp]\nnats: {token: \"{{ env.NO_SUCH }}\"}\n",
    );
    let config = config.to_str().unwrap();
    let done = place.run(&["serve", "-c", config]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    says(
        &done.stderr,
        &["error[environment]", "`NO_SUCH` is not set", "c.yaml:2:15"],
    );
    let done = place.run(&["validate", config]);
    assert_eq!(done.code, Some(0), "CI need not have it: {done:?}");
}

#[test]
fn a_broken_config_ends_serve_with_nothing_on_standard_output() {
    let place = Place::without_nats();
    for (text, parts) in [
        (
            "packs: [wrap]\n",
            &["error[unknown-resource]", "did you mean `warp`?"][..],
        ),
        ("packs: []\n", &["error[schema]", "c.yaml:1:8"]),
        (
            "pakcs: [warp]\n",
            &["error[unknown-key]", "did you mean `packs`?"],
        ),
        ("packs: [./nowhere]\n", &["error[io]", "nowhere"]),
        (
            "packs: [warp]\nsettings: {warp: {colour: red}}\n",
            &["error[", "colour"],
        ),
        (
            "packs: [warp]\nnats: {url: \"http://u:s3cret@h\"}\n",
            &["nats, tls, ws or wss"],
        ),
        (
            "packs: [warp]\nnats: {credentials: none.creds}\n",
            &["none.creds"],
        ),
        ("", &["error["]),
        ("[]\n", &["error["]),
    ] {
        let config = place.write("c.yaml", text);
        let done = place.run(&["serve", "--config", config.to_str().unwrap()]);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (Some(1), ""),
            "{text}: {done:?}"
        );
        says(&done.stderr, parts);
        assert!(!done.stderr.contains("s3cret"), "{}", done.stderr);
    }
    let mut command = place.command(&["serve"]);
    command.env("NATS_URL", "nats://u:s3cret@@:port");
    let done = run(command);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(!done.stderr.contains("s3cret"), "{}", done.stderr);
}

fn code_two(done: &Done, part: &str) {
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
    says(&done.stderr, &[part]);
}

#[test]
fn what_cannot_be_looked_at_or_understood_is_exit_code_two() {
    let place = Place::without_nats();
    code_two(
        &place.run(&["validate", "no/such/path"]),
        "no/such/path does not exist",
    );
    code_two(&place.run(&["validate"]), "<PATH>");
    std::fs::create_dir(place.dir().join("empty")).unwrap();
    code_two(&place.run(&["validate", "empty"]), "no specs");
    code_two(&place.run(&["frobnicate"]), "frobnicate");
    code_two(&place.run(&["schema", "nope"]), "spec");
    code_two(&place.run(&["serve", "--confg", "x"]), "--config");
    let missing = place.run(&["serve", "--config", "nowhere.yaml"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""));
    says(&missing.stderr, &["error[io]", "nowhere.yaml"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_holds_nothing_up() {
    let place = Place::without_nats();
    place.write("mine/tools.yaml", &tool("    reply: {text: ok}\n"));
    let pipe = place.dir().join("mine/pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_eq!(place.run(&["validate", "mine"]).code, Some(0));
    let named = place.run(&["validate", "mine/pipe.yaml"]);
    assert_eq!(named.code, Some(1));
    says(&named.stderr, &["error[io]", "not a regular file"]);
}

#[test]
fn an_expression_that_is_too_deep_to_be_walked_is_refused() {
    for text in [
        format!("{{{{ {}1 }}}}", "1 + ".repeat(20_000)),
        format!("{{{{ args.a{} }}}}", ".b".repeat(20_000)),
        format!(
            "{{% if args.a %}}{}{{% endif %}}",
            "{% elif args.a %}".repeat(20_000)
        ),
    ] {
        let place = Place::without_nats();
        let input = "    input: {type: object, required: [a], properties: {a: {}}}\n";
        place.write(
            "mine/tools.yaml",
            &tool(&format!("{input}    reply: {{text: \"{text}\"}}\n")),
        );
        let done = place.run(&["validate", "mine"]);
        assert_eq!(done.code, Some(1));
        says(&done.stderr, &["error[template]", "too complex"]);
    }
}

#[test]
fn credentials_are_covered_in_a_config_that_does_not_parse() {
    for nats in [
        "nats: {token: \"hunter2\"} \"x",
        "nats:\n  token: hunter2: x",
        "nats: {password: abc: hunter2, user: x}",
        "nats:\n  token:\n  - a: hunter2\n  url: 5",
    ] {
        let place = Place::without_nats();
        place.write("c.yaml", &format!("packs: [warp]\n{nats}\n"));
        for args in [&["validate", "c.yaml"][..], &["tools", "-c", "c.yaml"]] {
            let done = place.run(args);
            assert_eq!(done.code, Some(1), "{done:?}");
            assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
        }
    }
}
