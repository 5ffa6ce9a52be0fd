/* `accounts check`: asks the account now and tells what was seen. */
#include "admin/api/query.h"

#include "admin/upkeep/probe.h"

int accounts_check(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	return error ? error : probe_ask(r->control->probe, id, r);
}
