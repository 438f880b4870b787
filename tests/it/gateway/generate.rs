//! Tools made from documents, as the language's own page shows it.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};

/// The blocks of the page's section: the document, the pack and the config.
fn blocks() -> [String; 3] {
    let page = include_str!("../../../docs/spec-language.md");
    let (_, section) = page.split_once("\n## Generated tools\n").unwrap();
    let block = |(index, text): (usize, &str)| (index % 2 == 1).then(|| text.to_owned());
    let blocks: Vec<String> = section.split("```").enumerate().filter_map(block).collect();
    let body = |text: &String| text.split_once('\n').unwrap().1.to_owned();
    let bodies: Vec<String> = blocks.iter().take(3).map(body).collect();
    bodies.try_into().unwrap()
}

/// What the page tells to write.
fn written(place: &Place) -> String {
    let [document, pack, config] = blocks();
    place.write("billing.yaml", &document);
    place.write("services/services.yaml", &pack);
    let config = place.write("jacquard.yaml", &config);
    config.to_str().unwrap().to_owned()
}

/// A service that answers with what it was asked.
async fn service(server: &NatsServer) -> async_nats::Client {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut asked = client.subscribe("shop.billing.make").await.unwrap();
    let replies = client.clone();
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            let text = format!("{} x {}", body["order"], body["copies"]);
            replies
                .publish(message.reply.unwrap(), text.into())
                .await
                .unwrap();
        }
    });
    settled(&client).await;
    client
}

#[tokio::test]
async fn a_document_that_names_a_subject_is_a_tool() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = written(&place);
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    let tools = agent.client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0].name, "ask_bill");
    assert_eq!(
        Value::Object((*tools[0].input_schema).clone())["required"],
        json!(["order", "copies"])
    );
    let order = json!({"order": "7", "copies": 2});
    let silent = agent.call("ask_bill", order.clone()).await;
    assert!(silent.error && silent.text == "The service bill is not there.");
    let _service = service(&server).await;
    assert_eq!(agent.ok("ask_bill", order).await.text, "\"7\" x 2");
    let wrong = agent
        .call("ask_bill", json!({"order": "7", "copies": 0}))
        .await;
    assert!(
        wrong.error && wrong.text.contains("`copies`"),
        "{}",
        wrong.text
    );
}

#[test]
fn broken_documents_stop_the_start_at_their_lines() {
    let place = Place::without_nats();
    let config = written(&place);
    let listed = place.run(&["tools", "-c", &config]);
    let line = "ask_bill  Makes the bill of an order.\n";
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), line));
    let [document, _, _] = blocks();
    place.write("billing.yaml", &document.replace("takes:", "take:"));
    for command in ["tools", "serve"] {
        let refused = place.run(&[command, "-c", &config]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for part in [
            "billing.yaml:4:1",
            "unknown key `take`",
            "did you mean `takes`?",
        ] {
            assert!(refused.stderr.contains(part), "{}", refused.stderr);
        }
    }
    place.write("billing.yaml", "");
    std::fs::remove_file(place.dir().join("billing.yaml")).unwrap();
    let refused = place.run(&["tools", "-c", &config]);
    for part in ["jacquard.yaml:3:", "there is no document billing.yaml"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
