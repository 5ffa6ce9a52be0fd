/*
 * `set` changes what is given and leaves the rest: for every command that changes an object, and for each of its
 * options. The rows are the source, so a new command or option fails here until it has a subject or values.
 */
#include "tests/unit/admin/room.h"

#include "common/buffer.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#define FURNITURE                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('u', 'https://192.0.2.11', 'openai', 0), ('v', 'https://192.0.2.12', 'openai', 0);"     \
	"INSERT INTO egresses (name, kind, address, created_ms) VALUES"                            \
	" ('e', 'source', '127.0.0.2', 0), ('f', 'source', '127.0.0.3', 0),"                       \
	" ('n', 'node', 'node.example:1', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0), ('c', 1, 'token', 0);"                       \
	"INSERT INTO account_egresses VALUES (1, 1, 0), (2, 1, 0), (3, 1, 0);"                     \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('p', 1, 0), ('q', 1, 0);"       \
	"INSERT INTO pool_members VALUES (1, 1, 0), (2, 1, 0);"                                    \
	"INSERT INTO tenants (name, pool_id, created_ms) VALUES ('t', 1, 0)"

/* The object that a noun's command changes, and the command that shows it. */
static const struct subject {
	const char *noun;
	const char *name;
	enum command_id show;
} subjects[] = {
	{"tenants", "t", COMMAND_TENANTS_SHOW},
	{"upstreams", "u", COMMAND_UPSTREAMS_SHOW},
	{"egress", "n", COMMAND_EGRESS_SHOW},
	{"accounts", "a", COMMAND_ACCOUNTS_SHOW},
	{"pools", "p", COMMAND_POOLS_SHOW},
	{"haproxy", NULL, COMMAND_HAPROXY_OPTIONS},
};

/*
 * Two values of an option, as JSON; `shown` is the field that shows it, if it is another. Values @1 and @2 are the
 * paths of two certificates, and @3 and @4 are their texts. `first` NULL: not tested here, for the reason given.
 */
static const struct specimen {
	const char *noun; /* NULL = of every noun */
	const char *field;
	const char *first;
	const char *second;
	const char *shown;
} specimens[] = {
	{"tenants", "allow_ip", "[\"10.0.0.0/8\"]", "[\"192.0.2.1\",\"2001:db8::/32\"]", NULL},
	{"tenants", "pool", "\"p\"", "\"q\"", NULL},
	{"tenants", "wait", "\"7s\"", "\"forever\"", NULL},
	{"pools", "resources", "\"shared\"", "\"exclusive\"", NULL},
	{"upstreams", "url", "\"https://192.0.2.13/a\"", "\"https://192.0.2.14\"", NULL},
	{"upstreams", "strip", "\"/v1\"", "\"/v2\"", NULL},
	{"upstreams", "ca_pem", "@3", "@4", NULL},
	{"upstreams", "token_url", "\"https://192.0.2.15\"", "\"https://192.0.2.16\"", NULL},
	{"upstreams", "client_id", "\"one\"", "\"two\"", NULL},
	{"upstreams", "probe", "\"/v1/models\"", "\"none\"", NULL},
	{"egress", "node", "\"n.example:5\"", "\"m.example:6\"", "address"},
	{"egress", "cert", "@1", "@2", NULL},
	{"egress", "ca", "@1", "@2", NULL},
	{"egress", "source", NULL, "makes it another kind of egress", NULL},
	{"egress", "socks4", NULL, "makes it another kind of egress", NULL},
	{"accounts", "egress", "[\"e\"]", "[\"f\",\"direct\"]", NULL},
	{"accounts", "token", "\"sk-1\"", "\"sk-2\"", "credential_updated_at"},
	{"accounts", "auth_json", NULL, "replaces the credential, as token does", NULL},
	{"accounts", "credentials", NULL, "replaces the credential, as token does", NULL},
	{"accounts", "watch_path", NULL, "is a part of credentials", NULL},
	{"accounts", "client_id", "\"one\"", "\"two\"", NULL},
	{"accounts", "client_secret", NULL, "is a part of credentials", NULL},
	{"accounts", "pace", "\"1s-2s\"", "\"3s-4s\"", NULL},
	{"pools", "accounts", "[\"a\",\"b\"]", "[\"c\",\"a\"]", NULL},
	{"haproxy", "bind", "[\"127.0.0.1:81\"]", "[\"127.0.0.1:82\",\"[::1]:83\"]", NULL},
	{"haproxy", "cert", "@1", "@2", NULL},
	{"haproxy", "trust_forwarded", "[\"10.0.0.0/8\"]", "[\"192.0.2.1\"]", NULL},
	{"haproxy", "stats", "\"127.0.0.1:84\"", "\"127.0.0.1:85\"", NULL},
	{"haproxy", "chroot", "\"/\"", "\"@0\"", NULL},
	{NULL, "region", "\"eu-1\"", "\"us-2\"", NULL},
	{NULL, "headers", "{\"X-A\":\"1\"}", "{\"X-B\":\"2\",\"X-C\":\"3\"}", NULL},
	{NULL, "no_reload", NULL, "says how, not what", NULL},
	{NULL, "no_wait", NULL, "says how, not what", NULL},
};

/* --- certificates --- */

static void put_certificate(EVP_PKEY *key, const char *name, BIO *out)
{
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(out, x), 1);
	X509_free(x);
}

/* Certificate and key, as HAProxy reads them. */
static void make_certificate(const char *path, const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	BIO *out = BIO_new_file(path, "w");

	assert_non_null(key);
	assert_non_null(out);
	put_certificate(key, name, out);
	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	BIO_free(out);
	EVP_PKEY_free(key);
}

static void certificate_path(const struct room *r, int n, char out[ROOM_PATH_MAX])
{
	snprintf(out, ROOM_PATH_MAX, "%s/cert%d.pem", r->dir, n);
}

/* --- values --- */

static json_object *special_value(const struct room *r, int n)
{
	char path[ROOM_PATH_MAX];
	struct buffer text = {0};

	certificate_path(r, n > 2 ? n - 2 : n, path);
	if (n <= 2)
		return json_object_new_string(path);
	assert_int_equal(buffer_read_file(&text, path, 1 << 16), 0);
	const char *key = strstr(buffer_str(&text), "-----BEGIN PRIVATE");
	assert_non_null(key);
	json_object *value =
		json_object_new_string_len(buffer_str(&text), (int)(key - buffer_str(&text)));
	buffer_fini(&text);
	return value;
}

static json_object *value_of(const struct room *r, const char *text)
{
	if (strcmp(text, "\"@0\"") == 0)
		return json_object_new_string(r->dir);
	if (*text == '@')
		return special_value(r, text[1] - '0');
	json_object *value = json_tokener_parse(text);
	assert_non_null(value);
	return value;
}

static const struct specimen *find_specimen(const struct command *c, const char *field)
{
	for (size_t i = 0; i < sizeof(specimens) / sizeof(specimens[0]); i++) {
		const struct specimen *s = &specimens[i];
		if (strcmp(s->field, field) == 0 && (!s->noun || strcmp(s->noun, c->noun) == 0))
			return s;
	}
	return NULL;
}

static json_object *choice(const char *choices, int which)
{
	struct slice rest = slice_from_str(choices);
	struct slice one = {NULL, 0};

	for (int i = 0; i <= which; i++)
		assert_true(slice_next(&rest, '|', &one));
	return json_object_new_string_len(one.p, (int)one.n);
}

/* Value 0 or 1 of an option. NULL: the option is not tested. */
static json_object *option_value(const struct room *r, const struct command *c,
	const struct command_option *o, const char *field, int which)
{
	const struct specimen *s = find_specimen(c, field);

	if (s && !s->first)
		return NULL;
	if (s)
		return value_of(r, which ? s->second : s->first);
	if (o->type == COMMAND_NUMBER)
		return json_object_new_int(which ? 9 : 7);
	if (o->type == COMMAND_SWITCH)
		return json_object_new_boolean(!which);
	if (o->type == COMMAND_DURATION)
		return json_object_new_string(which ? "9s" : "7s");
	if (o->type == COMMAND_CHOICE)
		return choice(o->choices, 1 + which);
	fail_msg("%s %s: no values for --%s", c->noun, c->verb, o->name);
	return NULL;
}

/* --- calls --- */

static const struct subject *find_subject(const struct command *c)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		if (strcmp(subjects[i].noun, c->noun) == 0)
			return &subjects[i];
	}
	fail_msg("%s %s: no object to change", c->noun, c->verb);
	return NULL;
}

static void set(struct room *r, const struct command *c, const char *name, json_object *body)
{
	const char *text = json_object_to_json_string(body);
	struct room_seen seen;
	json_object *answer;

	if (room_call(r, command_id(c), name, text, &answer) != 200)
		fail_msg(
			"%s %s %s: %s", c->noun, c->verb, text, json_object_to_json_string(answer));
	json_object_put(answer);
	room_take(r, &seen);
	room_seen_fini(&seen);
}

static json_object *show(struct room *r, const struct subject *s)
{
	json_object *answer;

	assert_int_equal(room_call(r, s->show, s->name, "{}", &answer), 200);
	/* counts, and what only a state has */
	json_object_object_del(answer, "usage");
	json_object_object_del(answer, "shadow_passed");
	return answer;
}

/* --- the rule --- */

static void differ_only_in(
	const struct command *c, const char *field, json_object *before, json_object *after)
{
	assert_int_equal(json_object_object_length(before), json_object_object_length(after));
	json_object_object_foreach(before, name, value)
	{
		json_object *now = json_object_object_get(after, name);
		if (strcmp(name, field) != 0 && !json_object_equal(value, now))
			fail_msg("%s %s of %s alone has changed %s from %s to %s", c->noun, c->verb,
				field, name, json_object_to_json_string(value),
				json_object_to_json_string(now));
	}
}

static void is_shown(const struct command *c, const char *field, json_object *shown,
	const char *shown_as, json_object *value)
{
	json_object *is = json_object_object_get(shown, shown_as);

	if (strcmp(field, "token") != 0 && !json_object_equal(is, value))
		fail_msg("%s: %s is %s, not %s", c->noun, field, json_object_to_json_string(is),
			json_object_to_json_string(value));
}

static void changes_one(struct room *r, const struct command *c, const struct command_option *o)
{
	const struct subject *subject = find_subject(c);
	char field[COMMAND_FIELD_SIZE];
	json_object *body = json_object_new_object();

	command_option_field(o, field);
	json_object *value = option_value(r, c, o, field, 1);
	const struct specimen *s = find_specimen(c, field);
	const char *shown_as = s && s->shown ? s->shown : field;
	if (value) {
		json_object *before = show(r, subject);
		json_object_object_add(body, field, json_object_get(value));
		set(r, c, subject->name, body);
		json_object *after = show(r, subject);
		differ_only_in(c, shown_as, before, after);
		is_shown(c, field, after, shown_as, value);
		json_object_put(before);
		json_object_put(after);
	}
	json_object_put(value);
	json_object_put(body);
}

typedef void option_fn(
	struct room *r, const struct command *c, const struct command_option *o, void *context);

static void each_option(struct room *r, const struct command *c, option_fn *fn, void *context)
{
	for (const struct command_argument *a = c->arguments; a->metavar; a++) {
		struct command_option o = command_argument_option(a);
		if (a->field)
			fn(r, c, &o, context);
	}
	for (const struct command_option *o = c->options; o && o->name; o++)
		fn(r, c, o, context);
}

static void put_first(
	struct room *r, const struct command *c, const struct command_option *o, void *body)
{
	char field[COMMAND_FIELD_SIZE];
	json_object *value = option_value(r, c, o, command_option_field(o, field), 0);

	if (value)
		json_object_object_add(body, field, value);
}

static void try_one(
	struct room *r, const struct command *c, const struct command_option *o, void *context)
{
	(void)context;
	changes_one(r, c, o);
}

static bool is_set(const struct command *c)
{
	return (c->verb && strcmp(c->verb, "set") == 0) || strcmp(c->method, "PATCH") == 0;
}

static int setup(void **state)
{
	char path[ROOM_PATH_MAX];
	char text[ROOM_PATH_MAX];
	struct room *r = room_new();

	room_run(r, FURNITURE);
	for (int64_t id = 1; id <= 3; id++)
		room_put_token(r, id, "sk-x");
	for (int i = 1; i <= 2; i++) {
		certificate_path(r, i, path);
		make_certificate(path, i == 1 ? "one" : "two");
	}
	snprintf(text, sizeof(text),
		"[spop]\nlisten = abns:relay-unit-test\n[haproxy]\nsocket_dir = %s/relay\n",
		r->dir);
	assert_int_equal(
		config_parse(&r->control.config, "test.conf", slice_from_str(text), &r->e), 0);
	/* control waits for no acknowledgement */
	r->control.keeper_gone = true;
	*state = r;
	return 0;
}

static void render(struct room *r)
{
	json_object *body = json_object_new_object();
	json_object *binds = json_object_new_array();

	json_object_array_add(binds, json_object_new_string("127.0.0.1:80"));
	json_object_object_add(body, "bind", binds);
	json_object_object_add(body, "out", json_object_new_string(r->dir));
	set(r, command_row(COMMAND_HAPROXY_RENDER), NULL, body);
	json_object_put(body);
}

static void each_option_leaves_the_others(void **state)
{
	struct room *r = *state;
	int commands = 0;

	render(r);
	for (int i = 0; i < COMMAND_SERVED; i++) {
		const struct command *c = command_row((enum command_id)i);
		if (!is_set(c))
			continue;
		json_object *all = json_object_new_object();
		each_option(r, c, put_first, all);
		set(r, c, find_subject(c)->name, all);
		json_object_put(all);
		each_option(r, c, try_one, NULL);
		commands++;
	}
	assert_true(commands >= 6);
}

/* --- pools --- */

static void call(struct room *r, enum command_id id, const char *name, const char *body)
{
	json_object *o = json_tokener_parse(body);

	set(r, command_row(id), name, o);
	json_object_put(o);
}

static void shows(
	struct room *r, enum command_id id, const char *name, const char *field, const char *want)
{
	json_object *answer;

	assert_int_equal(room_call(r, id, name, "{}", &answer), 200);
	assert_string_equal(json_object_to_json_string_ext(
				    json_object_object_get(answer, field), JSON_C_TO_STRING_PLAIN),
		want);
	json_object_put(answer);
}

static void accounts_join_and_leave_a_pool(void **state)
{
	struct room *r = *state;

	call(r, COMMAND_POOLS_SET, "p",
		"{\"accounts\":[\"b\",\"a\"],\"strategy\":\"round-robin\",\"wait\":\"3s\"}");
	call(r, COMMAND_POOLS_ADD, "p", "{\"accounts\":[\"a\",\"c\"]}");
	shows(r, COMMAND_POOLS_SHOW, "p", "accounts", "[\"b\",\"a\",\"c\"]");
	call(r, COMMAND_POOLS_REMOVE, "p", "{\"accounts\":[\"a\",\"b\"]}");
	shows(r, COMMAND_POOLS_SHOW, "p", "accounts", "[\"c\"]");
	call(r, COMMAND_POOLS_ADD, "p", "{\"accounts\":[\"b\",\"a\"]}");
	shows(r, COMMAND_POOLS_SHOW, "p", "accounts", "[\"c\",\"b\",\"a\"]");
	shows(r, COMMAND_POOLS_SHOW, "p", "strategy", "\"round-robin\"");
	shows(r, COMMAND_POOLS_SHOW, "p", "wait", "\"3s\"");
}

static void what_is_in_a_pool_already_is_no_change(void **state)
{
	struct room *r = *state;
	uint64_t before = store_version(r->control.store);

	assert_int_equal(room_call(r, COMMAND_POOLS_ADD, "p", "{\"accounts\":[\"a\"]}", NULL), 200);
	assert_true(store_version(r->control.store) == before);
}

static void a_pool_keeps_one_upstream_and_one_account(void **state)
{
	struct room *r = *state;

	room_run(r, "UPDATE accounts SET upstream_id = 2 WHERE name = 'c'");
	room_refuse(r, COMMAND_POOLS_ADD, "p", "{\"accounts\":[\"c\"]}", 400,
		"\\\"c\\\" is of another than the pool");
	room_refuse(r, COMMAND_POOLS_ADD, "p", "{\"accounts\":[\"b\",\"none\"]}", 400,
		"no account named");
	room_refuse(r, COMMAND_POOLS_ADD, "none", "{\"accounts\":[\"b\"]}", 404, "no pool named");
	room_refuse(r, COMMAND_POOLS_REMOVE, "p", "{\"accounts\":[\"b\"]}", 400,
		"\\\"b\\\" is not in pool \\\"p\\\"");
	room_refuse(r, COMMAND_POOLS_REMOVE, "p", "{\"accounts\":[\"a\"]}", 409,
		"would have no account left");
	room_refuse(r, COMMAND_POOLS_SET, "new", "{\"strategy\":\"sticky\"}", 400,
		"accounts: at least one");
	shows(r, COMMAND_POOLS_SHOW, "p", "accounts", "[\"a\"]");
}

/* --- suspend --- */

static void a_suspension_keeps_its_reason(void **state)
{
	static const struct {
		enum command_id suspend, resume, show;
		const char *name;
	} cases[] = {
		{COMMAND_ACCOUNTS_SUSPEND, COMMAND_ACCOUNTS_RESUME, COMMAND_ACCOUNTS_SHOW, "a"},
		{COMMAND_EGRESS_SUSPEND, COMMAND_EGRESS_RESUME, COMMAND_EGRESS_SHOW, "e"},
	};
	struct room *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		call(r, cases[i].suspend, name, "{\"reason\":\"unpaid\"}");
		call(r, cases[i].suspend, name, "{}");
		shows(r, cases[i].show, name, "suspend_reason", "\"unpaid\"");
		call(r, cases[i].suspend, name, "{\"reason\":\"sold\"}");
		shows(r, cases[i].show, name, "suspend_reason", "\"sold\"");
		call(r, cases[i].resume, name, "{}");
		call(r, cases[i].suspend, name, "{}");
		assert_int_equal(
			room_number(r,
				"SELECT (SELECT count(*) FROM accounts WHERE suspend_reason <> '')"
				" + (SELECT count(*) FROM egresses WHERE suspend_reason <> '')"),
			0);
	}
}

/* --- haproxy render --- */

static void a_rendering_keeps_what_is_not_given(void **state)
{
	struct room *r = *state;

	room_refuse(r, COMMAND_HAPROXY_OPTIONS_SET, NULL, "{\"stats\":\"127.0.0.1:84\"}", 400,
		"never rendered");
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "out", "null");
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "bind", "[]");
	render(r);
	call(r, COMMAND_HAPROXY_OPTIONS_SET, NULL, "{\"stats\":\"127.0.0.1:84\"}");
	render(r);
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "stats", "\"127.0.0.1:84\"");
	call(r, COMMAND_HAPROXY_OPTIONS_SET, NULL, "{\"stats\":\"\"}");
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "stats", "null");
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "bind", "[\"127.0.0.1:80\"]");
	room_refuse(r, COMMAND_HAPROXY_OPTIONS_SET, NULL, "{\"stats\":\"x\"}", 400, "stats");
	shows(r, COMMAND_HAPROXY_OPTIONS, NULL, "stats", "null");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_option_leaves_the_others),
		TEST(accounts_join_and_leave_a_pool),
		TEST(what_is_in_a_pool_already_is_no_change),
		TEST(a_pool_keeps_one_upstream_and_one_account),
		TEST(a_suspension_keeps_its_reason),
		TEST(a_rendering_keeps_what_is_not_given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
