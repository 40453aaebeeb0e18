// Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
//
// npm's openai and @anthropic-ai/sdk, told what to do by lines of JSON on
// stdin; one line of JSON is the transcript of each.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const require = createRequire(process.argv[2] + '/');
const OpenAI = require('openai').default ?? require('openai');
const Anthropic = require('@anthropic-ai/sdk').default ??
	require('@anthropic-ai/sdk');

const kinds = {
	openai: (q) => new OpenAI({
		baseURL: q.base, apiKey: q.key, maxRetries: 0, timeout: 60000,
	}),
	anthropic: (q) => new Anthropic({
		baseURL: q.base.replace(/\/v1$/, ''), apiKey: q.key,
		maxRetries: 0, timeout: 60000,
	}),
};

function failure(e) {
	return { error: {
		name: e.constructor.name, status: e.status ?? null,
		message: e.message, body: e.error ?? null,
		retry: e.headers?.get?.('retry-after') ?? null,
		via: e.headers?.get?.('x-xbot-llm') ?? null,
	} };
}

async function openai(c, q, out) {
	if (q.op === 'models') {
		for await (const m of c.models.list())
			(out.models ??= []).push(m.id);
		return;
	}
	if (!q.body.stream) {
		const { data, response } =
			await c.chat.completions.create(q.body).withResponse();
		out.via = response.headers.get('x-xbot-llm');
		out.cookie = response.headers.get('set-cookie');
		out.id = response.headers.get('request-id');
		out.answer = data;
		return;
	}
	const s = c.chat.completions.stream(q.body);
	for await (const chunk of s) {
		const text = chunk.choices[0]?.delta?.content;
		if (text) {
			(out.pieces ??= []).push(text);
			await told(q, out.pieces.length - 1);
			if (q.stop === out.pieces.length) {
				s.abort();
				throw new Error('went away');
			}
		}
		if (chunk.usage)
			out.usage = chunk.usage;
	}
	out.answer = await s.finalChatCompletion();
}

async function anthropic(c, q, out) {
	if (q.op === 'models') {
		for await (const m of c.models.list())
			(out.models ??= []).push(m.id);
		return;
	}
	if (q.op === 'count') {
		out.answer = await c.messages.countTokens(q.body);
		return;
	}
	if (!q.body.stream) {
		const { data, response } =
			await c.messages.create(q.body).withResponse();
		out.via = response.headers.get('x-xbot-llm');
		out.cookie = response.headers.get('set-cookie');
		out.id = response.headers.get('request-id');
		out.answer = data;
		return;
	}
	if (q.stop) {
		const s = await c.messages.create(q.body);
		for await (const event of s) {
			if (event.delta?.type === 'text_delta')
				(out.pieces ??= []).push(event.delta.text);
			if (out.pieces?.length === q.stop)
				break;
		}
		s.controller.abort();
		throw new Error('went away');
	}
	const s = c.messages.stream(q.body);
	for await (const event of s)
		if (event.type === 'content_block_delta' &&
		    event.delta.type === 'text_delta') {
			(out.pieces ??= []).push(event.delta.text);
			await told(q, out.pieces.length - 1);
		}
	out.answer = await s.finalMessage();
}

async function told(q, n) {
	if (q.report)
		await fetch(`${q.report}/report?model=${q.body.model}&n=${n}`);
}

async function one(q) {
	const out = { n: q.n };
	try {
		const c = kinds[q.client](q);
		await (q.client === 'openai' ? openai : anthropic)(c, q, out);
	} catch (e) {
		Object.assign(out, failure(e));
	}
	console.log(JSON.stringify(out));
}

for await (const line of createInterface({ input: process.stdin }))
	one(JSON.parse(line));
