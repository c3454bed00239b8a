/* See inspect_report.h. */
#include "cli/inspect_report.h"

#include <inttypes.h>
#include <stdio.h>

enum { SIZE_TEXT_MAX = 32 };

/* "12.11 GB"; decimal units, as file sizes and bandwidths are quoted. */
static const char *format_size(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(text, SIZE_TEXT_MAX, value < 99.95 && unit > 0 ? "%.2f %s" : "%.0f %s", value, units[unit]);
    return text;
}

/* "20.91 B", "18.5 M" */
static const char *format_count(uint64_t n, char text[SIZE_TEXT_MAX])
{
    bool large = n >= UINT64_C(1000000000);
    snprintf(text, SIZE_TEXT_MAX, large ? "%.2f B" : "%.1f M", (double)n * (large ? 1e-9 : 1e-6));
    return text;
}

static double share_of(uint64_t part, uint64_t all)
{
    return all > 0 ? 100.0 * (double)part / (double)all : 0;
}

static void print_model(const ssw_inspect_report *r)
{
    const ssw_model_facts *f = r->facts;
    char size[SIZE_TEXT_MAX], active[SIZE_TEXT_MAX];
    printf("%s: %s\n", r->path, f->name[0] ? f->name : "(no name)");
    printf("%s, %d layers", f->architecture, f->n_layers);
    if (f->n_experts > 0)
        printf(", %d of %d experts", f->n_experts_used, f->n_experts);
    if (f->n_shared_experts > 0)
        printf(" and %d shared", f->n_shared_experts);
    if (f->n_dense_layers > 0)
        printf(" (layers below %d: dense)", f->n_dense_layers);
    if (f->kv_lora_rank > 0)
        printf(", %d heads on a latent vector of %d + %d", f->n_heads, f->kv_lora_rank, f->rope_dims);
    else
        printf(", %d heads on %d key-value heads", f->n_heads, f->n_heads_kv);
    printf(", width %d, context %d, vocabulary %d\n", f->n_embd, f->ctx_train, f->n_vocab);
    printf("%s parameters, %s active for a token; ", format_count(f->all.n_elements, size),
           format_count(f->n_active, active));
    printf("%s in %" PRIu64 " file%s, %" PRIu64 " tensors:", format_size(f->file_bytes, size), f->n_files,
           f->n_files == 1 ? "" : "s", f->all.n_tensors);
    for (int32_t i = 0; i < f->n_types; i++)
        printf("%s %s %s", i ? "," : "", format_size(f->types[i].share.n_bytes, size),
               ssw_dtype_find((uint32_t)f->types[i].dtype)->name);
    printf("\n");
    for (uint64_t i = 0; r->sha256 && i < f->n_files; i++)
        printf("sha256 %s  %s\n", r->sha256[i], ssw_gguf_file_path(r->gguf, i));
}

static void print_classes(const ssw_inspect_report *r)
{
    const ssw_model_facts *f = r->facts;
    char size[SIZE_TEXT_MAX];
    printf("\n%-16s %8s %12s %7s\n", "class", "tensors", "bytes", "share");
    for (int i = 0; i < SSW_TENSOR_CLASS_COUNT; i++) {
        const ssw_facts_share *c = &f->classes[i];
        if (c->n_tensors > 0)
            printf("%-16s %8" PRIu64 " %12s %5.1f %%\n", ssw_tensor_class_name((ssw_tensor_class)i),
                   c->n_tensors, format_size(c->n_bytes, size), share_of(c->n_bytes, f->all.n_bytes));
    }
    char experts[SIZE_TEXT_MAX], others[SIZE_TEXT_MAX];
    printf("One token reads %s of experts and %s of everything else.\n",
           format_size(f->expert_bytes_per_token, experts), format_size(f->other_bytes_per_token, others));
}

static void print_arm(const char *name, const ssw_forecast_arm *arm, bool with_ceiling)
{
    char vram[SIZE_TEXT_MAX], ram[SIZE_TEXT_MAX], host[SIZE_TEXT_MAX];
    printf("%-16s %10s %10s %12s", name, format_size(arm->vram_bytes, vram), format_size(arm->ram_bytes, ram),
           format_size(arm->host_bytes_per_token, host));
    if (with_ceiling && arm->ceiling_tokens_per_s > 0)
        printf(" %10.1f", arm->ceiling_tokens_per_s);
    else if (with_ceiling)
        printf(" %10s", "-");
    printf("\n");
}

static void print_forecast(const ssw_inspect_report *r)
{
    const ssw_forecast *o = r->forecast;
    bool with_ceiling = r->options.host_bytes_per_s > 0;
    char size[SIZE_TEXT_MAX], name[SIZE_TEXT_MAX];
    const char *k = ssw_dtype_find((uint32_t)r->options.cache_type_k)->name;
    const char *v = ssw_dtype_find((uint32_t)r->options.cache_type_v)->name;
    printf("\nForecast with a context of %d tokens (KV cache of %s, keys %s, values %s); compute buffers "
           "come on top.\n",
           r->options.ctx_size, format_size(o->kv_bytes, size), k, v);
    printf("%-16s %10s %10s %12s%s\n", "", "VRAM", "RAM", "host/token", with_ceiling ? "  ceiling/s" : "");
    print_arm("baseline", &o->arms[0], with_ceiling);
    for (int32_t n = 1; n < o->n_arms - 1; n++) {
        if (o->arms[n].vram_bytes == o->arms[n - 1].vram_bytes)
            continue; /* a dense layer: nothing to move */
        snprintf(name, sizeof name, "--n-cpu-moe %d", n);
        print_arm(name, &o->arms[n], with_ceiling);
    }
    print_arm("--cpu-moe", &o->arms[o->n_arms - 1], with_ceiling);
    print_arm("no GPU", &o->no_gpu, with_ceiling);
    if (r->probe)
        printf("Host memory, measured: %.1f GB/s at best, %.1f median of %d passes; %d threads (%d pinned) "
               "read %s.\n",
               r->probe->best_bytes_per_s * 1e-9, r->probe->median_bytes_per_s * 1e-9, r->probe->n_passes,
               r->probe->n_threads, r->probe->n_threads_pinned, format_size(r->probe->buffer_bytes, size));
    if (with_ceiling)
        printf("ceiling/s: tokens a second if reading host memory at %.1f GB/s were all that takes time.\n",
               r->options.host_bytes_per_s * 1e-9);
    else
        printf("--bandwidth GB/s or --probe adds the ceiling of decoding.\n");
}

void ssw_inspect_print_tables(const ssw_inspect_report *report)
{
    print_model(report);
    print_classes(report);
    print_forecast(report);
}

/* ---- JSON ---- */

static json_t *make_files(const ssw_inspect_report *r)
{
    json_t *files = json_array();
    for (uint64_t i = 0; i < r->facts->n_files; i++) {
        json_t *file = json_pack("{s:s, s:I}", "path", ssw_gguf_file_path(r->gguf, i), "bytes",
                                 (json_int_t)ssw_gguf_file_bytes(r->gguf, i));
        if (r->sha256)
            json_object_set_new(file, "sha256", json_string(r->sha256[i]));
        json_array_append_new(files, file);
    }
    return files;
}

static json_t *make_share(const char *name, const ssw_facts_share *share)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "name", name, "tensors", (json_int_t)share->n_tensors,
                     "elements", (json_int_t)share->n_elements, "bytes", (json_int_t)share->n_bytes);
}

static json_t *make_classes(const ssw_model_facts *f)
{
    json_t *classes = json_array();
    for (int i = 0; i < SSW_TENSOR_CLASS_COUNT; i++) {
        if (f->classes[i].n_tensors > 0)
            json_array_append_new(classes,
                                  make_share(ssw_tensor_class_name((ssw_tensor_class)i), &f->classes[i]));
    }
    return classes;
}

static json_t *make_types(const ssw_model_facts *f)
{
    json_t *types = json_array();
    for (int32_t i = 0; i < f->n_types; i++)
        json_array_append_new(
            types, make_share(ssw_dtype_find((uint32_t)f->types[i].dtype)->name, &f->types[i].share));
    return types;
}

static json_t *make_arm(const ssw_forecast_arm *arm)
{
    json_t *object = json_pack("{s:i, s:I, s:I, s:I}", "n_cpu_moe", arm->n_cpu_moe, "vram_bytes",
                               (json_int_t)arm->vram_bytes, "ram_bytes", (json_int_t)arm->ram_bytes,
                               "host_bytes_per_token", (json_int_t)arm->host_bytes_per_token);
    json_object_set_new(object, "ceiling_tokens_per_s",
                        arm->ceiling_tokens_per_s > 0 ? json_real(arm->ceiling_tokens_per_s) : json_null());
    return object;
}

static json_t *make_type_name(ssw_dtype dtype)
{
    return json_string(ssw_dtype_find((uint32_t)dtype)->name);
}

static json_t *make_forecast(const ssw_inspect_report *r)
{
    const ssw_forecast *o = r->forecast;
    json_t *arms = json_array();
    for (int32_t n = 0; n < o->n_arms; n++)
        json_array_append_new(arms, make_arm(&o->arms[n]));
    json_t *forecast = json_pack(
        "{s:i, s:I, s:b, s:o, s:o, s:o, s:o}", "ctx_size", r->options.ctx_size, "kv_bytes",
        (json_int_t)o->kv_bytes, "includes_compute_buffers", 0, "baseline", make_arm(&o->arms[0]), "cpu_moe",
        make_arm(&o->arms[o->n_arms - 1]), "no_gpu", make_arm(&o->no_gpu), "n_cpu_moe", arms);
    json_object_set_new(forecast, "cache_type_k", make_type_name(r->options.cache_type_k));
    json_object_set_new(forecast, "cache_type_v", make_type_name(r->options.cache_type_v));
    json_object_set_new(forecast, "host_bytes_per_s",
                        r->options.host_bytes_per_s > 0 ? json_real(r->options.host_bytes_per_s)
                                                        : json_null());
    return forecast;
}

static json_t *make_probe(const ssw_read_bandwidth *p)
{
    if (!p)
        return json_null();
    return json_pack("{s:f, s:f, s:I, s:I, s:i, s:i, s:i}", "best_bytes_per_s", p->best_bytes_per_s,
                     "median_bytes_per_s", p->median_bytes_per_s, "buffer_bytes", (json_int_t)p->buffer_bytes,
                     "cache_bytes", (json_int_t)p->cache_bytes, "threads", p->n_threads, "threads_pinned",
                     p->n_threads_pinned, "passes", p->n_passes);
}

json_t *ssw_inspect_make_json(const ssw_inspect_report *r)
{
    const ssw_model_facts *f = r->facts;
    json_t *root = json_pack("{s:i, s:s, s:s, s:s}", "schema", SSW_INSPECT_SCHEMA, "path", r->path,
                             "architecture", f->architecture, "name", f->name);
    json_t *shape = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "layers",
                              f->n_layers, "embedding", f->n_embd, "vocabulary", f->n_vocab, "context",
                              f->ctx_train, "heads", f->n_heads, "heads_kv", f->n_heads_kv, "key_length",
                              f->key_length, "value_length", f->value_length, "experts", f->n_experts,
                              "experts_used", f->n_experts_used, "shared_experts", f->n_shared_experts,
                              "dense_layers", f->n_dense_layers, "sliding_window", f->window);
    json_object_set_new(root, "shape", shape);
    json_object_set_new(root, "parameters", json_integer((json_int_t)f->all.n_elements));
    json_object_set_new(root, "active_parameters", json_integer((json_int_t)f->n_active));
    json_object_set_new(root, "tensors", json_integer((json_int_t)f->all.n_tensors));
    json_object_set_new(root, "tensor_bytes", json_integer((json_int_t)f->all.n_bytes));
    json_object_set_new(root, "expert_bytes", json_integer((json_int_t)f->expert_bytes));
    json_object_set_new(root, "expert_bytes_per_token", json_integer((json_int_t)f->expert_bytes_per_token));
    json_object_set_new(root, "other_bytes_per_token", json_integer((json_int_t)f->other_bytes_per_token));
    json_object_set_new(root, "files", make_files(r));
    json_object_set_new(root, "classes", make_classes(f));
    json_object_set_new(root, "types", make_types(f));
    json_object_set_new(root, "forecast", make_forecast(r));
    json_object_set_new(root, "probe", make_probe(r->probe));
    return root;
}
