// Uses a host as programs with node-redis do. Arguments: TCP port, path of the Unix socket, path of an engine to reload.

const assert = require('node:assert');
const { createClient, RESP_TYPES, WatchError } = require('redis');

const [port, path, library] = process.argv.slice(2);
const sockets = [{ host: '127.0.0.1', port: Number(port) }, { path }];

async function connect(socket, RESP) {
  const client = createClient({ socket: { ...socket, reconnectStrategy: false }, RESP });
  client.on('error', (error) => { throw error; });
  return client.connect();
}

async function plain(client) {
  await client.flushAll();
  assert.strictEqual(await client.ping(), 'PONG');
  assert.strictEqual(await client.set('a', '1'), 'OK');
  assert.strictEqual(await client.get('a'), '1');
  assert.strictEqual(await client.get('none'), null);
  assert.strictEqual(await client.set('a', '2', { condition: 'NX' }), null);
  assert.strictEqual(await client.incrBy('a', 41), 42);
  assert.strictEqual(await client.append('a', 'x'), 3);
  assert.strictEqual(await client.exists(['a', 'a', 'none']), 2);
  assert.strictEqual(await client.mSet({ one: '1', two: '2' }), 'OK');
  assert.deepStrictEqual(await client.mGet(['one', 'none', 'two']), ['1', null, '2']);
  assert.deepStrictEqual((await client.keys('*o*')).sort(), ['one', 'two']);
  assert.strictEqual(await client.type('a'), 'string');
  assert.strictEqual(await client.del(['a', 'none']), 1);
  assert.strictEqual(await client.dbSize(), 2);
  assert.match(await client.info(), /engine_name:/);
  assert.strictEqual((await client.configGet('maxclients')).maxclients, '10000');
  await assert.rejects(client.sendCommand(['NOSUCH']), /unknown command/);
  await client.set('text', 'x');
  await assert.rejects(client.incr('text'), /not an integer/);
}

async function binary(client) {
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await client.set(all, all);
  assert.ok(all.equals(await bytes.get(all)));
  await client.set('', '');
  assert.strictEqual(await client.get(''), '');
  const large = Buffer.alloc(3_000_000, '\r\n$');
  await client.set('large', large);
  assert.ok(large.equals(await bytes.get('large')));
  await client.del([all, '', 'large']);
}

async function pipelines(client) {
  const numbers = Array.from({ length: 1000 }, (_, number) => String(number));
  // Calls of one turn of the event loop go out together.
  const replies = await Promise.all(numbers.flatMap((number) => [
    client.set(`key:${number}`, number), client.get(`key:${number}`),
  ]));
  assert.deepStrictEqual(replies.filter((_, index) => index % 2), numbers);
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: 'key:*', COUNT: 100 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.strictEqual(found.size, numbers.length);
}

async function transactions(client, other) {
  assert.deepStrictEqual(await client.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  // Somebody else writes between WATCH and EXEC.
  await client.watch('t');
  await other.set('t', '100');
  await assert.rejects(client.multi().set('t', '3').exec(), WatchError);
  assert.strictEqual(await client.get('t'), '100');
  await client.watch('t');
  assert.deepStrictEqual(await client.multi().incr('t').exec(), [101]);
}

async function messages(client) {
  const subscriber = await client.duplicate().connect();
  const got = [];
  let tell;
  const note = (...what) => { got.push(what); tell?.(); };
  await subscriber.subscribe('news', (text, channel) => note('news', channel, text));
  await subscriber.pSubscribe('n?w*', (text, channel) => note('n?w*', channel, text));
  assert.strictEqual(await client.publish('news', 'first'), 2);
  assert.strictEqual(await client.publish('new', 'second'), 1);
  assert.strictEqual(await client.publish('old', 'none'), 0);
  while (got.length < 3) await new Promise((resolve) => { tell = resolve; });
  assert.deepStrictEqual(got.map((one) => one.join(' ')).sort(), ['n?w* new second', 'n?w* news first', 'news news first']);
  await subscriber.unsubscribe('news');
  await subscriber.pUnsubscribe();
  assert.strictEqual(await client.publish('news', 'nobody'), 0);
  await subscriber.close();
}

/** All connections go on while the engine is exchanged, and afterwards, with what they have set and subscribed to. */
async function reload(clients) {
  const [first] = clients;
  const subscriber = await first.duplicate().connect();
  let heard;
  const message = new Promise((resolve) => { heard = resolve; });
  await subscriber.subscribe('reloads', heard);
  const ids = await Promise.all(clients.map((client) => client.clientId()));
  await first.set('count', '0');
  let done = false;
  const load = clients.map(async (client) => {
    let sent = 0;
    while (!done || sent < 100) {
      await client.incr('count');
      sent += 1;
    }
    return sent;
  });
  const other = await first.duplicate().connect();
  await other.sendCommand(['ENGINE', 'RELOAD', library]);
  done = true;
  const sent = (await Promise.all(load)).reduce((all, one) => all + one, 0);
  assert.strictEqual(await first.get('count'), String(sent));
  assert.deepStrictEqual(await Promise.all(clients.map((client) => client.clientId())), ids);
  assert.strictEqual(await other.publish('reloads', 'done'), 1);
  assert.strictEqual(await message, 'done');
  await Promise.all([subscriber.close(), other.close()]);
}

async function main() {
  const clients = [];
  for (const socket of sockets) {
    for (const protocol of [2, 3]) {
      const client = await connect(socket, protocol);
      await plain(client);
      await binary(client);
      await pipelines(client);
      const other = await connect(sockets[0], 3);
      await transactions(client, other);
      await other.close();
      await messages(client);
      clients.push(client);
    }
  }
  await reload(clients);
  await clients[0].flushAll();
  await Promise.all(clients.map((client) => client.close()));
  console.log(`node-redis ${require('redis/package.json').version}: ok`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
