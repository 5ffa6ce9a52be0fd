#include "agent/decide/decide.h"

/* Two lines of the header that carries the key could be read differently elsewhere: refused. */
enum refusal decide_wellformed(struct decide_context *c)
{
	const struct decide_request *r = c->request;
	bool key_twice = r->key_lines > 1 || (r->key.n == 0 && r->auth.n && r->auth_lines > 1);

	return r->malformed || key_twice ? REFUSAL_BAD_REQUEST : REFUSAL_NONE;
}
