/* SPDX-License-Identifier: Apache-2.0
 *
 * What both shims share: a line of text for each security association that a
 * daemon makes or ends, sent to the pump, which answers with one octet when it
 * has taken it in. So a call that makes an SA returns when packets can flow, as
 * it does with a kernel.
 *
 * The lines are
 *
 *   add SPI SOURCE DESTINATION SPORT DPORT CIPHER KEY [AUTH BITS KEY] [link ID]
 *   del SPI DESTINATION
 *   link ID NAME
 *   events
 *
 * and on a connection that began with the last the pump says later, by their
 * SPIs, which SAs have reached their soft lifetime.
 *
 * SPI and keys are hexadecimal, ports are 0 where ESP is not in UDP, names are
 * those of Linux's crypto API, and the ID is that of an XFRM interface.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int (*next_socket)(int, int, int);

/* put_hex appends octets to text of cap octets that ends at NUL. */
static void put_hex(char *text, size_t cap, const void *data, size_t octets)
{
	const unsigned char *p = data;
	size_t at = strlen(text);

	for (size_t i = 0; i < octets && at + 3 < cap; i++, at += 2)
		snprintf(text + at, cap - at, "%02x", p[i]);
}

/* tell_pump sends a line and waits for the pump's answer. It returns the
 * connection, or -1. */
static int tell_pump(const char *line)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("SEIKAN_PUMP");
	char answer;
	int fd;

	if (!path || strlen(path) >= sizeof to.sun_path)
		return -1;
	strcpy(to.sun_path, path);
	fd = next_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (!connect(fd, (struct sockaddr *)&to, sizeof to) && send(fd, line, strlen(line), MSG_NOSIGNAL) > 0 &&
	    recv(fd, &answer, 1, 0) == 1)
		return fd;
	close(fd);
	return -1;
}

/* report tells of an SA. Without a pump it complains, and the daemon goes on. */
static void report(const char *line)
{
	int fd = tell_pump(line);

	if (fd < 0)
		fprintf(stderr, "shim: no pump has heard: %s\n", line);
	else
		close(fd);
}
