#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Our xbot-runner's language model: servers of both protocols are played, and
so is a provider on loopback.

usage: llm_runner.py RUNNER [NAME...]

The same output as v1_server_peer.py.  Contract: xbot-runner-v1.md, section 3.
"""
import asyncio
import json

import v1_server_peer as v1
import v2_server_peer as v2
from v1_server_peer import test, until, want

v1.TESTS.clear()
KEY = 'sk-8d1c4e_never_beyond_the_provider'
EINVAL, EPERM, E2BIG, ENOTSUP, EIO, ETIMEDOUT = 1, 3, 8, 10, 11, 13
OPENAI, ANTHROPIC = range(2)
CHAT, MODELS, COUNT = range(3)
PNG = 'data:image/png;base64,iVBORw0KGgo='
USAGE = {'prompt_tokens': 11, 'completion_tokens': 7, 'total_tokens': 18,
         'prompt_tokens_details': {'cached_tokens': 5}}


class Ask:
    """A request as the provider got it."""

    def __init__(self, method, path, headers, body, writer):
        self.method, self.path, self.headers = method, path, headers
        self.raw, self.writer = body, writer
        self.json = json.loads(body) if body else None
        self.closed = asyncio.Event()

    async def head(self, status=200, kind='application/json', length=None, more=()):
        lines = [f'HTTP/1.1 {status} Whatever', f'Content-Type: {kind}', *more]
        lines.append('Transfer-Encoding: chunked' if length is None else
                     f'Content-Length: {length}')
        self.writer.write('\r\n'.join(lines + ['', '']).encode())
        await self.writer.drain()

    async def chunk(self, data):
        self.writer.write(b'%x\r\n%s\r\n' % (len(data), data))
        await self.writer.drain()

    async def answer(self, body, status=200, kind='application/json', more=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.head(status, kind, len(data), more)
        self.writer.write(data)
        await self.writer.drain()


class Provider:
    """Answers with what `script` says: a function of the request, a coroutine's."""

    def __init__(self, script=None, models=('m1', 'm2')):
        self.script, self.models, self.asks = script, models, []
        self.connections = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.on_client, '127.0.0.1', 0)
        self.url = f'http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}'
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def read(self, reader, writer):
        head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
        method, path, _ = head[0].split(' ')
        headers = {k.lower(): v.strip() for k, v in
                   (line.split(':', 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get('content-length', 0)))
        return Ask(method, path, headers, body, writer)

    async def on_client(self, reader, writer):
        self.connections += 1
        ask = None
        try:
            while True:
                ask = await self.read(reader, writer)
                if ask.path.split('?')[0].endswith('/models') and self.models is not None:
                    await ask.answer({'object': 'list', 'data': [
                        {'id': m, 'object': 'model'} for m in self.models]})
                    continue
                self.asks.append(ask)
                watch = asyncio.create_task(self.watch(reader, ask))
                await self.script(ask)
                watch.cancel()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if ask is not None:
                ask.closed.set()
            writer.close()

    @staticmethod
    async def watch(reader, ask):
        """Nobody sends more than one request at a time."""
        while not reader.at_eof():
            await asyncio.sleep(0.01)
        ask.closed.set()


def flags(provider, name='openai', model='m', base=None):
    out = ['--llm-provider', name, '--llm-base-url',
           (base or provider.url) + ('/v1' if name == 'openai' else '')]
    return out + (['--llm-model', model] if model else [])


async def started(p, provider, name='openai', model='m', **more):
    return await p.started(*flags(provider, name, model),
                           env={'XBOT_LLM_API_KEY': KEY}, **more)


def completion(content='hi', finish='stop', **more):
    return {'id': 'c', 'object': 'chat.completion', 'model': 'm', 'choices': [
        {'index': 0, 'message': {'role': 'assistant', 'content': content, **more},
         'finish_reason': finish}], 'usage': USAGE}


def always(body, **more):
    async def script(ask):
        await ask.answer(body, **more)
    return script


def scripted(*steps):
    """One step a request; the last one goes on."""
    left = list(steps)

    async def script(ask):
        await (left.pop(0) if len(left) > 1 else left[0])(ask)
    return script


async def generate(conn, messages=None, wait=30, **body):
    if messages is None:
        messages = [{'role': 'user', 'content': 'hello'}]
    answer = await conn.ask('llm_generate', {'model': 'm', 'messages': messages, **body}, wait)
    want(answer['type'], 'llm_response', f'reply ({answer})')
    return answer['body']


# -- registration and settings ------------------------------------------------

@test
async def registered(p):
    async with Provider() as pr:
        conn = await started(p, pr)
        body = conn.register['body']
        want((body['llm_provider'], body['llm_model']), ('openai', 'm'), 'registration')
        want(KEY in json.dumps(conn.register), False, 'key on the wire')


@test
async def first_of_the_list(p):
    async with Provider(models=('one', 'two')) as pr:
        conn = await started(p, pr, model=None)
        want(conn.register['body']['llm_model'], 'one', 'model')
        answer = await conn.ask('llm_models')
        want(answer['body'], {'models': ['one', 'two']}, 'models')
        pr.models = ('three',)
        answer = await conn.ask('llm_models')
        want(answer['body'], {'models': ['three']}, 'refreshed')


@test
async def anthropic_default_model(p):
    async with Provider(models=('claude-x',)) as pr:
        conn = await started(p, pr, 'anthropic', None)
        want(conn.register['body']['llm_model'], 'claude-sonnet-4-20250514', 'model')
        answer = await conn.ask('llm_models')
        want(answer['body'], {'models': ['claude-sonnet-4-20250514', 'claude-x']}, 'models')


@test
async def models_with_a_dead_provider(p):
    async with Provider(models=None, script=always({}, status=500)) as pr:
        conn = await started(p, pr, model='mine')
        answer = await conn.ask('llm_models')
        want(answer['body'], {'models': ['mine']}, 'the default at least')


@test
async def none_configured(p):
    conn = await p.started('--llm-provider', 'openai')
    want('llm_provider' in conn.register['body'], False, 'no key, no model')
    await conn.error('ENOTSUP', 'llm_generate', {'model': 'm', 'messages': []})
    await conn.error('ENOTSUP', 'llm_models')
    await until(lambda: b'provider without a key' in p.log, 5, 'log line')


@test
async def unknown_provider(p):
    await p.start('--llm-provider', 'mine', env={'XBOT_LLM_API_KEY': KEY})
    want(await p.ended(), 1, 'status')
    want(b'unknown LLM provider' in p.log, True, 'why')


@test
async def key_is_nowhere(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        await generate(conn)
        want(pr.asks[0].headers['authorization'], f'Bearer {KEY}', 'key')
        got = await conn.sh('cat /proc/$PPID/cmdline /proc/$PPID/environ; env; '
                            f'tr "\\0" "\\n" </proc/{p.process.pid}/environ')
        want(KEY in got['stdout'], False, 'environment')
        want(KEY.encode() in p.log, False, 'log')


@test
async def key_flag_is_masked(p):
    async with Provider() as pr:
        conn = await p.started(*flags(pr), '--llm-api-key', KEY)
        want(conn.register['body']['llm_provider'], 'openai', 'taken')
        with open(f'/proc/{p.process.pid}/cmdline', 'rb') as f:
            want(KEY.encode() in f.read(), False, 'argv')


# -- protocol 1, provider openai ----------------------------------------------

HISTORY = [
    {'role': 'system', 'content': 'be brief', 'cache_hint': 'static'},
    {'role': 'user', 'content': f'look ![a]({PNG}) and\n![b]({PNG})!'},
    {'role': 'assistant', 'content': '', 'tool_calls': [
        {'id': 'a', 'name': 'f', 'arguments': '{"x":1}'},
        {'id': 'b', 'name': 'g', 'arguments': ''}]},
    {'role': 'tool', 'content': 'one', 'tool_call_id': 'a', 'tool_name': 'f',
     'tool_arguments': '{}'},
    {'role': 'tool', 'content': 'two', 'tool_call_id': 'b'},
    {'role': 'user', 'content': 'ünd "jetzt"\n'},
]
ITEMS = {'type': 'object', 'properties': {'k': {'type': 'string', 'enum': ['a']}},
         'required': ['k'], 'additionalProperties': False}
TOOLS = [{'name': 'f', 'description': 'does f', 'parameters': [
    {'name': 'z', 'type': 'string', 'description': 'zz', 'required': True},
    {'name': 'a', 'type': 'array', 'description': 'aa', 'required': True, 'items': ITEMS},
    {'name': 'm', 'type': 'integer', 'description': 'mm', 'required': False}]},
    {'name': 'g', 'description': '', 'parameters': None}]
SCHEMA = {'type': 'object', 'properties': {
    'z': {'type': 'string', 'description': 'zz'},
    'a': {'type': 'array', 'description': 'aa', 'items': ITEMS},
    'm': {'type': 'integer', 'description': 'mm'}}, 'required': ['a', 'z']}
EMPTY = {'type': 'object', 'properties': {}, 'required': []}


@test
async def openai_request(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        await generate(conn, HISTORY, tools=TOOLS)
        ask = pr.asks[0]
        want((ask.method, ask.path), ('POST', '/v1/chat/completions'), 'request line')
        want(ask.headers['user-agent'], 'opencode/1.14.17', 'agent')
        want(ask.headers['content-type'], 'application/json', 'type')
        image = {'type': 'image_url', 'image_url': {'url': PNG}}
        want(ask.json, {
            'model': 'm', 'n': 1, 'max_tokens': 32768, 'messages': [
                {'role': 'system', 'content': 'be brief'},
                {'role': 'user', 'content': [
                    {'type': 'text', 'text': 'look '}, image, {'type': 'text', 'text': ' and\n'},
                    image, {'type': 'text', 'text': '!'}]},
                {'role': 'assistant', 'content': '', 'tool_calls': [
                    {'id': 'a', 'type': 'function',
                     'function': {'name': 'f', 'arguments': '{"x":1}'}},
                    {'id': 'b', 'type': 'function',
                     'function': {'name': 'g', 'arguments': '{}'}}]},
                {'role': 'tool', 'content': 'one', 'tool_call_id': 'a'},
                {'role': 'tool', 'content': 'two', 'tool_call_id': 'b'},
                {'role': 'user', 'content': 'ünd "jetzt"\n'}],
            'tools': [
                {'type': 'function', 'function': {
                    'name': 'f', 'description': 'does f', 'parameters': SCHEMA}},
                {'type': 'function', 'function': {
                    'name': 'g', 'description': '', 'parameters': EMPTY}}]}, 'body')


@test
async def openai_lone_image(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        text = f'![x]({PNG})'
        await generate(conn, [{'role': 'user', 'content': text}])
        want(pr.asks[0].json['messages'][0]['content'], text, 'an image alone')


@test
async def openai_answer(p):
    calls = [{'id': 'x', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"a": 1}'}},
             {'id': 'y', 'type': 'function', 'function': {'name': 'g', 'arguments': '{}'}}]
    async with Provider(scripted(
            always(completion('ä', 'length')),
            always(completion(None, '', tool_calls=calls)),
            always(completion('why not\nyes', reasoning_content='why not')),
            always(completion('same', reasoning_content='same')),
            always({'choices': [{'message': {'content': 'x'}, 'finish_reason': 'odd'}]}))) as pr:
        conn = await started(p, pr)
        usage = {'prompt_tokens': 11, 'completion_tokens': 7, 'total_tokens': 18,
                 'cache_hit_tokens': 5, 'cache_creation_tokens': 0}
        want(await generate(conn), {'content': 'ä', 'finish_reason': 'length',
                                    'usage': usage}, 'text')
        want(await generate(conn), {
            'content': '', 'finish_reason': 'tool_calls', 'usage': usage, 'tool_calls': [
                {'id': 'x', 'name': 'f', 'arguments': '{"a": 1}'},
                {'id': 'y', 'name': 'g', 'arguments': '{}'}]}, 'tools')
        got = await generate(conn)
        want((got['content'], got['reasoning_content']), ('\nyes', 'why not'), 'said twice')
        got = await generate(conn)
        want((got['content'], got['reasoning_content']), ('', 'same'), 'the same')
        want(await generate(conn), {'content': 'x', 'finish_reason': 'odd',
                                    'usage': dict.fromkeys(usage, 0)}, 'bare')


@test
async def openai_thinking(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        rows = [
            ('gpt-5', 'think', {'reasoning_effort': 'medium'}),
            ('gpt-5', 'enabled', {'reasoning_effort': 'medium'}),
            ('gpt-5', 'think-max', {'reasoning_effort': 'high'}),
            ('glm-4', 'think', {'thinking': {'type': 'enabled'}}),
            ('glm-4', 'think-max', {'thinking': {'type': 'enabled', 'clear_thinking': False}}),
            ('deepseek-r', 'think-max', {'thinking': {'type': 'enabled'}}),
            ('mine', 'think', {'thinking': {'type': 'enabled'}}),
            ('mine', 'disabled', {}), ('mine', '', {}), ('mine', 'what', {}),
            ('mine', '{"thinking":{"type":"x"},"a":[1, 2],"model":"no"}',
             {'thinking': {'type': 'x'}, 'a': [1, 2]}),
            ('mine', '{"type":"enabled","b":1}', {'thinking': {'type': 'enabled', 'b': 1}}),
            ('mine', '{"reasoning_effort":"low", "k" : "\\u00e4"}',
             {'reasoning_effort': 'low', 'k': 'ä'}),
            ('mine', '{broken', {}),
        ]
        messages = [{'role': 'assistant', 'content': ''}, {'role': 'user', 'content': 'x'}]
        for model, mode, more in rows:
            await generate(conn, messages, model=model, thinking_mode=mode)
            body = pr.asks[-1].json
            on = bool(more)
            want({k: v for k, v in body.items() if k not in ('messages', 'max_tokens')},
                 {'model': model, 'n': 1, **more}, f'{model} {mode}')
            want(body['messages'][0], {'role': 'assistant', 'content': None,
                                       'reasoning_content': ''} if on else messages[0],
                 f'history of {model} {mode}')
        await generate(conn, [{'role': 'assistant', 'content': 'a', 'reasoning_content': 'r'},
                              *messages])
        want([m.get('reasoning_content') for m in pr.asks[-1].json['messages']],
             ['r', '', None], 'reasoning in the history')


@test
async def openai_limits(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        for model, tokens in (('gpt-4o', 16384), ('gpt-4o-mini', 16384), ('gpt-4.1', 32768),
                              ('o3', 32768), ('deepseek-chat', 8192), ('gpt-4', 8192),
                              ('x', 32768)):
            await generate(conn, model=model)
            want(pr.asks[-1].json['max_tokens'], tokens, model)


@test
async def openai_other_word_for_the_limit(p):
    async def script(ask):
        if 'max_tokens' in ask.json:
            await ask.answer({'error': {'message': "Unsupported parameter: 'max_tokens' is not "
                                        "supported with this model."}}, status=400)
        else:
            await ask.answer(completion())
    async with Provider(script) as pr:
        conn = await started(p, pr)
        await generate(conn)
        await generate(conn)
        want(['max_completion_tokens' in a.json for a in pr.asks], [False, True, True],
             'remembered')
        await generate(conn, model='other')
        want(['max_tokens' in a.json for a in pr.asks[3:]], [True, False], 'of each model')


@test
async def openai_retries(p):
    ok = always(completion())
    async with Provider(scripted(
            always({}, status=500), always({}, status=429, more=['Retry-After: 1']), ok,
            always({}, status=409), always({}, status=408), ok)) as pr:
        conn = await started(p, pr)
        await generate(conn)
        want(len(pr.asks), 3, 'two retries')
        await generate(conn)
        want(len(pr.asks), 6, 'and again')


@test
async def openai_cut(p):
    async def cut(ask):
        ask.writer.close()
    async with Provider(scripted(cut, always(completion()))) as pr:
        conn = await started(p, pr)
        await generate(conn)
        want(len(pr.asks), 2, 'once more')


@test
async def openai_errors(p):
    refused = {'error': {'message': 'bäd', 'type': 'invalid_request_error', 'code': 'x'}}
    async with Provider(scripted(
            always(refused, status=400), always(refused, status=401),
            always({}, status=503, more=['Retry-After: 600']),
            always(b'{"choices":[]}'), always(b'not json'),
            always({'choices': [{'message': {'content': 5}}]}),
            always(b'x' * 100000, status=400))) as pr:
        conn = await started(p, pr)

        async def failed():
            return await conn.error('EIO', 'llm_generate', {'messages': [
                {'role': 'user', 'content': 'x'}]})
        message = await failed()
        want(message, 'LLM generate failed: status 400: ' + json.dumps(refused), 'text')
        want('status 401' in await failed(), True, 'status')
        want('status 503 (retry after 600 s)' in await failed(), True, 'not waited for')
        want(len(pr.asks), 3, 'no retries')
        for _ in range(3):
            want('LLM generate failed: ' in await failed(), True, 'rubbish')
        want(len(await failed()) < 20000, True, 'cut')
        want('bäd'.encode() in p.log, False, 'in the log')


@test
async def openai_nobody_there(p):
    async with Provider() as pr:
        url = pr.url
    conn = await p.started('--llm-provider', 'openai', '--llm-base-url', url, '--llm-model', 'm',
                           env={'XBOT_LLM_API_KEY': KEY})
    await conn.error('EIO', 'llm_generate', {'messages': []}, wait=60)


def event(**delta):
    return b'data: ' + json.dumps({'choices': [{'delta': delta}]}).encode() + b'\n\n'


@test
async def openai_events_unasked(p):
    async def script(ask):
        await ask.head(kind='text/event-stream; charset=utf-8')
        await ask.chunk(b': hello\r\n\r\n' + event(role='assistant', content='a'))
        await ask.chunk(event(reasoning_content='r') + event(content='b')[:9])
        await ask.chunk(event(content='b')[9:])
        await ask.chunk(event(tool_calls=[{'index': 0, 'id': 'x', 'function': {
            'name': 'f', 'arguments': '{"a'}}]))
        await ask.chunk(event(tool_calls=[{'index': 1, 'id': 'y', 'function': {
            'name': 'g', 'arguments': ''}}, {'index': 0, 'function': {'arguments': '":1}'}}]))
        end = {'choices': [{'delta': {}, 'finish_reason': 'tool_calls'}]}
        await ask.chunk(b'data: ' + json.dumps(end).encode() + b'\n\n')
        await ask.chunk(b'data:' + json.dumps({'choices': [], 'usage': USAGE}).encode() + b'\n\n')
        await ask.chunk(b'data: [DONE]\n\n')
        ask.writer.write(b'0\r\n\r\n')
    async with Provider(script) as pr:
        conn = await started(p, pr)
        got = await generate(conn)
        want((got['content'], got['reasoning_content'], got['finish_reason']),
             ('ab', 'r', 'tool_calls'), 'text')
        want(got['tool_calls'], [{'id': 'x', 'name': 'f', 'arguments': '{"a":1}'},
                                 {'id': 'y', 'name': 'g', 'arguments': ''}], 'tools')
        want(got['usage']['total_tokens'], 18, 'usage')
        want('stream' in pr.asks[0].json, False, 'not asked for')


@test
async def bad_requests(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr)
        user = {'role': 'user', 'content': 'x'}
        for body in ({}, {'messages': 5}, {'messages': [5]}, {'messages': [{'role': 'x'}]},
                     {'messages': [{'role': 'user', 'content': []}]},
                     {'messages': [user], 'tools': {}}, {'messages': [user], 'tools': [1]},
                     {'messages': [user], 'tools': [{'name': 'x', 'parameters': [{}]}]},
                     {'messages': [user], 'model': 'x' * 300},
                     {'messages': [user], 'model': 7},
                     {'messages': [{'role': 'assistant', 'tool_calls': [{'id': 1}]}]},
                     {'messages': [user], 'tools': [{'name': 'x', 'parameters': [
                         {'name': 'p', 'items': []}]}]}):
            await conn.error('EINVAL', 'llm_generate', body)
        await conn.error('EINVAL', 'llm_generate')
        want(pr.asks, [], 'nothing was asked')
        await generate(conn)


@test
async def default_model(p):
    async with Provider(always(completion())) as pr:
        conn = await started(p, pr, model='mine')
        await generate(conn, model='')
        want(pr.asks[0].json['model'], 'mine', 'model')


@test
async def connection_lost(p):
    async def stall(ask):
        await ask.closed.wait()
    async with Provider(stall) as pr:
        conn = await started(p, pr)
        await conn.send('llm_generate', {'messages': []}, 'one')
        await until(lambda: pr.asks, 10, 'the call')
        await conn.ws.close()
        await asyncio.wait_for(pr.asks[0].closed.wait(), 10)


@test
async def many_at_once(p):
    async def script(ask):
        await asyncio.sleep(0.2)
        await ask.answer(completion(ask.json['messages'][0]['content']))
    async with Provider(script) as pr:
        conn = await started(p, pr)
        texts = [f'text {i} ' * 1000 for i in range(60)]
        got = await asyncio.gather(*(generate(conn, [{'role': 'user', 'content': t}])
                                     for t in texts))
        want([g['content'] for g in got] == texts, True, 'each its own')
        want((await conn.sh('echo x'))['stdout'], 'x\n', 'commands beside')


# -- protocol 1, provider anthropic -------------------------------------------

def claude(*content, stop='end_turn'):
    return {'type': 'message', 'content': list(content), 'stop_reason': stop, 'usage': {
        'input_tokens': 3, 'output_tokens': 4, 'cache_read_input_tokens': 5,
        'cache_creation_input_tokens': 6}}


@test
async def anthropic_request(p):
    async with Provider(always(claude({'type': 'text', 'text': 'x'}))) as pr:
        conn = await started(p, pr, 'anthropic')
        await generate(conn, HISTORY, tools=TOOLS)
        ask = pr.asks[0]
        want((ask.method, ask.path), ('POST', '/v1/messages'), 'request line')
        want((ask.headers['x-api-key'], ask.headers['anthropic-version'],
              ask.headers['user-agent'], ask.headers['content-type']),
             (KEY, '2023-06-01', 'claude-code/1.0.26', 'application/json'), 'headers')
        image = {'type': 'image', 'source': {'type': 'base64', 'media_type': 'image/png',
                                             'data': PNG.split(',')[1]}}
        want(ask.json, {
            'model': 'm', 'max_tokens': 32768,
            'system': [{'type': 'text', 'text': 'be brief',
                        'cache_control': {'type': 'ephemeral'}}],
            'messages': [
                {'role': 'user', 'content': [
                    {'type': 'text', 'text': 'look '}, image, {'type': 'text', 'text': ' and\n'},
                    image, {'type': 'text', 'text': '!'}]},
                {'role': 'assistant', 'content': [
                    {'type': 'tool_use', 'id': 'a', 'name': 'f', 'input': {'x': 1}},
                    {'type': 'tool_use', 'id': 'b', 'name': 'g', 'input': {}}]},
                {'role': 'user', 'content': [
                    {'type': 'tool_result', 'tool_use_id': 'a', 'content': 'one'},
                    {'type': 'tool_result', 'tool_use_id': 'b', 'content': 'two'}]},
                {'role': 'user', 'content': 'ünd "jetzt"\n'}],
            'tools': [{'name': 'f', 'description': 'does f', 'input_schema': SCHEMA},
                      {'name': 'g', 'description': '', 'input_schema': EMPTY}]}, 'body')


@test
async def anthropic_system(p):
    async with Provider(always(claude())) as pr:
        conn = await started(p, pr, 'anthropic')
        user = {'role': 'user', 'content': 'x'}
        one = {'role': 'system', 'content': 'one'}
        two = {'role': 'system', 'content': 'two', 'cache_hint': 'static'}
        for systems, expected in (
                ([], ''), ([one], 'one'),
                ([one, two], [{'type': 'text', 'text': 'one'},
                              {'type': 'text', 'text': 'two',
                               'cache_control': {'type': 'ephemeral'}}])):
            await generate(conn, [*systems, user])
            want(pr.asks[-1].json['system'], expected, f'{systems}')


@test
async def anthropic_thinking(p):
    async with Provider(always(claude())) as pr:
        conn = await started(p, pr, 'anthropic')
        enabled = {'type': 'enabled', 'budget_tokens': 16384}
        for mode, expected in (
                ('', None), ('disabled', None), ('enabled', enabled), ('think-max', enabled),
                ('adaptive', {'type': 'adaptive', 'effort': 'high'}),
                ('{"type":"enabled"}', enabled),
                ('{"type":"enabled","budget_tokens":2000}',
                 {'type': 'enabled', 'budget_tokens': 2000}), ('{"x":1}', None)):
            await generate(conn, [{'role': 'assistant', 'content': 'a', 'reasoning_content': 'r'},
                                  {'role': 'user', 'content': 'x'}], thinking_mode=mode)
            body = pr.asks[-1].json
            want(body.get('thinking'), expected, mode)
            want(body['messages'][0], {'role': 'assistant', 'content': 'a'}, 'no reasoning')
        # In the middle of tools the provider wants thoughts that v1 has not.
        await generate(conn, HISTORY[:-1], thinking_mode='enabled')
        want('thinking' in pr.asks[-1].json, False, 'amid tools')


@test
async def anthropic_answer(p):
    async with Provider(scripted(
            always(claude({'type': 'thinking', 'thinking': 't1', 'signature': 's'},
                          {'type': 'thinking', 'thinking': 't2'},
                          {'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'})),
            always(claude({'type': 'tool_use', 'id': 'x', 'name': 'f', 'input': {'ä': '"'}},
                          {'type': 'tool_use', 'id': 'y', 'name': 'g', 'input': {}},
                          stop='tool_use')),
            always(claude(stop='max_tokens')), always(claude(stop='refusal')))) as pr:
        conn = await started(p, pr, 'anthropic')
        got = await generate(conn)
        want(got, {'content': 'ab', 'reasoning_content': 't1\nt2', 'finish_reason': 'stop',
                   'usage': {'prompt_tokens': 3, 'completion_tokens': 4, 'total_tokens': 7,
                             'cache_hit_tokens': 5, 'cache_creation_tokens': 6}}, 'text')
        got = await generate(conn)
        want([(c['id'], c['name'], json.loads(c['arguments'])) for c in got['tool_calls']],
             [('x', 'f', {'ä': '"'}), ('y', 'g', {})], 'tools')
        want(got['finish_reason'], 'tool_calls', 'reason')
        want((await generate(conn))['finish_reason'], 'length', 'reason')
        want((await generate(conn))['finish_reason'], 'refusal', 'reason')


@test
async def anthropic_errors(p):
    body = {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'busy'}}
    async with Provider(scripted(always(body, status=529), always(b'[]'))) as pr:
        conn = await started(p, pr, 'anthropic')
        text = await conn.error('EIO', 'llm_generate', {'messages': []})
        want(text, 'LLM generate failed: status 529: ' + json.dumps(body), 'text')
        want(len(pr.asks), 1, 'no retry')
        await conn.error('EIO', 'llm_generate', {'messages': []})


# -- protocol 2 ---------------------------------------------------------------

def served(name='openai', model='m', script=None, **more):
    """A test that gets (p, provider, link, server)."""
    def add(function):
        async def with_server(p):
            async with Provider(script, **more) as pr, v2.Server(p) as server:
                link = await server.start(*flags(pr, name, model),
                                          env={'XBOT_LLM_API_KEY': KEY})
                await function(p, pr, link, server)
                if link.fault is not None:
                    raise link.fault
        with_server.__name__ = function.__name__
        return test(with_server)
    return add


def call(link, body=b'', what=CHAT, dialect=OPENAI, headers=(), credit=1 << 30):
    job = link.job('llm_call', dialect=dialect, what=what, headers=list(headers))
    if credit:
        job.wants[3] = False
        job.grant(3, credit)
    job.task = asyncio.create_task(feed(link, job, body, what))
    return job


async def feed(link, job, body, what):
    sent = 0
    while sent < len(body):
        await until(lambda: job.credit.get(0, 0) > sent, 20, 'credit')
        n = min(job.credit[0] - sent, 200_000, len(body) - sent)
        link.send('job_data', job=job.id, stream=0, offset=sent, bytes=body[sent:sent + n])
        sent += n
    link.send('job_eof', job=job.id, stream=0, offset=sent)


async def done(job, wait=20):
    name, m = await asyncio.wait_for(job.end, wait)
    want(name, 'job_done', f'end ({m})')
    return job.last, bytes(job.out[3])


async def refused(job, code, wait=20):
    name, m = await asyncio.wait_for(job.end, wait)
    want((name, m['code']), ('job_refused', code), f'end ({m})')
    return m['text']


@served()
async def v2_registered(p, pr, link, server):
    body = server.registers[0]['body']
    want((body['llm_provider'], body['llm_model']), ('openai', 'm'), 'registration')


@served(script=always(b'{"any": "thing"}', more=['X-Request-Id: r', 'Set-Cookie: c=d',
                                                   'x-ratelimit-limit: 5']))
async def v2_passed_through(p, pr, link, server):
    body = json.dumps({'model': 'x', 'temperature': 1, 'odd': [None]}).encode()
    head, out = await done(call(link, body, headers=['openai-beta: b', 'authorization: Bearer no',
                                                     'x-evil: 1']))
    ask = pr.asks[0]
    want((ask.path, ask.raw), ('/v1/chat/completions', body), 'request')
    want((ask.headers['authorization'], ask.headers.get('openai-beta'),
          ask.headers.get('x-evil')), (f'Bearer {KEY}', 'b', None), 'headers')
    want((head['status'], out), (200, b'{"any": "thing"}'), 'answer')
    names = sorted(h.split(':')[0].lower() for h in head['headers'])
    want('set-cookie' in names, False, f'{names}')
    want('content-type' in names and 'x-ratelimit-limit' in names, True, f'{names}')
    head, out = await done(call(link, b'', MODELS))
    want([m['id'] for m in json.loads(out)['data']], ['m1', 'm2'], 'models')


@served('anthropic', script=always(b'{"input_tokens": 3}'))
async def v2_anthropic(p, pr, link, server):
    head, out = await done(call(link, b'{}', CHAT, ANTHROPIC, ['anthropic-version: 2024-01-01']))
    want((pr.asks[0].path, pr.asks[0].headers['anthropic-version'],
          pr.asks[0].headers['x-api-key']), ('/v1/messages', '2024-01-01', KEY), 'request')
    head, out = await done(call(link, b'{}', COUNT, ANTHROPIC))
    want((pr.asks[1].path, head['status'], out),
         ('/v1/messages/count_tokens', 200, b'{"input_tokens": 3}'), 'count')
    await refused(call(link, b'{}', CHAT, OPENAI), ENOTSUP)


@served(script=always(b''))
async def v2_refusals(p, pr, link, server):
    await refused(call(link, b'{}', CHAT, ANTHROPIC), ENOTSUP)
    await refused(call(link, b'{}', COUNT), ENOTSUP)
    await refused(call(link, b'{}', 9), ENOTSUP)
    want(pr.asks, [], 'nothing was asked')


@test
async def v2_none_configured(p):
    async with v2.Server(p) as server:
        link = await server.start()
        await refused(call(link, b'{}'), ENOTSUP)
        await refused(call(link, b'', MODELS), ENOTSUP)


@served()
async def v2_lock_step(p, pr, link, server):
    """The provider sends a piece only when the server has had the last."""
    seen = asyncio.Queue()

    async def script(ask):
        await ask.head(kind='text/event-stream')
        for i in range(50):
            await ask.chunk(b'data: %d\n\n' % i)
            want(await asyncio.wait_for(seen.get(), 10), i, 'seen')
        ask.writer.write(b'0\r\n\r\n')
    pr.script = script
    job = call(link, b'{}')
    for i in range(50):
        await until(lambda: bytes(job.out[3]).endswith(b'data: %d\n\n' % i), 10, f'piece {i}')
        seen.put_nowait(i)
    await done(job)


@served()
async def v2_errors_as_they_are(p, pr, link, server):
    for status in (400, 401, 404, 429, 500, 503):
        pr.script = always({'error': status}, status=status, more=['Retry-After: 7'])
        head, out = await done(call(link, b'{}'))
        want((head['status'], json.loads(out)), (status, {'error': status}), 'answer')
        want('retry-after: 7' in [h.lower() for h in head['headers']], True, 'header')
    want(len(pr.asks), 6, 'nothing was tried twice')


@served()
async def v2_provider_breaks_off(p, pr, link, server):
    async def script(ask):
        await ask.head(kind='text/event-stream')
        await ask.chunk(b'data: 1\n\n')
        ask.writer.close()
    pr.script = script
    job = call(link, b'{}')
    await refused(job, EIO)
    want(bytes(job.out[3]), b'data: 1\n\n', 'what came')

    async def close(ask):
        ask.writer.close()
    pr.script = close
    await refused(call(link, b'{}'), EIO)


@served()
async def v2_cancel(p, pr, link, server):
    async def script(ask):
        await ask.head(kind='text/event-stream')
        await ask.chunk(b'data: 1\n\n')
        await ask.closed.wait()
    pr.script = script
    job = call(link, b'{}')
    await until(lambda: job.out[3], 10, 'the first piece')
    link.send('job_cancel', job=job.id)
    await refused(job, EIO)
    await asyncio.wait_for(pr.asks[0].closed.wait(), 10)


@served()
async def v2_credit(p, pr, link, server):
    async def script(ask):
        await ask.head()
        for _ in range(200):
            await ask.chunk(b'x' * 50_000)
        ask.writer.write(b'0\r\n\r\n')
    pr.script = script
    job = call(link, b'{}', credit=0)
    job.wants[3] = False
    for upto in (1, 1000, 3_000_000):
        job.grant(3, upto)
        await until(lambda: len(job.out[3]) == upto, 20, f'{upto} bytes')
        await asyncio.sleep(0.05)
        want(len(job.out[3]), upto, 'no more than that')
    job.grant(3, 1 << 30)
    _, out = await done(job)
    want(len(out), 10_000_000, 'all of it')


@served(script=always(b'{}'))
async def v2_large_body(p, pr, link, server):
    body = b'"' + b'y' * 5_000_000 + b'"'
    await done(call(link, body))
    want(pr.asks[0].raw == body, True, 'body')


@served()
async def v2_resumed(p, pr, link, server):
    gate = asyncio.Event()

    async def script(ask):
        await ask.head(kind='text/event-stream')
        await ask.chunk(b'1')
        await gate.wait()
        await ask.chunk(b'2')
        ask.writer.write(b'0\r\n\r\n')
    pr.script = script
    job = call(link, b'{}')
    await until(lambda: job.out[3], 10, 'the first piece')
    server.proxy.cut()
    gate.set()
    want((await done(job, 30))[1], b'12', 'over the cut')


@served()
async def v2_forgotten(p, pr, link, server):
    """The server does not know the link any more: its calls are closed."""
    async def script(ask):
        await ask.head(kind='text/event-stream')
        await ask.chunk(b'1')
        await ask.closed.wait()
    pr.script = script
    job = call(link, b'{}')
    await until(lambda: job.out[3], 10, 'the first piece')
    server.know = False
    server.proxy.cut()
    await asyncio.wait_for(pr.asks[0].closed.wait(), 30)


@served(script=always(b'{}'))
async def v2_settings(p, pr, link, server):
    async def settings(**values):
        return await link.ask('llm_settings', **values)
    # Without a key: the model, and nothing that would carry ours elsewhere.
    async with Provider(always(b'{}')) as thief:
        for values in ({'provider': 'openai', 'base_url': thief.url},
                       {'provider': 'anthropic'},
                       {'provider': 'anthropic', 'base_url': thief.url}):
            _, name, m = await settings(**values)
            want((name, m['code']), ('job_refused', EPERM), f'{values}')
        _, name, m = await settings(provider='mine', key='k')
        want((name, m['code']), ('job_refused', EINVAL), 'provider')
        _, name, m = await settings(provider='openai', key='a\r\nb: c')
        want((name, m['code']), ('job_refused', EINVAL), 'key')
        _, name, _ = await settings(provider='openai', model='m2')
        want(name, 'job_done', 'model')
        await done(call(link, b'{}'))
        want(pr.asks[-1].headers['authorization'], f'Bearer {KEY}', 'the same key')
        _, name, _ = await settings(provider='anthropic', key='theirs', base_url=thief.url)
        want(name, 'job_done', 'all of it')
        await done(call(link, b'{}', CHAT, ANTHROPIC))
        want(thief.asks[-1].headers['x-api-key'], 'theirs', 'their key')
        want(KEY in str(thief.asks[-1].headers), False, 'our key')
        # It stays so when the link is taken up again, and is told.
        server.proxy.cut()
        await until(lambda: len(server.registers) == 2, 20, 'again')
        body = server.registers[1]['body']
        want((body['llm_provider'], body['llm_model']),
             ('anthropic', 'claude-sonnet-4-20250514'), 'registration')
        await asyncio.wait_for(link.up.wait(), 10)
        await settings(provider='')
        await refused(call(link, b'{}', CHAT, ANTHROPIC), ENOTSUP)
        want(b'theirs' in p.log, False, 'in the log')


if __name__ == '__main__':
    asyncio.run(v1.main())
