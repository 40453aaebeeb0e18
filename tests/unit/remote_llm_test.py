#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-remote and the language models of played runners, of both versions.

usage: remote_llm_test.py XBOT-REMOTE [test ...]
"""
import json
import os
import random
import sys

import remote_test
from remote_peer import MIB, Conn2, Link2, Session
from remote_test import eq, refused, test

remote_test.TESTS.clear()
OPENAI, ANTHROPIC = range(2)
CHAT, MODELS, COUNT = range(3)
PNG = 'data:image/png;base64,iVBORw0KGgo='
USER = {'role': 'user', 'content': 'hello'}
RESPONSE = {'content': 'hi', 'finish_reason': 'stop', 'usage': {
    'prompt_tokens': 1, 'completion_tokens': 2, 'total_tokens': 3,
    'cache_hit_tokens': 0, 'cache_creation_tokens': 0}}


def call(w, body=None, what=CHAT, dialect=OPENAI, credit=1 << 30, raw=None):
    s = Session(w)
    s.send('llm_call', dialect=dialect, what=what, headers=[])
    data = b'' if body is None and raw is None else raw or json.dumps(body).encode()
    for at in range(0, len(data), 65536):
        s.send('job_data', stream=0, offset=at, bytes=data[at:at + 65536])
    s.send('job_eof', stream=0, offset=len(data))
    if credit:
        s.send('job_credit', stream=3, upto=credit)
    return s


def answer(s, timeout=10):
    """(status, headers, JSON) of a call that is done."""
    head, data = s.wait('llm_head', 'job_refused', 'session_lost', timeout=timeout), b''
    assert head.name == 'llm_head', head
    while (m := s.next(timeout)).name != 'job_done':
        if m.name == 'job_data':
            eq((m.stream, m.offset), (3, len(data)))
            data += m.bytes
        else:
            eq((m.name, m.offset), ('job_eof', len(data)))
    s.close()
    return head.status, [h.lower() for h in head.headers], json.loads(data)


def runner(w, provider='openai', model='gpt'):
    return w.runner(llm_provider=provider, llm_model=model)


def asked(w, c, **body):
    """What the runner is asked for a body; it answers something."""
    s = call(w, {'model': 'm', 'messages': [USER], **body})
    m = c.asked('llm_generate')
    c.answer(m, 'llm_response', RESPONSE)
    status, headers, _ = answer(s)
    eq(status, 200)
    ignored = [h.split(': ')[1] for h in headers if h.startswith('x-xbot-llm-ignored')]
    return m['body'], ignored[0] if ignored else ''


def denied(w, part, raw=None, **body):
    """Refused before the runner hears of it."""
    s = call(w, {'model': 'm', 'messages': [USER], **body}, raw=raw)
    status, _, said = answer(s)
    eq((status, said['error']['type']), (400, 'invalid_request_error'))
    assert part in said['error']['message'], said


@test()
def plain(w):
    c = runner(w)
    s = call(w, {'model': 'm', 'messages': [USER], 'stream': True, 'user': 'me'})
    m = c.asked('llm_generate')
    eq(m['body'], {'model': 'm', 'messages': [USER]})
    c.answer(m, 'llm_response', RESPONSE)
    status, headers, body = answer(s)
    eq((status, headers), (200, ['content-type: application/json']))
    assert body.pop('id').startswith('chatcmpl-') and body.pop('created') > 1e9
    eq(body, {'object': 'chat.completion', 'model': 'm', 'choices': [
        {'index': 0, 'message': {'role': 'assistant', 'content': 'hi'}, 'logprobs': None,
         'finish_reason': 'stop'}],
        'usage': {'prompt_tokens': 1, 'completion_tokens': 2, 'total_tokens': 3}})
    # Without a model it is the runner's own.
    s = call(w, {'messages': [USER]})
    m = c.asked('llm_generate')
    eq(m['body']['model'], '')
    c.answer(m, 'llm_response', RESPONSE)
    eq(answer(s)[2]['model'], 'gpt')


@test()
def messages(w):
    c = runner(w)
    image = {'type': 'image_url', 'image_url': {'url': PNG}}
    calls = [{'id': 'a', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"x":"ä\\n"}'}},
             {'id': 'b', 'type': 'function', 'function': {'name': 'g', 'arguments': ''}}]
    body, ignored = asked(w, c, messages=[
        {'role': 'system', 'content': [{'type': 'text', 'text': 'one'},
                                       {'type': 'text', 'text': 'two'}]},
        {'role': 'developer', 'content': 'ünd "so"\n\u2028\U0001f600'},
        {'role': 'user', 'name': 'ann', 'content': [
            {'type': 'text', 'text': 'a'}, image, {'type': 'text', 'text': 'b'}, image, image]},
        {'role': 'user', 'content': [image, image]},
        {'role': 'assistant', 'content': None, 'tool_calls': calls, 'refusal': None,
         'annotations': []},
        {'role': 'tool', 'tool_call_id': 'a', 'content': 'r'},
        {'role': 'assistant', 'content': 'x', 'reasoning_content': 'why'}])
    mark = f'![image]({PNG})'
    eq(body['messages'], [
        {'role': 'system', 'content': 'one\ntwo'},
        {'role': 'system', 'content': 'ünd "so"\n\u2028\U0001f600'},
        {'role': 'user', 'content': f'a{mark}b{mark}{mark}'},
        {'role': 'user', 'content': mark + mark},
        {'role': 'assistant', 'content': '', 'tool_calls': [
            {'id': 'a', 'name': 'f', 'arguments': '{"x":"ä\\n"}'},
            {'id': 'b', 'name': 'g', 'arguments': ''}]},
        {'role': 'tool', 'content': 'r', 'tool_call_id': 'a'},
        {'role': 'assistant', 'content': 'x', 'reasoning_content': 'why'}])
    eq(ignored, 'messages.name')


@test()
def wishes(w):
    c = runner(w)
    body, ignored = asked(w, c, temperature=0.5, max_tokens=10, n=1, stop=None, logprobs=False,
                          response_format={'type': 'text'}, presence_penalty=0,
                          parallel_tool_calls=True, tool_choice='auto', seed=7)
    eq(sorted(body), ['messages', 'model'])
    eq(ignored, 'temperature, max_tokens, seed')
    for effort, mode in (('medium', 'think'), ('high', 'think-max'), ('none', None)):
        eq(asked(w, c, reasoning_effort=effort)[0].get('thinking_mode'), mode)
    eq(asked(w, c, reasoning_effort='low')[1], 'reasoning_effort')
    eq(asked(w, c, thinking={'type': 'enabled', 'b': 1})[0]['thinking_mode'],
       '{"type": "enabled", "b": 1}')


@test()
def tools(w):
    c = runner(w)
    items = {'type': 'object', 'properties': {'k': {'enum': [1], 'type': 'integer'}},
             'required': ['k'], 'additionalProperties': False}
    exact = {'type': 'object', 'additionalProperties': False, 'properties': {
        'b': {'type': 'string', 'description': 'say "b"'},
        'a\n': {'type': 'array', 'items': items}}, 'required': ['a\n']}
    body, ignored = asked(w, c, tools=[
        {'type': 'function', 'function': {'name': 'f', 'description': 'does', 'strict': True,
                                          'parameters': exact}},
        {'type': 'function', 'function': {'name': 'g'}}])
    key = {p['name']: p for p in body['tools'][0].pop('parameters')}
    eq(body['tools'], [{'name': 'f', 'description': 'does'},
                       {'name': 'g', 'description': '', 'parameters': []}])
    eq(key, {'b': {'name': 'b', 'type': 'string', 'description': 'say "b"', 'required': False},
             'a\n': {'name': 'a\n', 'type': 'array', 'description': '', 'required': True,
                     'items': items}})
    eq(ignored, 'tools.strict')
    # What v1 has no words for is where the model reads it.
    rich = {'type': 'object', 'properties': {
        'unit': {'type': 'string', 'enum': ['c', 'f']},
        'may': {'anyOf': [{'type': 'null'}, {'type': 'integer'}]},
        'two': {'type': ['null', 'number']},
        'deep': {'properties': {}}, 'ref': {'$ref': '#/$defs/x'},
        'list': {'type': 'array', 'items': {'type': 'string', 'enum': ['x']}}}}
    body, _ = asked(w, c, tools=[{'type': 'function', 'function': {
        'name': 'f', 'description': 'd', 'parameters': rich}}])
    description = body['tools'][0]['description']
    head, schema = description.split('\n\nJSON Schema of the parameters: ')
    eq((head, json.loads(schema)), ('d', rich))
    eq({p['name']: p['type'] for p in body['tools'][0]['parameters']},
       {'unit': 'string', 'may': 'integer', 'two': 'number', 'deep': 'object', 'ref': 'string',
        'list': 'array'})
    eq(body['tools'][0]['parameters'][-1]['items'], {'type': 'string'})
    # None are to be called.
    body, _ = asked(w, c, tool_choice='none', tools=[{'type': 'function',
                                                      'function': {'name': 'f'}}])
    eq('tools' in body, False)


@test()
def denials(w):
    c = runner(w)
    for part, body in (
            ('n:', {'n': 2}), ('stop', {'stop': ['x']}), ('logprobs', {'logprobs': True}),
            ('response_format', {'response_format': {'type': 'json_object'}}),
            ('tool_choice', {'tool_choice': 'required'}),
            ('tool_choice', {'tool_choice': {'type': 'function', 'function': {'name': 'f'}}}),
            ('functions', {'functions': []}), ('something', {'something': 1}),
            ('messages', {'messages': {}}), ('messages', {'messages': [5]}),
            ('role', {'messages': [{'role': 'function', 'content': 'x'}]}),
            ('content', {'messages': [{'role': 'user', 'content': 5}]}),
            ('content', {'messages': [{'role': 'user', 'content': [5]}]}),
            ('input_audio', {'messages': [{'role': 'user', 'content': [
                {'type': 'input_audio', 'input_audio': {}}]}]}),
            ('data URLs', {'messages': [{'role': 'user', 'content': [
                {'type': 'text', 'text': 'x'},
                {'type': 'image_url', 'image_url': {'url': 'https://x/y.png'}}]}]}),
            ('data URLs', {'messages': [{'role': 'user', 'content': [
                {'type': 'text', 'text': 'x'},
                {'type': 'image_url', 'image_url': {'url': PNG + ')'}}]}]}),
            ('text beside', {'messages': [{'role': 'user', 'content': [
                {'type': 'image_url', 'image_url': {'url': PNG}}]}]}),
            ('image_url', {'messages': [{'role': 'system', 'content': [
                {'type': 'image_url', 'image_url': {'url': PNG}}]}]}),
            ('audio', {'messages': [{'role': 'assistant', 'audio': {'id': 'x'}}]}),
            ('refusal', {'messages': [{'role': 'assistant', 'refusal': 'no'}]}),
            ('functions', {'messages': [{'role': 'assistant', 'tool_calls': [
                {'id': 'x', 'type': 'custom', 'custom': {}}]}]}),
            ('functions', {'tools': [{'type': 'web_search'}]}),
            ('tools', {'tools': 5}),
            ('wrong type', {'tools': [{'type': 'function', 'function': {'name': 5}}]}),
            ('properties', {'tools': [{'type': 'function', 'function': {
                'name': 'f', 'parameters': {'properties': [1]}}}]}),
            ('property', {'tools': [{'type': 'function', 'function': {
                'name': 'f', 'parameters': {'properties': {'x': 1}}}}]}),
            ('model', {'model': 5}), ('thinking', {'thinking': 'x'}),
            ('reasoning_effort', {'reasoning_effort': 5})):
        denied(w, part, **body)
    for raw in (b'[]', b'{', b'{"a":"\xff"}', b'x', b'{"messages":' + b'[' * 100 + b']' * 100 +
                b'}', b'{"messages":[]} x'):
        denied(w, '', raw=raw)
    eq(len(c.messages), 0)
    asked(w, c)


@test()
def responses(w):
    c = runner(w)

    def said(body):
        s = call(w, {'model': 'm', 'messages': [USER]})
        c.answer(c.asked('llm_generate'), 'llm_response', body)
        return answer(s)[2]
    body = said({'content': '', 'reasoning_content': 'r', 'finish_reason': 'tool_calls',
                 'tool_calls': [{'id': 'a', 'name': 'f', 'arguments': '{"ä":1}'},
                                {'id': 'b', 'name': 'g', 'arguments': ''}],
                 'usage': {'prompt_tokens': 5, 'cache_hit_tokens': 4, 'completion_tokens': -3,
                           'cache_creation_tokens': 2, 'total_tokens': 'x'},
                 'stream_stats': {'ttft_ms': 1}})
    eq(body['choices'][0]['message'], {
        'role': 'assistant', 'content': None, 'reasoning_content': 'r', 'tool_calls': [
            {'id': 'a', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"ä":1}'}},
            {'id': 'b', 'type': 'function', 'function': {'name': 'g', 'arguments': '{}'}}]})
    eq(body['usage'], {'prompt_tokens': 5, 'completion_tokens': 0, 'total_tokens': 0,
                       'prompt_tokens_details': {'cached_tokens': 4, 'cache_creation_tokens': 2}})
    for theirs, ours in (('stop', 'stop'), ('length', 'length'), ('', 'stop'), (None, 'stop'),
                         ('content_filter', 'content_filter'),
                         ('model_context_window_exceeded', 'length'), ('odd', 'odd'),
                         ('x' * 100, 'stop')):
        eq(said({'content': 'x', 'finish_reason': theirs})['choices'][0]['finish_reason'], ours)
    eq(said({})['choices'][0]['message'], {'role': 'assistant', 'content': ''})
    # Anthropic counts what is cached beside the prompt.
    c.gone()
    c = runner(w, 'anthropic')
    body = said({'usage': {'prompt_tokens': 5, 'cache_hit_tokens': 4, 'completion_tokens': 3,
                           'cache_creation_tokens': 2, 'total_tokens': 8}})
    eq(body['usage'], {'prompt_tokens': 11, 'completion_tokens': 3, 'total_tokens': 14,
                       'prompt_tokens_details': {'cached_tokens': 4, 'cache_creation_tokens': 2}})
    body = said({'usage': {'prompt_tokens': 2**63 - 1, 'cache_hit_tokens': 2**63 - 1}})
    eq(body['usage']['prompt_tokens'], 2**63 - 1)


@test()
def rubbish(w):
    c = runner(w)
    for body in ([], 5, None, {'content': 5}, {'content': 'x', 'tool_calls': {}},
                 {'tool_calls': [5]}, {'tool_calls': [{'id': 'x'}]},
                 {'tool_calls': [{'name': 'f', 'arguments': {}}]}, {'usage': []},
                 {'finish_reason': 5}, {'reasoning_content': []}):
        s = call(w, {'model': 'm', 'messages': [USER]})
        c.answer(c.asked('llm_generate'), 'llm_response', body)
        refused(s.wait('job_refused'), 'EIO', 'malformed')
    asked(w, c)


@test()
def errors(w):
    c = runner(w)

    def failed(code, text):
        s = call(w, {'model': 'm', 'messages': [USER]})
        c.answer(c.asked('llm_generate'), 'error', {'code': code, 'message': text})
        return s
    refused(failed('ENOTSUP', 'no LLM').wait('job_refused'), 'ENOTSUP', 'no LLM')
    status, _, body = answer(failed('EINVAL', 'bad "body"'))
    eq((status, body['error']['message']), (400, 'bad "body"'))
    status, _, body = answer(failed('EIO', 'LLM generate failed: connection reset'))
    eq((status, body['error']), (502, {
        'message': 'LLM generate failed: connection reset', 'type': 'api_error', 'param': None,
        'code': None}))
    inner = {'message': 'slow "down" ä', 'type': 'rate_limit', 'code': 'x'}
    for text in (
            'LLM generate failed: status 429 (retry after 7 s): ' + json.dumps({'error': inner}),
            'LLM generate failed: status 429 (retry after 7 s): ' + json.dumps(
                {'type': 'error', 'error': inner}),
            'LLM generate failed: POST "http://127.0.0.1:8080/v1/x": 429 Too Many Requests ' +
            json.dumps(inner)):
        status, headers, body = answer(failed('EIO', text))
        eq((status, body), (429, {'error': inner}))
        eq('retry-after: 7' in headers, 'retry after' in text)
    status, _, body = answer(failed('EIO', 'LLM generate failed: status 500: {"error": {"mess'))
    eq((status, body['error']['type']), (500, 'api_error'))
    status, _, body = answer(failed('EIO', 'x 4'))
    eq(status, 502)
    status, _, body = answer(failed('', ''))
    eq((status, body['error']['message']), (502, 'the runner gave no reason'))
    assert not any('slow' in line for line in w.lines), w.lines


@test()
def models(w):
    c = runner(w)

    def said(body, kind='llm_models_response'):
        s = call(w, what=MODELS)
        m = c.asked('llm_models')
        eq('body' in m, False)
        c.answer(m, kind, body)
        return s
    status, _, body = answer(said({'models': ['a', 'ä']}))
    eq((status, body), (200, {'object': 'list', 'data': [
        {'id': x, 'object': 'model', 'created': 0, 'owned_by': 'openai'} for x in ('a', 'ä')]}))
    eq(answer(said({'models': None}))[2]['data'], [])
    for bad in ({'models': 5}, {'models': [5]}, [], {'models': ['x'] * 5000}):
        refused(said(bad).wait('job_refused'), 'EIO', 'malformed')
    eq(answer(said({'message': 'x', 'code': 'EIO'}, 'error'))[0], 502)
    s = Session(w)              # and without job_eof
    s.send('llm_call', dialect=OPENAI, what=MODELS, headers=[])
    s.send('job_credit', stream=3, upto=1 << 20)
    c.answer(c.asked('llm_models'), 'llm_models_response', {'models': []})
    eq(answer(s)[0], 200)


@test()
def not_for_v1(w):
    c = runner(w)
    refused(call(w, {}, dialect=ANTHROPIC).wait('job_refused'), 'ENOTSUP')
    refused(call(w, {}, what=COUNT).wait('job_refused'), 'ENOTSUP')
    s = Session(w)
    s.send('llm_settings', provider='openai', key='k')
    refused(s.wait('job_refused'), 'ENOTSUP', 'settings')
    c.gone()
    w.runner()
    refused(call(w, {}).wait('job_refused'), 'ENOTSUP', 'no language model')


@test()
def credit(w):
    c = runner(w)
    s = call(w, {'model': 'm', 'messages': [USER]}, credit=0)
    text = os.urandom(600_000).hex()
    c.answer(c.asked('llm_generate'), 'llm_response', {**RESPONSE, 'content': text})
    eq(s.next().name, 'job_credit')
    eq(s.next().name, 'llm_head')
    got = b''
    for upto in (1, 5, 100_000, 1 << 30):
        s.send('job_credit', stream=3, upto=upto)
        while len(got) < min(upto, 1_200_000):
            m = s.next()
            eq(m.offset, len(got))
            got += m.bytes
            assert len(got) <= upto
    while (m := s.next()).name == 'job_data':
        got += m.bytes
    eq(m.name, 'job_eof')
    eq(json.loads(got)['choices'][0]['message']['content'] == text, True)


@test()
def large(w):
    c = runner(w)
    text = 'y' * (20 * MIB)
    s = Session(w)
    s.send('llm_call', dialect=OPENAI, what=CHAT, headers=[])
    data = json.dumps({'messages': [{'role': 'user', 'content': text}]}).encode()
    upto = at = 0
    while at < len(data):
        while upto <= at:
            upto = s.wait('job_credit').upto
        n = min(upto - at, 200_000, len(data) - at)
        s.send('job_data', stream=0, offset=at, bytes=data[at:at + n])
        at += n
    s.send('job_eof', stream=0, offset=at)
    s.send('job_credit', stream=3, upto=1 << 30)
    m = c.asked('llm_generate')
    eq(m['body']['messages'][0]['content'] == text, True)
    c.answer(m, 'llm_response', RESPONSE)
    eq(answer(s)[0], 200)


@test()
def ends(w):
    """Cancelled, closed, the runner gone."""
    c = runner(w)
    s = call(w, {'messages': [USER]})
    m = c.asked('llm_generate')
    s.send('job_cancel')
    refused(s.wait('job_refused'), 'EIO')
    c.answer(m, 'llm_response', RESPONSE)       # for nobody
    s = call(w, {'messages': [USER]})
    c.asked('llm_generate')
    s.close()
    asked(w, c)
    s = call(w, {'messages': [USER]})
    c.asked('llm_generate')
    c.gone()
    refused(s.wait('session_lost'), 'EIO')


@test()
def random_bodies(w):
    """Bodies and answers that almost are some."""
    c = runner(w)
    rnd = random.Random(5)
    body = json.dumps({'model': 'm', 'thinking': {'type': 'x'}, 'messages': [
        {'role': 'user', 'content': [{'type': 'text', 'text': 'a\\u00e4'},
                                     {'type': 'image_url', 'image_url': {'url': PNG}}]},
        {'role': 'assistant', 'tool_calls': [
            {'id': 'a', 'type': 'function', 'function': {'name': 'f', 'arguments': '{}'}}]}],
        'tools': [{'type': 'function', 'function': {'name': 'f', 'parameters': {
            'type': 'object', 'properties': {'x': {'type': ['null', 'string'], 'enum': [1]},
                                             'y': {'type': 'array', 'items': {}}},
            'required': ['x']}}}]}).encode()
    response = json.dumps({**RESPONSE, 'tool_calls': [
        {'id': 'a', 'name': 'f', 'arguments': '{}'}]}).encode()

    def spoil(data):
        data = bytearray(data)
        for _ in range(rnd.randint(0, 3)):
            at = rnd.randrange(len(data))
            what = rnd.randrange(4)
            if what == 0:
                data[at] = rnd.choice(b'{}[]",:\\0n1e\xff')
            elif what == 1:
                del data[at:at + rnd.randint(1, 20)]
            elif what == 2:
                data[at:at] = data[at:at + rnd.randint(1, 30)]
            else:
                data[at:at] = rnd.choice((b'null', b'""', b'[]', b'{}', b'\\u', b'0'))
        return bytes(data)
    for _ in range(600):
        s = call(w, raw=spoil(body))
        w.until(lambda: s.queue and s.queue[-1].name in ('job_done', 'job_refused')
                or c.messages)
        if c.messages:
            m = c.next()
            eq(m['type'], 'llm_generate')
            c.raw(b'{"id":"%s","type":"llm_response","body":%s}' % (
                m['id'].encode(), spoil(response)))
            # What is no message at all is answered by nobody.
            if not w.until(lambda: s.queue and s.queue[-1].name in (
                    'job_done', 'job_refused'), 0.05):
                s.send('job_cancel')
            s.wait('job_done', 'job_refused')
        s.close()
    eq(c.closed, None)
    asked(w, c)


# --- version 2 ---

def v2(w, **more):
    c = Conn2(w, Link2(), llm_provider='openai', llm_model='m', **more)
    eq(c.resume(), False)
    w.until(lambda: w.statuses)
    return c


@test()
def v2_through(w):
    c = v2(w)
    eq((w.statuses[-1].v2, w.statuses[-1].llm_provider), (True, 'openai'))
    s = Session(w)
    s.send('llm_call', dialect=OPENAI, what=CHAT, headers=['a: b'])
    m = c.seen('llm_call')
    eq((m.dialect, m.what, m.headers), (OPENAI, CHAT, ['a: b']))
    c.tell('job_credit', job=m.job, stream=0, upto=100)
    eq(s.wait('job_credit').upto, 100)
    s.send('job_data', stream=0, offset=0, bytes=b'{}')
    s.send('job_eof', stream=0, offset=2)
    s.send('job_credit', stream=3, upto=50)
    eq((c.seen('job_data').bytes, c.seen('job_eof').offset), (b'{}', 2))
    c.tell('llm_head', job=m.job, status=200, headers=['content-type: x'])
    c.tell('job_data', job=m.job, stream=3, offset=0, bytes=b'abc')
    c.tell('job_eof', job=m.job, stream=3, offset=3)
    c.tell('job_done', job=m.job)
    eq([s.next().name for _ in range(4)], ['llm_head', 'job_data', 'job_eof', 'job_done'])
    # Beyond its credit: it loses the link.
    s = Session(w)
    s.send('llm_call', dialect=OPENAI, what=CHAT, headers=[])
    m = c.seen('llm_call')
    c.tell('job_data', job=m.job, stream=3, offset=0, bytes=b'abc')
    eq(c.wait_close()[0], 1002)
    refused(s.wait('session_lost'), 'EIO')


@test()
def v2_closed(w):
    c = v2(w)
    s = Session(w)
    s.send('llm_call', dialect=OPENAI, what=CHAT, headers=[])
    m = c.seen('llm_call')
    s.close()
    eq(c.seen('job_cancel').job, m.job)


@test()
def v2_old_runner(w):
    c = v2(w)
    s = Session(w)
    s.send('llm_call', dialect=OPENAI, what=CHAT, headers=[])
    c.seen('llm_call')
    c.say('unsupported', type=47)
    refused(s.wait('job_refused'), 'ENOTSUP', 'too old')


@test()
def v2_settings(w):
    c = v2(w)
    for values, after in (({'model': 'm2'}, ('openai', 'm2')), ({}, ('openai', 'm2')),
                          ({'provider': 'anthropic', 'key': 'sk'}, ('anthropic', '')),
                          ({'provider': ''}, ('', ''))):
        s = Session(w)
        s.send('llm_settings', **{'provider': 'openai', **values})
        m = c.seen('llm_settings')
        eq(m.key, values.get('key', ''))
        n = len(w.statuses)
        c.tell('job_done', job=m.job)
        s.wait('job_done')
        w.until(lambda: len(w.statuses) > n)
        last = w.statuses[-1]
        eq((last.llm_provider, last.llm_model, last.online, last.v2), (*after, True, True))
    n = len(w.statuses)
    s = Session(w)
    s.send('llm_settings', provider='openai', key='sk')
    c.tell('job_refused', job=c.seen('llm_settings').job, code=3, text='no')
    refused(s.wait('job_refused'), 'EPERM')
    w.settle()
    eq(len(w.statuses), n)
    assert not any('sk' in line.split() for line in w.lines)


if __name__ == '__main__':
    sys.exit(remote_test.main())
