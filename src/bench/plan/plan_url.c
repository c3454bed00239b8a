/* Arms that are servers which run already. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan/plan.h"

enum { HTTP_PORT = 80 };

/* Host and port of an http URL; false when it is none. A host is a name, an IPv4 address or [IPv6]. */
static bool parse_url(const char *url, int *port)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || strlen(url) >= SSW_PLAN_URL_MAX)
        return false;
    for (const char *c = url; *c; c++) {
        if ((unsigned char)*c <= ' ' || strchr("\"<>\\^`{|}@?#", *c))
            return false;
    }
    const char *host = url + sizeof scheme - 1;
    const char *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":/");
    if (!end || end == host)
        return false;
    end += *end == ']';
    *port = HTTP_PORT;
    if (*end == ':') {
        char *after;
        long value = strtol(end + 1, &after, 10);
        if (after == end + 1 || value < 1 || value > 65535)
            return false;
        *port = (int)value;
        end = after;
    }
    return *end == '/' || *end == '\0';
}

ssw_status ssw_plan_add_url(ssw_plan *plan, const char *name, const char *url, ssw_error *err)
{
    int port;
    if (!parse_url(url, &port))
        return ssw_error_set(err, SSW_ERR_USAGE, "\"%.100s\" is not of the form http://HOST[:PORT][/PATH]",
                             url);
    ssw_status status = ssw_plan_add_arm(plan, name, "", err);
    if (status)
        return status;
    size_t n = strlen(url);
    while (url[n - 1] == '/')
        n--;
    ssw_plan_arm *arm = &plan->arms[plan->n_arms - 1];
    arm->url = ssw_arena_copy_text(&plan->arena, url, n);
    arm->port = port;
    return arm->url ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for arm \"%s\"", name);
}
