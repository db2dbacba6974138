// Uses a host as programs with ioredis do. Arguments: TCP port, path of the Unix socket, path of an engine to reload.

const assert = require('node:assert');
const { Redis } = require('ioredis');

const [port, path, library] = process.argv.slice(2);
const sockets = [{ host: '127.0.0.1', port: Number(port) }, { path }];

async function connect(socket, protocol) {
  const client = new Redis({ ...socket, protocol, lazyConnect: true, retryStrategy: null });
  client.on('error', (error) => { throw error; });
  await client.connect();
  return client;
}

async function plain(client) {
  await client.flushall();
  assert.strictEqual(await client.ping(), 'PONG');
  assert.strictEqual(await client.set('a', '1'), 'OK');
  assert.strictEqual(await client.get('a'), '1');
  assert.strictEqual(await client.get('none'), null);
  assert.strictEqual(await client.set('a', '2', 'NX'), null);
  assert.strictEqual(await client.incrby('a', 41), 42);
  assert.strictEqual(await client.append('a', 'x'), 3);
  assert.strictEqual(await client.exists('a', 'a', 'none'), 2);
  assert.strictEqual(await client.mset({ one: 1, two: 2 }), 'OK');
  assert.deepStrictEqual(await client.mget('one', 'none', 'two'), ['1', null, '2']);
  assert.deepStrictEqual((await client.keys('*o*')).sort(), ['one', 'two']);
  assert.strictEqual(await client.type('a'), 'string');
  assert.strictEqual(await client.del('a', 'none'), 1);
  assert.strictEqual(await client.dbsize(), 2);
  assert.match(await client.info(), /engine_name:/);
  assert.deepStrictEqual(await client.config('GET', 'maxclients'), ['maxclients', '10000']);
  await assert.rejects(client.call('NOSUCH'), /unknown command/);
  await client.set('text', 'x');
  await assert.rejects(client.incr('text'), /not an integer/);
}

async function binary(client) {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await client.set(all, all);
  assert.ok(all.equals(await client.getBuffer(all)));
  await client.set('', '');
  assert.strictEqual(await client.get(''), '');
  const large = Buffer.alloc(3_000_000, '\r\n$');
  await client.set('large', large);
  assert.ok(large.equals(await client.getBuffer('large')));
  await client.del(all, '', 'large');
}

async function pipelines(client) {
  const pipeline = client.pipeline();
  for (let number = 0; number < 1000; number += 1) {
    pipeline.set(`key:${number}`, number).get(`key:${number}`);
  }
  const replies = await pipeline.exec();
  replies.forEach(([error, reply], index) => {
    assert.strictEqual(error, null);
    assert.strictEqual(reply, index % 2 ? String((index - 1) / 2) : 'OK');
  });
  const found = new Set();
  for await (const keys of client.scanStream({ match: 'key:*', count: 100 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.strictEqual(found.size, 1000);
  // An error in the middle is its own request's only.
  const mixed = await client.pipeline().set('text', 'x').incr('text').get('text').exec();
  assert.match(mixed[1][0].message, /not an integer/);
  assert.deepStrictEqual(mixed[2], [null, 'x']);
}

async function transactions(client, other) {
  const done = await client.multi().set('t', 1).incr('t').get('t').exec();
  assert.deepStrictEqual(done, [[null, 'OK'], [null, 2], [null, '2']]);
  // Somebody else writes between WATCH and EXEC.
  await client.watch('t');
  await other.set('t', '100');
  assert.strictEqual(await client.multi().set('t', 3).exec(), null);
  assert.strictEqual(await client.get('t'), '100');
  await client.watch('t');
  assert.deepStrictEqual(await client.multi().incr('t').exec(), [[null, 101]]);
}

async function messages(client) {
  const subscriber = client.duplicate();
  const got = [];
  let tell;
  const note = (...what) => { got.push(what.join(' ')); tell?.(); };
  subscriber.on('message', (channel, text) => note('message', channel, text));
  subscriber.on('pmessage', (pattern, channel, text) => note(pattern, channel, text));
  assert.strictEqual(await subscriber.subscribe('news', 'more'), 2);
  assert.strictEqual(await subscriber.psubscribe('n?w*'), 3);
  assert.strictEqual(await client.publish('news', 'first'), 2);
  assert.strictEqual(await client.publish('new', 'second'), 1);
  assert.strictEqual(await client.publish('old', 'none'), 0);
  while (got.length < 3) await new Promise((resolve) => { tell = resolve; });
  assert.deepStrictEqual(got.sort(), ['message news first', 'n?w* new second', 'n?w* news first']);
  await subscriber.unsubscribe('news', 'more');
  await subscriber.punsubscribe('n?w*');
  assert.strictEqual(await client.publish('news', 'nobody'), 0);
  await subscriber.quit();
}

/** All connections go on while the engine is exchanged, and afterwards, with what they have set and subscribed to. */
async function reload(clients) {
  const [first] = clients;
  const subscriber = first.duplicate();
  const message = new Promise((resolve) => { subscriber.on('message', (_, text) => resolve(text)); });
  await subscriber.subscribe('reloads');
  const ids = await Promise.all(clients.map((client) => client.client('ID')));
  await first.set('count', 0);
  let done = false;
  const load = clients.map(async (client) => {
    let sent = 0;
    while (!done || sent < 100) {
      await client.incr('count');
      sent += 1;
    }
    return sent;
  });
  const other = first.duplicate();
  await other.call('ENGINE', 'RELOAD', library);
  done = true;
  const sent = (await Promise.all(load)).reduce((all, one) => all + one, 0);
  assert.strictEqual(await first.get('count'), String(sent));
  assert.deepStrictEqual(await Promise.all(clients.map((client) => client.client('ID'))), ids);
  assert.strictEqual(await other.publish('reloads', 'done'), 1);
  assert.strictEqual(await message, 'done');
  await Promise.all([subscriber.quit(), other.quit()]);
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
      await other.quit();
      await messages(client);
      clients.push(client);
    }
  }
  await reload(clients);
  await clients[0].flushall();
  await Promise.all(clients.map((client) => client.quit()));
  console.log(`ioredis ${require('ioredis/package.json').version}: ok`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
