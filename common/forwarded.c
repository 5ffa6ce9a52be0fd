#include "common/forwarded.h"

#include "common/num.h"

bool forwarded_trusts(const struct forwarded *f, const struct ip *ip)
{
	return f->trusted_count && cidr_list_allows(f->trusted, f->trusted_count, ip);
}

/* --- one address --- */

/* The port is not used, but it must be one: a strange text is not half an address. */
static bool is_port(struct slice text)
{
	uint64_t port;

	return text.n > 1 && text.p[0] == ':' &&
		num_parse_u64(slice_skip(text, 1), 65535, &port) == 0;
}

static bool parse_bracketed(struct slice text, struct ip *ret)
{
	const char *end = memchr(text.p, ']', text.n);

	if (!end)
		return false;
	size_t n = (size_t)(end - text.p);
	struct slice after = slice_skip(text, n + 1);
	struct slice address = {text.p + 1, n - 1};
	return (after.n == 0 || is_port(after)) && memchr(address.p, ':', address.n) &&
		ip_parse(address, ret) == 0;
}

static bool parse_node(struct slice text, struct ip *ret)
{
	if (text.n == 0)
		return false;
	if (text.p[0] == '[')
		return parse_bracketed(text, ret);
	const char *colon = memchr(text.p, ':', text.n);
	size_t n = colon ? (size_t)(colon - text.p) : text.n;
	bool has_port = colon && is_port(slice_skip(text, n)) && memchr(text.p, '.', n);
	return ip_parse(has_port ? slice_cut(text, n) : text, ret) == 0;
}

/* The last hop outside of the trusted networks counts; if all are inside, the first one. */
static void take_hop(struct forwarded *f, bool is_known, const struct ip *ip)
{
	bool is_outside = !is_known || !forwarded_trusts(f, ip);

	if (f->is_present && !is_outside)
		return;
	f->is_present = true;
	f->is_outside = is_outside;
	f->is_known = is_known;
	if (is_known)
		f->client = *ip;
}

void forwarded_take_addresses(struct forwarded *f, struct slice value)
{
	struct slice one;
	struct ip ip;

	while (slice_next(&value, ',', &one)) {
		one = slice_trim(one);
		if (one.n)
			take_hop(f, parse_node(one, &ip), &ip);
	}
}

/* --- RFC 7239 --- */

/* Takes the text before the first comma or semicolon outside of quotes; `*ret_end` is which it was. */
static bool next_part(struct slice *rest, struct slice *ret, char *ret_end)
{
	bool quoted = false;
	size_t n = 0;

	if (!rest->p)
		return false;
	for (; n < rest->n && (quoted || (rest->p[n] != ',' && rest->p[n] != ';')); n++) {
		if (rest->p[n] == '"')
			quoted = !quoted;
		else if (quoted && rest->p[n] == '\\' && n + 1 < rest->n)
			n++;
	}
	*ret_end = n < rest->n ? rest->p[n] : ',';
	*ret = slice_trim((struct slice){rest->p, n});
	*rest = n < rest->n ? slice_skip(*rest, n + 1) : (struct slice){NULL, 0};
	return true;
}

static struct slice unquoted(struct slice text)
{
	if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
		return (struct slice){text.p + 1, text.n - 2};
	return text;
}

/* What one element says; `for` twice says nothing. */
struct element {
	bool is_empty;
	unsigned count;
	struct slice node;
};

static void take_pair(struct element *e, struct slice pair)
{
	static const struct slice name = {"for=", 4};

	if (pair.n)
		e->is_empty = false;
	if (!slice_eq_nocase(slice_cut(pair, name.n), name))
		return;
	e->count++;
	e->node = unquoted(slice_skip(pair, name.n));
}

void forwarded_take_elements(struct forwarded *f, struct slice value)
{
	struct element e = {.is_empty = true};
	struct slice pair;
	struct ip ip;
	char end;

	while (next_part(&value, &pair, &end)) {
		take_pair(&e, pair);
		if (end == ';')
			continue;
		if (!e.is_empty)
			take_hop(f, e.count == 1 && parse_node(e.node, &ip), &ip);
		e = (struct element){.is_empty = true};
	}
}
