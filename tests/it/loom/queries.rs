//! Actions of query backends as tools: what they take, and what their worker is sent.

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::worker::Plain;

const GATEWAY: &str = "
name: x
tools:
  queries:
    - backend: heddle.contrib.duckdb.query_backend.DuckDBQueryBackend
      backend_config:
        id_column: doc_id
        filter_fields: {has_tables: has_tables = ?, min_pages: pages >= ?, open: 'CAST(? AS BOOLEAN)', kind: kind = ?}
        stats_groups: [year, kind]
      actions: [search, filter, stats, get, vector_search, explain]
      name_prefix: docs
    - {backend: mine.Log, backend_config: {table_name: lines}, actions: [stats], name_prefix: log, worker_type: logs, timeout: 20}
";

/// As the original makes them.
fn expected() -> Vec<(&'static str, &'static str, Value)> {
    let limit = |most: u32| json!({"type": "integer", "description": format!("Max results (default {most}, max 100)")});
    let query = |what: &str, most| {
        let query = json!({"type": "string", "description": what});
        json!({"type": "object", "required": ["query"], "properties": {"query": query, "limit": limit(most)}})
    };
    let filter = json!({
        "has_tables": {"type": "boolean"}, "min_pages": {"type": "integer"}, "open": {"type": "boolean"},
        "kind": {"type": "string"}, "limit": limit(20)
    });
    let group = json!({"type": "string", "description": "Column to group by. Allowed: kind, year"});
    let id = json!({"type": "string", "description": "Record ID (doc_id)"});
    vec![
        (
            "docs_search",
            "Full-text search across documents",
            query("Search query text", 20),
        ),
        (
            "docs_filter",
            "Filter documents by attributes",
            json!({"type": "object", "properties": filter}),
        ),
        (
            "docs_stats",
            "Aggregate statistics for documents",
            json!({"type": "object", "properties": {"group_by": group}}),
        ),
        (
            "docs_get",
            "Get a single record from documents by ID",
            json!({"type": "object", "required": ["doc_id"], "properties": {"doc_id": id}}),
        ),
        (
            "docs_vector_search",
            "Semantic similarity search across documents",
            query("Semantic search query", 5),
        ),
        (
            "docs_explain",
            "Query action 'explain' on documents",
            json!({"type": "object"}),
        ),
        (
            "log_stats",
            "Aggregate statistics for lines",
            json!({"type": "object", "properties": {}}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_are_tools_that_one_worker_answers() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = place.write("queries.yaml", GATEWAY).display().to_string();
    let mut command = place.command(&["serve", "--config", &config]);
    command.args(["--set", "loom.subject_prefix=heddle"]);
    let agent = Agent::start(command).await;
    let listed = agent.tools.iter().map(|tool| {
        let schema = Value::Object((*tool.input_schema).clone());
        (
            tool.name.as_ref(),
            tool.description.as_deref().unwrap(),
            schema,
        )
    });
    assert_eq!(listed.collect::<Vec<_>>(), expected());

    let plain = Plain::start(&server, "heddle", &["docs_query", "logs"]).await;
    // Which action it is, the tool says.
    let args = json!({"query": "a", "action": "drop"});
    let answer = agent.ok("docs_search", args).await;
    assert_eq!(answer.structured, json!({"query": "a", "action": "search"}));
    agent.ok("log_stats", json!({})).await;
    let tasks = plain.tasks();
    let sent = tasks.iter().map(|task| {
        let fields = ["worker_type", "model_tier", "payload"];
        fields.map(|field| task[field].clone())
    });
    let wanted = [
        [
            json!("docs_query"),
            json!("local"),
            json!({"query": "a", "action": "search"}),
        ],
        [json!("logs"), json!("local"), json!({"action": "stats"})],
    ];
    assert_eq!(sent.collect::<Vec<_>>(), wanted);
    assert!(
        agent
            .refused("docs_get", json!({}))
            .await
            .contains("doc_id")
    );
}
