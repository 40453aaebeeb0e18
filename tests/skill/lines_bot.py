# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The contract's lines about the message, the bot object and the answer."""
from line import (FAILED, LINES, REMOVED, SENT, active, active_unsent, error,
                  line, ok, reply, skill, top)

# --- set-up ---

for part in ("SkillInfo", "RunnerInfo"):
    line(f"no {part}", "pass", change=top(**{part: REMOVED}), want=500)
    line(f"{part} null", "", change=top(**{part: None}), want=500)
line("no Bot", "pass", change=skill(Bot=REMOVED), want=500)
line("Bot null", "pass", change=skill(Bot=None), want=500)
line("no From", "pass", change=skill(From=REMOVED), want=500)
line("TokenizedArguments null", "pass",
     change=skill(TokenizedArguments=None), want=500)
line("IsRequest without Request", "pass", change=skill(IsRequest=True),
     want=500)
line("unknown platform number", "pass", change=skill(PlatformType=9),
     want=500)
line("unknown pattern number", "pass",
     change=skill(Pattern={"PatternType": 77}), want=500)
for name in ("Created", "LastMessagePostedOn"):
    line(f"unparsable {name}", "pass",
         change=top(ConversationInfo={name: "yesterday"}), want=500)
line("Bot empty, everything else away",
     "bot.reply([bot.id, bot.name, bot.room.id, bot.room.name, "
     "bot.mentions, bot.pattern, bot.request, bot.conversation, "
     "bot.signal_event, bot.message, bot.is_interaction, bot.is_playbook, "
     "bot.is_request, bot.is_chat, args])",
     [str([None] * 4 + [[]] + [None] * 8 + [True, None])],
     change=top(SkillInfo={"Bot": {}, "From": None}))
line("no Code under none", "", policies=("none", "permissive"),
     change=lambda body: body["RunnerInfo"].pop("Code"),
     want=error("TypeError",
                "exec() arg 1 must be a string, bytes or code object"))
line("no Code under restrictive", "", policies=("restrictive",),
     change=lambda body: body["RunnerInfo"].pop("Code"),
     want=error("TypeError", 'Not allowed source type: "NoneType".'))

# --- kinds ---

for word, name in (("UnitTest", "Unit Test"), ("sLaCk", "Slack"),
                   ("Discord", "Discord"), ("msteams", "Microsoft Teams"),
                   ("DirectLine", "Direct Line"),
                   ("BotConsole", "Bot Console"), (0, "Unit Test"),
                   (3, "Microsoft Teams"), (5, "Bot Console")):
    line(f"platform {word}", "bot.reply(bot.platform_type.name)", [name],
         change=skill(PlatformType=word), policies=("none",))
line("unknown platform word",
     "bot.reply([bot.platform_type, str(bot)])", ["[None, '@abbot']"],
     change=skill(PlatformType="Irc"))
for word, name in (("StartsWith", "Starts With"), ("endswith", "Ends With"),
                   ("Contains", "Contains"), ("ExactMatch", "Exact Match"),
                   ("RegularExpression", "Regular Expression"),
                   ("None", "None"), (None, "None"), (5, "Exact Match")):
    line(f"pattern type {word}",
         "bot.reply([bot.pattern.pattern_type.name, str(bot.pattern), "
         "bot.is_pattern_match, bot.pattern.description])",
         [str([name, f"{name} `hi` (case sensitive: True)", True, "D"])],
         policies=("none",), change=skill(Pattern={
             "PatternType": word, "Pattern": "hi", "CaseSensitive": True,
             "Description": "D"}))
line("PatternType is an int",
     "bot.reply([PatternType.CONTAINS == 3, int(PatternType.EXACT_MATCH), "
     "PatternType(2).name, len(list(PatternType))])",
     ["[True, 5, 'Ends With', 6]"])

# --- people and places ---

line("user without a location",
     "u = bot.from_user\n"
     "bot.reply([u.location.coordinate, u.location.formatted_address, "
     "u.location.timezone, u.timezone, str(u.location), repr(u)])",
     ["[None, None, None, None, 'coordinate: None, address: None', '<@U9>']"],
     change=skill(From={"Id": "U9"}))
for number, (user, zone) in enumerate((
        ({"Location": {"TimeZone": "A", "TimeZoneId": "B"}, "TimeZone": "C",
          "TimeZoneId": "D"}, "A"),
        ({"Location": {"TimeZoneId": "B"}, "TimeZone": "C",
          "TimeZoneId": "D"}, "B"),
        ({"Location": {}, "TimeZone": {"Id": "C"}, "TimeZoneId": "D"}, "C"),
        ({"TimeZoneId": "D"}, "D"))):
    line(f"time zone from place {number}", "bot.reply(bot.from_user.timezone)",
         [zone], change=skill(From=user), policies=("none",))
line("equality of users",
     "a, b = bot.mentions[:2]\n"
     "bot.reply([a == b, a == bot.mentions[2], a != b, a == 1])",
     ["[True, False, False, False]"],
     change=skill(Mentions=[{"Id": "U1", "TimeZone": "X"}] * 2 +
                  [{"Id": "U2"}]))
line("room by name, Slack",
     "bot.reply([bot.room.id, str(bot.room), bot.room.cache_key])",
     ["['C9', '<#C9|lab>', 'C9']"], change=skill(Room="lab", RoomId="C9"))
line("room by name, Discord", "bot.reply(str(bot.room))", ["<@C9>"],
     change=skill(Room="lab", RoomId="C9", PlatformType="Discord"))
line("room by name alone",
     "bot.reply([bot.room.id, bot.room.cache_key, str(bot.room)])",
     ["[None, 'lab', '<#None|lab>']"], change=skill(Room="lab"))
line("room object with its own platform", "bot.reply(str(bot.room))",
     ["<#C9|lab>"], change=skill(Room={"Id": "C9", "Name": "lab",
                                       "PlatformType": "slack"}))
line("thread by ThreadId", "bot.reply(bot.thread)", ["Room/C001(77.1)"],
     change=skill(ThreadId="77.1"))
line("no thread", "bot.reply(bot.thread)", ["Room:C001"],
     change=skill(MessageId=REMOVED))
line("addresses",
     "a = bot.room.get_thread('1.2')\n"
     "bot.reply([a.type.name, a.type.value, a.id, a.thread_id, "
     "a.ephemeral_user_id, a == bot.room.get_thread('1.2'), "
     "a == bot.room.get_thread('1.3'), a.get_chat_address() is a, a == 7])\n"
     "b = bot.from_user.get_chat_address()\n"
     "bot.reply([b.type.name, int(b.type), repr(b), str(b)])",
     ["['Room', 1, 'C001', '1.2', None, True, False, True, False]",
      "['User', 0, 'User:U001', 'User:U001']"])
line("conversation with nothing in it",
     "c = bot.conversation\n"
     "bot.reply([c.id, c.room, c.started_by, c.created, c.members])",
     ["[None, None, None, None, None]"], change=top(ConversationInfo={}))
line("a room token has the message's platform, unit test too",
     "bot.reply(bot.tokenized_arguments[0])", ["#lab"],
     change=skill(PlatformType="UnitTest", TokenizedArguments=[{
         "Value": "x", "OriginalText": "x", "Room": {
             "Id": "C2", "Name": "lab", "PlatformType": "Slack"}}]))
line("conversation's room has the message's platform",
     "bot.reply(str(bot.conversation.room))", ["<#C2|lab>"],
     change=top(ConversationInfo={"Room": {"Id": "C2", "Name": "lab"}}))
line("dates with seven digits",
     "c = bot.conversation.created\n"
     "bot.reply([c.isoformat(), c.tzinfo is None])",
     ["['2023-03-15T17:06:40.123456+02:00', False]"],
     change=top(ConversationInfo={
         "Created": "2023-03-15T17:06:40.1234567+02:00"}))
line("conversation as JSON",
     "import json\n"
     "j = json.loads(bot.conversation.toJSON())\n"
     "bot.reply([j['id'], j['created'], j['members'][0]['id']])",
     ["['7', '2023-03-15T17:06:40+00:00', 'U5']"],
     change=top(ConversationInfo={"Id": "7", "Members": [{"Id": "U5"}],
                                  "Created": "2023-03-15T17:06:40Z"}))

# --- arguments and globals ---

line("argument classes",
     "a = Argument('v', 'o')\n"
     "m = MentionArgument('v', 'o', bot.from_user)\n"
     "r = RoomArgument('v', 'o', bot.room)\n"
     "bot.reply([str(a), repr(a), a.original_text, str(m), repr(m), str(r), "
     "isinstance(r, Argument)])",
     ["['v', 'v', 'o', 'mentioned: <@U001>', 'v', '#midgar', True]"])
line("tokens as a sequence",
     "t = bot.tokenized_arguments\n"
     "s = t[0:2]\n"
     "bot.reply([type(s) is type(t), s.value, len(s), t[-1].value, "
     "[a.value for a in reversed(t)], t[0] in t])",
     ["[True, 'one two', 2, 'two', ['two', 'one'], True]"])
line("token out of range", "bot.tokenized_arguments[5]",
     want=error("IndexError", "list index out of range"))
line("a mention wins over a room",
     "a = bot.tokenized_arguments[0]\n"
     "bot.reply([isinstance(a, MentionArgument), a.mentioned.id])",
     ["[True, 'U7']"], change=skill(TokenizedArguments=[{
         "Value": "x", "OriginalText": "x", "Mentioned": {"Id": "U7"},
         "Room": {"Id": "C1"}}]))
line("Button",
     "b, c = Button('t'), Button('t', 'a', style='danger')\n"
     "bot.reply([b.title, b.arguments, b.style, c.arguments, c.style, "
     "Button('t', '').arguments])",
     ["['t', 't', 'default', 'a', 'danger', '']"])
line("data attributes",
     "bot.reply([bot.skill_id, bot.user_id, bot.timestamp, bot.platform_id, "
     "bot.message_id, bot.user_name, bot.skill_name, bot.skill_url])",
     [str([42, 5, 1678900000, "T001", "1678900000.000100", None, "demo",
           "https://app.example.com/skills/demo"])])
line("text of the clients",
     "bot.reply([bot.brain, str(bot.brain), bot.secrets, str(bot.secrets)])",
     ["[Brain for the skill., 'Brain for the skill.', "
      "Secret store for skills., 'Secret store for skills.']"])
line("raw is the message", "bot.reply([bot.raw['from_name']['Id'], "
     "list(bot.raw)[-1]])", ["['U001', 'from_name']"])
line("skill_data of a list of words",
     "bot.reply([bot.skill_data.x_list[1].deep_name, "
     "str(bot.skill_data.x_list[1])])",
     ["[5, '{\"deep_name\": 5}']"],
     change=skill(XList=[1, {"DeepName": 5}]))
line("skill_data of a run of capitals",
     "bot.reply([bot.skill_data.x_htmltext, "
     "sorted(vars(bot.skill_data.headers))])",
     ["[1, ['x-_api-_key']]"], policies=("none", "permissive"),
     change=skill(XHTMLText=1, Headers={"X-API-Key": 2}))
line("logger", "bot.logger.debug('x')\nbot.reply(bot.logger.name)", ["Bot"])
line("responses are taken unconverted",
     "bot.responses.append(5)\nbot.responses.append(None)\nbot.reply('x')",
     [5, None, "x"])

# --- replies ---

line("direct message", "bot.reply('x', direct_message=True)", [],
     change=active, answers=[SENT],
     calls=[reply("x", {"to": {"Type": 0, "Id": "U001"}})])
line("direct message to nobody", "bot.reply('x', True)", [],
     change=active_unsent, answers=[SENT], calls=[reply("x")])
line("to a thread", "bot.reply('x', to=bot.thread)", [], change=active,
     answers=[SENT], calls=[reply("x", {"to": {
         "Type": 1, "Id": "C001", "ThreadId": "1678900000.000100"}})])
line("to a user by id", "bot.reply('x', to=bot.users.get_target('U5'))", [],
     change=active, answers=[SENT],
     calls=[reply("x", {"to": {"Type": 0, "Id": "U5"}})])
line("to a thread of a room by id",
     "bot.reply('x', to=bot.rooms.get_target('C5').get_thread('1.2'))", [],
     change=active, answers=[SENT], calls=[reply("x", {"to": {
         "Type": 1, "Id": "C5", "ThreadId": "1.2"}})])
line("to and other words that mean nothing",
     "bot.reply('x', to='U5', colour=3, ephemeral=1)", [], change=active,
     answers=[SENT], calls=[reply("x")])
line("ephemeral", "bot.reply('x', ephemeral=True)", [], change=active,
     answers=[SENT], calls=[reply("x", {"to": {
         "Type": 1, "Id": "C001", "EphemeralUser": "U001"}})])
line("ephemeral to another",
     "bot.reply('x', ephemeral=True, to=bot.users.get_target('U5'))", [],
     change=active, answers=[SENT], calls=[reply("x", {"to": {
         "Type": 1, "Id": "C001", "EphemeralUser": "U5"}})])
line("ephemeral to nobody is not sent", "bot.reply('x', ephemeral=True)",
     change=active_unsent,
     want=error("AttributeError", "'NoneType' object has no attribute "
                "'get_chat_address'"))
line("buttons",
     "bot.reply_with_buttons('x', [Button('a'), Button('b', 'c', 'primary')],"
     " buttons_label='l', color='#fff', to=bot.room)\n"
     "bot.reply_with_buttons('y', [])", [], change=active,
     answers=[SENT, SENT], calls=[
         reply("x", {"to": {"Type": 1, "Id": "C001"}}, [{
             "Buttons": [
                 {"Title": "a", "Arguments": "a", "Style": "default"},
                 {"Title": "b", "Arguments": "c", "Style": "primary"}],
             "ButtonsLabel": "l", "ImageUrl": None, "Title": None,
             "Color": "#fff"}]),
         reply("y", None, [{"Buttons": [], "ButtonsLabel": None,
                            "ImageUrl": None, "Title": None,
                            "Color": None}])])
line("replies return None",
     "bot.reply([bot.reply('a'), bot.reply_later('b', 1), "
     "bot.reply_with_image('i', 'c'), bot.reply_with_buttons('d', [])])",
     ["a", "b", "c", "d", "[None, None, None, None]"])
line("passive by want of a reference", "bot.reply_later('x', 9)", ["x"],
     change=lambda body: (active(body),
                          body["RunnerInfo"].pop("ConversationReference")))
line("the answer of a reply is not looked at",
     "bot.reply('x')\nbot.outputs['y'] = 1", change=active,
     answers=[ok({"success": False})], calls=[reply("x")],
     want={"success": True, "outputs": {"y": 1}})

# --- API calls in general ---

line("API error", "bot.brain.delete('k')", answers=[ok({}, 404)],
     calls=[("DELETE", "/brain?key=k", None)],
     want={"success": False, "errors": FAILED})
line("API answer that is no JSON", "bot.brain.list()",
     answers=[ok(b"<html>")], calls=[("GET", "/brain?key=", None)],
     want={"success": False, "errors": FAILED})
line("API answer that is empty", "bot.reply(bot.brain.list())", ["None"],
     answers=[ok(None)], calls=[("GET", "/brain?key=", None)])
line("API failure can be caught",
     "try:\n    bot.secrets.read('s')\nexcept Exception as e:\n"
     "    bot.reply(str(e))", ["Failed to communicate with Abbot."],
     answers=[ok({}, 500)], calls=[("GET", "/secret?key=s", None)])
line("a redirect is followed", "bot.reply(bot.secrets.read('a b'))", ["v"],
     answers=[ok(None, 307, Location="/api/skills/42/elsewhere"),
              ok({"secret": "v"})],
     calls=[("GET", "/secret?key=a+b", None), ("GET", "/elsewhere", None)])
line("a redirect of a POST becomes a GET", "bot.brain.write('k', 1)", [],
     answers=[ok(None, 302, Location="/api/skills/42/elsewhere"), ok({})],
     calls=[("POST", "/brain?key=k", {"value": "1"}),
            ("GET", "/elsewhere", None)])
line("a redirect that keeps the POST", "bot.brain.write('k', 1)", [],
     answers=[ok(None, 308, Location="/api/skills/42/elsewhere"), ok({})],
     calls=[("POST", "/brain?key=k", {"value": "1"}),
            ("POST", "/elsewhere", {"value": "1"})])
line("a redirect of a DELETE", "bot.brain.delete('k')", [],
     answers=[ok(None, 301, Location="/api/skills/42/elsewhere"), ok(None)],
     calls=[("DELETE", "/brain?key=k", None), ("DELETE", "/elsewhere", None)])
line("a redirect to no server", "bot.brain.list()",
     answers=[ok(None, 302, Location="file:///etc/passwd")],
     want={"success": False, "errors": FAILED},
     calls=[("GET", "/brain?key=", None)])
line("endless redirects", "bot.brain.list()", policies=("none",),
     answers=[ok(None, 302, Location="/api/skills/42/x")] * 40,
     want={"success": False, "errors": FAILED},
     calls=[("GET", "/brain?key=", None)] + [("GET", "/x", None)] * 30)
line("test mode shows a status", """
try:
    bot.brain.delete('k')
except Exception as e:
    bot.reply(str(e).partition(' for url: ')[0])
    raise ValueError(type(e)) from None
""", testing=True, answers=[ok({}, 404)],
     calls=[("DELETE", "/brain?key=k", None)],
     want={"replies": ["404 Client Error: Not Found"], "errors": [{
         "errorId": "ValueError",
         "description": "<class 'xbot_skill.api.HTTPError'>"}]})
line("arguments that are no JSON", "bot.signal('n', object())",
     want={"success": False, "errors": FAILED})
line("test mode shows the failure", "bot.brain.list()", testing=True,
     answers=[ok(b"<html>")], calls=[("GET", "/brain?key=", None)],
     want=error("JSONDecodeError",
                "Expecting value: line 1 column 1 (char 0)"))

# --- brain, secrets, rooms, users, customers ---

line("brain value that is no JSON", "bot.reply(bot.brain.get('k'))",
     ["None"], answers=[ok({"key": "k", "value": "{"})],
     calls=[("GET", "/brain?key=k", None)])
line("brain value that cannot be written", "bot.brain.write('k', {1})",
     want=error("TypeError", "Object of type set is not JSON serializable"))
line("brain search", "bot.brain.search('x')",
     want=error("NotImplementedError", ""))
line("rooms",
     "r = bot.rooms.create('lab', True)\n"
     "bot.reply([r.ok, r.value.id, r.value.name, r.value.topic, "
     "str(r.value)])\n"
     "x = r.value\n"
     "for r in (bot.rooms.archive(x), bot.rooms.invite_users(x, "
     "[bot.from_user]), bot.rooms.set_topic(x, 't'), "
     "bot.rooms.set_purpose(x, '')):\n"
     "    bot.reply([r.ok, r.value if r.ok else r.error])\n",
     ["[True, 'C/9', 'lab', None, '<#C/9|lab>']", "[True, None]",
      "[False, 'not_in_channel']", "[True, None]", "[True, None]"],
     answers=[ok({"ok": True, "channel": {
                  "id": "C/9", "name": "lab", "topic": {"value": "t"},
                  "purpose": {"value": "p"}}}),
              ok({"ok": True}), ok({"ok": False, "error": "not_in_channel"}),
              ok({"ok": True}), ok({"ok": False})],
     calls=[("PUT", "/rooms", {"name": "lab", "is_private": True}),
            ("PUT", "/rooms/C%2F9/archive", None),
            ("POST", "/rooms/C%2F9", ["U001"]),
            ("POST", "/rooms/C%2F9/topic", "t"),
            ("POST", "/rooms/C%2F9/purpose", "")])
line("a room that was not created",
     "r = bot.rooms.create('lab')\nbot.reply([r.ok, r.error])\nr.value",
     answers=[ok({"ok": False, "error": "name_taken"})],
     calls=[("PUT", "/rooms", {"name": "lab", "is_private": False})],
     want={"replies": ["[False, 'name_taken']"], "errors": [{
         "errorId": "AttributeError",
         "description": "'Result' object has no attribute 'value'"}]})
line("a room that was, has no error",
     "bot.rooms.archive(bot.room).error", answers=[ok({"ok": True})],
     calls=[("PUT", "/rooms/C001/archive", None)],
     want=error("AttributeError",
                "'Result' object has no attribute 'error'"))
line("targets",
     "u, r = bot.users.get_target('U5'), bot.rooms.get_target('C5')\n"
     "bot.reply([u.id, u.get_chat_address(), r.id, r.get_chat_address()])",
     ["['U5', User:U5, 'C5', Room:C5]"])
line("a user by the API",
     "u = bot.users.get_user('U5')\n"
     "f = u.custom_fields['Pronouns']\n"
     "bot.reply([u.id, u.name, f.id, f.value, f.alt, "
     "u.custom_fields['Empty']])", ["[None, None, 'X1', 'they', '', None]"],
     answers=[ok({"id": "U5", "name": "n", "customFields": {
         "Pronouns": {"id": "X1", "value": "they", "alt": ""},
         "Empty": None}})], calls=[("GET", "/users/U5", None)])
line("a user by the API without custom fields", "bot.users.get_user('U5')",
     answers=[ok({"id": "U5"})], calls=[("GET", "/users/U5", None)],
     want=error("TypeError", "'NoneType' object is not iterable"))
CUSTOMER = {"id": 7, "name": "Shinra", "rooms": [{"id": "C1", "name": "r"}],
            "tags": ["vip"]}
line("customers by id and name",
     "for c in (bot.customers.get(7), bot.customers.get_by_name('S h/\u00e9')):"
     "\n    bot.reply([c.id, c.name, c.rooms[0].name, c.tags])",
     ["[7, 'Shinra', 'r', ['vip']]"] * 2, answers=[ok(CUSTOMER)] * 2,
     calls=[("GET", "/customers/7", None),
            ("GET", "/customers/name/S%20h/%C3%A9", None)])

line("to a room of a customer",
     "bot.reply('x', to=bot.customers.get(7).rooms[0])", [], change=active,
     answers=[ok(CUSTOMER), SENT],
     calls=[("GET", "/customers/7", None),
            reply("x", {"to": {"Type": 1, "Id": "C1"}})])

# --- signals ---

line("signal that was refused", "bot.signal('n', 'a')",
     answers=[ok({"ok": False}, 400)], want={"errors": FAILED},
     calls=[("POST", "/signal", {
         "Name": "n", "Arguments": "a",
         "ConversationReference": '{"Conversation": {"Id": "::C001"}}',
         "Room": {"Id": "C001", "Name": "midgar"}, "RoomId": None,
         "SenderId": 6, "Source": {
             "AuditIdentifier": "11111111-2222-3333-4444-555555555555",
             "SkillName": "demo",
             "SkillUrl": "https://app.example.com/skills/demo",
             "Arguments": "one two", "Mentions": [], "SignalEvent": None,
             "IsChat": True, "IsInteraction": False,
             "IsPatternMatch": False, "IsRequest": False, "Pattern": None,
             "Request": None}})])
line("signal from a root",
     "s = bot.signal_event\n"
     "bot.reply([s.source.signal_event, s.root_source.skill_name, "
     "s.root_source.pattern, s.root_source.request.url, "
     "s.root_source.mentions])",
     ["[None, 'root', None, 'https://x', []]"],
     change=top(SignalInfo={"Name": "n", "Source": {
         "SkillName": "root", "Request": {"Url": "https://x"}}}))

# --- utils ---

for url, found in (
        ("https://t.slack.com/archives/C1/p1678900000000100?cid=C2",
         "Room/C1(1678900000.000100)"),
        ("http://t.slack.com/team/U1/p1678900000000100",
         "User/U1(1678900000.000100)"),
        ("https://t.slack.com/archives/C1?x=1&thread_ts=16.9", "Room/C1(16.9)"),
        ("https://t.slack.com/archives/c1?thread_ts=16.9", "User/c1(16.9)"),
        ("https://slack.com/archives/C1", "None"),
        ("https://t.slack.com/archives", "None"),
        ("ftp://t.slack.com/archives/C1", "None"), ("", "None")):
    line(f"Slack URL {url or 'of nothing'}",
         f"bot.reply(bot.utils.parse_slack_url({url!r}))", [found],
         policies=("none",))
line("geocode of a failure", "bot.utils.geocode('\u00e9 & x')",
     answers=[ok({}, 500)], want={"errors": FAILED}, calls=[
         ("GET", "/geo?address=%C3%A9+%26+x&includeTimezone=False", None)])

# --- HTTP triggers ---

REQUEST = {"Url": "https://x", "HttpMethod": "POST", "RawBody": "[{}]",
           "ContentType": "a/b", "Headers": {}, "Form": {"a": ["b"]},
           "Query": {}, "IsJson": False, "IsForm": True}
trigger = skill(IsRequest=True, Request=REQUEST)
for name, code, content in (
        ("a string", "content = 'x'", '"x"'),
        ("an object", "content = {'a': [1, None, True], 2: 1.5}",
         '{"a": [1, null, true], "2": 1.5}'),
        ("a tuple", "content = (1, 'a')", '{"py/tuple": [1, "a"]}'),
        ("raw", "raw_content = 'x'", "x"),
        ("raw over content", "content = [1]\nbot.response.raw_content = None",
         "None"),
        ("a class", "content = int", '{"py/type": "builtins.int"}'),
        ("the request's JSON", "content = bot.request.json()[0]",
         '{"py/reduce": [{"py/type": "types.SimpleNamespace"}, '
         '{"py/tuple": []}, {}]}'),
        ("an exception", "content = ValueError('x')",
         '{"py/reduce": [{"py/type": "builtins.ValueError"}, '
         '{"py/tuple": ["x"]}]}'),
        ("the request", "raw_content = bot.request.toJSON()[:60]",
         '{"py/object": "SkillRunner.bot.trigger_event.TriggerEvent", ')):
    line(f"response of {name}", f"bot.response.{code}", change=trigger,
         want={"Content": content, "ContentType": None, "Headers": {}})
for number, (code, content) in enumerate((
        ("class L(list): pass\nx = L([1, (2,)])",
         '{"py/object": "M.L", "py/seq": [1, {"py/tuple": [2]}]}'),
        ("class D(dict): pass\nx = D(a=1)\nx.n = 5",
         '{"py/object": "M.D", "a": 1, "__dict__": {"n": 5}}'),
        ("import collections\nx = collections.namedtuple('P', 'a b')(1, 2)",
         '{"py/object": "M.P", "py/newargs": {"py/tuple": [1, 2]}, '
         '"py/seq": [1, 2]}'),
        ("import collections\nx = collections.OrderedDict(a=1)",
         '{"py/reduce": [{"py/type": "collections.OrderedDict"}, '
         '{"py/tuple": []}, null, null, {"py/tuple": [{"py/tuple": '
         '["a", 1]}]}]}'),
        ("import collections\nx = collections.deque([1])",
         '{"py/reduce": [{"py/type": "collections.deque"}, '
         '{"py/tuple": []}, null, {"py/tuple": [1]}]}'),
        ("import collections\nx = collections.defaultdict(int, a=1)",
         '{"py/object": "collections.defaultdict", "a": 1, '
         '"default_factory": {"py/type": "builtins.int"}}'),
        ("import uuid\nx = uuid.UUID(int=1)",
         '{"py/object": "uuid.UUID", "hex": "%032x"}' % 1),
        ("import json\nx = [lambda: 1, json.dumps, json]",
         '[null, {"py/function": "json.dumps"}, {"py/repr": "json/json"}]'),
        ("import datetime\nx = datetime.datetime(2023, 1, 2, tzinfo="
         "datetime.timezone.utc)",
         '{"py/object": "datetime.datetime", "__reduce__": [{"py/type": '
         '"datetime.datetime"}, ["B+cBAgAAAAAAAA==", {"py/reduce": '
         '[{"py/type": "datetime.timezone"}, {"py/tuple": [{"py/reduce": '
         '[{"py/type": "datetime.timedelta"}, {"py/tuple": [0, 0, 0]}]}]}]}'
         ']]}'),
        ("x = [1]\nx.append(x)", '[1, {"py/id": 1}]'))):
    line(f"response of an instance {number}",
         f"{code}\nbot.response.content = x", policies=("restrictive",),
         change=trigger, want={"Content": content.replace(
             "M.", "__abbot_skill__.")})
line("response's properties",
     "r = bot.response\n"
     "r.content = {'a': 1}\nbot.reply([r.content, r.raw_content])\n"
     "r.raw_content = 'x'\nbot.reply([r.content, r.raw_content])\n"
     "r.content_type = 'a/b'\nr.headers['X'] = 'y'\n"
     "bot.reply([r.content_type, r.headers])", change=trigger,
     want={"replies": ["[{'a': 1}, '{\"a\": 1}']", "[None, 'x']",
                       "['a/b', {'X': 'y'}]"], "Content": "x",
           "ContentType": "a/b", "Headers": {"X": ["y"]}})
line("response of a run that failed",
     "bot.response.raw_content = 'x'\n1/0", change=trigger,
     want={"success": False, "content": None, "Content": "x",
           "ContentType": None, "Headers": {}})
line("request's form and JSON",
     "r = bot.request\nbot.reply([r.form, r.is_form, r.json()])\n"
     "import json\nbot.reply(sorted(json.loads(r.toJSON()))[0])",
     ["[{'a': ['b']}, True, [namespace()]]", "content_type"],
     change=trigger)
line("response headers that are no map", "bot.response.headers = 5",
     change=trigger, want={
         "success": False, "Content": None, "ContentType": None,
         "Headers": {}, "errors": [{
             "errorId": "AttributeError",
             "description": "'int' object has no attribute 'items'"}]})

# --- outputs and errors: what was 500 or no answer before ---

line("outputs that are another map",
     "bot.outputs = {'a': 1}\nbot.outputs['b'] = 2",
     want={"success": True, "outputs": {"a": 1, "b": 2}})
line("outputs that cannot be written",
     "bot.reply('r')\nbot.outputs['a'] = object()",
     want={"success": False, "replies": ["r"], "outputs": {}, "errors": [{
         "errorId": "TypeError", "description":
         "Object of type object is not JSON serializable"}]})
line("outputs that are no map", "bot.outputs = [1]",
     want=error("TypeError", "bot.outputs must be a mapping, not list"))
line("outputs after an error keep the error",
     "bot.outputs = 5\nraise ValueError('first')",
     want=error("ValueError", "first"))
line("outputs in a circle", "bot.outputs['a'] = bot.outputs",
     want=error("ValueError", "Circular reference detected"))
line("outputs of a subclass",
     "import collections\nbot.outputs = collections.OrderedDict(b=1, a=2)",
     want={"success": True, "outputs": {"b": 1, "a": 2}})
line("SystemExit", "bot.reply('r')\nraise SystemExit('bye')",
     want={"success": False, "replies": ["r"], "errors": [
         {"errorId": "SystemExit", "description": "bye"}]})
line("KeyboardInterrupt", "raise KeyboardInterrupt",
     want=error("KeyboardInterrupt", ""))
line("GeneratorExit", "raise GeneratorExit('g')",
     want=error("GeneratorExit", "g"))
line("an exception without a text",
     "class E(Exception):\n    def __str__(self):\n        return 5\nraise E",
     want=error("E", "The text of this error raised TypeError."))
line("lone surrogates", "bot.reply('\\ud800x')", ["\ud800x"])
line("recursion", "def f():\n    f()\nf()",
     want=error("RecursionError", "maximum recursion depth exceeded"))
line("a sleep is ended", "import time\ntime.sleep(600)", timeout=0.3,
     want=error("TimeoutError", "The skill ran longer than 0.3 seconds."))
LINES[-1].want["errors"][0].update(
    lineStart=2, lineEnd=2, stackTrace="line 2, in <module>")
line("an error of ours has lines",
     "def spin():\n    while True: pass\nspin()", timeout=0.3,
     want=error("TimeoutError", "The skill ran longer than 0.3 seconds."))
LINES[-1].want["errors"][0].update(
    lineStart=2, lineEnd=2,
    stackTrace="line 3, in <module>\nline 2, in spin")
line("nothing carries over",
     "import json\nbot.reply('leaked' in json.__dict__)\n"
     "json.leaked = 1", ["False"], policies=("none",))
