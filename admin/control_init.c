/* `spoa-relay --init`: a new store and its key file. */
#include "admin/store/secrets.h"
#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/child.h"

int control_init(const struct config *config, struct errtext *e)
{
	struct store *store = NULL;
	struct vault *vault = NULL;
	struct secrets secrets;
	int error = store_open(config->store_url.s, &store, e);

	if (!error)
		error = vault_open(store, config->key_file.s, &vault, e);
	if (!error)
		error = secrets_load(store, vault, config->spop_secret.s, &secrets, e);
	if (!error)
		secrets_wipe(&secrets);
	vault_close(vault);
	store_close(store);
	return error;
}
