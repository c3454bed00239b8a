/* Deadlines for connections: a client that takes too long to send its headers or its body gets 408 and is cut
 * off, an idle kept-alive connection is closed. libmicrohttpd's own timeout only sees silence, so a byte now
 * and then would hold a connection for ever.
 *
 * Thread-safe. One thread of its own looks at all connections a few times a second. It owns a duplicate of
 * each socket, so that it never touches a descriptor that was closed and given to someone else. */
#ifndef SSW_SERVE_CONNECTION_GUARD_H
#define SSW_SERVE_CONNECTION_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { SSW_GUARD_CONNECTIONS_MAX = 4096 };

typedef struct ssw_guard ssw_guard;
typedef struct ssw_guard_entry ssw_guard_entry; /* one connection */

typedef struct ssw_guard_options {
    int n_connections_max;      /* entries; at most SSW_GUARD_CONNECTIONS_MAX */
    int64_t header_timeout_ns;  /* from the connection's start, or the request's first line */
    int64_t body_timeout_ns;    /* from the end of the headers */
    int64_t idle_timeout_ns;    /* between requests */
    int64_t unacked_timeout_ns; /* a peer that does not take what we send (TCP_USER_TIMEOUT) */
} ssw_guard_options;

typedef enum ssw_guard_phase {
    SSW_GUARD_NEW,     /* connected, nothing read yet */
    SSW_GUARD_HEADERS, /* the request line was read */
    SSW_GUARD_BODY,
    SSW_GUARD_BUSY, /* we work: no deadline */
    SSW_GUARD_IDLE  /* answered, may send another */
} ssw_guard_phase;

ssw_status ssw_guard_open(const ssw_guard_options *options, ssw_guard **out, ssw_error *err);
void ssw_guard_close(ssw_guard *guard); /* NULL is allowed; entries still there are left */

/* NULL when there is no room. */
ssw_guard_entry *ssw_guard_enter(ssw_guard *guard, int socket_fd);
void ssw_guard_leave(ssw_guard *guard, ssw_guard_entry *entry);
/* False when the deadline has passed already and the connection is cut. */
bool ssw_guard_set_phase(ssw_guard *guard, ssw_guard_entry *entry, ssw_guard_phase phase);

int ssw_guard_count(ssw_guard *guard);      /* connections */
int ssw_guard_count_busy(ssw_guard *guard); /* those in SSW_GUARD_BUSY */

#endif
