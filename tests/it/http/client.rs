//! The client of rmcp over streamable HTTP.

use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService, ServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{desk, serve};
use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::mcp::Told;
use crate::support::place::Place;
use crate::support::server::NatsServer;

type Client = RunningService<RoleClient, Told>;

async fn connect(url: &str) -> Client {
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = timeout(LIMIT, Told::default().serve(transport)).await;
    client.expect("initialize takes too long").unwrap()
}

/// The text that a tool answers with.
async fn said(client: &Client, tool: &'static str, args: Value) -> String {
    let mut request = CallToolRequestParams::new(tool);
    request.arguments = args.as_object().cloned();
    let result = timeout(LIMIT, client.call_tool(request)).await;
    let result = result.expect("an answer in time").unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    result.content[0].as_text().unwrap().text.clone()
}

/// The texts of the pushes, once there are so many.
async fn pushed(client: &Client, count: usize) -> Vec<Value> {
    let waiting = async {
        loop {
            let told = client.service().all();
            if told.len() >= count {
                return told.into_iter().map(|(_, p)| p["text"].clone()).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let told = timeout(LIMIT, waiting).await;
    told.unwrap_or_else(|_| panic!("only {:?}", client.service().all()))
}

#[tokio::test]
async fn is_served_and_hears_what_is_pushed_over_a_restart() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut served = serve(&place);
    let client = connect(&served.url).await;
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "desk_who"));
    said(&client, "desk_name", json!({"name": "ada"})).await;
    assert_eq!(said(&client, "desk_who", json!({})).await, "ada plain");
    let unknown = client.call_tool(CallToolRequestParams::new("desk_none"));
    let error = unknown.await.unwrap_err().to_string();
    assert!(error.contains("there is no tool `desk_none`"), "{error}");
    for number in 0..5 {
        said(&client, "desk_say", json!({"text": number.to_string()})).await;
    }
    assert_eq!(pushed(&client, 5).await, ["0", "1", "2", "3", "4"]);

    // Somebody else speaks while this one's gateway is gone.
    let other = serve(&place);
    served.kill();
    let speaker = Web::begin(&other.url).await;
    for text in ["5", "6"] {
        speaker.said("desk_say", json!({"text": text})).await;
    }
    let address = served.address().to_owned();
    let served = Served::at(&address, &place, &["-c", &desk(&place)]);
    assert_eq!(pushed(&client, 7).await[5..], ["5", "6"]);
    assert_eq!(said(&client, "desk_who", json!({})).await, "ada plain");
    speaker.said("desk_say", json!({"text": "7"})).await;
    assert_eq!(pushed(&client, 8).await[7..], ["7"]);
    served.has_sessions(1).await;
    client.cancel().await.unwrap();
    served.has_sessions(0).await;
}
