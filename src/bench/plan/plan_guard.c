/* Arms' words in groups, "-t 4" and "OMP_NUM_THREADS=2", and the differences between them. */
#include "bench/plan/plan_guard.h"

#include <string.h>

#include "base/strbuf.h"

enum { TEXT_BYTES_MAX = 8192 };

/* How a difference of servers is called; told from an option of that name by its address. */
static const char server_name[] = "the server";

/* The options of all servers we know that say where experts lie. */
static const char *const offload_options[] = {
    "--cpu-moe", "-cmoe", "--n-cpu-moe", "-ncmoe", "-ot", "--override-tensor", "--moe-cache-mib"};

typedef struct word_groups { /* an arm's variables and options, each option with its values */
    size_t n;
    const char *texts[SSW_PLAN_ARM_WORDS_MAX];
} word_groups;

typedef struct name_list { /* of options or variables: a text's beginning */
    size_t n;
    struct {
        const char *text;
        size_t n_bytes;
    } names[2 * SSW_PLAN_ARM_WORDS_MAX];
} name_list;

/* A word that does not begin with '-' (or is a negative number) belongs to the option before it. */
static bool is_value(const char *word)
{
    return word[0] != '-' || (word[1] >= '0' && word[1] <= '9');
}

static bool group_words(const ssw_plan_arm *arm, ssw_arena *arena, word_groups *out)
{
    out->n = 0;
    for (size_t i = 0; i < arm->n_env; i++)
        out->texts[out->n++] = arm->env[i];
    for (size_t i = 0; i < arm->n_args;) {
        ssw_strbuf text;
        ssw_strbuf_init(&text, TEXT_BYTES_MAX);
        ssw_strbuf_append_text(&text, arm->args[i++]);
        while (i < arm->n_args && is_value(arm->args[i]))
            ssw_strbuf_append_format(&text, " %s", arm->args[i++]);
        const char *kept =
            text.failed ? NULL : ssw_arena_copy_text(arena, ssw_strbuf_text(&text), text.n_bytes);
        ssw_strbuf_deinit(&text);
        if (!kept)
            return false;
        out->texts[out->n++] = kept;
    }
    return true;
}

/* Texts of a that are not (that often) in b: their places in a. */
static size_t find_missing(const word_groups *a, const word_groups *b, size_t *places)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        size_t in_a = 0, in_b = 0;
        for (size_t k = 0; k <= i; k++)
            in_a += strcmp(a->texts[k], a->texts[i]) == 0;
        for (size_t k = 0; k < b->n; k++)
            in_b += strcmp(b->texts[k], a->texts[i]) == 0;
        if (in_a > in_b)
            places[n++] = i;
    }
    return n;
}

static void append_missing(ssw_strbuf *out, const word_groups *a, const word_groups *b)
{
    size_t places[SSW_PLAN_ARM_WORDS_MAX];
    size_t n = find_missing(a, b, places);
    for (size_t i = 0; i < n; i++)
        ssw_strbuf_append_format(out, " %s", a->texts[places[i]]);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

const char *ssw_plan_describe_treatment(const ssw_plan *plan, size_t index, ssw_arena *arena)
{
    word_groups first, own;
    ssw_strbuf adds, lacks, text;
    if (plan->arms[index].url)
        return ssw_arena_copy_text(arena, "runs already", strlen("runs already"));
    if (!group_words(&plan->arms[0], arena, &first) || !group_words(&plan->arms[index], arena, &own))
        return NULL;
    ssw_strbuf_init(&adds, TEXT_BYTES_MAX);
    ssw_strbuf_init(&lacks, TEXT_BYTES_MAX);
    ssw_strbuf_init(&text, 2 * TEXT_BYTES_MAX);
    if (!same_text(plan->arms[index].server, plan->arms[0].server))
        ssw_strbuf_append_format(&adds, " (server %s)",
                                 plan->arms[index].server ? plan->arms[index].server : "of --server");
    append_missing(&adds, &own, &first);
    append_missing(&lacks, &first, &own);
    if (index == 0)
        ssw_strbuf_append_text(&text, "(first arm)");
    else if (adds.n_bytes == 0 && lacks.n_bytes == 0)
        ssw_strbuf_append_text(&text, "(the same as the first arm)");
    if (adds.n_bytes)
        ssw_strbuf_append_format(&text, "adds:%s", ssw_strbuf_text(&adds));
    if (lacks.n_bytes)
        ssw_strbuf_append_format(&text, "%slacks:%s", adds.n_bytes ? "; " : "", ssw_strbuf_text(&lacks));
    const char *kept = ssw_arena_copy_text(arena, ssw_strbuf_text(&text), text.n_bytes);
    ssw_strbuf_deinit(&adds);
    ssw_strbuf_deinit(&lacks);
    ssw_strbuf_deinit(&text);
    return kept;
}

/* ---- the guard ---- */

/* Whether name, of n bytes, is that word. */
static bool is_word(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(name, word, n) == 0;
}

static bool is_offload(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof offload_options / sizeof *offload_options; i++) {
        if (is_word(name, n, offload_options[i]))
            return true;
    }
    return false;
}

static void add_name(const ssw_plan *plan, name_list *list, const char *text)
{
    size_t n = text == server_name ? sizeof server_name - 1 : strcspn(text, " =");
    for (size_t i = 0; i < plan->n_allowed; i++) {
        if (is_word(text, n, plan->allowed[i]))
            return;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (list->names[i].n_bytes == n && memcmp(list->names[i].text, text, n) == 0)
            return;
    }
    if (list->n < sizeof list->names / sizeof *list->names) {
        list->names[list->n].text = text;
        list->names[list->n++].n_bytes = n;
    }
}

static void add_differences(const ssw_plan *plan, name_list *list, const word_groups *a, const word_groups *b)
{
    size_t places[SSW_PLAN_ARM_WORDS_MAX];
    size_t n = find_missing(a, b, places);
    for (size_t i = 0; i < n; i++)
        add_name(plan, list, a->texts[places[i]]);
}

static bool is_treatment(const name_list *list, size_t i, bool by_server)
{
    const char *name = list->names[i].text;
    size_t n = list->names[i].n_bytes;
    return by_server ? name == server_name : is_offload(name, n);
}

/* SSW_OK when all names but those of the treatment are allowed. */
static ssw_status judge(const name_list *list, const char *first, const char *other, ssw_error *err)
{
    ssw_strbuf treatment, rest;
    size_t n_offload = 0, n_rest = 0;
    bool by_server = false;
    for (size_t i = 0; i < list->n; i++)
        by_server |= list->names[i].text == server_name;
    for (size_t i = 0; i < list->n; i++)
        n_offload += is_treatment(list, i, by_server);
    if (list->n <= 1 || n_offload == list->n)
        return SSW_OK;
    ssw_strbuf_init(&treatment, TEXT_BYTES_MAX);
    ssw_strbuf_init(&rest, TEXT_BYTES_MAX);
    for (size_t i = 0; i < list->n; i++) {
        bool treats = is_treatment(list, i, by_server);
        ssw_strbuf *out = treats ? &treatment : &rest;
        ssw_strbuf_append_format(out, "%s%.*s", out->n_bytes ? ", " : "", (int)list->names[i].n_bytes,
                                 list->names[i].text);
        n_rest += !treats;
    }
    ssw_status status;
    if (n_offload)
        status = ssw_error_set(
            err, SSW_ERR_USAGE,
            "arms \"%s\" and \"%s\" differ in more than the treatment (%.100s): %.150s; if "
            "that is meant, name %s with --allow-diff",
            first, other, ssw_strbuf_text(&treatment), ssw_strbuf_text(&rest), n_rest == 1 ? "it" : "each");
    else
        status =
            ssw_error_set(err, SSW_ERR_USAGE,
                          "arms \"%s\" and \"%s\" differ in more than one thing: %.200s; name each that is "
                          "not the treatment with --allow-diff",
                          first, other, ssw_strbuf_text(&rest));
    ssw_strbuf_deinit(&treatment);
    ssw_strbuf_deinit(&rest);
    return status;
}

ssw_status ssw_plan_check_arms(const ssw_plan *plan, ssw_error *err)
{
    ssw_arena arena;
    word_groups first, own;
    name_list list = {0};
    const ssw_plan_arm *reference = NULL;
    ssw_status status = SSW_OK;
    ssw_arena_init(&arena, SSW_PLAN_FILE_BYTES_MAX);
    for (size_t i = 0; i < plan->n_arms && !status; i++) {
        const ssw_plan_arm *arm = &plan->arms[i];
        if (arm->url)
            continue;
        if (!group_words(arm, &arena, reference ? &own : &first)) {
            status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for arm \"%s\"", arm->name);
        } else if (reference) {
            add_differences(plan, &list, &own, &first);
            add_differences(plan, &list, &first, &own);
            if (!same_text(arm->server, reference->server))
                add_name(plan, &list, server_name);
            status = judge(&list, reference->name, arm->name, err);
        } else {
            reference = arm;
        }
    }
    ssw_arena_deinit(&arena);
    return status;
}

ssw_status ssw_plan_allow_difference(ssw_plan *plan, const char *name, ssw_error *err)
{
    size_t n = strlen(name);
    if (n == 0 || strcspn(name, " =") != n)
        return ssw_error_set(err, SSW_ERR_USAGE, "\"%.60s\" is no name of an option or a variable", name);
    if (plan->n_allowed == SSW_PLAN_ALLOWED_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d allowed differences", SSW_PLAN_ALLOWED_MAX);
    const char *kept = ssw_arena_copy_text(&plan->arena, name, n);
    if (!kept)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the plan");
    plan->allowed[plan->n_allowed++] = kept;
    return SSW_OK;
}
