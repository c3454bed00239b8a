/* manifest.json, written and read by the same tables of fields. */
#include "bench/evidence/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/json_fields.h"
#include "bench/evidence/text_file.h"

enum { ARENA_BYTES_MAX = 256 << 20, PATH_BYTES_MAX = 4096 };

static const ssw_json_field tool_fields[] = {
    SSW_JSON_FIELD_AS("name", TEXT_NEEDED, ssw_manifest, tool_name),
    SSW_JSON_FIELD_AS("version", TEXT_NEEDED, ssw_manifest, tool_version),
    SSW_JSON_FIELD_AS("commit", TEXT, ssw_manifest, tool_commit),
};
static const ssw_json_field top_fields[] = {
    SSW_JSON_FIELD(COUNT, ssw_manifest, schema),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_manifest, created_utc),
};
static const ssw_json_field plan_fields[] = {
    SSW_JSON_FIELD(U64, ssw_plan, seed),
    SSW_JSON_FIELD(COUNT, ssw_plan, runs),
    SSW_JSON_FIELD(COUNT, ssw_plan, warmup_runs),
    SSW_JSON_FIELD(COUNT, ssw_plan, max_tokens),
    SSW_JSON_FIELD(REAL, ssw_plan, temperature),
    SSW_JSON_FIELD(COUNT, ssw_plan, fixed_length),
    SSW_JSON_FIELD(REAL_OR_0, ssw_plan, equivalence_margin),
    SSW_JSON_FIELD(REAL_OR_0, ssw_plan, precision),
    SSW_JSON_FIELD(COUNT_OR_0, ssw_plan, min_runs),
    SSW_JSON_FIELD(I64, ssw_plan, pause_ns),
    SSW_JSON_FIELD(I64, ssw_plan, ready_timeout_ns),
    SSW_JSON_FIELD(I64, ssw_plan, hang_timeout_ns),
    SSW_JSON_FIELD(I64, ssw_plan, stop_grace_ns),
    SSW_JSON_FIELD(I64, ssw_plan, memory_timeout_ns),
};
static const ssw_json_field prompt_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_plan_prompt, id),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_plan_prompt, label),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_plan_prompt, text),
    SSW_JSON_FIELD(I64, ssw_plan_prompt, published_tokens),
    SSW_JSON_FIELD(I64, ssw_plan_prompt, tokens),
};
static const ssw_json_field plan_arm_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_plan_arm, name),
    SSW_JSON_FIELD(TEXT, ssw_plan_arm, server),
    SSW_JSON_FIELD(TEXT, ssw_plan_arm, url),
    SSW_JSON_FIELD(COUNT, ssw_plan_arm, port),
};
static const ssw_json_field model_fields[] = {
    SSW_JSON_FIELD(TEXT, ssw_manifest_model, path),
    SSW_JSON_FIELD(TEXT, ssw_manifest_model, name),
    SSW_JSON_FIELD(TEXT, ssw_manifest_model, general_name),
    SSW_JSON_FIELD(TEXT, ssw_manifest_model, architecture),
    SSW_JSON_FIELD(I64, ssw_manifest_model, parameters),
    SSW_JSON_FIELD(I64, ssw_manifest_model, expert_bytes),
    SSW_JSON_FIELD(I64, ssw_manifest_model, expert_bytes_per_token),
};
static const ssw_json_field file_fields[] = {
    SSW_JSON_FIELD(TEXT, ssw_manifest_file, path),
    SSW_JSON_FIELD(I64, ssw_manifest_file, bytes),
    SSW_JSON_FIELD(TEXT, ssw_manifest_file, sha256),
};
static const ssw_json_field arm_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_manifest_arm, name),
    SSW_JSON_FIELD(COUNT, ssw_manifest_arm, port),
    SSW_JSON_FIELD(TEXT, ssw_manifest_arm, adapter),
    SSW_JSON_FIELD(TEXT, ssw_manifest_arm, ask_path),
    SSW_JSON_FIELD(TEXT, ssw_manifest_arm, prompt_cache),
    SSW_JSON_FIELD(TEXT, ssw_manifest_arm, own_times),
    SSW_JSON_FIELD(TEXT, ssw_manifest_arm, treatment),
    SSW_JSON_FIELD(I64, ssw_manifest_arm, offload_bytes),
};
static const ssw_json_field machine_fields[] = {
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, hostname_hash),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, kernel),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, cpu),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, sockets),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, cores),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, threads),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, threads_usable),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, cpu_khz_max),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, governor),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, memory_bytes),
    SSW_JSON_FIELD(I64, ssw_manifest_machine, swap_bytes),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, container),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, nvml),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, nvml_reason),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, rapl),
    SSW_JSON_FIELD(TEXT, ssw_manifest_machine, rapl_reason),
};
static const ssw_json_field gpu_fields[] = {
    SSW_JSON_FIELD(COUNT, ssw_manifest_gpu, index),
    SSW_JSON_FIELD(TEXT, ssw_manifest_gpu, name),
    SSW_JSON_FIELD(TEXT, ssw_manifest_gpu, uuid),
    SSW_JSON_FIELD(TEXT, ssw_manifest_gpu, driver),
    SSW_JSON_FIELD(I64, ssw_manifest_gpu, memory_bytes),
    SSW_JSON_FIELD(I64, ssw_manifest_gpu, power_limit_mw),
    SSW_JSON_FIELD(I64, ssw_manifest_gpu, clock_sm_max_mhz),
    SSW_JSON_FIELD(I64, ssw_manifest_gpu, clock_mem_max_mhz),
};
static const ssw_json_field start_fields[] = {
    SSW_JSON_FIELD(COUNT, ssw_manifest_start, block),
    SSW_JSON_FIELD(COUNT, ssw_manifest_start, position),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_manifest_start, arm),
};

void ssw_manifest_init(ssw_manifest *manifest)
{
    *manifest = (ssw_manifest){.schema = SSW_MANIFEST_SCHEMA, .tool_name = "seesaw"};
    manifest->model = (ssw_manifest_model){.parameters = SSW_EVIDENCE_NONE,
                                           .expert_bytes = SSW_EVIDENCE_NONE,
                                           .expert_bytes_per_token = SSW_EVIDENCE_NONE};
    manifest->machine = (ssw_manifest_machine){.sockets = SSW_EVIDENCE_NONE,
                                               .cores = SSW_EVIDENCE_NONE,
                                               .threads = SSW_EVIDENCE_NONE,
                                               .threads_usable = SSW_EVIDENCE_NONE,
                                               .cpu_khz_max = SSW_EVIDENCE_NONE,
                                               .memory_bytes = SSW_EVIDENCE_NONE,
                                               .swap_bytes = SSW_EVIDENCE_NONE};
    ssw_plan_init(&manifest->plan);
    ssw_arena_init(&manifest->arena, ARENA_BYTES_MAX);
}

void ssw_manifest_deinit(ssw_manifest *manifest)
{
    ssw_plan_deinit(&manifest->plan);
    ssw_arena_deinit(&manifest->arena);
}

int ssw_manifest_find_arm(const ssw_manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->n_arms; i++) {
        if (strcmp(manifest->arms[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

int ssw_manifest_find_prompt(const ssw_manifest *manifest, const char *id)
{
    for (size_t i = 0; i < manifest->plan.n_prompts; i++) {
        if (strcmp(manifest->plan.prompts[i].id, id) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- writing ---- */

static json_t *record(const void *data, const ssw_json_field *fields, size_t n_fields)
{
    json_t *object = json_object();
    if (object && !ssw_json_put_fields(object, data, fields, n_fields)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* An array of n records of size_bytes each. */
static json_t *records(const void *data, size_t n, size_t size_bytes, const ssw_json_field *fields,
                       size_t n_fields)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++) {
        if (!ssw_json_push(array, record((const char *)data + i * size_bytes, fields, n_fields))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* {"NAME": "VALUE"}; of a name given twice the last counts, as for execve's callers. */
static json_t *environment(const ssw_manifest_words *env)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < env->n; i++) {
        const char *equals = strchr(env->words[i], '=');
        if (!equals || json_object_setn_new(object, env->words[i], (size_t)(equals - env->words[i]),
                                            ssw_json_make_text(equals + 1))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *sweep_to_json(const ssw_plan_sweep *sweep)
{
    if (!sweep->flag)
        return json_null();
    return json_pack("{s:s, s:o}", "flag", sweep->flag, "values", ssw_json_words(sweep->values, sweep->n));
}

static json_t *plan_to_json(const ssw_plan *plan)
{
    json_t *object = record(plan, SSW_JSON_FIELDS(plan_fields));
    json_t *arms = records(plan->arms, plan->n_arms, sizeof *plan->arms, SSW_JSON_FIELDS(plan_arm_fields));
    bool ok =
        object && arms && ssw_json_put(object, "design", json_string(ssw_plan_design_name(plan->design))) &&
        ssw_json_put(object, "top_logprobs", json_integer(plan->top_logprobs)) &&
        ssw_json_put(object, "ask", json_string(ssw_plan_ask_name(plan->ask))) &&
        ssw_json_put(object, "page_cache", json_string(ssw_plan_page_cache_name(plan->page_cache))) &&
        ssw_json_put(object, "allow_diff", ssw_json_words(plan->allowed, plan->n_allowed)) &&
        ssw_json_put(object, "aa", json_string(ssw_plan_aa_name(plan->aa))) &&
        ssw_json_put(object, "sweep", sweep_to_json(&plan->sweep)) &&
        ssw_json_put(object, "fit_bytes", plan->fit_bytes ? json_integer(plan->fit_bytes) : json_null());
    for (size_t i = 0; ok && i < plan->n_arms; i++) {
        json_t *arm = json_array_get(arms, i);
        ok = ssw_json_put(arm, "args", ssw_json_words(plan->arms[i].args, plan->arms[i].n_args)) &&
             ssw_json_put(arm, "env", ssw_json_words(plan->arms[i].env, plan->arms[i].n_env));
    }
    /* "no count" is -1 in the plan and null in the file */
    json_t *prompts = ok ? json_array() : NULL;
    for (size_t i = 0; prompts && ok && i < plan->n_prompts; i++) {
        ssw_plan_prompt prompt = plan->prompts[i];
        if (prompt.published_tokens == SSW_PLAN_NO_COUNT)
            prompt.published_tokens = SSW_EVIDENCE_NONE;
        if (prompt.tokens == SSW_PLAN_NO_COUNT)
            prompt.tokens = SSW_EVIDENCE_NONE;
        ok = ssw_json_push(prompts, record(&prompt, SSW_JSON_FIELDS(prompt_fields)));
    }
    ok = ok && prompts && json_object_set(object, "arms", arms) == 0 &&
         json_object_set(object, "prompts", prompts) == 0;
    json_decref(arms);
    json_decref(prompts);
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *arms_to_json(const ssw_manifest *manifest)
{
    json_t *array =
        records(manifest->arms, manifest->n_arms, sizeof *manifest->arms, SSW_JSON_FIELDS(arm_fields));
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < manifest->n_arms; i++) {
        const ssw_manifest_arm *arm = &manifest->arms[i];
        json_t *object = json_array_get(array, i);
        json_t *server = record(&arm->server, SSW_JSON_FIELDS(file_fields));
        ok = server && ssw_json_put(server, "version", ssw_json_make_text(arm->server_version)) &&
             ssw_json_put(object, "argv", ssw_json_words(arm->argv.words, arm->argv.n)) &&
             ssw_json_put(object, "env", environment(&arm->env)) &&
             json_object_set(object, "server", server) == 0;
        json_decref(server);
    }
    if (!ok) {
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *machine_to_json(const ssw_manifest_machine *machine)
{
    json_t *object = record(machine, SSW_JSON_FIELDS(machine_fields));
    if (object && !ssw_json_put(object, "gpus",
                                records(machine->gpus, machine->n_gpus, sizeof *machine->gpus,
                                        SSW_JSON_FIELDS(gpu_fields)))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *model_to_json(const ssw_manifest_model *model)
{
    json_t *object = record(model, SSW_JSON_FIELDS(model_fields));
    if (object && !ssw_json_put(object, "files",
                                records(model->files, model->n_files, sizeof *model->files,
                                        SSW_JSON_FIELDS(file_fields)))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *manifest_to_json(const ssw_manifest *manifest)
{
    json_t *object = record(manifest, SSW_JSON_FIELDS(top_fields));
    bool ok = object && ssw_json_put(object, "tool", record(manifest, SSW_JSON_FIELDS(tool_fields))) &&
              ssw_json_put(object, "argv", ssw_json_words(manifest->argv.words, manifest->argv.n)) &&
              ssw_json_put(object, "plan", plan_to_json(&manifest->plan)) &&
              ssw_json_put(object, "model", model_to_json(&manifest->model)) &&
              ssw_json_put(object, "arms", arms_to_json(manifest)) &&
              ssw_json_put(object, "machine", machine_to_json(&manifest->machine)) &&
              ssw_json_put(object, "schedule",
                           records(manifest->schedule, manifest->n_schedule, sizeof *manifest->schedule,
                                   SSW_JSON_FIELDS(start_fields)));
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

ssw_status ssw_manifest_write(const ssw_manifest *manifest, const char *dir, ssw_error *err)
{
    char path[PATH_BYTES_MAX];
    json_t *object = manifest_to_json(manifest);
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    ssw_status status;
    if (!text)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the manifest");
    else if ((size_t)snprintf(path, sizeof path, "%s/manifest.json", dir) >= sizeof path)
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%s: the path is too long", dir);
    else
        status = ssw_text_file_create(path, text, strlen(text), err);
    free(text);
    json_decref(object);
    return status;
}

/* ---- reading ---- */

/* Reads array `key` into fresh records of size_bytes in the arena. */
static ssw_status read_records(ssw_arena *arena, const json_t *object, const char *key, size_t max,
                               size_t size_bytes, const ssw_json_field *fields, size_t n_fields, size_t *n,
                               void **out, ssw_error *err)
{
    const json_t *array;
    ssw_status status = ssw_json_get_array(object, key, max, &array, err);
    *n = 0;
    if (status || !array)
        return status;
    char *items = ssw_arena_alloc(arena, json_array_size(array) + 1, size_bytes);
    if (!items)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"%s\"", key);
    *out = items;
    for (; !status && *n < json_array_size(array); ++*n)
        status = ssw_json_get_fields(arena, json_array_get(array, *n), items + *n * size_bytes, fields,
                                     n_fields, err);
    if (status)
        ssw_error_prefix(err, "%s", key);
    return status;
}

static ssw_status read_plan_arms(ssw_plan *plan, const json_t *object, ssw_error *err)
{
    size_t n = 0;
    void *arms = NULL;
    ssw_status status = read_records(&plan->arena, object, "arms", SSW_PLAN_ARMS_MAX, sizeof *plan->arms,
                                     SSW_JSON_FIELDS(plan_arm_fields), &n, &arms, err);
    for (size_t i = 0; !status && i < n; i++) {
        const json_t *item = json_array_get(json_object_get(object, "arms"), i);
        plan->arms[i] = ((ssw_plan_arm *)arms)[i];
        status = ssw_json_get_words(&plan->arena, item, "args", SSW_PLAN_ARM_WORDS_MAX, &plan->arms[i].n_args,
                                    &plan->arms[i].args, err);
        if (!status)
            status = ssw_json_get_words(&plan->arena, item, "env", SSW_PLAN_ARM_WORDS_MAX,
                                        &plan->arms[i].n_env, &plan->arms[i].env, err);
    }
    plan->n_arms = status ? 0 : n;
    return status;
}

/* Choices that evidence of older programs does not have keep their defaults. */
static ssw_status read_choices(ssw_plan *plan, const json_t *object, ssw_error *err)
{
    const char *design = json_string_value(json_object_get(object, "design"));
    const char *ask = json_string_value(json_object_get(object, "ask"));
    const char *page_cache = json_string_value(json_object_get(object, "page_cache"));
    json_int_t top_logprobs = json_integer_value(json_object_get(object, "top_logprobs"));
    const char **allowed = NULL;
    size_t n_allowed = 0;
    ssw_status status = ssw_plan_parse_design(design ? design : "", &plan->design, err);
    if (!status && (top_logprobs < 0 || top_logprobs > SSW_PLAN_TOP_LOGPROBS_MAX))
        status = ssw_error_set(err, SSW_ERR_FORMAT, "\"top_logprobs\" is out of range");
    plan->top_logprobs = status ? 0 : (int)top_logprobs;
    if (!status && ask)
        status = ssw_plan_parse_ask(ask, &plan->ask, err);
    if (!status && page_cache)
        status = ssw_plan_parse_page_cache(page_cache, &plan->page_cache, err);
    if (!status)
        status = ssw_json_get_words(&plan->arena, object, "allow_diff", SSW_PLAN_ALLOWED_MAX, &n_allowed,
                                    &allowed, err);
    for (size_t i = 0; !status && i < n_allowed; i++)
        status = ssw_plan_allow_difference(plan, allowed[i], err);
    return status;
}

static ssw_status read_sweep(ssw_plan *plan, const json_t *object, ssw_error *err)
{
    const json_t *sweep, *fit = json_object_get(object, "fit_bytes");
    ssw_status status = ssw_json_get_object(object, "sweep", &sweep, err);
    if (status)
        return status;
    plan->fit_bytes = json_is_integer(fit) && json_integer_value(fit) > 0 ? json_integer_value(fit) : 0;
    if (!sweep)
        return SSW_OK;
    const char *flag = json_string_value(json_object_get(sweep, "flag")), **values = NULL;
    status =
        ssw_json_get_words(&plan->arena, sweep, "values", SSW_PLAN_ARMS_MAX, &plan->sweep.n, &values, err);
    if (!status && (!flag || plan->sweep.n == 0 || plan->sweep.n > plan->n_arms))
        status =
            ssw_error_set(err, SSW_ERR_FORMAT, "\"sweep\" wants a flag and a value for each of its arms");
    for (size_t i = 0; i < plan->sweep.n && !status; i++)
        plan->sweep.values[i] = values[i];
    plan->sweep.flag = status ? NULL : ssw_arena_copy_text(&plan->arena, flag, strlen(flag));
    return status || plan->sweep.flag ? status
                                      : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the sweep");
}

static ssw_status read_plan(ssw_plan *plan, const json_t *object, ssw_error *err)
{
    void *prompts = NULL;
    ssw_status status = ssw_json_get_fields(&plan->arena, object, plan, SSW_JSON_FIELDS(plan_fields), err);
    if (!status)
        status = read_choices(plan, object, err);
    const json_t *aa = json_object_get(object, "aa"); /* absent before there was one: off */
    if (!status && aa)
        status = ssw_plan_parse_aa(json_is_string(aa) ? json_string_value(aa) : "", &plan->aa, err);
    if (!status)
        status = read_records(&plan->arena, object, "prompts", SSW_PLAN_PROMPTS_MAX, sizeof *plan->prompts,
                              SSW_JSON_FIELDS(prompt_fields), &plan->n_prompts, &prompts, err);
    plan->prompts = status ? NULL : prompts;
    if (status)
        plan->n_prompts = 0;
    for (size_t i = 0; i < plan->n_prompts; i++) {
        if (plan->prompts[i].published_tokens == SSW_EVIDENCE_NONE)
            plan->prompts[i].published_tokens = SSW_PLAN_NO_COUNT;
        if (plan->prompts[i].tokens == SSW_EVIDENCE_NONE)
            plan->prompts[i].tokens = SSW_PLAN_NO_COUNT;
    }
    if (!status)
        status = read_plan_arms(plan, object, err);
    if (!status)
        status = read_sweep(plan, object, err);
    if (!status && (plan->n_prompts == 0 || plan->n_arms == 0))
        status = ssw_error_set(err, SSW_ERR_FORMAT, "no prompts or no arms");
    if (!status)
        status = ssw_plan_finish(plan, 0, err);
    if (status)
        ssw_error_prefix(err, "plan");
    return status;
}

/* {"NAME": "VALUE"} back to "NAME=VALUE" words. */
static ssw_status read_environment(ssw_arena *arena, const json_t *object, ssw_manifest_words *env,
                                   ssw_error *err)
{
    const json_t *variables;
    ssw_status status = ssw_json_get_object(object, "env", &variables, err);
    if (status || !variables)
        return status;
    if (json_object_size(variables) > SSW_MANIFEST_WORDS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "\"env\" has more than %d entries", SSW_MANIFEST_WORDS_MAX);
    env->words = ssw_arena_alloc(arena, json_object_size(variables) + 1, sizeof *env->words);
    if (!env->words)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"env\"");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)variables, name, value)
    {
        if (!json_is_string(value))
            return ssw_error_set(err, SSW_ERR_FORMAT, "\"env\": %.40s is not a string", name);
        size_t n_name = strlen(name), n_value = json_string_length(value);
        char *word = ssw_arena_alloc(arena, n_name + n_value + 2, 1);
        if (!word)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"env\"");
        memcpy(word, name, n_name);
        word[n_name] = '=';
        memcpy(word + n_name + 1, json_string_value(value), n_value);
        env->words[env->n++] = word;
    }
    return SSW_OK;
}

static ssw_status read_words(ssw_arena *arena, const json_t *object, const char *key, ssw_manifest_words *out,
                             ssw_error *err)
{
    return ssw_json_get_words(arena, object, key, SSW_MANIFEST_WORDS_MAX, &out->n, &out->words, err);
}

static ssw_status read_arms(ssw_manifest *manifest, const json_t *object, ssw_error *err)
{
    size_t n = 0;
    void *arms = NULL;
    ssw_arena *arena = &manifest->arena;
    ssw_status status = read_records(arena, object, "arms", SSW_PLAN_ARMS_MAX, sizeof *manifest->arms,
                                     SSW_JSON_FIELDS(arm_fields), &n, &arms, err);
    for (size_t i = 0; !status && i < n; i++) {
        const json_t *item = json_array_get(json_object_get(object, "arms"), i), *server = NULL;
        ssw_manifest_arm *arm = &manifest->arms[i];
        *arm = ((ssw_manifest_arm *)arms)[i];
        status = read_words(arena, item, "argv", &arm->argv, err);
        if (!status)
            status = read_environment(arena, item, &arm->env, err);
        if (!status)
            status = ssw_json_get_object(item, "server", &server, err);
        if (!status)
            status = ssw_json_get_fields(arena, server, &arm->server, SSW_JSON_FIELDS(file_fields), err);
        const ssw_json_field version[] = {
            SSW_JSON_FIELD_AS("version", TEXT, ssw_manifest_arm, server_version)};
        if (!status)
            status = ssw_json_get_fields(arena, server, arm, SSW_JSON_FIELDS(version), err);
    }
    manifest->n_arms = status ? 0 : n;
    return status;
}

static ssw_status read_machine(ssw_manifest *manifest, const json_t *object, ssw_error *err)
{
    void *gpus = NULL;
    ssw_manifest_machine *machine = &manifest->machine;
    ssw_status status =
        ssw_json_get_fields(&manifest->arena, object, machine, SSW_JSON_FIELDS(machine_fields), err);
    if (!status)
        status = read_records(&manifest->arena, object, "gpus", SSW_MANIFEST_GPUS_MAX, sizeof *machine->gpus,
                              SSW_JSON_FIELDS(gpu_fields), &machine->n_gpus, &gpus, err);
    machine->gpus = gpus;
    return status;
}

static ssw_status read_model(ssw_manifest *manifest, const json_t *object, ssw_error *err)
{
    void *files = NULL;
    ssw_manifest_model *model = &manifest->model;
    ssw_status status =
        ssw_json_get_fields(&manifest->arena, object, model, SSW_JSON_FIELDS(model_fields), err);
    if (!status)
        status = read_records(&manifest->arena, object, "files", SSW_MANIFEST_FILES_MAX, sizeof *model->files,
                              SSW_JSON_FIELDS(file_fields), &model->n_files, &files, err);
    model->files = files;
    return status;
}

static ssw_status read_schedule(ssw_manifest *manifest, const json_t *object, ssw_error *err)
{
    void *starts = NULL;
    ssw_status status = read_records(&manifest->arena, object, "schedule",
                                     SSW_PLAN_RUNS_MAX * SSW_PLAN_ARMS_MAX, sizeof *manifest->schedule,
                                     SSW_JSON_FIELDS(start_fields), &manifest->n_schedule, &starts, err);
    manifest->schedule = starts;
    return status;
}

static ssw_status read_manifest(ssw_manifest *manifest, const json_t *object, ssw_error *err)
{
    ssw_arena *arena = &manifest->arena;
    ssw_status status = ssw_json_get_fields(arena, object, manifest, SSW_JSON_FIELDS(top_fields), err);
    if (!status && manifest->schema != SSW_MANIFEST_SCHEMA)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "schema %d; this program reads schema %d",
                             manifest->schema, SSW_MANIFEST_SCHEMA);
    if (!status)
        status = ssw_json_get_fields(arena, json_object_get(object, "tool"), manifest,
                                     SSW_JSON_FIELDS(tool_fields), err);
    if (!status)
        status = read_words(arena, object, "argv", &manifest->argv, err);
    if (!status)
        status = read_plan(&manifest->plan, json_object_get(object, "plan"), err);
    if (!status)
        status = read_model(manifest, json_object_get(object, "model"), err);
    if (!status)
        status = read_arms(manifest, object, err);
    if (!status)
        status = read_machine(manifest, json_object_get(object, "machine"), err);
    if (!status)
        status = read_schedule(manifest, object, err);
    if (!status && manifest->n_arms != manifest->plan.n_arms)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "the plan has %zu arms and \"arms\" %zu",
                               manifest->plan.n_arms, manifest->n_arms);
    return status;
}

ssw_status ssw_manifest_parse(ssw_manifest *manifest, const char *text, size_t n_bytes, ssw_error *err)
{
    json_error_t where;
    json_t *object = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!object)
        return ssw_error_set(err, SSW_ERR_FORMAT, "line %d: %s", where.line, where.text);
    ssw_status status = read_manifest(manifest, object, err);
    json_decref(object);
    return status;
}

ssw_status ssw_manifest_read(ssw_manifest *manifest, const char *dir, ssw_error *err)
{
    char path[PATH_BYTES_MAX];
    char *text = NULL;
    size_t n_bytes;
    if ((size_t)snprintf(path, sizeof path, "%s/manifest.json", dir) >= sizeof path)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: the path is too long", dir);
    ssw_status status = ssw_text_file_read(path, SSW_MANIFEST_BYTES_MAX, &text, &n_bytes, err);
    if (status)
        return status;
    if ((status = ssw_manifest_parse(manifest, text, n_bytes, err)))
        ssw_error_prefix(err, "%s", path);
    free(text);
    return status;
}
