// The npm package alor-api, unchanged, put through its paces.
//
// usage: node alor_api_client.cjs PACKAGE URL
// PACKAGE is the folder that it is in, URL where tokens and REST are; the WebSocket is at URL/ws. Prints one JSON line of
// what it saw; what the package itself prints goes to standard error.

const [, , folder, url] = process.argv;
console.log = console.warn = console.error;
const { AlorApi } = require(folder);

const ENOUGH = 5;
const seen = { data: {} };

function enough(name, count) {
  return new Promise((resolve) => {
    seen.data[name] = [];
    const handler = (data) => {
      seen.data[name].push(data);
      if (seen.data[name].length >= count) resolve();
    };
    enough.handlers[name] = handler;
  });
}
enough.handlers = {};

async function main() {
  const api = new AlorApi({
    token: "refresh",
    endpoint: url,
    authEndpoint: url,
    wssEndpoint: url.replace("http", "ws") + "/ws",
  });
  seen.refreshed = Object.keys(await api.refreshToken());
  seen.card = await api.instruments.getSecurityByExchangeAndSymbol({ exchange: "MOEX", symbol: "SBER" });
  const board = { query: "", exchange: "MOEX", instrumentGroup: "RFUD", limit: 3, format: "Simple" };
  seen.board = await api.instruments.getSecurities(board);
  seen.page = await api.instruments.getSecuritiesByExchange({ exchange: "MOEX", market: "FORTS", limit: 2, offset: 1 });
  const sber = { exchange: "MOEX", code: "SBER", instrumentGroup: "TQBR" };
  const future = { exchange: "MOEX", code: "CNY-12.26" };
  const from = Math.floor(Date.now() / 1000) - 300;
  const wanted = {
    books: ["orderBook", { ...sber, depth: 5, format: "Simple" }],
    slim: ["orderBook", { ...sber, depth: 5, format: "Slim", frequency: 10 }],
    trades: ["alltrades", { ...future, depth: 2, format: "Simple" }],
    quotes: ["quotes", { ...sber, format: "Simple" }],
    candles: ["candles", { ...sber, tf: 60, from, format: "Simple" }],
    parts: ["candles", { ...sber, tf: "15", from, skipHistory: false, format: "Slim" }],
    days: ["candles", { ...sber, tf: "D", from: from - 5 * 86400, format: "Heavy" }],
  };
  const done = Object.keys(wanted).map((name) => enough(name, ENOUGH));
  const leave = {};
  for (const [name, [feed, request]] of Object.entries(wanted))
    leave[name] = await api.subscriptions[feed](request, enough.handlers[name]);
  await Promise.all(done);
  await leave.books();
  const books = seen.data.books.length;
  const trades = seen.data.trades.length;
  while (seen.data.trades.length < trades + ENOUGH) await new Promise((resolve) => setTimeout(resolve, 20));
  seen.afterUnsubscribe = seen.data.books.length - books;
  try {
    await api.subscriptions.orderBook({ ...sber, code: "NOPE" }, () => {});
  } catch (error) {
    seen.unknown = error;
  }
  process.stdout.write(JSON.stringify(seen) + "\n", () => process.exit(0));
}

setTimeout(() => process.exit(3), 60000);
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
