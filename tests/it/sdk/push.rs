//! What a gateway sends unasked: heard once and in order, over stdio, and over HTTP also by a client whose connections break.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::sdk::{Client, Era, Sdk};
use crate::support::server::NatsServer;

const PACK: &str = r#"
pack: {name: board, title: A board, capabilities: {experimental: {"acme/board": {}}}}
streams:
  posts: {name: sdk-posts, subjects: ["sdk.posts.*"]}
listeners:
  posts:
    stream: posts
    steps:
      - notify: {method: notifications/acme/board, params: {content: "{{ item.data.text }}"}}
tools:
  post:
    description: Posts to the board.
    input:
      type: object
      required: [text]
      properties: {text: {type: string}}
    steps:
      - publish: {stream: posts, subject: sdk.posts.all, payload: {text: "{{ args.text }}"}}
        as: posted
    reply: {text: "Post {{ posted.seq }}."}
"#;

fn place(server: &NatsServer) -> Place {
    let place = Place::on(server);
    place.write("board/board.yaml", PACK);
    place.write("board.yaml", "packs: [./board]\n");
    place
}

/// The next post that the client hears is this one.
fn hears(client: &mut Client, text: &str) {
    let heard = client.notification();
    assert_eq!(heard["method"], "notifications/acme/board");
    assert_eq!(heard["params"], json!({"content": text}), "{heard}");
}

#[test]
fn over_stdio() {
    let server = NatsServer::start();
    let place = place(&server);
    let serve = ["serve", "--config", "board.yaml"];
    // The second generation for Python drops what MCP does not know.
    for sdk in [Sdk::Python, Sdk::Node, Sdk::Node2(Era::Old)] {
        let mut client = Client::stdio(sdk, &place, &serve);
        let told = &client.ready["capabilities"]["experimental"];
        assert_eq!(*told, json!({"acme/board": {}}));
        let posts: Vec<String> = (1..=5).map(|number| format!("post {number}")).collect();
        for post in &posts {
            client.ok("post", json!({"text": post}));
        }
        for post in &posts {
            hears(&mut client, post);
        }
        client.close();
    }
}

/// Stands between a client and a gateway, and can break what goes through it.
struct Between {
    url: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Between {
    fn start(gateway: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let target = gateway
            .trim_start_matches("http://")
            .trim_end_matches("/mcp")
            .to_owned();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let all = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    all.lock().unwrap().push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { url, open }
    }

    /// Ends every connection.
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn goes_on(sdk: Sdk, breaks: usize) {
    let server = NatsServer::start();
    let place = place(&server);
    let gateway = Served::start(&place, &["--config", "board.yaml"]);
    let between = Between::start(&gateway.url);
    let mut client = Client::http(sdk, &place, &between.url);
    let mut other = Client::http(sdk, &place, &gateway.url);
    let mut posts = Vec::new();
    let mut post = |other: &mut Client| {
        let text = format!("post {}", posts.len());
        other.ok("post", json!({"text": text}));
        posts.push(text.clone());
        text
    };
    for _ in 0..breaks {
        let text = post(&mut other);
        hears(&mut client, &text);
        between.cut();
        let missed = [post(&mut other), post(&mut other)];
        for text in &missed {
            hears(&mut client, text);
        }
    }
    for text in &posts {
        hears(&mut other, text);
    }
    // A session's calls go on beside its stream.
    client.ok("post", json!({"text": "the last"}));
    for reader in [&mut client, &mut other] {
        hears(reader, "the last");
    }
    client.close();
    other.close();
}

/// This SDK gives its stream up for good when it breaks a second time.
#[test]
fn over_http_python_misses_nothing() {
    goes_on(Sdk::Python, 1);
}

#[test]
fn over_http_node_misses_nothing() {
    goes_on(Sdk::Node, 3);
}
