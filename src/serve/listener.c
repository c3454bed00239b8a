/* getaddrinfo, bind, listen. */
#include "serve/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 256 };

static int bind_address(const struct addrinfo *address, int *error_number)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0) {
        *error_number = errno;
        return -1;
    }
    int on = 1; /* a port whose old connections linger can be used again; one that is listened on cannot */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    *error_number = errno;
    close(fd);
    return -1;
}

static int read_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t n_bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &n_bytes) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

ssw_status ssw_listener_open(const char *host, int port, int *fd, int *bound_port, ssw_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(host, service, &hints, &addresses);
    if (failed)
        return ssw_error_set(err, SSW_ERR_USAGE, "cannot listen on %s port %d: %s", host, port,
                             gai_strerror(failed));
    int error_number = 0;
    *fd = -1;
    for (const struct addrinfo *a = addresses; a && *fd < 0; a = a->ai_next)
        *fd = bind_address(a, &error_number);
    freeaddrinfo(addresses);
    if (*fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, error_number, "cannot listen on %s port %d", host, port);
    *bound_port = read_port(*fd);
    return SSW_OK;
}
