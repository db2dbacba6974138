"""Uses a host as programs with redis-py do.

Arguments: TCP port, path of the Unix socket, whether entries can expire, path of an engine to reload.
"""

import logging
import sys
import threading

import redis

# redis-py 5 logs each message that it gets in RESP3.
logging.disable(logging.INFO)
ALL_BYTES = bytes(range(256))


def clients(port, path):
    """A client for each protocol and transport that this redis-py knows."""
    protocols = [2, 3] if int(redis.__version__.split(".")[0]) >= 5 else [2]
    for protocol in protocols:
        # A reload takes as long as the machine is slow; redis-py 8 would send the command again after 5 s.
        yield redis.Redis(host="127.0.0.1", port=port, protocol=protocol, socket_timeout=120)
        yield redis.Redis(unix_socket_path=path, protocol=protocol, socket_timeout=120)


def plain(client):
    client.flushall()
    assert client.ping() is True
    assert client.set("a", "1") is True
    assert client.get("a") == b"1"
    assert client.get("none") is None
    assert client.set("a", "2", nx=True) is None
    assert client.set("a", "2", xx=True, get=True) == b"1"
    assert client.incr("a", 40) == 42
    assert client.decr("a") == 41
    assert client.append("a", "x") == 3
    assert client.strlen("a") == 3
    assert client.exists("a", "a", "none") == 2
    assert client.type("a") == b"string"
    assert client.delete("a", "none") == 1
    assert client.mset({"one": 1, "two": 2}) is True
    assert client.mget("one", "none", "two") == [b"1", None, b"2"]
    assert sorted(client.keys("*o*")) == [b"one", b"two"]
    assert client.dbsize() == 2
    assert client.info()["engine_name"]
    assert client.config_get("maxclients") == {"maxclients": "10000"}
    assert client.setrange("two", 3, "x") == 4
    assert client.getrange("two", 0, -1) == b"2\0\0x"
    assert client.getdel("two") == b"2\0\0x"
    assert client.client_setname("tester") is True
    assert client.client_getname() in ("tester", b"tester")
    assert client.execute_command("ENGINE", "HELP")
    try:
        client.execute_command("NOSUCH")
        raise AssertionError("an unknown command was taken")
    except redis.ResponseError as error:
        assert "unknown command" in str(error), error


def binary(client):
    client.set(ALL_BYTES, ALL_BYTES[::-1])
    assert client.get(ALL_BYTES) == ALL_BYTES[::-1]
    client.set("", "")
    assert client.get("") == b""
    large = b"\r\n" * 1_000_000
    client.set("large", large)
    assert client.get("large") == large
    client.delete(ALL_BYTES, "", "large")


def pipelines(client):
    pipeline = client.pipeline(transaction=False)
    for number in range(1_000):
        pipeline.set(f"key:{number}", number)
        pipeline.get(f"key:{number}")
    replies = pipeline.execute()
    assert replies[1::2] == [str(number).encode() for number in range(1_000)]
    found = set(client.scan_iter(match="key:*", count=100))
    assert found == {f"key:{number}".encode() for number in range(1_000)}
    # An error in the middle is its own request's only.
    pipeline = client.pipeline(transaction=False)
    pipeline.set("text", "x").incr("text").get("text")
    replies = pipeline.execute(raise_on_error=False)
    assert isinstance(replies[1], redis.ResponseError) and replies[2] == b"x", replies


def transactions(client, other):
    pipeline = client.pipeline(transaction=True)
    pipeline.set("t", 1).incr("t").get("t")
    assert pipeline.execute() == [True, 2, b"2"]

    # Somebody else writes between WATCH and EXEC.
    with client.pipeline() as pipeline:
        pipeline.watch("t")
        seen = int(pipeline.get("t"))
        other.set("t", 100)
        pipeline.multi()
        pipeline.set("t", seen + 1)
        try:
            pipeline.execute()
            raise AssertionError("the conflict was not seen")
        except redis.WatchError:
            pass
    assert client.get("t") == b"100"

    def double(pipeline):
        value = int(pipeline.get("t"))
        pipeline.multi()
        pipeline.set("t", value * 2)

    assert client.transaction(double, "t") == [True]
    assert client.get("t") == b"200"


def expiry(client):
    assert client.set("e", "v", ex=100) is True
    assert 0 < client.ttl("e") <= 100
    assert client.persist("e") is True
    assert client.ttl("e") == -1
    assert client.expire("e", 50) is True
    assert client.getex("e", persist=True) == b"v"
    assert client.pttl("none") == -2


def no_expiry(client):
    try:
        client.set("e", "v", ex=100)
        raise AssertionError("an expiry was taken")
    except redis.ResponseError as error:
        assert "lacks EXPIRY" in str(error), error


def messages(client):
    with client.pubsub() as pubsub:
        pubsub.subscribe("news")
        pubsub.psubscribe("n?w*")

        def next_one():
            message = pubsub.get_message(timeout=60)
            return message["type"], message["pattern"], message["channel"], message["data"]

        assert next_one() == ("subscribe", None, b"news", 1)
        assert next_one() == ("psubscribe", None, b"n?w*", 2)
        assert client.publish("news", ALL_BYTES) == 2
        assert client.publish("new", "second") == 1
        assert client.publish("old", "none") == 0
        assert sorted(next_one() for _ in range(2)) == [
            ("message", None, b"news", ALL_BYTES),
            ("pmessage", b"n?w*", b"news", ALL_BYTES),
        ]
        assert next_one() == ("pmessage", b"n?w*", b"new", b"second")
        assert client.pubsub_channels() == [b"news"]
        assert client.pubsub_numsub("news", "old") == [(b"news", 1), (b"old", 0)]
        assert client.pubsub_numpat() == 1
        pubsub.unsubscribe()
        assert next_one() == ("unsubscribe", None, b"news", 1)


def monitor(client):
    with client.monitor() as monitor:
        client.set("seen", "by the monitor")
        for command in monitor.listen():
            if command["command"] == "SET seen by the monitor":
                break


def server(client):
    assert client.memory_usage("one") > 0 and client.memory_usage("none") is None
    assert client.object("encoding", "one") in (b"int", "int")
    assert client.slowlog_reset() in (True, b"OK", "OK")
    slower = client.config_get("slowlog-log-slower-than")
    client.config_set("slowlog-log-slower-than", 0)
    client.set("slow", "enough")
    assert any(b"slow" in entry["command"] for entry in client.slowlog_get(10))
    client.config_set("slowlog-log-slower-than", slower["slowlog-log-slower-than"])
    assert isinstance(client.execute_command("LATENCY", "LATEST"), list)
    assert any(one["id"] == str(client.client_id()) for one in client.client_list())
    assert client.command_count() == len(client.command())
    assert client.time()[0] > 1_700_000_000


def reload(all_clients, library):
    """All connections go on while the engine is exchanged, and afterwards, with what they are subscribed to."""
    first = all_clients[0]
    first.set("count", 0)
    done = threading.Event()
    sent = [0] * len(all_clients)

    survived = [False] * len(all_clients)

    def load(place):
        # One connection of its own: a second one would hide that the first has ended.
        with all_clients[place].client() as client:
            number = client.client_id()
            while not done.is_set() or sent[place] < 100:
                client.incr("count")
                sent[place] += 1
            survived[place] = client.client_id() == number

    with first.pubsub() as pubsub:
        pubsub.subscribe("reloads")
        assert pubsub.get_message(timeout=60)["type"] == "subscribe"
        threads = [threading.Thread(target=load, args=[place]) for place in range(len(all_clients))]
        for thread in threads:
            thread.start()
        first.execute_command("ENGINE", "RELOAD", library)
        done.set()
        for thread in threads:
            thread.join()
        assert all(survived), survived
        assert int(first.get("count")) == sum(sent), sent
        assert first.publish("reloads", "done") == 1
        assert pubsub.get_message(timeout=60)["data"] == b"done"


def main():
    port, path, expires, library = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "true", sys.argv[4]
    all_clients = list(clients(port, path))
    for client in all_clients:
        plain(client)
        binary(client)
        pipelines(client)
        transactions(client, redis.Redis(host="127.0.0.1", port=port))
        (expiry if expires else no_expiry)(client)
        messages(client)
        monitor(client)
        server(client)
    reload(all_clients, library)
    assert all_clients[0].flushall() is True
    for client in all_clients:
        client.close()
    print(f"redis-py {redis.__version__}: ok")


main()
