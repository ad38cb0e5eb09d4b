"""A client that behaves as the tutorial's for active-active on open-source Redis: the control that shows
each of its holes on real servers. Written from the description of its behaviour, with nothing but the standard
library.

    python3 tutorial.py DC LOCAL_PORT REMOTE_PORT TIMEOUT_SECONDS

It reads a command a line from its input, as JSON, and answers each with a line of JSON. `start` begins a call,
`step` lets it go on to its next request, so that a test decides what happens between any two of
them; `run` does both until it ends.
"""

import json
import socket
import sys
import time


class Refused(Exception):
    """The connection is refused or breaks: redis.ConnectionError."""


class Timeout(Exception):
    """No answer in time: redis.TimeoutError, which is no ConnectionError."""


class ErrorReply(Exception):
    """The server answers with an error: redis.ResponseError, which is no ConnectionError."""


class Server:
    """A connection that is made when it is needed."""

    def __init__(self, port, timeout):
        self.port, self.timeout, self.stream = port, timeout, None

    def request(self, *words):
        try:
            if self.stream is None:
                self.stream = socket.create_connection(("127.0.0.1", self.port), self.timeout)
                self.reader = self.stream.makefile("rb")
            self.stream.sendall(pack(words))
            return self.reply()
        except socket.timeout:
            self.close()
            raise Timeout()
        except (OSError, EOFError):
            self.close()
            raise Refused()

    def close(self):
        if self.stream is not None:
            self.stream.close()
        self.stream = None

    def reply(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ErrorReply(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"*":
            return [self.reply() for _ in range(length)]
        body = self.reader.read(length + 2)
        if len(body) < length + 2:
            raise EOFError()
        return body[:-2].decode()


def pack(words):
    encoded = [str(word).encode() for word in words]
    head = b"*%d\r\n" % len(encoded)
    return head + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


class ActiveActiveRedis:
    """Each method is a generator that yields before every request but its first."""

    def __init__(self, dc, local, remote):
        self.dc, self.local, self.remote = dc, local, remote

    def set(self, key, value, timestamp=None):
        timestamp = time.time() if timestamp is None else timestamp
        data = {
            "value": value,
            "timestamp": timestamp,
            "dc": self.dc,
            "version": f"{self.dc}:{timestamp}",
        }
        yield from self.set_if_newer(self.local, key, data)
        yield
        yield from self.propagate(key, data)
        return data

    def propagate(self, key, data):
        try:
            yield from self.set_if_newer(self.remote, key, data)
        except Refused:
            self.local.request("LPUSH", "sync_queue", json.dumps({"key": key, "data": data}))

    def set_if_newer(self, server, key, data):
        stored = server.request("GET", key)
        yield
        if stored is not None:
            stored = json.loads(stored)
            if stored["timestamp"] > data["timestamp"]:
                return
            if stored["timestamp"] == data["timestamp"] and stored["dc"] > data["dc"]:
                return
        server.request("SET", key, json.dumps(data))

    def get(self, key):
        stored = self.local.request("GET", key)
        return None if stored is None else json.loads(stored)["value"]
        yield

    def sync_pending(self):
        """Works until the queue is empty."""
        done = 0
        while True:
            item = self.local.request("RPOP", "sync_queue")
            if item is None:
                return done
            yield
            item = json.loads(item)
            yield from self.propagate(item["key"], item["data"])
            done += 1


class CRDTCounter:
    def __init__(self, dc, local, remote):
        self.dc, self.local, self.remote = dc, local, remote

    def increment(self, key, amount=1):
        field = f"p:{self.dc}" if amount >= 0 else f"n:{self.dc}"
        return self.local.request("HINCRBY", f"counter:{key}", field, abs(amount))
        yield

    def value(self, key):
        fields = self.fields(self.local, key)
        return sum(sign(name) * int(number) for name, number in fields.items())
        yield

    def fields(self, server, key):
        flat = server.request("HGETALL", f"counter:{key}")
        return dict(zip(flat[::2], flat[1::2]))

    def merge(self, key):
        """Brings the other site's larger numbers here."""
        for name, number in self.fields(self.remote, key).items():
            yield
            own = self.local.request("HGET", f"counter:{key}", name)
            yield
            if own is None or int(number) > int(own):
                self.local.request("HSET", f"counter:{key}", name, number)


def sign(name):
    return {"p:": 1, "n:": -1}.get(name[:2], 0)


def step(calls, identity):
    try:
        next(calls[identity])
        return {"ended": False}
    except StopIteration as end:
        return {"ended": True, "result": end.value}
    except (Refused, Timeout, ErrorReply) as error:
        return {"ended": True, "error": type(error).__name__}


def main():
    dc, local, remote, timeout = sys.argv[1:]
    servers = Server(int(local), float(timeout)), Server(int(remote), float(timeout))
    objects = {
        "store": ActiveActiveRedis(dc, *servers),
        "counter": CRDTCounter(dc, *servers),
    }
    calls = {}
    for line in sys.stdin:
        command = json.loads(line)
        identity = command.get("call", "only")
        if command["do"] != "step":
            method = getattr(objects[command["on"]], command["method"])
            calls[identity] = method(*command["arguments"])
        answer = step(calls, identity)
        limit = command.get("steps", 100000)
        while command["do"] == "run" and not answer["ended"] and limit > 0:
            answer = step(calls, identity)
            limit -= 1
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
