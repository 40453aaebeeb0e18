# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Calls of the Abbot API, in the name of the skill that runs.

http.client and ssl are the zygote's; a connection is made for each call: a
run makes few, and a kept one would be a thing to break.  There is no
timeout: the run has one.
"""
import http.client
import json
import ssl
from urllib.parse import quote, urljoin, urlsplit

FAILED = "Failed to communicate with Abbot."
# The development servers, whose certificates nobody signed (the contract).
UNVERIFIED = ("https://localhost", "https://host.docker.internal")
MAX_REDIRECTS = 30	# as many as the existing runner follows
# status: the methods that become a GET when the redirect is followed
REDIRECTS = {301: ("POST",), 302: ("POST", "PUT", "DELETE"),
             303: ("POST", "PUT", "DELETE"), 307: (), 308: ()}
KEPT = (307, 308)	# with these the request stays as it is
DEFAULT_PORTS = {"http": 80, "https": 443}
contexts = {}


class HTTPError(OSError):
    """An answer that is a failure; ABBOT_ENV=test shows name and text."""

    def __init__(self, status, reason, url):
        side = "Client" if status < 500 else "Server"
        super().__init__(f"{status} {side} Error: {reason} for url: {url}")


def tls_context(verify):
    """Made at first use: reading the authorities takes 20 ms."""
    if verify not in contexts:
        contexts[verify] = ssl.create_default_context() if verify \
            else ssl._create_unverified_context()
    return contexts[verify]


def connect(url, parts):
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            parts.hostname, parts.port,
            context=tls_context(not url.startswith(UNVERIFIED)))
    raise ValueError(f"no API is at {url!r}")


def exchange(method, url, headers, body):
    """One request: status, reason, Location header, body."""
    parts = urlsplit(url)
    target = (parts.path or "/") + ("?" + parts.query if parts.query or
                                    "?" in url else "")
    connection = connect(url, parts)
    try:
        connection.request(method, quote(target, "!#$%&'()*+,/:;=?@[]~"),
                           body, headers)
        answer = connection.getresponse()
        return (answer.status, answer.reason, answer.getheader("Location"),
                answer.read())
    finally:
        connection.close()


def server(parts):
    return (parts.scheme, parts.hostname,
            parts.port or DEFAULT_PORTS.get(parts.scheme))


def may_know(old, new):
    """May the server of the new URL have the token for the old one's?  The
    same may, and the same host that turned to TLS."""
    old, new = server(urlsplit(old)), server(urlsplit(new))
    return new == old or \
        old[2] == 80 and new == ("https", old[1], 443)


def follow(method, url, headers, body):
    """A request and the redirects it meets.  The token goes to the server it
    is for and to no other."""
    for _ in range(MAX_REDIRECTS + 1):
        status, reason, location, answer = exchange(method, url, headers,
                                                    body)
        if status not in REDIRECTS or location is None:
            break
        dropped = set()
        old, url = url, urljoin(url, location)
        if not may_know(old, url):
            dropped.add("Authorization")
        if method in REDIRECTS[status]:
            method, body = "GET", None
        if status not in KEPT:
            dropped.add("Content-Type")
        headers = {name: value for name, value in headers.items()
                   if name not in dropped}
    if not 200 <= status < 300:
        raise HTTPError(status, reason, url)
    return answer


class ApiClient:
    """The API of one skill.  Address and token are in a closure: there they
    are not written out with an object that a skill answers as JSON.

    testing: a failure is raised as it is, not as the usual exception.
    """

    def __init__(self, base_url, skill_id, api_token, traceparent, testing):
        headers = {"Content-Type": "application/json", "Accept": "*/*",
                   "Authorization": f"Bearer {api_token}"}
        if traceparent is not None:
            headers["traceparent"] = traceparent

        def send(method, path, data=None):
            """Parsed JSON, None for an empty answer; data goes as JSON."""
            try:
                body = None if data is None else \
                    json.dumps(data, allow_nan=False).encode("ascii")
                answer = follow(method, f"{base_url}/skills/{skill_id}{path}",
                                headers, body)
                return json.loads(answer) if answer else None
            except Exception:
                if testing:
                    raise
            raise Exception(FAILED)

        self._send = send

    def get(self, path):
        return self._send("GET", path)

    def post(self, path, data=None):
        return self._send("POST", path, data)

    def put(self, path, data=None):
        return self._send("PUT", path, data)

    def delete(self, path):
        return self._send("DELETE", path)
