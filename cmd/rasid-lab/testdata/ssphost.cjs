// Drives an SSP acceptor with the npm package encrypted-smiley-secure-protocol, which
// knows nothing of ours. argv: the npm directory, the line. Each line on stdin is a
// JSON command {do, args}; each on stdout is its answer or an event of a poll.
const { createRequire } = require("node:module");
const from = createRequire(process.argv[2] + "/package.json");
// The package was written for serialport 9, whose class is the module itself and whose
// native part is fetched from elsewhere at installation; 13 brings it along.
const { SerialPort } = from("serialport");
require.cache[from.resolve("serialport")].exports = class extends SerialPort {
  constructor(path, o) {
    super({ path, baudRate: o.baudRate, dataBits: o.databits, stopBits: o.stopbits, parity: o.parity });
  }
  // The package listens for an answer when the line has drained: on a line without
  // wires the answer may have come by then, and is lost until a time-out.
  drain(done) { done(); }
};
const SSP = from("encrypted-smiley-secure-protocol");
const host = new SSP({ id: 0, timeout: 2000 });
const say = (o) => process.stdout.write(JSON.stringify(o) + "\n");
let refuse = false; // the next note in escrow
const emit = host.emit.bind(host);
host.emit = (name, info) => {
  if (info) say({ event: name, info });
  if (name === "READ_NOTE" && info.channel > 0 && refuse) {
    refuse = false; // said before the next poll, which would accept the note
    host.command("REJECT_BANKNOTE").then((r) => say({ did: "REJECT_BANKNOTE", ...r }));
  }
  return emit(name, info);
};
async function obey(line) {
  const c = JSON.parse(line);
  if (c.do === "refuse") return { did: (refuse = true, c.do), status: "OK" };
  const r = c.do === "ENABLE" ? await host.enable() : c.do === "DISABLE" ? await host.disable() : await host.command(c.do, c.args);
  return { did: c.do, ...r };
}
host.open(process.argv[3]).then(async () => {
  say({ did: "open", status: "OK" });
  for await (const line of require("node:readline").createInterface({ input: process.stdin })) say(await obey(line));
  process.exit(0);
}, (e) => { console.error(e); process.exit(1); });
