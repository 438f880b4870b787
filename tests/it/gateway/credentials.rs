//! Passwords: the right one works, and no text ever holds one.

use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const RIGHT: &str = "r1ght-p4ssword";
const WRONG: &str = "wr0ng-p4ssword";

fn server() -> NatsServer {
    let login = format!("{{user: alice, password: \"{RIGHT}\"}}");
    NatsServer::with_config(&format!("authorization {{ users: [{login}] }}"))
}

fn url(server: &NatsServer, password: &str) -> String {
    format!("nats://alice:{password}@127.0.0.1:{}", server.port())
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_nowhere() {
    let server = server();
    let place = Place::at(&url(&server, WRONG));
    let mut command = place.command(&["serve"]);
    command.env("LOG_LEVEL", "trace");
    let agent = Agent::start(command).await;
    let mut texts = Vec::new();
    for _ in 0..5 {
        texts.push(
            agent
                .refused("warp_channels_read", json!({"channel": "roadmap"}))
                .await,
        );
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    let last = texts.last().unwrap();
    assert!(
        last.contains("refused the credentials"),
        "it says why: {last}"
    );
    let all = format!("{}{}", texts.concat(), agent.stderr());
    assert!(all.contains("127.0.0.1"), "{all}");
    assert!(!all.contains(WRONG), "{all}");

    let done = place.run(&["call", "warp_channels_read", "channel=roadmap"]);
    assert_eq!(done.code, Some(1));
    assert!(!format!("{done:?}").contains(WRONG), "{done:?}");
}

#[tokio::test]
async fn the_right_password_works_from_the_url_the_config_and_the_project_file() {
    let server = server();
    let in_url = Place::at(&url(&server, RIGHT));

    let in_config = Place::without_nats();
    let config = in_config.write(
        "c.yaml",
        &format!(
            "packs: [warp]\nnats: {{url: \"{}\", user: alice, password: \"{{{{ env.SECRET }}}}\"}}\n",
            server.url()
        ),
    );
    let in_project = Place::without_nats();
    in_project.project(&format!(
        r#"{{"namespace": "{}", "natsUrl": "{}", "channels": [{{"name": "roadmap", "description": "Plans"}}]}}"#,
        in_project.namespace,
        url(&server, RIGHT)
    ));

    for (place, args) in [
        (&in_url, vec!["serve"]),
        (&in_config, vec!["serve", "-c", config.to_str().unwrap()]),
        (&in_project, vec!["serve"]),
    ] {
        let mut command = place.command(&args);
        command.env("LOG_LEVEL", "trace").env("SECRET", RIGHT);
        let agent = Agent::start(command).await;
        agent
            .ok("warp_handle_set", json!({"handle": "alice"}))
            .await;
        let note = json!({"channel": "roadmap", "message": "Hi"});
        agent.ok("warp_channels_send", note).await;
        let stderr = agent.stderr();
        assert!(stderr.contains("connected"), "{stderr}");
        assert!(!stderr.contains(RIGHT), "{stderr}");
    }
}
