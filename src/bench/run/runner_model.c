/* Which model a server serves, and whether it is the one asked for. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench/run/runner_internal.h"

#define MODELS_TIMEOUT_NS (10 * SSW_NS_PER_S)

/* "path/NAME.gguf" and "NAME" are one model, whatever the case; a split's "-00001-of-0000N" is not part of
 * it, nor is ollama's tag ":latest". */
static bool is_same_model(const char *served, const char *asked)
{
    const char *slash = strrchr(served, '/');
    const char *base = slash ? slash + 1 : served;
    size_t n = strlen(base), n_asked = strlen(asked);
    if (n > 5 && strcasecmp(base + n - 5, ".gguf") == 0)
        n -= 5;
    if (n > 7 && strncmp(base + n - 7, ":latest", 7) == 0)
        n -= 7;
    unsigned first, count;
    if (n > 15 && base[n - 15] == '-' && sscanf(base + n - 15, "-%5u-of-%5u", &first, &count) == 2)
        n -= 15;
    return (n == n_asked && strncasecmp(base, asked, n) == 0) || strcasecmp(served, asked) == 0;
}

/* What follows --alias or -a on the arm's command line. */
static const char *alias_of(const ssw_manifest_arm *arm)
{
    for (size_t i = 0; i < arm->argv.n; i++) {
        const char *word = arm->argv.words[i];
        if (strncmp(word, "--alias=", 8) == 0)
            return word + 8;
        if ((strcmp(word, "--alias") == 0 || strcmp(word, "-a") == 0) && i + 1 < arm->argv.n)
            return arm->argv.words[i + 1];
    }
    return NULL;
}

/* Picks the served model that is the one asked for; else the first, and false. */
static bool pick_model(const ssw_runner *runner, const json_t *list, const char **served)
{
    const ssw_manifest_model *model = &runner->manifest->model;
    const char *alias = alias_of(ssw_runner_arm(runner));
    const json_t *item;
    size_t i;
    *served = NULL;
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(json_object_get(item, runner->adapter->model_key));
        if (!id)
            continue;
        if (!*served)
            *served = id;
        bool by_name = is_same_model(id, model->name) || strcmp(id, model->path) == 0;
        bool by_metadata = model->general_name && is_same_model(id, model->general_name);
        if (by_name || by_metadata || (alias && strcmp(id, alias) == 0)) {
            *served = id;
            return true;
        }
    }
    return *served == NULL; /* a server that names nothing proves nothing */
}

ssw_status ssw_runner_check_model(ssw_runner *runner, ssw_error *err)
{
    ssw_strbuf body;
    long code = 0;
    ssw_strbuf_init(&body, SSW_CLIENT_BODY_BYTES_MAX);
    runner->served_model[0] = '\0';
    ssw_status status =
        ssw_client_get(runner->client, runner->adapter->models_path, MODELS_TIMEOUT_NS, &code, &body, err);
    json_t *root = !status && code == 200 ? json_loadb(ssw_strbuf_text(&body), body.n_bytes, 0, NULL) : NULL;
    ssw_strbuf_deinit(&body);
    if (status == SSW_ERR_CANCELLED)
        return status;
    const char *served = NULL;
    bool same = pick_model(runner, json_object_get(root, runner->adapter->models_key), &served);
    snprintf(runner->served_model, sizeof runner->served_model, "%s", served ? served : "");
    json_decref(root);
    if (same)
        return SSW_OK;
    runner->result->outcome = SSW_RUN_INVALID;
    return ssw_error_set(err, SSW_ERR_FORMAT, "arm %s: the server on port %d serves \"%s\", not \"%s\"",
                         ssw_runner_arm(runner)->name, ssw_runner_arm(runner)->port, runner->served_model,
                         runner->manifest->model.name);
}
