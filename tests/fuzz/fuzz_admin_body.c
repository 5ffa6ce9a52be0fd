/* Bodies of the admin API against every row's check, and the same bytes as a credential file of every provider. */
#include "admin/command/command.h"
#include "admin/upkeep/credential_file.h"
#include "admin/upkeep/jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_as_body(const char *text, size_t size)
{
	struct json_tokener *t = json_tokener_new_ex(COMMAND_JSON_DEPTH);
	struct errtext e;

	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *body = json_tokener_parse_ex(t, text, (int)size);
	for (int i = 0; json_object_is_type(body, json_type_object) && i < COMMAND_COUNT; i++)
		command_body_check(command_row((enum command_id)i), body, &e);
	json_object_put(body);
	json_tokener_free(t);
}

static void check_as_file(struct slice text)
{
	struct credential_file f;
	struct errtext e;

	for (size_t i = 0; i < provider_count(); i++) {
		if (credential_file_parse(provider_at(i), text, 1800000000000, &f, &e))
			continue;
		if (!f.access_token.n && !f.refresh_token.n)
			abort();
		credential_file_fini(&f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};
	struct errtext e;
	int64_t ms;

	check_as_file(text);
	jwt_expiry(text, &ms, &e);
	check_as_body(text.p, size);
	return 0;
}
