//! `jacquard new`: what it makes is sound, runs at once, and takes nobody's place.

use std::path::Path;

use crate::support::place::{Done, Place};

/// Everything below the project's folder that is a file.
fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.dir().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn good(done: &Done) -> &Done {
    assert_eq!(done.code, Some(0), "{done:?}");
    done
}

fn refused(done: &Done, code: i32, part: &str) {
    assert_eq!(done.code, Some(code), "{done:?}");
    assert!(done.stderr.contains(part), "{part}\n{}", done.stderr);
}

/// The verbs that tools are made of.
fn verbs(place: &Place) -> Vec<String> {
    let done = place.run(&["new", "tool", "x", "--verb", "require"]);
    refused(&done, 2, "no tool is made of `require` alone");
    let list = done.stderr.split("Begin with one of ").nth(1).unwrap();
    let list = list.split(", and add").next().unwrap();
    let list: Vec<String> = list.split(',').map(|v| v.trim().to_owned()).collect();
    assert!(list.len() > 25, "{list:?}");
    list
}

#[test]
fn every_tool_in_one_pack_passes_its_examples() {
    let place = Place::without_nats();
    good(&place.run(&["new", "pack", "home"]));
    for verb in verbs(&place) {
        good(&place.run(&["new", "tool", &format!("my_{verb}"), "--verb", &verb]));
    }
    let tell = [
        "new",
        "tool",
        "tell",
        "--verb",
        "notify",
        "--subject",
        "desk.{who}",
    ];
    good(&place.run(&tell));
    let asked = ["--subject", "time.{zone}"];
    let ask = ["new", "tool", "ask_time", "--verb", "request"];
    good(&place.run(&[&ask[..], &asked].concat()));
    let done = place.run(&["validate", "--strict", "."]);
    good(&done);
    let done = place.run(&["test", "home"]);
    assert!(good(&done).stdout.contains("0 failed"), "{done:?}");
    assert!(!done.stdout.contains("no example"), "{done:?}");
    // What a tool needs is made once and shared by those that come after.
    assert!(
        !read(&place, "home/my_get.yaml").contains("\nbuckets:")
            || !read(&place, "home/my_put.yaml").contains("\nbuckets:")
    );
    let claiming = read(&place, "home/my_complete.yaml");
    assert!(claiming.contains("tool: my_claim,"), "{claiming}");
}

#[test]
fn every_tool_alone_in_a_pack_passes_its_examples() {
    let place = Place::without_nats();
    for verb in verbs(&place) {
        let pack = format!("p-{}", verb.replace('_', "-"));
        place.write(format!("{pack}/pack.yaml"), "pack: {title: Alone}\n");
        let new = ["new", "tool", "mine", "--verb", &verb, "--pack", &pack];
        let done = place.run(&new);
        assert!(
            good(&done)
                .stdout
                .contains("no config here has the pack yet"),
            "{done:?}"
        );
    }
    good(&place.run(&["validate", "--strict", "."]));
    let done = place.run(&["test", "."]);
    assert!(good(&done).stdout.contains("0 failed"), "{done:?}");
    assert!(read(&place, "p-complete/mine_take.yaml").contains("claim:"));
}

#[test]
fn what_is_made_can_be_called_at_once() {
    let server = crate::support::server::NatsServer::start();
    let place = Place::on(&server);
    let done = place.run(&["new", "pack", "home"]);
    let next = good(&done)
        .stdout
        .lines()
        .filter(|line| line.contains("jacquard call"));
    assert_eq!(next.count(), 1, "{done:?}");
    let call = |tool: &str, args: &[&str]| {
        place.run(&[&["call", "-c", "gateway.yaml", tool][..], args].concat())
    };
    assert_eq!(
        good(&call("home_hello", &["name=Ada"])).stdout.trim(),
        "Hello Ada!"
    );
    good(&place.run(&["new", "tool", "note_put", "--verb", "put"]));
    let done = place.run(&["new", "tool", "note_get", "--verb", "get"]);
    let told = &good(&done).stdout;
    assert!(told.contains("it uses `home` of `buckets`"), "{told}");
    assert!(
        told.contains("jacquard call -c gateway.yaml note_get key=milk"),
        "{told}"
    );
    good(&call("note_put", &["key=milk", "text=two bottles"]));
    assert_eq!(
        good(&call("note_get", &["key=milk"])).stdout.trim(),
        "two bottles"
    );
    let light = [
        "new",
        "tool",
        "light",
        "--verb",
        "publish",
        "--subject",
        "home.{room}.light",
    ];
    good(&place.run(&light));
    let done = call("light", &["room=kitchen", "text=on"]);
    assert_eq!(good(&done).stdout.trim(), "Sent on home.kitchen.light.");
}

#[test]
fn nothing_is_overwritten_and_a_config_only_gets_longer() {
    let place = Place::without_nats();
    good(&place.run(&["new", "pack", "home"]));
    refused(
        &place.run(&["new", "pack", "home"]),
        1,
        "home is there already",
    );
    place.write(
        "gateway.yaml",
        "# ours\npacks:\n  - ./home   # the first\nname: us\n",
    );
    let done = place.run(&["new", "pack", "work"]);
    assert!(
        good(&done)
            .stdout
            .contains("added ./work to the packs of gateway.yaml"),
        "{done:?}"
    );
    let config = "# ours\npacks:\n  - ./home   # the first\n  - ./work\nname: us\n";
    assert_eq!(read(&place, "gateway.yaml"), config);

    place.write("work/say.yaml", "fixtures: {}\n");
    let done = place.run(&["new", "tool", "say", "--verb", "publish", "--pack", "work"]);
    refused(&done, 1, "work/say.yaml is there already");
    assert_eq!(read(&place, "work/say.yaml"), "fixtures: {}\n");
    let done = place.run(&[
        "new",
        "tool",
        "home_hello",
        "--verb",
        "publish",
        "--pack",
        "home",
    ]);
    refused(
        &done,
        1,
        "has a tool `home_hello` already, at home/hello.yaml",
    );
}

#[test]
fn what_cannot_be_made_is_told_with_what_can() {
    let place = Place::without_nats();
    let new = |words: &[&str]| place.run(&[&["new"][..], words].concat());
    refused(
        &new(&["tool", "x", "--verb", "publsh"]),
        2,
        "did you mean `publish`",
    );
    refused(
        &new(&["tool", "x", "--verb", "get"]),
        1,
        "`jacquard new pack NAME` makes one",
    );
    refused(&new(&["pack", "Home"]), 1, "small letter first");
    refused(&new(&["pack", "warp"]), 1, "built in");
    good(&new(&["pack", "a"]));
    good(&new(&["pack", "b"]));
    refused(
        &new(&["tool", "x", "--verb", "get"]),
        1,
        "name one of them with --pack: a, b",
    );
    let a = |words: &[&str]| new(&[&["tool"][..], words, &["--pack", "a"]].concat());
    refused(&a(&["a.b", "--verb", "get"]), 1, "cannot name a tool");
    refused(
        &a(&["x", "--verb", "request", "--on", "s"]),
        1,
        "uses no stream",
    );
    refused(
        &a(&["x", "--verb", "publish", "--subject", "a..b"]),
        2,
        "a subject is words",
    );
    refused(
        &a(&["x", "--verb", "publish", "--subject", "a.{text}"]),
        1,
        "take another word",
    );
    place.write("a/more.yaml", "buckets: {one: {name: one}, two: {name: two}, of: {name: 'of_{{ who }}', params: [who]}}\n");
    refused(
        &a(&["x", "--verb", "get"]),
        1,
        "--on, or a new one: one, two, of",
    );
    refused(&a(&["x", "--verb", "get", "--on", "of"]), 1, "has `params`");
    good(&a(&["x", "--verb", "get", "--on", "two"]));
    place.write("a/broken.yaml", "tools: {y: {descrption: Y}}\n");
    refused(&a(&["z", "--verb", "get"]), 1, "did you mean `description`");
    assert!(!place.dir().join("a/z.yaml").exists());
}

#[test]
fn a_project_file_is_made_for_the_folder() {
    let place = Place::without_nats();
    refused(
        &place.run(&["new", "project"]),
        1,
        ".loominal-config.json is there already",
    );
    std::fs::remove_file(place.dir().join(".loominal-config.json")).unwrap();
    refused(
        &place.run(&["new", "project", "--namespace", "A b"]),
        1,
        "hyphens",
    );
    good(&place.run(&["new", "project"]));
    let made = read(&place, ".loominal-config.json");
    assert!(made.contains("\"namespace\": \"project\""), "{made}");
    good(&place.run(&["validate", "--strict", "."]));
    assert!(
        Path::new(&place.dir())
            .join(".loominal-config.json")
            .exists()
    );
}
