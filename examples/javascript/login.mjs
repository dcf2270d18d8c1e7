// Log in, beat, lock a sales order; Ctrl+C logs out. Nothing but mqtt.js: the wire is this simple.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import mqtt from "mqtt";

const session = randomUUID(); // one id for each login; also the MQTT client id
const here = `head-office/books/${session}`;
const say = (verb, payload, qos = 1) =>
  client.publishAsync(`whosin/v1/up/${here}/${verb}`, JSON.stringify(payload), { qos });

const client = mqtt.connect(process.argv[2] ?? "mqtt://127.0.0.1", {
  protocolVersion: 5,
  clientId: session,
  will: { topic: `whosin/v1/up/${here}/lost`, payload: "{}", qos: 1 }, // if the connection breaks
});

client.on("connect", async () => {
  await client.subscribeAsync(`whosin/v1/down/${here}/+`, { qos: 1 });
  await say("login", { user: "cat", client: "desktop", machine: hostname(), app: "Example 1.0" });
});

let beats;
const answers = {
  login({ accepted, heartbeat_every_s, message }) {
    if (!accepted) return leave(`refused: ${message}`);
    console.log(`cat is in, and beats every ${heartbeat_every_s} s`);
    clearInterval(beats);
    beats = setInterval(() => say("heartbeat", {}, 0), heartbeat_every_s * 1000);
    say("lock", { resource: "sales-order/SO-1002", activity: "amending SO-1002" });
  },
  lock: ({ resource, granted, token, holder, message }) =>
    console.log(granted ? `${resource} is mine, token ${token}` : `in use by ${holder?.user ?? message}`),
  message: ({ text, from }) => console.log(`${from}: ${text}`),
  unknown: () => say("login", { user: "cat", client: "desktop", machine: hostname() }),
  ended: ({ status, by }) => leave(`this login was ${status} by ${by}`),
};
client.on("message", (topic, payload) => answers[topic.split("/").pop()]?.(JSON.parse(payload.toString() || "{}")));

async function leave(why) {
  console.log(why);
  clearInterval(beats);
  await client.endAsync();
}
process.once("SIGINT", async () => {
  await say("logout", { reason: "Ctrl+C" });
  await leave("logged out");
});
