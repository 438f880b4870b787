// A client made with the second generation of the official TypeScript SDK, driven by lines of JSON.
//
//     client.mjs ERA stdio COMMAND [ARGUMENT…]
//     client.mjs ERA http URL
//
// ERA is `legacy` (it begins with `initialize`) or `auto` (it asks the server what it speaks, and takes the latest).
//
// Prints `{"ready": …}` when the session is open. Each line of input is `{"id": …, "do": …}`, answered by a line
// `{"id": …, "ok": …}` or `{"id": …, "error": …}`, in any order. Notifications are printed as `{"notification": …}`, progress of a
// call as `{"progress": …, "of": ID}`, and what the server asks as `{"asked": METHOD, "params": …}`.

import { createInterface } from "node:readline";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [era, how, ...rest] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const transport =
  how === "stdio"
    ? new StdioClientTransport({ command: rest[0], args: rest.slice(1), env: process.env, stderr: "inherit" })
    : new StreamableHTTPClientTransport(new URL(rest[0]));
const client = new Client(
  { name: "sdk-test", version: "2" },
  {
    capabilities: { sampling: {}, elicitation: { form: {} }, roots: {} },
    versionNegotiation: { mode: era },
  },
);
client.fallbackNotificationHandler = async (notification) => say({ notification });
client.onerror = (error) => console.error(`client: ${error}`);

// What the client answers, by the method that asks.
let answers = {};
for (const method of ["elicitation/create", "sampling/createMessage", "roots/list"]) {
  client.setRequestHandler(method, async (request) => {
    say({ asked: method, params: request.params ?? {} });
    return answers[method];
  });
}

await client.connect(transport);
say({
  ready: {
    protocolVersion: client.getNegotiatedProtocolVersion(),
    capabilities: client.getServerCapabilities(),
    serverInfo: client.getServerVersion(),
    instructions: client.getInstructions(),
  },
});

// Calls that can be cancelled, and subscriptions that can be closed, by the ids of their requests.
const running = new Map();
const verbs = {
  list: () => client.listTools(),
  call: ({ id, tool, arguments: args, watch }) => {
    const abort = new AbortController();
    running.set(id, abort);
    const onprogress = watch ? (progress) => say({ progress, of: id }) : undefined;
    const options = { signal: abort.signal, onprogress };
    return client.callTool({ name: tool, arguments: args }, options).finally(() => running.delete(id));
  },
  cancel: async ({ of }) => running.get(of).abort("enough"),
  ping: () => client.ping(),
  session: async () => transport.sessionId ?? null,
  prompts: () => client.listPrompts(),
  prompt: ({ name, arguments: args }) => client.getPrompt({ name, arguments: args }),
  complete: ({ ref, argument }) => client.complete({ ref, argument }),
  resources: () => client.listResources(),
  templates: () => client.listResourceTemplates(),
  read: ({ uri }) => client.readResource({ uri }),
  subscribe: ({ uri }) => client.subscribeResource({ uri }),
  listen: async ({ id, filter }) => {
    const subscription = await client.listen(filter);
    running.set(id, subscription);
    return subscription.honoredFilter;
  },
  close: ({ of }) => running.get(of).close(),
  answers: async ({ answers: given }) => {
    answers = given;
  },
};

async function answer(request) {
  try {
    say({ id: request.id, ok: (await verbs[request.do](request)) ?? {} });
  } catch (error) {
    say({ id: request.id, error: { code: error.code ?? null, message: `${error.message ?? error}` } });
  }
}

const tasks = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const task = answer(JSON.parse(line)).finally(() => tasks.delete(task));
  tasks.add(task);
}
await Promise.all(tasks);
if (how === "http" && transport.sessionId) await transport.terminateSession();
await client.close();
