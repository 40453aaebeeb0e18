/*
 * Copyright (c) 2026 The xbot-supervisor authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

/*
 * The keywords: how each is written, what it holds, its limits and default.
 * Runs in: supervisor.  A new keyword is a row here, a line of grammar, a
 * field, a line in xbot.conf(5) and a pair of tests.
 */

#include <stddef.h>

#include "confimpl.h"

#define OFF(f)		offsetof(struct conf, f)
#define KB(n)		((uint64_t)(n) << 10)
#define MB(n)		((uint64_t)(n) << 20)
#define GB(n)		((uint64_t)(n) << 30)
#define DAYS(n)		((uint64_t)(n) * 86400)
#define RLMAX		((uint64_t)1 << 50)

static const char *const w_bool[] = { "no", "yes", NULL };
static const char *const w_need[] = { "prefer", "require", NULL };
static const char *const w_level[] = { "error", "warning", "info", "debug",
    NULL };
static const char *const w_mode[] = { "none", "docker", "remote", NULL };
static const char *const w_persist[] = { "export", "import", NULL };
static const char *const w_pull[] = { "never", "missing", NULL };
static const char *const w_provider[] = { "openai", "anthropic", NULL };
static const char *const w_policy[] = { "none", "permissive", "restrictive",
    NULL };

#define N(nm, ty, f, lo, hi, d) \
	{ NULL, nm, ty, OFF(f), lo, hi, NULL, d, NULL }
#define W(nm, ty, f, w, d) \
	{ NULL, nm, ty, OFF(f), 0, 0, w, d, NULL }
#define S(nm, ty, f, d, u) \
	{ NULL, nm, ty, OFF(f), 0, 0, NULL, d, u }
#define BN(b, nm, ty, f, lo, hi, d) \
	{ b, nm, ty, OFF(f), lo, hi, NULL, d, NULL }
#define BW(b, nm, ty, f, w, d) \
	{ b, nm, ty, OFF(f), 0, 0, w, d, NULL }
#define BS(b, nm, ty, f, d, u) \
	{ b, nm, ty, OFF(f), 0, 0, NULL, d, u }
#define BYHAND(b, nm) \
	{ b, nm, CONF_T_NONE, 0, 0, 0, NULL, NULL, NULL }

const struct conf_row conf_rows[CONF_K_MAX] = {
[CONF_K_PUBLIC_URL] =	S("public url", CONF_T_WSURL, public_url, NULL, NULL),
[CONF_K_CONTROL] =	S("control socket", CONF_T_PATH, control_path,
			    CONF_ROOT_SOCK, "%S/xbot.sock"),
[CONF_K_STATE] =	S("state directory", CONF_T_PATH, state, NULL, NULL),
[CONF_K_LOG_LEVEL] =	W("log level", CONF_T_WORD, loglevel, w_level, "info"),
[CONF_K_AUDIT_LOG] =	S("audit log", CONF_T_PATH, audit,
			    "/var/log/xbot/audit.jsonl", "%S/audit.jsonl"),
[CONF_K_NEED] =		W("sandbox", CONF_T_BOOL, require, w_need, "prefer"),
[CONF_K_MODE] =		W("sandbox mode", CONF_T_WORD, mode, w_mode, "none"),
[CONF_K_REMOTE] =	W("sandbox remote", CONF_T_BOOL, remote, w_bool, "no"),
[CONF_K_HOST] =		W("sandbox host", CONF_T_BOOL, host, w_bool, NULL),
[CONF_K_AUTH_TOKEN] =	BYHAND(NULL, "auth token"),
[CONF_K_API_TOKEN] =	BYHAND(NULL, "api token"),
[CONF_K_WEB_USER] =	W("web user server runner", CONF_T_BOOL, web_user,
			    w_bool, "no"),

[CONF_K_USER_EXEC] =	N("user limit exec", CONF_T_NUM, user_exec,
			    1, 10000, "16"),
[CONF_K_USER_TASK] =	N("user limit task", CONF_T_NUM, user_task,
			    1, 10000, "32"),
[CONF_K_USER_PTY] =	N("user limit pty", CONF_T_NUM, user_pty,
			    1, 10000, "8"),
[CONF_K_USER_LLM] =	N("user limit llm", CONF_T_NUM, user_llm,
			    1, 10000, "16"),
[CONF_K_USER_RATE] =	N("user limit rate", CONF_T_RATE, user_rate,
			    1, 1000000, "200/s"),
/* a body is held in memory while it is parsed, once a connection */
[CONF_K_LIMIT_JSON] =	N("limit json", CONF_T_SIZE, limit_json,
			    KB(1), MB(64), "1M"),
/* more than 64K count as that: libhttp-parser reads no more than 80K */
[CONF_K_LIMIT_HEADER] =	N("limit header", CONF_T_SIZE, limit_header,
			    KB(1), MB(1), "16K"),
[CONF_K_LIMIT_OUTPUT] =	N("limit output", CONF_T_SIZE, limit_output,
			    KB(1), GB(1), "16M"),
[CONF_K_LIMIT_FILE] =	N("limit file", CONF_T_SIZE, limit_file,
			    KB(1), RLMAX, "4G"),
/* images travel inside of it, in base64; 32 MB is Anthropic's own limit */
[CONF_K_LIMIT_LLM] =	N("limit llm", CONF_T_SIZE, limit_llm,
			    KB(1), MB(64), "32M"),

[CONF_K_NONE] =		BYHAND(NULL, "none"),
[CONF_K_NONE_UIDS] =	BYHAND("none", "user or uid range"),
[CONF_K_NONE_WORKSPACE] = BS("none", "workspace", CONF_T_PATH, none.workspace,
			    "/var/xbot/none/%u", "%S/none/%u"),
[CONF_K_NONE_CPU] =	BN("none", "rlimit cpu", CONF_T_RLTIME, none.cpu,
			    1, DAYS(30), "600"),
[CONF_K_NONE_NPROC] =	BN("none", "rlimit nproc", CONF_T_RLNUM, none.nproc,
			    8, 1000000, "256"),
[CONF_K_NONE_NOFILE] =	BN("none", "rlimit nofile", CONF_T_RLNUM, none.nofile,
			    64, 1048576, "1024"),
[CONF_K_NONE_FSIZE] =	BN("none", "rlimit fsize", CONF_T_RLSIZE, none.fsize,
			    KB(1), RLMAX, "4G"),
[CONF_K_NONE_AS] =	BN("none", "rlimit as", CONF_T_RLSIZE, none.as,
			    MB(16), RLMAX, "off"),

[CONF_K_DOCKER] =	BYHAND(NULL, "docker"),
[CONF_K_DOCKER_SOCKET] = BS("docker", "socket", CONF_T_PATH, docker.socket,
			    "/var/run/docker.sock", NULL),
[CONF_K_DOCKER_IMAGE] =	BS("docker", "image", CONF_T_IMAGE, docker.image,
			    "ubuntu:22.04", NULL),
[CONF_K_DOCKER_WORKDIR] = BS("docker", "host workdir", CONF_T_PATH,
			    docker.workdir, "/var/xbot/work", "%S/work"),
[CONF_K_DOCKER_IDLE] =	BN("docker", "idle timeout", CONF_T_TIME, docker.idle,
			    1, DAYS(365), "30m"),
[CONF_K_DOCKER_MEMORY] = BN("docker", "memory", CONF_T_SIZE, docker.memory,
			    MB(16), RLMAX, "2G"),
[CONF_K_DOCKER_CPUS] =	BN("docker", "cpus", CONF_T_CPUS, docker.millicpus,
			    10, 1024000, "2"),
[CONF_K_DOCKER_PIDS] =	BN("docker", "pids", CONF_T_NUM, docker.pids,
			    8, 4194304, "512"),
[CONF_K_DOCKER_NETWORK] = BS("docker", "network", CONF_T_NAME, docker.network,
			    "bridge", NULL),
[CONF_K_DOCKER_CAPS] =	BYHAND("docker", "capabilities drop"),
[CONF_K_DOCKER_NNP] =	BW("docker", "no new privileges", CONF_T_BOOL,
			    docker.nnp, w_bool, "yes"),
[CONF_K_DOCKER_PERSIST] = BW("docker", "persist", CONF_T_WORD, docker.persist,
			    w_persist, "export"),
[CONF_K_DOCKER_PULL] =	BW("docker", "pull", CONF_T_WORD, docker.pull, w_pull,
			    "missing"),

[CONF_K_REMOTE_BLOCK] =	BYHAND(NULL, "remote"),
[CONF_K_REMOTE_SKILLS] = BS("remote", "skills", CONF_T_PATH, rem.skills,
			    "/var/xbot/skills", "%S/skills"),
[CONF_K_REMOTE_AGENTS] = BS("remote", "agents", CONF_T_PATH, rem.agents,
			    "/var/xbot/agents", "%S/agents"),
[CONF_K_REMOTE_MESSAGE] = BN("remote", "message limit", CONF_T_SIZE,
			    rem.message, KB(64), GB(16), "700M"),
[CONF_K_REMOTE_BUDGET] = BN("remote", "assembly budget", CONF_T_SIZE,
			    rem.budget, KB(64), GB(1024), "2G"),

[CONF_K_LLM] =		BYHAND(NULL, "llm"),
[CONF_K_LLM_PROVIDER] =	BW("llm", "provider", CONF_T_WORD, llm.provider,
			    w_provider, "openai"),
[CONF_K_LLM_URL] =	BS("llm", "base url", CONF_T_URL, llm.base_url,
			    NULL, NULL),
[CONF_K_LLM_MODEL] =	BS("llm", "model", CONF_T_TEXT, llm.model, NULL, NULL),
[CONF_K_LLM_TIMEOUT] =	BN("llm", "timeout", CONF_T_TIME, llm.timeout,
			    1, 3600, "5m"),
[CONF_K_LLM_IDLE] =	BN("llm", "idle timeout", CONF_T_TIME, llm.idle,
			    1, 3600, "2m"),
[CONF_K_LLM_CA] =	BS("llm", "ca file", CONF_T_PATH, llm.ca, NULL, NULL),
[CONF_K_LLM_KEY] =	BYHAND("llm", "api key"),

[CONF_K_SKILL_ONLY] =	W("skill only", CONF_T_NONE, skill_only, NULL, NULL),
[CONF_K_SKILL] =	BYHAND(NULL, "skill"),
[CONF_K_SKILL_LISTEN] =	BYHAND("skill", "listen"),
[CONF_K_SKILL_TOKEN] =	BYHAND("skill", "token"),
[CONF_K_SKILL_POLICY] =	BW("skill", "policy", CONF_T_WORD, skill.policy,
			    w_policy, "permissive"),
[CONF_K_SKILL_API_URL] = BS("skill", "api base url", CONF_T_URL,
			    skill.api_url, "https://app.ab.bot/api", NULL),
[CONF_K_SKILL_TIMEOUT] = BN("skill", "timeout", CONF_T_TIME, skill.timeout,
			    1, 3600, "90s"),
[CONF_K_SKILL_MEMORY] =	BN("skill", "memory", CONF_T_SIZE, skill.memory,
			    MB(16), RLMAX, "512M"),
[CONF_K_SKILL_PROCESSES] = BN("skill", "processes", CONF_T_NUM,
			    skill.processes, 1, 100000, "32"),
};
