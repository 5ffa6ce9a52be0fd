#include "admin/publish/certificate.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

/* The number of certificates up to the end or to one that cannot be read. */
static size_t count_certificates(BIO *bio, bool *ret_ended_well)
{
	size_t n = 0;
	X509 *certificate;

	ERR_clear_error();
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		X509_free(certificate);
		n++;
	}
	*ret_ended_well = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return n;
}

int certificate_check(struct slice pem, struct errtext *e)
{
	bool ended_well = false;

	if (pem.n > CERTIFICATE_PEM_MAX)
		return errtext_set(e, -EINVAL, "larger than %zu bytes", CERTIFICATE_PEM_MAX);
	if (memmem(pem.p, pem.n, "PRIVATE KEY", 11))
		return errtext_set(e, -EINVAL, "holds a private key: give certificates only");
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (!bio)
		return errtext_set(e, -ENOMEM, "out of memory");
	size_t n = count_certificates(bio, &ended_well);
	BIO_free(bio);
	if (n == 0)
		return errtext_set(e, -EINVAL, "holds no certificate in PEM form");
	if (!ended_well)
		return errtext_set(e, -EINVAL, "certificate %zu cannot be read", n + 1);
	return 0;
}
