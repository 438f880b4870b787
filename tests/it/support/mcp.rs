//! An agent: a real MCP client (rmcp) with a gateway of its own over stdio.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, CustomNotification, ResourceUpdatedNotificationParam, Tool,
};
use rmcp::service::{NotificationContext, RoleClient, RunningService, ServiceError, ServiceExt};
use rmcp::transport::TokioChildProcess;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::LIMIT;
use super::place::Place;

/// What a client is told unasked: method and parameters, in order.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<(String, Value)>>>);

impl Told {
    /// All of it so far.
    pub fn all(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().clone()
    }
}

impl ClientHandler for Told {
    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _context: NotificationContext<RoleClient>,
    ) {
        let params = notification.params.unwrap_or_default();
        self.0.lock().unwrap().push((notification.method, params));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let method = "notifications/tools/list_changed";
        let told = (method.to_owned(), Value::Null);
        self.0.lock().unwrap().push(told);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let method = "notifications/resources/list_changed";
        let told = (method.to_owned(), Value::Null);
        self.0.lock().unwrap().push(told);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let method = "notifications/resources/updated";
        let told = (method.to_owned(), serde_json::json!({ "uri": params.uri }));
        self.0.lock().unwrap().push(told);
    }
}

/// A client and its gateway. Dropping it kills the gateway.
pub struct Agent {
    /// The client, for what is not a tool call.
    pub client: RunningService<RoleClient, Told>,
    /// The tools as they were listed last.
    pub tools: Vec<Tool>,
    /// The gateway's process.
    pub pid: u32,
    stderr: Arc<Mutex<String>>,
}

/// What a call answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The structured result; null without one.
    pub structured: Value,
    /// Whether the tool says that it failed.
    pub error: bool,
}

impl Agent {
    /// With the default config.
    pub async fn at(place: &Place) -> Self {
        Self::start(place.command(&["serve"])).await
    }

    /// With the default config, and a handle.
    pub async fn named(place: &Place, handle: &str) -> Self {
        let agent = Self::at(place).await;
        let args = serde_json::json!({ "handle": handle });
        agent.ok("warp_handle_set", args).await;
        agent
    }

    /// With this command.
    pub async fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let (process, pipe) = TokioChildProcess::builder(command)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = process.id().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        tokio::spawn(keep(pipe.unwrap(), Arc::clone(&stderr)));
        let client = timeout(LIMIT, Told::default().serve(process)).await;
        let client = client.expect("initialize takes too long").unwrap();
        let tools = timeout(LIMIT, client.list_all_tools()).await;
        Self {
            tools: tools.expect("tools/list takes too long").unwrap(),
            client,
            pid,
            stderr,
        }
    }

    /// Lists the tools anew.
    pub async fn list(&mut self) {
        let tools = timeout(LIMIT, self.client.list_all_tools()).await;
        self.tools = tools.expect("tools/list takes too long").unwrap();
    }

    /// Calls a tool. A structured result must fit the tool's output schema.
    pub async fn call(&self, tool: &str, args: Value) -> Answer {
        let answer = self.try_call(tool, args).await;
        answer.unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    /// The same with a gateway that may be killed: an error when there is no answer.
    pub async fn try_call(&self, tool: &str, args: Value) -> Result<Answer, ServiceError> {
        let mut request = CallToolRequestParams::new(tool.to_owned());
        request.arguments = args.as_object().cloned();
        let result = timeout(LIMIT, self.client.call_tool(request)).await;
        let result = result.unwrap_or_else(|_| panic!("{tool} takes too long"))?;
        let texts = result.content.iter().filter_map(|block| block.as_text());
        let answer = Answer {
            text: texts.map(|block| block.text.as_str()).collect(),
            structured: result.structured_content.unwrap_or_default(),
            error: result.is_error == Some(true),
        };
        if !answer.error {
            self.check(tool, &answer);
        }
        Ok(answer)
    }

    /// Calls a tool that must succeed.
    pub async fn ok(&self, tool: &str, args: Value) -> Answer {
        let answer = self.call(tool, args).await;
        assert!(!answer.error, "{tool}: {}", answer.text);
        answer
    }

    /// Calls a tool that must fail, and gives its text.
    pub async fn refused(&self, tool: &str, args: Value) -> String {
        let answer = self.call(tool, args.clone()).await;
        assert!(answer.error, "{tool} {args}: {}", answer.text);
        assert_eq!(answer.structured, Value::Null);
        answer.text
    }

    /// What the client was told unasked, once it is so much.
    pub async fn told(&self, count: usize) -> Vec<(String, Value)> {
        let waiting = async {
            loop {
                let told = self.client.service().all();
                if told.len() >= count {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = timeout(LIMIT, waiting).await;
        told.unwrap_or_else(|_| panic!("only {:?}", self.client.service().all()))
    }

    /// What the gateway wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Ends the session in order.
    pub async fn close(mut self) {
        self.client.close().await.unwrap();
    }

    fn check(&self, tool: &str, answer: &Answer) {
        let listed = self.tools.iter().find(|t| t.name == tool).unwrap();
        let Some(schema) = &listed.output_schema else {
            return;
        };
        let schema = Value::Object((**schema).clone());
        let errors: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(&answer.structured)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{tool}: {errors:?} in {answer:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- stderr of gateway {}\n{}", self.pid, self.stderr());
        }
    }
}

async fn keep(mut pipe: tokio::process::ChildStderr, into: Arc<Mutex<String>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes[..count]);
        into.lock().unwrap().push_str(&text);
    }
}
