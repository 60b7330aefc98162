/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives an IKE daemon a PF_KEY socket (RFC 2367) where the kernel has none.
 * Preloaded, it answers socket(PF_KEY) with one end of a pair; at the other end
 * a thread grants every request, as a kernel with endless room would, and
 * reports SAs to the pump.
 */
#define _GNU_SOURCE
#include "report.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/random.h>

enum { MESSAGE = 8192, LINE = 1024, UNIT = 8 };

/* What a kernel would answer to REGISTER. */
static const struct sadb_alg auths[] = {
	{ SADB_AALG_SHA1HMAC, 0, 160, 160, 0 },
	{ SADB_X_AALG_SHA2_256HMAC, 0, 256, 256, 0 },
	{ SADB_X_AALG_SHA2_384HMAC, 0, 384, 384, 0 },
	{ SADB_X_AALG_SHA2_512HMAC, 0, 512, 512, 0 },
};
static const struct sadb_alg ciphers[] = {
	{ SADB_X_EALG_AESCBC, 16, 128, 256, 0 },
};

static int (*next_setsockopt)(int, int, int, const void *, socklen_t);
static int (*next_poll)(struct pollfd *, nfds_t, int);

__attribute__((constructor)) static void find_next(void)
{
	next_socket = dlsym(RTLD_NEXT, "socket");
	next_setsockopt = dlsym(RTLD_NEXT, "setsockopt");
	next_poll = dlsym(RTLD_NEXT, "poll");
}

/* extension finds one of a message of so many octets, or NULL. */
static const struct sadb_ext *extension(const char *message, size_t octets, int type)
{
	size_t at = sizeof(struct sadb_msg);

	while (at + sizeof(struct sadb_ext) <= octets) {
		const struct sadb_ext *e = (const void *)(message + at);
		size_t len = (size_t)e->sadb_ext_len * UNIT;

		if (len < sizeof *e || at + len > octets)
			return NULL;
		if (e->sadb_ext_type == type)
			return e;
		at += len;
	}
	return NULL;
}

static void put_address(char *out, size_t cap, const struct sadb_ext *e)
{
	const struct sockaddr_in *a = e ? (const void *)((const struct sadb_address *)e + 1) : NULL;

	if (!a || a->sin_family != AF_INET || !inet_ntop(AF_INET, &a->sin_addr, out, (socklen_t)cap))
		snprintf(out, cap, "?");
}

static unsigned port_of(const struct sadb_ext *e)
{
	return e ? ntohs(((const struct sadb_x_nat_t_port *)e)->sadb_x_nat_t_port_port) : 0;
}

static const char *auth_name(int id, unsigned *bits)
{
	switch (id) {
	case SADB_AALG_SHA1HMAC:
		*bits = 96;
		return "hmac(sha1)";
	case SADB_X_AALG_SHA2_256HMAC:
		*bits = 128;
		return "hmac(sha256)";
	case SADB_X_AALG_SHA2_384HMAC:
		*bits = 192;
		return "hmac(sha384)";
	case SADB_X_AALG_SHA2_512HMAC:
		*bits = 256;
		return "hmac(sha512)";
	}
	return NULL;
}

static void put_key(char *line, size_t cap, const struct sadb_ext *e)
{
	const struct sadb_key *k = (const void *)e;

	if (k)
		put_hex(line, cap, k + 1, k->sadb_key_bits / 8);
}

static void tell(const char *message, size_t octets, int type)
{
	const struct sadb_sa *sa = (const void *)extension(message, octets, SADB_EXT_SA);
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN], line[LINE];
	unsigned bits = 0;
	const char *auth;

	if (!sa)
		return;
	put_address(from, sizeof from, extension(message, octets, SADB_EXT_ADDRESS_SRC));
	put_address(to, sizeof to, extension(message, octets, SADB_EXT_ADDRESS_DST));
	if (type == SADB_DELETE) {
		snprintf(line, sizeof line, "del %08x %s", ntohl(sa->sadb_sa_spi), to);
		report(line);
		return;
	}
	snprintf(line, sizeof line, "add %08x %s %s %u %u %s ", ntohl(sa->sadb_sa_spi), from, to,
		 port_of(extension(message, octets, SADB_X_EXT_NAT_T_SPORT)),
		 port_of(extension(message, octets, SADB_X_EXT_NAT_T_DPORT)),
		 sa->sadb_sa_encrypt == SADB_X_EALG_AESCBC ? "cbc(aes)" : "unknown");
	put_key(line, sizeof line, extension(message, octets, SADB_EXT_KEY_ENCRYPT));
	auth = auth_name(sa->sadb_sa_auth, &bits);
	if (auth) {
		size_t at = strlen(line);

		snprintf(line + at, sizeof line - at, " %s %u ", auth, bits);
		put_key(line, sizeof line, extension(message, octets, SADB_EXT_KEY_AUTH));
	}
	report(line);
}

/* append_copy repeats an extension of the request in the answer. */
static size_t append_copy(char *answer, size_t at, const struct sadb_ext *e)
{
	size_t len = e ? (size_t)e->sadb_ext_len * UNIT : 0;

	if (at + len > MESSAGE)
		return at;
	if (len)
		memcpy(answer + at, e, len);
	return at + len;
}

static size_t append_algorithms(char *answer, size_t at, int type, const struct sadb_alg *list, size_t octets)
{
	struct sadb_supported head = {
		.sadb_supported_len = (uint16_t)((sizeof head + octets) / UNIT),
		.sadb_supported_exttype = (uint16_t)type,
	};

	memcpy(answer + at, &head, sizeof head);
	memcpy(answer + at + sizeof head, list, octets);
	return at + sizeof head + octets;
}

/* grant writes the answer to a request and returns its length. */
static size_t grant(const char *request, size_t octets, char *answer)
{
	struct sadb_msg *head = (void *)answer;
	size_t at = sizeof *head;
	int type;

	memcpy(head, request, sizeof *head);
	head->sadb_msg_errno = 0;
	type = head->sadb_msg_type;
	if (type == SADB_GETSPI) {
		struct sadb_sa sa = { .sadb_sa_len = sizeof sa / UNIT, .sadb_sa_exttype = SADB_EXT_SA };

		if (getrandom(&sa.sadb_sa_spi, sizeof sa.sadb_sa_spi, 0) != sizeof sa.sadb_sa_spi)
			head->sadb_msg_errno = 11;
		sa.sadb_sa_spi |= htonl(0x1000); /* the first 256 are reserved */
		memcpy(answer + at, &sa, sizeof sa);
		at += sizeof sa;
	} else if (type == SADB_REGISTER) {
		at = append_algorithms(answer, at, SADB_EXT_SUPPORTED_AUTH, auths, sizeof auths);
		at = append_algorithms(answer, at, SADB_EXT_SUPPORTED_ENCRYPT, ciphers, sizeof ciphers);
	} else {
		at = append_copy(answer, at, extension(request, octets, SADB_EXT_SA));
	}
	if (type == SADB_GET) {
		struct sadb_lifetime used = { .sadb_lifetime_len = sizeof used / UNIT, .sadb_lifetime_exttype = SADB_EXT_LIFETIME_CURRENT };

		memcpy(answer + at, &used, sizeof used);
		at += sizeof used;
	}
	at = append_copy(answer, at, extension(request, octets, SADB_EXT_ADDRESS_SRC));
	at = append_copy(answer, at, extension(request, octets, SADB_EXT_ADDRESS_DST));
	head->sadb_msg_len = (uint16_t)(at / UNIT);
	return at;
}

/* expire writes what a kernel says of an SA whose soft lifetime is over, and
 * returns its length. */
static size_t expire(const char *line, char *out)
{
	struct sadb_msg head = { .sadb_msg_version = PF_KEY_V2, .sadb_msg_type = SADB_EXPIRE, .sadb_msg_satype = SADB_SATYPE_ESP };
	struct sadb_sa sa = { .sadb_sa_len = sizeof sa / UNIT, .sadb_sa_exttype = SADB_EXT_SA, .sadb_sa_state = SADB_SASTATE_DYING };
	struct sadb_lifetime soft = { .sadb_lifetime_len = sizeof soft / UNIT, .sadb_lifetime_exttype = SADB_EXT_LIFETIME_SOFT };
	unsigned spi = 0;
	size_t at = 0;

	if (sscanf(line, "%x", &spi) != 1)
		return 0;
	sa.sadb_sa_spi = htonl(spi);
	head.sadb_msg_len = (sizeof head + sizeof sa + sizeof soft) / UNIT;
	memcpy(out, &head, sizeof head);
	at += sizeof head;
	memcpy(out + at, &sa, sizeof sa);
	at += sizeof sa;
	memcpy(out + at, &soft, sizeof soft);
	return at + sizeof soft;
}

/* take reads one request and answers it; 0 says that the daemon is gone. */
static int take(int fd)
{
	_Alignas(UNIT) char request[MESSAGE], answer[MESSAGE];
	const struct sadb_msg *head = (const void *)request;
	ssize_t n = recv(fd, request, sizeof request, 0);

	if (n <= 0)
		return 0;
	if (n < (ssize_t)sizeof *head)
		return 1;
	if (head->sadb_msg_type == SADB_ADD || head->sadb_msg_type == SADB_UPDATE || head->sadb_msg_type == SADB_DELETE)
		tell(request, (size_t)n, head->sadb_msg_type);
	return send(fd, answer, grant(request, (size_t)n, answer), MSG_NOSIGNAL) > 0;
}

static void *serve(void *end)
{
	_Alignas(UNIT) char event[MESSAGE];
	char line[LINE];
	struct pollfd ends[2] = {
		{ .fd = (int)(intptr_t)end, .events = POLLIN },
		{ .fd = tell_pump("events"), .events = POLLIN },
	};

	while (next_poll(ends, 2, -1) > 0) {
		if (ends[0].revents && !take(ends[0].fd))
			break;
		if (ends[1].revents) {
			ssize_t n = recv(ends[1].fd, line, sizeof line - 1, 0);

			if (n <= 0) {
				close(ends[1].fd);
				ends[1].fd = -1; /* poll passes over it */
				continue;
			}
			line[n] = 0;
			send(ends[0].fd, event, expire(line, event), MSG_NOSIGNAL);
		}
	}
	close(ends[0].fd);
	return NULL;
}

int socket(int domain, int type, int protocol)
{
	pthread_t thread;
	int pair[2];

	if (domain != AF_KEY)
		return next_socket(domain, type, protocol);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (type & SOCK_NONBLOCK), 0, pair))
		return -1;
	if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)pair[1])) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	pthread_detach(thread);
	return pair[0];
}

/* A kernel answers within the call, so a daemon may wait for very little. Our
 * answer comes from a thread: who waits for that socket alone waits longer. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	enum { LONG_ENOUGH = 5000 }; /* milliseconds */
	int domain = 0, type = 0;
	socklen_t len = sizeof domain;

	if (count == 1 && timeout > 0 && timeout < LONG_ENOUGH &&
	    !getsockopt(fds[0].fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) && domain == AF_UNIX &&
	    !getsockopt(fds[0].fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET)
		timeout = LONG_ENOUGH;
	return next_poll(fds, count, timeout);
}

/* A kernel without IPsec refuses the policy that lets IKE itself pass: there is
 * nothing to pass by. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if ((level == IPPROTO_IP && name == IP_IPSEC_POLICY) || (level == IPPROTO_IPV6 && name == IPV6_IPSEC_POLICY))
		return 0;
	return next_setsockopt(fd, level, name, value, len);
}
