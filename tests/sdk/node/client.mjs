// A client made with the official TypeScript SDK, driven by lines of JSON.
//
//     client.mjs stdio COMMAND [ARGUMENT…]
//     client.mjs http URL
//
// Prints `{"ready": …}` when the session is open. Each line of input is `{"id": …, "do": …}`, answered by a line
// `{"id": …, "ok": …}` or `{"id": …, "error": …}`, in any order. Notifications are printed as `{"notification": …}`.

import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [how, ...rest] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const transport =
  how === "stdio"
    ? new StdioClientTransport({ command: rest[0], args: rest.slice(1), env: process.env, stderr: "inherit" })
    : new StreamableHTTPClientTransport(new URL(rest[0]));
const client = new Client({ name: "sdk-test", version: "1" });
client.fallbackNotificationHandler = async (notification) => say({ notification });
client.onerror = (error) => console.error(`client: ${error}`);

await client.connect(transport);
say({
  ready: {
    protocolVersion: transport.protocolVersion,
    capabilities: client.getServerCapabilities(),
    serverInfo: client.getServerVersion(),
    instructions: client.getInstructions(),
  },
});

const verbs = {
  list: () => client.listTools(),
  call: ({ tool, arguments: args }) => client.callTool({ name: tool, arguments: args }),
  ping: () => client.ping(),
  session: async () => transport.sessionId ?? null,
};

async function answer(request) {
  try {
    say({ id: request.id, ok: await verbs[request.do](request) });
  } catch (error) {
    say({ id: request.id, error: { code: error.code ?? null, message: error.message } });
  }
}

const running = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const task = answer(JSON.parse(line)).finally(() => running.delete(task));
  running.add(task);
}
await Promise.all(running);
if (how === "http") await transport.terminateSession();
await client.close();
