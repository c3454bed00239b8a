/* A listening TCP socket. */
#ifndef SSW_SERVE_LISTENER_H
#define SSW_SERVE_LISTENER_H

#include "base/status.h"

/* Binds host:port (port 0: any free one) and listens; *fd is the caller's. Errors name host and port. */
ssw_status ssw_listener_open(const char *host, int port, int *fd, int *bound_port, ssw_error *err);

#endif
