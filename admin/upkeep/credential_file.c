#include "admin/upkeep/credential_file.h"

#include "admin/store/credential.h"
#include "admin/upkeep/jwt.h"
#include "common/clock.h"
#include "common/timetext.h"

#include <errno.h>

#define SECONDS_MAX 100000000000.0 /* a larger number is of milliseconds: from the year 5138 on */

/* What the functions below read, and where the results go. */
struct reading {
	const struct provider *provider;
	json_object *tokens; /* the object that has them */
	int64_t now_ms;
	struct credential_file *f;
	struct errtext *e;
};

/* --- fields --- */

static const char *name_of(const struct reading *r)
{
	return r->f->form->name;
}

static bool has(json_object *o, const char *field)
{
	return field && json_object_object_get(o, field) != NULL;
}

/* For error texts: the object of the field, with its dot. */
#define PLACE_FORMAT "%s%s"
#define PLACE(r) (r)->f->form->tokens ? (r)->f->form->tokens : "", (r)->f->form->tokens ? "." : ""

static struct slice text_of(json_object *value)
{
	return (struct slice){
		json_object_get_string(value), (size_t)json_object_get_string_len(value)};
}

/* A missing field, null, and a field that the form does not have give an empty slice. */
static int take_text(const struct reading *r, const char *field, struct slice *ret)
{
	json_object *value = field ? json_object_object_get(r->tokens, field) : NULL;

	*ret = (struct slice){NULL, 0};
	if (!value)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return errtext_set(r->e, -EINVAL, "%s: " PLACE_FORMAT "%s is not a string",
			name_of(r), PLACE(r), field);
	*ret = text_of(value);
	return 0;
}

static int require(const struct reading *r, struct slice value, const char *field)
{
	return value.n ? 0
		       : errtext_set(r->e, -EINVAL, "%s: " PLACE_FORMAT "%s is missing", name_of(r),
				 PLACE(r), field);
}

/* A field that is no valid credential counts as missing. */
static void take_usable(
	const struct reading *r, const char *field, enum credential_field kind, struct slice *ret)
{
	const struct reading silent = {r->provider, r->tokens, r->now_ms, r->f, NULL};

	if (take_text(&silent, field, ret) || credential_check(kind, *ret, NULL))
		*ret = (struct slice){NULL, 0};
}

/* --- times --- */

static int64_t time_of_number(double n)
{
	double ms = n < SECONDS_MAX ? n * 1000 : n;

	return ms >= 1 && ms <= (double)JWT_EXPIRY_MAX_S * 1000 ? (int64_t)ms : 0;
}

/* Unix time in milliseconds; 0 = not a time. */
static int64_t time_of(json_object *value)
{
	int64_t ms = 0;

	if (json_object_is_type(value, json_type_int) ||
		json_object_is_type(value, json_type_double))
		return time_of_number(json_object_get_double(value));
	if (!json_object_is_type(value, json_type_string))
		return 0;
	return timetext_parse_rfc3339(text_of(value), &ms) == 0
		? ms
		: time_of_number(json_object_get_double(value));
}

static int64_t expiry_in_fields(const struct reading *r)
{
	const struct provider_file *form = r->f->form;
	int64_t since = r->f->last_refresh_ms ? r->f->last_refresh_ms : r->now_ms;
	int64_t ms = 0;

	for (const char *const *name = form->expiry; name && *name && !ms; name++)
		ms = time_of(json_object_object_get(r->tokens, *name));
	if (ms || !has(r->tokens, form->lifetime))
		return ms;
	double seconds = json_object_get_double(json_object_object_get(r->tokens, form->lifetime));
	return seconds >= 1 && seconds < SECONDS_MAX ? since + (int64_t)(seconds * 1000) : 0;
}

static int take_expiry(const struct reading *r)
{
	struct credential_file *f = r->f;
	struct errtext why = {""};
	char text[CLOCK_RFC3339_SIZE];

	if (jwt_expiry(f->access_token, &f->expires_ms, &why))
		f->expires_ms = expiry_in_fields(r);
	if (f->refresh_token.n)
		return 0;
	if (!f->expires_ms && f->form->is_jwt)
		return errtext_set(r->e, -EINVAL, "%s: " PLACE_FORMAT "%s: %s", name_of(r),
			PLACE(r), f->form->access_token, why.text);
	if (f->expires_ms && f->expires_ms <= r->now_ms)
		return errtext_set(r->e, -EINVAL,
			"%s: its access token expired at %s, and there is no refresh token: %s",
			name_of(r), clock_format_rfc3339(f->expires_ms, text), f->form->remedy);
	return 0;
}

/* --- tokens --- */

static int take_access_token(const struct reading *r)
{
	const char *field = r->f->form->access_token;

	if (r->f->refresh_token.n) {
		take_usable(r, field, CREDENTIAL_ACCESS_TOKEN, &r->f->access_token);
		return 0;
	}
	int error = take_text(r, field, &r->f->access_token);
	return error ? error : require(r, r->f->access_token, field);
}

/* Older logins have it in their tokens alone. */
static int take_account_id(const struct reading *r)
{
	struct credential_file *f = r->f;
	const struct provider_file *form = f->form;
	int error = take_text(r, form->account_id, &f->account_id);

	if (error || f->account_id.n || !form->account_claim)
		return error;
	if (jwt_text(f->id_token, form->account_claim, &f->claim))
		jwt_text(f->access_token, form->account_claim, &f->claim);
	f->account_id = buffer_slice(&f->claim);
	if (f->account_id.n || !r->provider->account_header)
		return 0;
	return errtext_set(r->e, -EINVAL,
		"%s: " PLACE_FORMAT "%s is missing, and no token names the account: %s", name_of(r),
		PLACE(r), form->account_id, form->remedy);
}

/* With a refresh token, nothing beside it is required: it brings the rest. */
static int take_tokens(const struct reading *r)
{
	struct credential_file *f = r->f;
	const struct provider_file *form = f->form;
	int error = take_text(r, form->refresh_token, &f->refresh_token);

	take_usable(r, form->id_token, CREDENTIAL_ID_TOKEN, &f->id_token);
	if (!error)
		error = take_access_token(r);
	if (!error)
		error = take_account_id(r);
	return error ? error : take_expiry(r);
}

/* What the token host wants to know. */
static int take_client(const struct reading *r)
{
	struct credential_file *f = r->f;
	const struct provider_file *form = f->form;
	int error = take_text(r, form->client_id, &f->client_id);

	if (!error)
		error = take_text(r, form->client_secret, &f->client_secret);
	for (const char *const *name = form->token_url; name && *name; name++)
		if (!error && !f->token_url.n)
			error = take_text(r, *name, &f->token_url);
	return error;
}

static int take_api_key(const struct reading *r)
{
	const struct provider_file *form = r->f->form;
	const struct reading top = {r->provider, r->f->document, r->now_ms, r->f, r->e};
	struct slice key = {NULL, 0};
	json_object *value =
		form->api_key ? json_object_object_get(top.tokens, form->api_key) : NULL;

	if (value && !json_object_is_type(value, json_type_string))
		return errtext_set(
			r->e, -EINVAL, "%s: %s is not a string", form->name, form->api_key);
	if (value)
		key = text_of(value);
	r->f->access_token = key;
	if (key.n)
		return 0;
	if (form->api_key)
		return errtext_set(r->e, -EINVAL, "%s: holds neither %s nor %s: %s", form->name,
			form->tokens, form->api_key, form->remedy);
	return errtext_set(r->e, -EINVAL, "%s: holds no %s: %s", form->name,
		form->tokens ? form->tokens : form->refresh_token, form->remedy);
}

/* --- the form --- */

static bool is_of_form(const struct provider_file *form, json_object *document)
{
	if (form->tokens)
		return has(document, form->tokens) || has(document, form->api_key);
	return has(document, form->access_token) || has(document, form->refresh_token);
}

static const struct provider_file *find_form(const struct provider *p, json_object *document)
{
	const struct provider_file *const *form = p->files;

	while (*form && !is_of_form(*form, document))
		form++;
	return *form;
}

/* A form of another provider that has such an object of tokens. NULL: unknown. */
static const struct provider_file *find_foreign(json_object *document)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		const struct provider_file *form = p->files ? find_form(p, document) : NULL;
		if (form && form->tokens)
			return form;
	}
	return NULL;
}

/* The first form of the provider gives its own error for a file that has none of its fields. NULL: -EINVAL, and r->e
 * has the text. */
static const struct provider_file *choose_form(const struct reading *r)
{
	const struct provider *p = r->provider;
	json_object *document = r->f->document;
	const struct provider_file *form = p->files ? find_form(p, document) : NULL;
	const struct provider_file *foreign = form ? NULL : find_foreign(document);

	if (foreign)
		errtext_set(r->e, -EINVAL,
			"%s: is a login of %s, which an upstream of provider %s does not read",
			foreign->name, foreign->login, p->name);
	else if (!p->files)
		errtext_set(r->e, -EINVAL, "the provider of its upstream has no credential file");
	else
		return form ? form : p->files[0];
	return NULL;
}

static int take_document(struct reading *r)
{
	const struct provider_file *form = choose_form(r);

	if (!form)
		return -EINVAL;
	r->f->form = form;
	json_object *document = r->f->document;
	r->f->last_refresh_ms = form->last_refresh
		? time_of(json_object_object_get(document, form->last_refresh))
		: 0;
	r->tokens = form->tokens ? json_object_object_get(document, form->tokens) : document;
	if (!r->tokens || !is_of_form(form, document))
		return take_api_key(r);
	if (!json_object_is_type(r->tokens, json_type_object))
		return errtext_set(
			r->e, -EINVAL, "%s: %s is not an object", form->name, form->tokens);
	int error = take_tokens(r);
	return error ? error : take_client(r);
}

struct slice credential_file_skip_mark(struct slice text)
{
	static const struct slice mark = {"\xef\xbb\xbf", 3};

	return slice_has_prefix(text, mark) ? slice_skip(text, mark.n) : text;
}

int credential_file_parse(const struct provider *provider, struct slice text, int64_t now_ms,
	struct credential_file *ret, struct errtext *e)
{
	struct credential_file f = {0};
	struct reading r = {provider, NULL, now_ms, &f, e};
	const char *name = provider->files ? provider->files[0]->name : "credential file";

	if (text.n > CREDENTIAL_FILE_MAX)
		return errtext_set(
			e, -EINVAL, "%s: larger than %zu bytes", name, CREDENTIAL_FILE_MAX);
	f.document = jwt_parse_object(credential_file_skip_mark(text), name, e);
	if (!f.document)
		return -EINVAL;
	int error = take_document(&r);
	if (error)
		credential_file_fini(&f);
	else
		*ret = f;
	return error;
}

void credential_file_fini(struct credential_file *f)
{
	json_object_put(f->document);
	buffer_fini(&f->claim);
	*f = (struct credential_file){0};
}
