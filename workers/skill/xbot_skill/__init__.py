import io, json, random, os


def prepare():
    pass


def run(body, policy, api_url, api_token, traceparent, timeout):
    random.seed(os.urandom(16))
    try:
        d = json.loads(body)
    except ValueError:
        return 400, b""
    try:
        code = d["RunnerInfo"]["Code"]
    except KeyError:
        return 500, b""
    r = []
    e = []

    class Bot:
        def reply(self, t):
            r.append(str(t))
    try:
        exec(code, {"bot": Bot()})
    except BaseException as x:
        e.append({"errorId": type(x).__name__, "description": str(x)})
    return 200, json.dumps({"contentType": None, "content": None,
                            "success": not e, "errors": e, "replies": r,
                            "headers": None, "outputs": {}}).encode()
