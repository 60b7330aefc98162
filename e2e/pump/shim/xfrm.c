/* SPDX-License-Identifier: Apache-2.0
 *
 * Lets an IKE daemon that drives the kernel's ESP over NETLINK_XFRM run where
 * the kernel has no ESP, or where its packets shall be carried by somebody
 * else. Preloaded, it looks at what the daemon sends on such a socket. Requests
 * about SAs are reported to the pump, and in their place the kernel gets one
 * that changes nothing, or only ends a reservation, under the same sequence
 * number: so the acknowledgement that the daemon waits for comes from the
 * kernel. Requests about policies are replaced alike, since a policy without
 * its SA would stop all traffic. A request for an XFRM interface makes the pump
 * lay a TUN of its name.
 */
#define _GNU_SOURCE
#include "report.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>

enum { FDS = 65536, LINE = 1024 };

static unsigned char is_xfrm[FDS], is_route[FDS];

/* The XFRM interfaces that the daemon has asked for. */
enum { LINKS = 8 };
static struct {
	char name[IFNAMSIZ];
	__u32 id;
} links[LINKS];
static ssize_t (*next_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_recvfrom)(int, void *, size_t, int, struct sockaddr *, socklen_t *);

__attribute__((constructor)) static void find_next(void)
{
	next_socket = dlsym(RTLD_NEXT, "socket");
	next_sendto = dlsym(RTLD_NEXT, "sendto");
	next_write = dlsym(RTLD_NEXT, "write");
	next_recvfrom = dlsym(RTLD_NEXT, "recvfrom");
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
	const __u32 *link = attribute(request, sizeof *sa, XFRMA_IF_ID);
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
	if (link && *link) {
		size_t at = strlen(line);

		snprintf(line + at, sizeof line - at, " link %u", *link);
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
	char link[NLMSG_SPACE(sizeof(struct ifinfomsg))];
};

/* nested returns the payload of the first attribute of a type within another of
 * so many octets, or NULL. */
static const void *nested(const struct rtattr *a, long left, int type, long *octets)
{
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type) {
			*octets = RTA_PAYLOAD(a);
			return RTA_DATA(a);
		}
	return NULL;
}

/* replace_link tells the pump of a new XFRM interface. The kernel is asked to
 * change nothing of lo. */
static size_t replace_link(const struct nlmsghdr *request, union stand_in *out)
{
	const struct ifinfomsg *info = NLMSG_DATA(request);
	long left = (long)request->nlmsg_len - (long)NLMSG_SPACE(sizeof *info), n, octets;
	const char *name, *kind;
	const void *link, *data;
	const __u32 *id;
	struct ifinfomsg *other;
	char line[LINE];

	if (request->nlmsg_type != RTM_NEWLINK || !(request->nlmsg_flags & NLM_F_CREATE) || left <= 0)
		return 0;
	name = nested(IFLA_RTA(info), left, IFLA_IFNAME, &n);
	link = nested(IFLA_RTA(info), left, IFLA_LINKINFO, &octets);
	if (!name || !link)
		return 0;
	kind = nested(link, octets, IFLA_INFO_KIND, &n);
	if (!kind || n < 4 || memcmp(kind, "xfrm", 4))
		return 0;
	data = nested(link, octets, IFLA_INFO_DATA, &n);
	id = data ? nested(data, n, IFLA_XFRM_IF_ID, &octets) : NULL;
	if (!id)
		return 0;
	snprintf(line, sizeof line, "link %u %s", *id, name);
	report(line);
	for (int i = 0; i < LINKS; i++)
		if (!links[i].id || links[i].id == *id) {
			snprintf(links[i].name, sizeof links[i].name, "%s", name);
			links[i].id = *id;
			break;
		}
	memset(out, 0, sizeof *out);
	out->header = *request;
	out->header.nlmsg_type = RTM_SETLINK;
	out->header.nlmsg_flags = NLM_F_REQUEST | (request->nlmsg_flags & NLM_F_ACK);
	out->header.nlmsg_len = NLMSG_LENGTH(sizeof *other);
	other = NLMSG_DATA(&out->header);
	other->ifi_index = 1;
	return out->header.nlmsg_len;
}

/* put_attribute writes one attribute and returns what stands behind it. */
static struct rtattr *put_attribute(struct rtattr *a, int type, const void *data, size_t octets)
{
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(octets);
	memset(RTA_DATA(a), 0, RTA_ALIGN(a->rta_len) - RTA_LENGTH(0));
	memcpy(RTA_DATA(a), data, octets);
	return (struct rtattr *)((char *)a + RTA_ALIGN(a->rta_len));
}

/* dress makes the kernel's description of one of the pump's TUNs that of an XFRM
 * interface. It is the shorter one: the rest becomes an attribute that nobody
 * reads. */
static void dress(struct nlmsghdr *answer)
{
	struct ifinfomsg *info = NLMSG_DATA(answer);
	long left = (long)answer->nlmsg_len - (long)NLMSG_SPACE(sizeof *info), octets;
	__u32 lo = 1, pair[4];
	const char *name;
	struct rtattr *a;
	char *link, *end;

	if (answer->nlmsg_type != RTM_NEWLINK || left <= 0)
		return;
	name = nested(IFLA_RTA(info), left, IFLA_IFNAME, &octets);
	link = (char *)nested(IFLA_RTA(info), left, IFLA_LINKINFO, &octets);
	for (int i = 0; name && link && i < LINKS && links[i].id; i++) {
		if (strcmp(name, links[i].name) || octets < 40)
			continue;
		end = link + octets;
		a = put_attribute((struct rtattr *)link, IFLA_INFO_KIND, "xfrm", 5);
		put_attribute((struct rtattr *)pair, IFLA_XFRM_LINK, &lo, sizeof lo);
		put_attribute((struct rtattr *)(pair + 2), IFLA_XFRM_IF_ID, &links[i].id, sizeof links[i].id);
		a = put_attribute(a, IFLA_INFO_DATA, pair, sizeof pair);
		a->rta_type = IFLA_INFO_UNSPEC;
		a->rta_len = end - (char *)a;
	}
}

ssize_t recvfrom(int fd, void *data, size_t octets, int flags, struct sockaddr *from, socklen_t *fromlen)
{
	ssize_t n = next_recvfrom(fd, data, octets, flags, from, fromlen);

	if (n > 0 && fd >= 0 && fd < FDS && is_route[fd]) {
		unsigned int left = n;

		for (struct nlmsghdr *m = data; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
			dress(m);
	}
	return n;
}

/* replace fills the stand-in for a request, and returns 0 where the kernel
 * shall get the request itself. An UPDSA completes what ALLOCSPI reserved: the
 * reservation is ended, since its expiry would be told to the daemon. */
static size_t replace(int fd, const void *data, size_t octets, union stand_in *out)
{
	const struct nlmsghdr *request = data;

	if (fd < 0 || fd >= FDS || octets < sizeof *request || request->nlmsg_len > octets)
		return 0;
	if (is_route[fd])
		return replace_link(request, out);
	if (!is_xfrm[fd])
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

	if (fd >= 0 && fd < FDS) {
		is_xfrm[fd] = domain == AF_NETLINK && protocol == NETLINK_XFRM;
		is_route[fd] = domain == AF_NETLINK && protocol == NETLINK_ROUTE;
	}
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
