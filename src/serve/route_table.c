/* Which handler serves which path, and who may ask. */
#include <openssl/crypto.h>
#include <string.h>

#include "serve/exchange.h"

static const ssw_route routes[] = {
    {"GET", "/health", ssw_route_health, false, true},
    {"GET", "/v1/health", ssw_route_health, false, true},
    {"GET", "/v1/models", ssw_route_models, false, true},
    {"GET", "/models", ssw_route_models, false, true},
    {"GET", "/v1/models/*", ssw_route_model, false, true},
    {"POST", "/v1/chat/completions", ssw_route_chat_completions, true, false},
    {"POST", "/chat/completions", ssw_route_chat_completions, true, false},
    {"POST", "/v1/completions", ssw_route_completions, true, false},
    {"POST", "/v1/embeddings", ssw_route_embeddings, true, false},
    {"POST", "/tokenize", ssw_route_tokenize, true, false},
    {"POST", "/detokenize", ssw_route_detokenize, true, false},
    {"POST", "/api/generate", ssw_route_api_generate, true, false},
    {"GET", "/metrics", ssw_route_metrics, false, false},
};

static const ssw_route preflight = {"OPTIONS", "*", ssw_route_preflight, false, true};

static bool path_matches(const ssw_route *route, const char *path)
{
    size_t n = strlen(route->path);
    if (route->path[n - 1] == '*')
        return strncmp(route->path, path, n - 1) == 0 && path[n - 1] != '\0';
    return strcmp(route->path, path) == 0;
}

static bool method_matches(const ssw_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const char *given_key(ssw_exchange *exchange)
{
    const char *bearer = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Authorization");
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
        return bearer + 7;
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "X-Api-Key");
}

/* Every key is compared, in a time that tells nothing of where they differ. */
static bool key_is_valid(const ssw_server *server, const char *given)
{
    bool is_valid = false;
    size_t n_given = strlen(given);
    for (size_t i = 0; i < server->options.n_api_keys; i++) {
        const char *key = server->api_keys[i];
        size_t n_key = strlen(key);
        if (n_key == n_given && CRYPTO_memcmp(key, given, n_key) == 0)
            is_valid = true;
    }
    return is_valid;
}

static bool check_key(ssw_exchange *exchange, ssw_http_fault *fault)
{
    if (exchange->server->options.n_api_keys == 0 || exchange->route->is_public)
        return true;
    const char *given = given_key(exchange);
    if (given && key_is_valid(exchange->server, given))
        return true;
    ssw_fault_set(fault, 401, NULL,
                  given ? "the API key is not valid" : "an API key is required: Authorization: Bearer KEY");
    fault->code = "invalid_api_key";
    return false;
}

bool ssw_route_find(ssw_exchange *exchange, const char *method, ssw_http_fault *fault)
{
    const ssw_route *other = NULL;
    if (strcmp(method, "OPTIONS") == 0)
        exchange->route = &preflight;
    for (size_t i = 0; !exchange->route && i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_matches(&routes[i], exchange->path))
            continue;
        if (method_matches(&routes[i], method))
            exchange->route = &routes[i];
        else
            other = &routes[i];
    }
    if (!exchange->route && other) {
        exchange->allow = other->method;
        return ssw_fault_set(fault, 405, NULL, "%s takes %s, not %s", other->path, other->method, method);
    }
    if (!exchange->route)
        return ssw_fault_set(fault, 404, NULL, "there is nothing at %s", exchange->path);
    if (!check_key(exchange, fault))
        return false;
    if (atomic_load(&exchange->server->is_draining))
        return ssw_fault_set(fault, 503, NULL, "the server is shutting down");
    exchange->engine = atomic_load(&exchange->server->engine);
    if (exchange->route->needs_engine && !exchange->engine)
        return ssw_fault_set(fault, 503, NULL, "loading model");
    return true;
}
