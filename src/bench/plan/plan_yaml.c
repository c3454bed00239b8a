/* Plan and prompt files, read by libcyaml. Only the text given is read; the caller opens files. */
#include <cyaml/cyaml.h>

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/plan/plan_sweep.h"

typedef struct yaml_prompt {
    char *text;
    char *label;
    int64_t *published_tokens;
} yaml_prompt;

typedef struct yaml_arm {
    char *name;
    char *args, *url, *server;
    int64_t *port;
} yaml_arm;

typedef struct yaml_quality {
    char *samples, *tokens, *temperature, *margin, *problems, *embeddings_url;
} yaml_quality;

typedef struct yaml_plan { /* NULL: the file does not say */
    char *design, *ask, *length, *page_cache, *sweep, *fit;
    uint64_t *seed;
    int64_t *runs, *warmup, *max_tokens;
    bool *aa;
    int64_t *min_runs;
    double *equivalence_percent, *precision_percent;
    double *temperature, *pause_s, *timeout_s, *ready_timeout_s, *stop_grace_s, *memory_timeout_s;
    yaml_prompt *prompts;
    unsigned prompts_count;
    yaml_arm *arms;
    unsigned arms_count;
    char **models;
    unsigned models_count;
    char *quant;
    char **allow_diff;
    unsigned allow_diff_count;
    yaml_quality *quality;
} yaml_plan;

enum { OPTIONAL_PTR = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL };

static const cyaml_schema_field_t prompt_fields[] = {
    CYAML_FIELD_STRING_PTR("text", CYAML_FLAG_POINTER, yaml_prompt, text, 1, SSW_PLAN_PROMPT_BYTES_MAX),
    CYAML_FIELD_STRING_PTR("label", OPTIONAL_PTR, yaml_prompt, label, 1, 64),
    CYAML_FIELD_INT_PTR("published_tokens", OPTIONAL_PTR, yaml_prompt, published_tokens),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t prompt_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, yaml_prompt, prompt_fields)};

static const cyaml_schema_field_t arm_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, yaml_arm, name, 1, SSW_PLAN_ARM_NAME_MAX),
    CYAML_FIELD_STRING_PTR("args", OPTIONAL_PTR, yaml_arm, args, 0, 65536),
    CYAML_FIELD_STRING_PTR("url", OPTIONAL_PTR, yaml_arm, url, 1, SSW_PLAN_URL_MAX),
    CYAML_FIELD_STRING_PTR("server", OPTIONAL_PTR, yaml_arm, server, 1, 4096),
    CYAML_FIELD_INT_PTR("port", OPTIONAL_PTR, yaml_arm, port),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t arm_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, yaml_arm, arm_fields)};

static const cyaml_schema_value_t model_schema = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 4096)};
static const cyaml_schema_value_t name_schema = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 128)};

static const cyaml_schema_field_t quality_fields[] = {
    CYAML_FIELD_STRING_PTR("samples", OPTIONAL_PTR, yaml_quality, samples, 1, 32),
    CYAML_FIELD_STRING_PTR("tokens", OPTIONAL_PTR, yaml_quality, tokens, 1, 32),
    CYAML_FIELD_STRING_PTR("temperature", OPTIONAL_PTR, yaml_quality, temperature, 1, 32),
    CYAML_FIELD_STRING_PTR("margin", OPTIONAL_PTR, yaml_quality, margin, 1, 32),
    CYAML_FIELD_STRING_PTR("problems", OPTIONAL_PTR, yaml_quality, problems, 1, 4096),
    CYAML_FIELD_STRING_PTR("embeddings_url", OPTIONAL_PTR, yaml_quality, embeddings_url, 1, SSW_PLAN_URL_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t plan_fields[] = {
    CYAML_FIELD_STRING_PTR("design", OPTIONAL_PTR, yaml_plan, design, 1, 32),
    CYAML_FIELD_UINT_PTR("seed", OPTIONAL_PTR, yaml_plan, seed),
    CYAML_FIELD_INT_PTR("runs", OPTIONAL_PTR, yaml_plan, runs),
    CYAML_FIELD_INT_PTR("warmup", OPTIONAL_PTR, yaml_plan, warmup),
    CYAML_FIELD_INT_PTR("max_tokens", OPTIONAL_PTR, yaml_plan, max_tokens),
    CYAML_FIELD_STRING_PTR("ask", OPTIONAL_PTR, yaml_plan, ask, 1, 32),
    CYAML_FIELD_STRING_PTR("length", OPTIONAL_PTR, yaml_plan, length, 1, 32),
    CYAML_FIELD_STRING_PTR("page_cache", OPTIONAL_PTR, yaml_plan, page_cache, 1, 32),
    CYAML_FIELD_STRING_PTR("sweep", OPTIONAL_PTR, yaml_plan, sweep, 1, 1024),
    CYAML_FIELD_STRING_PTR("fit", OPTIONAL_PTR, yaml_plan, fit, 1, 32),
    CYAML_FIELD_BOOL_PTR("aa", OPTIONAL_PTR, yaml_plan, aa),
    CYAML_FIELD_FLOAT_PTR("equivalence_percent", OPTIONAL_PTR, yaml_plan, equivalence_percent),
    CYAML_FIELD_FLOAT_PTR("precision_percent", OPTIONAL_PTR, yaml_plan, precision_percent),
    CYAML_FIELD_INT_PTR("min_runs", OPTIONAL_PTR, yaml_plan, min_runs),
    CYAML_FIELD_FLOAT_PTR("temperature", OPTIONAL_PTR, yaml_plan, temperature),
    CYAML_FIELD_FLOAT_PTR("pause_s", OPTIONAL_PTR, yaml_plan, pause_s),
    CYAML_FIELD_FLOAT_PTR("timeout_s", OPTIONAL_PTR, yaml_plan, timeout_s),
    CYAML_FIELD_FLOAT_PTR("ready_timeout_s", OPTIONAL_PTR, yaml_plan, ready_timeout_s),
    CYAML_FIELD_FLOAT_PTR("stop_grace_s", OPTIONAL_PTR, yaml_plan, stop_grace_s),
    CYAML_FIELD_FLOAT_PTR("memory_timeout_s", OPTIONAL_PTR, yaml_plan, memory_timeout_s),
    CYAML_FIELD_SEQUENCE("prompts", OPTIONAL_PTR, yaml_plan, prompts, &prompt_schema, 1,
                         SSW_PLAN_PROMPTS_MAX),
    CYAML_FIELD_SEQUENCE("arms", OPTIONAL_PTR, yaml_plan, arms, &arm_schema, 1, SSW_PLAN_ARMS_MAX),
    CYAML_FIELD_SEQUENCE("models", OPTIONAL_PTR, yaml_plan, models, &model_schema, 1, SSW_PLAN_MODELS_MAX),
    CYAML_FIELD_STRING_PTR("quant", OPTIONAL_PTR, yaml_plan, quant, 1, 256),
    CYAML_FIELD_SEQUENCE("allow_diff", OPTIONAL_PTR, yaml_plan, allow_diff, &name_schema, 1,
                         SSW_PLAN_ALLOWED_MAX),
    CYAML_FIELD_MAPPING_PTR("quality", OPTIONAL_PTR, yaml_plan, quality, quality_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t plan_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_plan, plan_fields)};

static const cyaml_schema_value_t string_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, SSW_PLAN_PROMPT_BYTES_MAX)};
static const cyaml_schema_value_t list_schema = {
    CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, char *, &string_schema, 1, SSW_PLAN_PROMPTS_MAX)};

/* Collects libcyaml's messages into one line: the first says what is wrong, the next ones where. */
__attribute__((format(printf, 3, 0))) static void collect_message(cyaml_log_t level, void *context,
                                                                  const char *format, va_list args)
{
    char *line = context;
    size_t used = strlen(line);
    if (level < CYAML_LOG_ERROR || used + 3 >= SSW_ERROR_MESSAGE_MAX / 2)
        return;
    if (used) {
        line[used++] = ';';
        line[used++] = ' ';
    }
    vsnprintf(line + used, SSW_ERROR_MESSAGE_MAX / 2 - used, format, args);
    for (char *c = line; *c; c++) {
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    }
    for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
        line[n - 1] = '\0';
}

static ssw_status load(const cyaml_schema_value_t *schema, const char *name, const char *text, size_t n_bytes,
                       void **data, unsigned *n, ssw_error *err)
{
    char line[SSW_ERROR_MESSAGE_MAX / 2] = "";
    const cyaml_config_t config = {
        .log_fn = collect_message, .log_ctx = line, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    if (n_bytes > SSW_PLAN_FILE_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: larger than %d bytes", name, SSW_PLAN_FILE_BYTES_MAX);
    cyaml_err_t code = cyaml_load_data((const uint8_t *)text, n_bytes, &config, schema, data, n);
    if (code == CYAML_OK && *data)
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_FORMAT, "%s: %s", name,
                         code == CYAML_OK ? "the file is empty" : (*line ? line : cyaml_strerror(code)));
}

static void unload(const cyaml_schema_value_t *schema, void *data, unsigned n)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    cyaml_free(&config, schema, data, n);
}

static ssw_status take_int(const char *key, const int64_t *value, int *out, ssw_error *err)
{
    if (value && (*value < 0 || *value > INT32_MAX))
        return ssw_error_set(err, SSW_ERR_USAGE, "%s is out of range: %lld", key, (long long)*value);
    if (value)
        *out = (int)*value;
    return SSW_OK;
}

static ssw_status take_seconds(const char *key, const double *value, int64_t *out_ns, ssw_error *err)
{
    if (value && !(isfinite(*value) && *value >= 0 && *value <= 86400))
        return ssw_error_set(err, SSW_ERR_USAGE, "%s must be 0 to 86400, not %g", key, *value);
    if (value)
        *out_ns = (int64_t)(*value * (double)SSW_NS_PER_S);
    return SSW_OK;
}

static ssw_status take_settings(ssw_plan *plan, const yaml_plan *yaml, ssw_error *err)
{
    ssw_status status = SSW_OK;
    if (yaml->design)
        status = ssw_plan_parse_design(yaml->design, &plan->design, err);
    if (!status && yaml->ask)
        status = ssw_plan_parse_ask(yaml->ask, &plan->ask, err);
    if (!status && yaml->length)
        status = ssw_plan_parse_length(yaml->length, &plan->fixed_length, err);
    if (!status && yaml->page_cache)
        status = ssw_plan_parse_page_cache(yaml->page_cache, &plan->page_cache, err);
    if (yaml->seed)
        plan->seed = *yaml->seed;
    if (yaml->temperature)
        plan->temperature = *yaml->temperature;
    if (yaml->aa)
        plan->aa = *yaml->aa ? SSW_PLAN_AA_ON : SSW_PLAN_AA_OFF;
    if (yaml->equivalence_percent)
        plan->equivalence_margin = *yaml->equivalence_percent / 100;
    if (yaml->precision_percent)
        plan->precision = *yaml->precision_percent / 100;
    if (!status)
        status = take_int("min_runs", yaml->min_runs, &plan->min_runs, err);
    if (!status)
        status = take_int("runs", yaml->runs, &plan->runs, err);
    if (!status)
        status = take_int("warmup", yaml->warmup, &plan->warmup_runs, err);
    if (!status)
        status = take_int("max_tokens", yaml->max_tokens, &plan->max_tokens, err);
    if (!status)
        status = take_seconds("pause_s", yaml->pause_s, &plan->pause_ns, err);
    if (!status)
        status = take_seconds("timeout_s", yaml->timeout_s, &plan->hang_timeout_ns, err);
    if (!status)
        status = take_seconds("ready_timeout_s", yaml->ready_timeout_s, &plan->ready_timeout_ns, err);
    if (!status)
        status = take_seconds("stop_grace_s", yaml->stop_grace_s, &plan->stop_grace_ns, err);
    if (!status)
        status = take_seconds("memory_timeout_s", yaml->memory_timeout_s, &plan->memory_timeout_ns, err);
    return status;
}

static ssw_status take_arm(ssw_plan *plan, const yaml_arm *arm, ssw_error *err)
{
    int port = 0;
    ssw_status status = take_int("port", arm->port, &port, err);
    if (!status && arm->url && (arm->args || arm->port))
        status =
            ssw_error_set(err, SSW_ERR_USAGE, "arm \"%s\" has a url: args and port are its own", arm->name);
    if (!status)
        status = arm->url ? ssw_plan_add_url(plan, arm->name, arm->url, err)
                          : ssw_plan_add_arm(plan, arm->name, arm->args ? arm->args : "", err);
    if (!status && !arm->url)
        plan->arms[plan->n_arms - 1].port = port;
    if (!status && arm->server)
        status = ssw_plan_set_server(plan, arm->server, strlen(arm->server), err);
    return status;
}

static ssw_status take_lists(ssw_plan *plan, const yaml_plan *yaml, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (unsigned i = 0; !status && i < yaml->prompts_count; i++) {
        const yaml_prompt *prompt = &yaml->prompts[i];
        int64_t published = prompt->published_tokens ? *prompt->published_tokens : SSW_PLAN_NO_COUNT;
        if (published < SSW_PLAN_NO_COUNT)
            published = SSW_PLAN_NO_COUNT;
        status = ssw_plan_add_prompt(plan, prompt->label, prompt->text, strlen(prompt->text), published, err);
    }
    for (unsigned i = 0; !status && i < yaml->arms_count; i++)
        status = take_arm(plan, &yaml->arms[i], err);
    if (!status && yaml->sweep)
        status = ssw_plan_sweep_option(plan, yaml->sweep, err);
    if (!status && yaml->fit)
        status = ssw_plan_fit_option(plan, yaml->fit, err);
    for (unsigned i = 0; !status && i < yaml->allow_diff_count; i++)
        status = ssw_plan_allow_difference(plan, yaml->allow_diff[i], err);
    return status;
}

/* Of a queue: kept for who runs it. */
static ssw_status take_models(ssw_plan *plan, const yaml_plan *yaml, ssw_error *err)
{
    for (unsigned i = 0; i < yaml->models_count; i++) {
        if (plan->n_models == SSW_PLAN_MODELS_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d models", SSW_PLAN_MODELS_MAX);
        const char *copy = ssw_arena_copy_text(&plan->arena, yaml->models[i], strlen(yaml->models[i]));
        if (!copy)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for models");
        plan->models[plan->n_models++] = copy;
    }
    if (yaml->quant) {
        plan->quant = ssw_arena_copy_text(&plan->arena, yaml->quant, strlen(yaml->quant));
        if (!plan->quant)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for quant");
    }
    return SSW_OK;
}

static ssw_status take_quality(ssw_plan *plan, const yaml_quality *yaml, ssw_error *err)
{
    ssw_plan_quality *out = &plan->quality;
    if (!yaml)
        return SSW_OK;
    const struct {
        const char *from, **to;
    } texts[] = {{yaml->samples, &out->samples},         {yaml->tokens, &out->tokens},
                 {yaml->temperature, &out->temperature}, {yaml->margin, &out->margin},
                 {yaml->problems, &out->problems},       {yaml->embeddings_url, &out->embeddings_url}};
    out->wanted = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i].from)
            continue;
        *texts[i].to = ssw_arena_copy_text(&plan->arena, texts[i].from, strlen(texts[i].from));
        if (!*texts[i].to)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for quality");
    }
    return SSW_OK;
}

ssw_status ssw_plan_read_yaml(ssw_plan *plan, const char *name, const char *text, size_t n_bytes,
                              ssw_error *err)
{
    void *data = NULL;
    ssw_status status = load(&plan_schema, name, text, n_bytes, &data, NULL, err);
    if (status)
        return status;
    status = take_settings(plan, data, err);
    if (!status)
        status = take_lists(plan, data, err);
    if (!status)
        status = take_models(plan, data, err);
    if (!status)
        status = take_quality(plan, ((const yaml_plan *)data)->quality, err);
    if (status)
        ssw_error_prefix(err, "%s", name);
    unload(&plan_schema, data, 0);
    return status;
}

static ssw_status read_lines(ssw_plan *plan, const char *text, size_t n_bytes, ssw_error *err)
{
    ssw_status status = SSW_OK;
    const char *end = text + n_bytes;
    for (const char *line = text; !status && line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        size_t n = (size_t)(stop - line);
        while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
            n--;
        if (n && *line != '#')
            status = ssw_plan_add_prompt(plan, NULL, line, n, SSW_PLAN_NO_COUNT, err);
        line = stop + 1;
    }
    return status;
}

ssw_status ssw_plan_read_prompts(ssw_plan *plan, const char *name, const char *text, size_t n_bytes,
                                 ssw_error *err)
{
    size_t before = plan->n_prompts;
    size_t blank = 0;
    while (blank < n_bytes && strchr(" \t\r\n", text[blank]) && text[blank])
        blank++;
    bool list = blank + 1 < n_bytes && (text[blank] == '[' || (text[blank] == '-' && text[blank + 1] == ' '));
    ssw_status status = SSW_OK;
    if (list) {
        void *data = NULL;
        unsigned n = 0;
        status = load(&list_schema, name, text, n_bytes, &data, &n, err);
        if (status)
            return status;
        for (unsigned i = 0; !status && i < n; i++) {
            const char *item = ((char **)data)[i];
            status = ssw_plan_add_prompt(plan, NULL, item, strlen(item), SSW_PLAN_NO_COUNT, err);
        }
        unload(&list_schema, data, n);
    } else {
        status = read_lines(plan, text, n_bytes, err);
    }
    if (!status && plan->n_prompts == before)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "no prompt in it");
    if (status)
        ssw_error_prefix(err, "%s", name);
    return status;
}
