"""Uses a host as programs with redis-py do. Arguments: TCP port, path of the Unix socket, whether entries can expire."""

import sys

import redis

ALL_BYTES = bytes(range(256))


def clients(port, path):
    """A client for each protocol and transport that this redis-py knows."""
    protocols = [2, 3] if int(redis.__version__.split(".")[0]) >= 5 else [2]
    for protocol in protocols:
        yield redis.Redis(host="127.0.0.1", port=port, protocol=protocol)
        yield redis.Redis(unix_socket_path=path, protocol=protocol)


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


def main():
    port, path, expires = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "true"
    for client in clients(port, path):
        plain(client)
        binary(client)
        pipelines(client)
        transactions(client, redis.Redis(host="127.0.0.1", port=port))
        (expiry if expires else no_expiry)(client)
        assert client.flushall() is True
        client.close()
    print(f"redis-py {redis.__version__}: ok")


main()
