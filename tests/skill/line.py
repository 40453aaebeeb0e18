# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A line of the contract that no recorded case shows, as a row of a table.

want is the members of the answer that the line is about, or the status of a
request that cannot be set up.  calls is what the fake Abbot must have been
asked: (method, path, body), the paths after /api/skills/42.
"""
import collections
import json

Line = collections.namedtuple(
    "Line", "name code policies change answers want calls more")
ALL = ("none", "permissive", "restrictive")
LINES = []
FAILED = [{"errorId": "Exception",
           "description": "Failed to communicate with Abbot."}]


def line(name, code, replies=None, *, policies=ALL, change=None, answers=(),
         want=None, calls=(), **more):
    if want is None:
        want = {"success": True, "replies": replies}
    LINES.append(Line(name, code, policies, change, list(answers), want,
                      list(calls), more))


def differences(one, answer, calls):
    """What of an answer and of the API's calls is not as the line wants."""
    if isinstance(one.want, int):
        return [] if answer == one.want else [f"{answer}, not {one.want}"]
    if isinstance(answer, int):
        return [f"status {answer}"]
    found = [f"{name}: {answer.get(name)!r}\n not {value!r}"
             for name, value in one.want.items()
             if json.dumps(answer.get(name)) != json.dumps(value)]
    if found and answer["errors"]:
        found.append(str(answer["errors"]))
    got = [(call["method"], call["path"][len("/api/skills/42"):],
            call["body"]) for call in calls]
    if json.dumps(got) != json.dumps(one.calls):
        found.append(f"calls {got!r}\n not  {one.calls!r}")
    return found


def error(name, text):
    return {"success": False, "errors": [{"errorId": name,
                                          "description": text}]}


def ok(body, status=200, **headers):
    return {"status": status, "body": body, "headers": headers}


# --- changes of the usual message ---

def skill(**members):
    def change(body):
        for name, value in members.items():
            if value is REMOVED:
                body["SkillInfo"].pop(name, None)
            else:
                body["SkillInfo"][name] = value
    return change


def top(**members):
    def change(body):
        for name, value in members.items():
            if value is REMOVED:
                body.pop(name, None)
            else:
                body[name] = value
    return change


def active(body):
    body["PassiveReplies"] = False


def active_unsent(body):
    active(body)
    body["SkillInfo"]["From"] = None


REMOVED = object()
REFERENCE = {"Conversation": {"Id": "::C001"}}
SENT = ok({"success": True, "message": "Message sent immediately."})


def reply(message, options=None, attachments=(), schedule=0):
    return ("POST", "/reply", {
        "SkillId": 42, "Message": message, "ConversationReference": REFERENCE,
        "Options": options or {}, "Attachments": list(attachments),
        "Schedule": schedule, "MessagePlatformType": "Slack"})
