#include "common/provider.h"

#include "common/provider_rows.h"

#include <string.h>
#include <strings.h>

size_t provider_count(void)
{
	return provider_row_count;
}

const struct provider *provider_at(size_t i)
{
	return provider_rows[i];
}

const struct provider *provider_from_number(unsigned number)
{
	return number > 0 && number <= provider_row_count ? provider_rows[number - 1] : NULL;
}

size_t provider_index(const struct provider *p)
{
	size_t i = 0;

	while (provider_rows[i] != p)
		i++;
	return i;
}

const struct provider *provider_find(struct slice name)
{
	for (size_t i = 0; i < provider_row_count; i++) {
		if (slice_eq_str(name, provider_rows[i]->name))
			return provider_rows[i];
	}
	return NULL;
}

static const struct provider_file *find_file(const struct provider *p, struct slice login)
{
	const struct provider_file *const *file = p->files;

	while (file && *file && !slice_eq_str(login, (*file)->login))
		file++;
	return file ? *file : NULL;
}

const struct provider_file *provider_file_find(struct slice login)
{
	const struct provider_file *found = NULL;

	for (size_t i = 0; i < provider_row_count && !found; i++)
		found = find_file(provider_rows[i], login);
	return found;
}

static bool is_below(struct slice path, struct slice top)
{
	return slice_has_prefix(path, top) && (path.n == top.n || path.p[top.n] == '/');
}

/* NULL when the row does not list the path. */
static const char *api_path(const struct provider *p, struct slice path)
{
	for (const char *const *top = p->api_paths; top && *top; top++) {
		if (is_below(path, slice_from_str(*top)))
			return *top;
	}
	return NULL;
}

const char *provider_foreign_path(const struct provider *p, struct slice path)
{
	const char *found = NULL;

	if (!p->api_paths || api_path(p, path))
		return NULL;
	for (size_t i = 0; i < provider_row_count && !found; i++)
		found = api_path(provider_rows[i], path);
	return found;
}

size_t provider_auth_count(void)
{
	return provider_auth_row_count;
}

const struct provider_auth *provider_auth_at(size_t i)
{
	return &provider_auth_rows[i];
}

size_t provider_auth_index(const struct provider_auth *a)
{
	return (size_t)(a - provider_auth_rows);
}

const struct provider_auth *provider_auth(const struct provider *p, struct slice credential)
{
	bool is_oauth =
		p->oauth_prefix && slice_has_prefix(credential, slice_from_str(p->oauth_prefix));

	return is_oauth ? p->oauth_auth : p->auth;
}

bool provider_is_state_header(struct slice name)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const char *header = provider_at(i)->state_header;
		if (header && slice_eq_str(name, header))
			return true;
	}
	return false;
}

bool provider_is_auth_header(const char *header)
{
	for (size_t i = 0; i < provider_auth_row_count; i++) {
		if (strcasecmp(header, provider_auth_rows[i].header) == 0)
			return true;
	}
	return false;
}

bool provider_generates(const struct provider *p, struct slice path)
{
	for (const char *const *end = p->generation_paths; end && *end; end++) {
		struct slice wanted = slice_from_str(*end);
		if (path.n >= wanted.n && slice_eq(slice_skip(path, path.n - wanted.n), wanted))
			return true;
	}
	return false;
}

size_t provider_shape_count(void)
{
	return provider_shape_row_count;
}

const struct provider_shape *provider_shape_at(size_t i)
{
	return &provider_shape_rows[i];
}

const char *provider_status_name(const struct provider_shape *s, int status)
{
	const char *name = NULL;

	for (const struct provider_status *row = s->statuses; row && row->status; row++) {
		if (row->status == status)
			return row->name;
		if (row->status == status / 100 * 100)
			name = row->name;
	}
	return name;
}

size_t provider_shape_of_path(struct slice path)
{
	for (size_t i = provider_shape_row_count - 1; i > 0; i--) {
		for (const char *const *top = provider_shape_rows[i].paths; *top; top++) {
			if (is_below(path, slice_from_str(*top)))
				return i;
		}
	}
	return 0;
}
