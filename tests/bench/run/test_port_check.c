/* A taken port is reported with its owner's name and pid; a free one is not. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/run/port_check.h"

static void test_taken_then_free(void **state)
{
    (void)state;
    char expected[64];
    ssw_error err = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&address, &n);
    int port = ntohs(address.sin_port);
    assert_int_equal(ssw_port_check(port, &err), SSW_ERR_USAGE);
    snprintf(expected, sizeof expected, "port %d is taken by test_port_check (pid %d)", port, (int)getpid());
    assert_string_equal(err.message, expected);
    close(fd);
    assert_int_equal(ssw_port_check(port, &err), SSW_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken_then_free)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
