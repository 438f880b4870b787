//! `jacquard demo`: two agents, each an MCP session of a gateway of its own, talk through JetStream.

use std::error::Error;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService, ServiceExt};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{fail, runtime, say};
use crate::bus::local::{LocalServer, Notice, Options};
use crate::gateway::full;

/// The project of the demo: a namespace of its own, whose messages go after an hour.
const PROJECT: &str = r#"{
  "namespace": "jacquard-demo",
  "channels": [{"name": "roadmap", "description": "What we build next", "maxAge": "1h"}]
}
"#;

type Client = RunningService<RoleClient, ()>;
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub fn run() -> ExitCode {
    let outcome = runtime()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(demo()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(full(error.as_ref())),
    }
}

async fn demo() -> Outcome<()> {
    let nats = Nats::find().await?;
    let folder = std::env::temp_dir().join(format!("jacquard-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(".loominal-config.json"), PROJECT)?;
    let outcome = talk(&nats, &folder).await;
    let cleaned = std::fs::remove_dir_all(&folder);
    if let Some(server) = nats.local {
        server.leave().await?;
    }
    outcome?;
    cleaned?;
    next_steps()
}

/// The NATS of the demo: the one that is configured, or a local server.
struct Nats {
    local: Option<LocalServer>,
}

impl Nats {
    async fn find() -> Outcome<Self> {
        if std::env::var_os("NATS_URL").is_some_and(|url| !url.is_empty()) {
            say("NATS: the server of NATS_URL");
            return Ok(Self { local: None });
        }
        let mut options = Options::from_env()?;
        options.supervisor = std::env::current_exe().ok();
        let tell = |notice: Notice| eprintln!("jacquard: {notice}");
        let server = LocalServer::join(options, &tell).await?;
        say(&format!(
            "NATS: a local nats-server {} at {}, data in {}",
            server.version(),
            server.url(),
            server.data_dir().display()
        ));
        Ok(Self {
            local: Some(server),
        })
    }

    /// Starts an agent: `jacquard serve` as an MCP client would.
    async fn agent(&self, folder: &Path) -> Outcome<Client> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--project").arg(folder);
        command
            .env_remove("JACQUARD_CONFIG")
            .env("LOG_LEVEL", "warn");
        if let Some(server) = &self.local {
            // The local server takes its own token and no other login.
            for name in ["NATS_USER", "NATS_PASS", "NATS_NKEY_SEED", "NATS_CREDS"] {
                command.env_remove(name);
            }
            command
                .env("NATS_URL", server.url())
                .env("NATS_TOKEN", server.token());
        }
        let (process, _) = TokioChildProcess::builder(command)
            .stderr(Stdio::inherit())
            .spawn()?;
        Ok(().serve(process).await?)
    }
}

async fn talk(nats: &Nats, folder: &Path) -> Outcome<()> {
    let planner = nats.agent(folder).await?;
    let builder = nats.agent(folder).await?;
    say("Two agents, each an MCP session of its own gateway on that NATS.\n");
    call(
        &planner,
        "planner",
        "warp_handle_set",
        json!({"handle": "planner"}),
    )
    .await?;
    call(
        &builder,
        "builder",
        "warp_handle_set",
        json!({"handle": "builder"}),
    )
    .await?;
    for (client, who, text) in [
        (&planner, "planner", "Sprint 5: the login page first"),
        (&builder, "builder", "I take the login page"),
        (&planner, "planner", "Good. The tests are in tests/login"),
    ] {
        let arguments = json!({"channel": "roadmap", "message": text});
        call(client, who, "warp_channels_send", arguments).await?;
    }
    let page = json!({"channel": "roadmap", "limit": 2});
    let newest = call(&builder, "builder", "warp_channels_read", page).await?;
    if let Some(cursor) = newest.get("nextCursor").and_then(Value::as_str) {
        let page = json!({"channel": "roadmap", "limit": 2, "cursor": cursor});
        call(&builder, "builder", "warp_channels_read", page).await?;
    }
    call(
        &planner,
        "planner",
        "warp_channels_status",
        json!({"channel": "roadmap"}),
    )
    .await?;
    planner.cancel().await?;
    builder.cancel().await?;
    Ok(())
}

/// Calls a tool, shows the call and its reply, and answers with the structured result.
async fn call(client: &Client, who: &str, tool: &'static str, arguments: Value) -> Outcome<Value> {
    say(&format!("{who} → {tool} {arguments}"));
    let mut request = CallToolRequestParams::new(tool);
    request.arguments = arguments.as_object().cloned();
    let result = client.call_tool(request).await?;
    let text: Vec<&str> = result
        .content
        .iter()
        .filter_map(|block| block.as_text().map(|t| t.text.as_str()))
        .collect();
    let text = text.join("\n");
    for line in text.lines() {
        say(&format!("    {line}"));
    }
    say("");
    if result.is_error == Some(true) {
        return Err(format!("{tool} failed: {text}").into());
    }
    Ok(result.structured_content.unwrap_or_default())
}

fn next_steps() -> Outcome<()> {
    let program = std::env::current_exe()?;
    let entry = json!({"mcpServers": {"jacquard": {"command": program, "args": ["serve"]}}});
    say(
        "To put it into an MCP client, add this to the client's configuration (for Claude Code: .mcp.json):\n",
    );
    say(&serde_json::to_string_pretty(&entry)?);
    Ok(())
}
