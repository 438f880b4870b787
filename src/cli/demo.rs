//! `jacquard demo`: two agents, each an MCP session of a gateway of its own, talk and work together through JetStream.

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
}

/// An agent of the demo: the client of an MCP session, by its name.
struct Agent {
    name: &'static str,
    client: RunningService<RoleClient, ()>,
}

impl Agent {
    /// Starts `jacquard serve` as an MCP client would.
    async fn start(nats: &Nats, folder: &Path, name: &'static str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--project").arg(folder);
        command.env("LOG_LEVEL", "warn");
        // The demo has a project and agents of its own, whatever this shell is set up for.
        for name in [
            "JACQUARD_CONFIG",
            "JACQUARD_PROJECT",
            "LOOMINAL_PROJECT_ID",
            "LOOMINAL_AGENT_ID",
            "LOOMINAL_SUBAGENT_TYPE",
        ] {
            command.env_remove(name);
        }
        if let Some(server) = &nats.local {
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
        let client = ().serve(process).await?;
        Ok(Self { name, client })
    }

    /// Calls a tool, shows the call and its reply, and answers with the structured result.
    async fn call(&self, tool: &'static str, arguments: Value) -> Outcome<Value> {
        say(&format!("{} → {tool} {arguments}", self.name));
        let mut request = CallToolRequestParams::new(tool);
        request.arguments = arguments.as_object().cloned();
        let result = self.client.call_tool(request).await?;
        let text: Vec<&str> = result
            .content
            .iter()
            .filter_map(|block| block.as_text().map(|t| t.text.as_str()))
            .collect();
        let text = text.join("\n");
        for line in text.lines() {
            say(format!("    {line}").trim_end());
        }
        say("");
        if result.is_error == Some(true) {
            return Err(format!("{tool} failed: {text}").into());
        }
        Ok(result.structured_content.unwrap_or_default())
    }
}

async fn talk(nats: &Nats, folder: &Path) -> Outcome<()> {
    let planner = Agent::start(nats, folder, "planner").await?;
    let builder = Agent::start(nats, folder, "builder").await?;
    say("Two agents, each an MCP session of its own gateway on that NATS.\n");
    meet(&planner, &builder).await?;
    post(&planner, &builder).await?;
    work(&planner, &builder).await?;
    planner.client.cancel().await?;
    builder.client.cancel().await?;
    Ok(())
}

/// They register, one finds the other and writes to it.
async fn meet(planner: &Agent, builder: &Agent) -> Outcome<()> {
    let planning = json!({"agentType": "planner", "capabilities": ["planning"]});
    planner.call("warp_registry_register", planning).await?;
    let building = json!({"agentType": "builder", "capabilities": ["frontend"]});
    builder.call("warp_registry_register", building).await?;
    let wanted = json!({"capability": "frontend"});
    let found = planner.call("warp_registry_discover", wanted).await?;
    let guid = found
        .pointer("/agents/0/guid")
        .ok_or("the planner does not see the builder")?;
    let message = json!({"recipientGuid": guid, "message": "Have you time for the login page?"});
    planner.call("warp_messages_send_direct", message).await?;
    builder.call("warp_messages_read_direct", json!({})).await?;
    Ok(())
}

/// They post to a channel, which is then read page by page.
async fn post(planner: &Agent, builder: &Agent) -> Outcome<()> {
    for (agent, text) in [
        (planner, "Sprint 5: the login page first"),
        (builder, "I have time for the login page"),
        (planner, "Good. The tests are in tests/login"),
    ] {
        let arguments = json!({"channel": "roadmap", "message": text});
        agent.call("warp_channels_send", arguments).await?;
    }
    let page = json!({"channel": "roadmap", "limit": 2});
    let newest = builder.call("warp_channels_read", page).await?;
    if let Some(cursor) = newest.get("nextCursor").and_then(Value::as_str) {
        let page = json!({"channel": "roadmap", "limit": 2, "cursor": cursor});
        builder.call("warp_channels_read", page).await?;
    }
    let channel = json!({"channel": "roadmap"});
    planner.call("warp_channels_status", channel).await?;
    Ok(())
}

/// One offers work, the other claims and completes it.
async fn work(planner: &Agent, builder: &Agent) -> Outcome<()> {
    let offer = json!({"taskId": "login-page", "description": "Build the login page", "requiredCapability": "frontend"});
    planner.call("warp_work_broadcast", offer).await?;
    let wanted = json!({"capability": "frontend"});
    let claim = builder.call("warp_work_claim", wanted).await?;
    let token = claim.get("token").ok_or("the builder gets no work")?;
    let done = json!({"token": token});
    builder.call("warp_work_complete", done).await?;
    let queue = json!({"capability": "frontend"});
    planner.call("warp_work_queue_status", queue).await?;
    Ok(())
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
