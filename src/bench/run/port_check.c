/* Ports: bind tells whether, /proc tells who. Sources: proc(5), /proc/net/tcp and /proc/PID/fd. */
#include "bench/run/port_check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATE_LISTEN = 0x0a, SOCKETS_MAX = 100000 };

/* The inode of the socket that listens on the port, 0 if none is seen. */
static unsigned long find_listener(const char *table, int port)
{
    char line[512];
    unsigned long found = 0;
    FILE *file = fopen(table, "re");
    if (!file)
        return 0;
    for (int i = 0; i < SOCKETS_MAX && !found && fgets(line, sizeof line, file); i++) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
                   &local, &state, &inode) == 3 &&
            local == (unsigned)port && state == STATE_LISTEN)
            found = inode;
    }
    fclose(file);
    return found;
}

static bool holds_socket(const char *pid, const char *wanted)
{
    char path[300], target[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    closedir(dir);
    return found;
}

pid_t ssw_port_find_owner(int port)
{
    char wanted[64];
    pid_t found = 0;
    unsigned long inode = find_listener("/proc/net/tcp", port);
    if (!inode)
        inode = find_listener("/proc/net/tcp6", port);
    DIR *dir = inode ? opendir("/proc") : NULL;
    if (!dir)
        return 0;
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    for (const struct dirent *entry; !found && (entry = readdir(dir));) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && holds_socket(entry->d_name, wanted))
            found = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    closedir(dir);
    return found;
}

/* "a process" where its name may not be read. */
static void read_name(pid_t pid, char *name, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(name, (int)size, file))
        snprintf(name, size, "a process");
    name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
}

ssw_status ssw_port_check(int port, ssw_error *err)
{
    char name[64];
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no socket");
    /* as servers do: a port whose old connections still linger (TIME_WAIT) is free */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1) ? errno : 0;
    close(fd);
    if (!failed)
        return SSW_OK;
    if (failed != EADDRINUSE)
        return ssw_error_set_errno(err, SSW_ERR_USAGE, failed, "port %d cannot be used", port);
    pid_t owner = ssw_port_find_owner(port);
    if (!owner)
        return ssw_error_set(err, SSW_ERR_USAGE, "port %d is taken by another process", port);
    read_name(owner, name, sizeof name);
    return ssw_error_set(err, SSW_ERR_USAGE, "port %d is taken by %s (pid %d)", port, name, (int)owner);
}
