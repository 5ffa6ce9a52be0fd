/* The handler of each row. */
#include "admin/api/handlers.h"

static request_fn *const handlers[COMMAND_SERVED] = {
#define X(id, handler) [COMMAND_##id] = (handler),
	COMMAND_IDS(X)
#undef X
};

request_fn *request_handler(enum command_id id)
{
	return handlers[id];
}
