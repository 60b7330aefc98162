/* SPDX-License-Identifier: Apache-2.0
 *
 * Lets an IKE daemon that drives the kernel's ESP over NETLINK_XFRM run where
 * the kernel has no ESP, or where its packets shall be carried by somebody
 * else. Preloaded, it looks at what the daemon sends on such a socket. Requests
 * about SAs are reported to the pump, and in their place the kernel gets one
 * that changes nothing, or only ends a reservation, under the same sequence
 * number: so the acknowledgement that the daemon waits for comes from the
 * kernel. Requests about policies are replaced alike, since a policy without
 * its SA would stop all traffic.
 */
#define _GNU_SOURCE
#include "report.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

enum { FDS = 65536, LINE = 1024 };

static unsigned char is_xfrm[FDS];
static ssize_t (*next_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*next_write)(int, const void *, size_t);

__attribute__((constructor)) static void find_next(void)
{
	next_socket = dlsym(RTLD_NEXT, "socket");
	next_sendto = dlsym(RTLD_NEXT, "sendto");
	next_write = dlsym(RTLD_NEXT, "write");
}

/* attribute returns the payload of the first attribute of a type behind a
 * request's fixed part of so many octets, or NULL. */
static const void *attribute(const struct nlmsghdr *request, size_t fixed, int type)
{
	const struct nlattr *a = (const void *)((const char *)NLMSG_DATA(request) + NLMSG_ALIGN(fixed));
	long left = (long)request->nlmsg_len - (long)NLMSG_SPACE(fixed);

	while (left >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= left) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return (const char *)a + NLA_HDRLEN;
		left -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

static void tell_added(const struct nlmsghdr *request)
{
	const struct xfrm_usersa_info *sa = NLMSG_DATA(request);
	const struct xfrm_encap_tmpl *udp = attribute(request, sizeof *sa, XFRMA_ENCAP);
	const struct xfrm_algo_aead *aead = attribute(request, sizeof *sa, XFRMA_ALG_AEAD);
	const struct xfrm_algo *cipher = attribute(request, sizeof *sa, XFRMA_ALG_CRYPT);
	const struct xfrm_algo_auth *cut = attribute(request, sizeof *sa, XFRMA_ALG_AUTH_TRUNC);
	const struct xfrm_algo *auth = attribute(request, sizeof *sa, XFRMA_ALG_AUTH);
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], line[LINE];

	inet_ntop(sa->family, &sa->saddr, from, sizeof from);
	inet_ntop(sa->family, &sa->id.daddr, to, sizeof to);
	snprintf(line, sizeof line, "add %08x %s %s %u %u %s ", ntohl(sa->id.spi), from, to,
		 udp ? ntohs(udp->encap_sport) : 0, udp ? ntohs(udp->encap_dport) : 0,
		 aead ? aead->alg_name : cipher ? cipher->alg_name : "none");
	if (aead)
		put_hex(line, sizeof line, aead->alg_key, aead->alg_key_len / 8);
	else if (cipher)
		put_hex(line, sizeof line, cipher->alg_key, cipher->alg_key_len / 8);
	if (cut || auth) {
		size_t at = strlen(line);

		snprintf(line + at, sizeof line - at, " %s %u ", cut ? cut->alg_name : auth->alg_name, cut ? cut->alg_trunc_len : 96);
		put_hex(line, sizeof line, cut ? cut->alg_key : auth->alg_key, (cut ? cut->alg_key_len : auth->alg_key_len) / 8);
	}
	report(line);
}

static void tell_deleted(const struct nlmsghdr *request)
{
	const struct xfrm_usersa_id *id = NLMSG_DATA(request);
	char to[INET6_ADDRSTRLEN], line[LINE];

	inet_ntop(id->family, &id->daddr, to, sizeof to);
	snprintf(line, sizeof line, "del %08x %s", ntohl(id->spi), to);
	report(line);
}

/* A stand_in is what the kernel gets in place of a request. */
union stand_in {
	struct nlmsghdr header;
	char room[NLMSG_SPACE(sizeof(struct xfrm_usersa_id))];
};

/* replace fills the stand-in for a request, and returns 0 where the kernel
 * shall get the request itself. An UPDSA completes what ALLOCSPI reserved: the
 * reservation is ended, since its expiry would be told to the daemon. */
static size_t replace(int fd, const void *data, size_t octets, union stand_in *out)
{
	const struct nlmsghdr *request = data;

	if (fd < 0 || fd >= FDS || !is_xfrm[fd] || octets < sizeof *request || request->nlmsg_len > octets)
		return 0;
	memset(out, 0, sizeof *out);
	out->header = *request;
	out->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	switch (request->nlmsg_type) {
	case XFRM_MSG_UPDSA: {
		const struct xfrm_usersa_info *sa = NLMSG_DATA(request);
		struct xfrm_usersa_id *id = NLMSG_DATA(&out->header);

		tell_added(request);
		id->daddr = sa->id.daddr;
		id->spi = sa->id.spi;
		id->proto = sa->id.proto;
		id->family = sa->family;
		out->header.nlmsg_type = XFRM_MSG_DELSA;
		out->header.nlmsg_len = NLMSG_LENGTH(sizeof *id);
		return out->header.nlmsg_len;
	}
	case XFRM_MSG_NEWSA:
		tell_added(request);
		break;
	case XFRM_MSG_DELSA:
		tell_deleted(request);
		break;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
		break;
	default:
		return 0;
	}
	/* Thresholds of the policy database, none of them given: a no-op. */
	out->header.nlmsg_type = XFRM_MSG_NEWSPDINFO;
	out->header.nlmsg_len = NLMSG_LENGTH(sizeof(__u32));
	return out->header.nlmsg_len;
}

int socket(int domain, int type, int protocol)
{
	int fd = next_socket(domain, type, protocol);

	if (fd >= 0 && fd < FDS)
		is_xfrm[fd] = domain == AF_NETLINK && protocol == NETLINK_XFRM;
	return fd;
}

ssize_t sendto(int fd, const void *data, size_t octets, int flags, const struct sockaddr *to, socklen_t tolen)
{
	union stand_in other;
	size_t n = replace(fd, data, octets, &other);

	if (!n)
		return next_sendto(fd, data, octets, flags, to, tolen);
	return next_sendto(fd, &other, n, flags, to, tolen) < 0 ? -1 : (ssize_t)octets;
}

ssize_t send(int fd, const void *data, size_t octets, int flags)
{
	return sendto(fd, data, octets, flags, NULL, 0);
}

ssize_t write(int fd, const void *data, size_t octets)
{
	union stand_in other;
	size_t n = replace(fd, data, octets, &other);

	if (!n)
		return next_write(fd, data, octets);
	return next_write(fd, &other, n) < 0 ? -1 : (ssize_t)octets;
}
