/* What the server says of itself: health, models, metrics, and CORS. */
#include <string.h>

#include "serve/exchange.h"

enum { METRICS_BYTES_MAX = 64 << 10 };

void ssw_route_health(ssw_exchange *exchange)
{
    if (exchange->engine)
        ssw_exchange_reply_json(exchange, 200, json_pack("{s:s}", "status", "ok"));
    else
        ssw_exchange_reply_json(exchange, 503, json_pack("{s:s}", "status", "loading model"));
}

static json_t *describe_model(const ssw_exchange *exchange)
{
    json_t *model = json_pack("{s:s, s:s, s:I, s:s}", "id",
                              ssw_server_model_name(exchange->server, exchange->engine), "object", "model",
                              "created", (json_int_t)exchange->server->started_unix_s, "owned_by", "seesaw");
    if (exchange->engine) {
        const ssw_engine_info *info = ssw_engine_describe(exchange->engine);
        json_object_set_new(model, "meta",
                            json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I}", "architecture",
                                      info->architecture, "n_vocab", (int)info->n_vocab, "n_ctx",
                                      (int)info->ctx_size, "n_ctx_train", (int)info->ctx_train, "n_embd",
                                      (int)info->n_embd, "n_experts", (int)info->n_experts, "n_experts_used",
                                      (int)info->n_experts_used, "n_params", (json_int_t)info->n_parameters,
                                      "size", (json_int_t)info->model_bytes));
    }
    return model;
}

void ssw_route_models(ssw_exchange *exchange)
{
    ssw_exchange_reply_json(exchange, 200,
                            json_pack("{s:s, s:[o]}", "object", "list", "data", describe_model(exchange)));
}

void ssw_route_model(ssw_exchange *exchange)
{
    const char *wanted = strrchr(exchange->path, '/') + 1;
    if (strcmp(wanted, ssw_server_model_name(exchange->server, exchange->engine)) == 0) {
        ssw_exchange_reply_json(exchange, 200, describe_model(exchange));
        return;
    }
    ssw_http_fault fault;
    ssw_fault_set(&fault, 404, "model", "there is no model '%s' here", wanted);
    fault.code = "model_not_found";
    ssw_exchange_reply_fault(exchange, &fault);
}

typedef struct metric {
    const char *name, *type, *help;
    double value;
} metric;

static void append_family(ssw_strbuf *text, const char *name, const char *type, const char *help)
{
    ssw_strbuf_append_format(text, "# HELP seesaw_%s %s\n# TYPE seesaw_%s %s\n", name, help, name, type);
}

/* The placement table: what was predicted, and what became of it. */
static void append_places(ssw_strbuf *text, const ssw_engine_info *info)
{
    static const char *const names[] = {"placement_predicted_bytes", "placement_actual_bytes"};
    static const char *const helps[] = {"Memory that placement counted with, by class of tensors.",
                                        "Memory that was taken."};
    for (int which = 0; which < 2; which++) {
        append_family(text, names[which], "gauge", helps[which]);
        for (int32_t i = 0; i < info->n_places; i++) {
            const ssw_engine_place *place = &info->places[i];
            uint64_t bytes = which == 0 ? place->predicted_bytes : place->actual_bytes;
            ssw_strbuf_append_format(text, "seesaw_%s{tensors=\"%s\",device=\"%s\",how=\"%s\"} %llu\n",
                                     names[which], place->tensors, place->device, place->how,
                                     (unsigned long long)bytes);
        }
    }
}

static void append_prompt_times(ssw_strbuf *text, const ssw_engine *engine)
{
    static const char *const names[] = {"prompt_expert_layers_total", "prompt_expert_predicted_seconds_total",
                                        "prompt_expert_cpu_seconds_total"};
    static const char *const helps[] = {
        "Layers of prompts in which the CPU had experts, by what most of its time follows from.",
        "What their experts were to take the CPU.", "What they took."};
    for (int which = 0; which < 3; which++) {
        append_family(text, names[which], "counter", helps[which]);
        for (int i = 0; i < SSW_ENGINE_BOUNDS; i++) {
            ssw_engine_prompt_times times;
            ssw_engine_read_prompt_times(engine, (ssw_engine_bound)i, &times);
            double values[] = {(double)times.n_layers, (double)times.predicted_ns / 1e9,
                               (double)times.actual_ns / 1e9};
            ssw_strbuf_append_format(text, "seesaw_%s{bound=\"%s\"} %.17g\n", names[which],
                                     ssw_engine_bound_name((ssw_engine_bound)i), values[which]);
        }
    }
}

/* What prompts with experts in host memory are planned with, and whether the CPU keeps to it. */
static void append_prompt_plan(ssw_strbuf *text, const ssw_engine *engine)
{
    const ssw_engine_info *info = ssw_engine_describe(engine);
    append_family(text, "copy_bytes_per_second", "gauge", "Copies to the GPU, as planned with.");
    ssw_strbuf_append_format(text, "seesaw_copy_bytes_per_second %.17g\n", info->copy_bytes_per_s);
    append_family(text, "cpu_moe_rate", "gauge",
                  "Multiply-adds per second and thread of the CPU's experts in prompts, as planned with.");
    ssw_strbuf_append_format(text, "seesaw_cpu_moe_rate{on=\"vectors\"} %.17g\n",
                             info->cpu_moe_rates.vectors);
    ssw_strbuf_append_format(text, "seesaw_cpu_moe_rate{on=\"tiles\"} %.17g\n", info->cpu_moe_rates.tiles);
    append_prompt_times(text, engine);
}

/* Of all layers, in seconds. */
static void sum_layer_times(const ssw_engine *engine, double *wait_s, double *work_s)
{
    *wait_s = *work_s = 0;
    for (int32_t i = 0; engine && i < ssw_engine_describe(engine)->n_layers; i++) {
        ssw_engine_layer_times times;
        ssw_engine_read_layer_times(engine, i, &times);
        *wait_s += (double)times.wait_ns / 1e9;
        *work_s += (double)times.work_ns / 1e9;
    }
}

void ssw_route_metrics(ssw_exchange *exchange)
{
    ssw_server *server = exchange->server;
    if (!server->options.has_metrics) {
        ssw_http_fault fault;
        ssw_fault_set(&fault, 501, NULL, "metrics are off; start the server with --metrics");
        ssw_exchange_reply_fault(exchange, &fault);
        return;
    }
    ssw_engine_load load = {0};
    ssw_engine_expert_cache cache = {0};
    if (exchange->engine) {
        ssw_engine_read_load(exchange->engine, &load);
        ssw_engine_read_expert_cache(exchange->engine, &cache);
    }
    double wait_s, work_s;
    sum_layer_times(exchange->engine, &wait_s, &work_s);
    const metric metrics[] = {
        {"prompt_tokens_total", "counter", "Prompt tokens evaluated by finished jobs.",
         (double)load.prompt_tokens_total},
        {"prompt_seconds_total", "counter", "Time spent on their prompts.",
         (double)load.prompt_ns_total / 1e9},
        {"predicted_tokens_total", "counter", "Tokens generated.", (double)load.predicted_tokens_total},
        {"predicted_seconds_total", "counter", "Time finished jobs spent generating.",
         (double)load.predicted_ns_total / 1e9},
        {"expert_wait_seconds_total", "counter", "Decoding: the CPU waited for the GPU before experts.",
         wait_s},
        {"expert_cpu_seconds_total", "counter", "Decoding: the CPU computed experts kept in host memory.",
         work_s},
        {"jobs_total", "counter", "Jobs that have ended.", (double)load.jobs_total},
        {"jobs_running", "gauge", "Jobs being worked on.", load.n_running},
        {"jobs_queued", "gauge", "Jobs waiting for a sequence.", load.n_queued},
        {"kv_tokens_used", "gauge", "Tokens in the KV cache, idle sequences included.",
         (double)load.kv_tokens_used},
        {"expert_cache_slots", "gauge", "Experts that the cache in GPU memory holds.", cache.n_slots},
        {"expert_cache_hits_total", "counter", "Uses of cached experts while decoding.",
         (double)cache.hits_total},
        {"expert_cache_misses_total", "counter",
         "Uses of experts in host memory that were not cached, while decoding.", (double)cache.misses_total},
        {"expert_cache_uploads_total", "counter", "Experts replaced in the cache.",
         (double)cache.uploads_total},
        {"http_requests_total", "counter", "HTTP requests.", (double)atomic_load(&server->requests_total)},
        {"http_connections", "gauge", "Open connections.", ssw_guard_count(server->guard)},
        {"clients_gone_total", "counter", "Jobs stopped because their client went away.",
         (double)atomic_load(&server->peers_gone_total)},
    };
    ssw_strbuf text;
    ssw_strbuf_init(&text, METRICS_BYTES_MAX);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        ssw_strbuf_append_format(&text, "# HELP seesaw_%s %s\n# TYPE seesaw_%s %s\nseesaw_%s %.17g\n",
                                 metrics[i].name, metrics[i].help, metrics[i].name, metrics[i].type,
                                 metrics[i].name, metrics[i].value);
    if (exchange->engine) {
        append_places(&text, ssw_engine_describe(exchange->engine));
        append_prompt_plan(&text, exchange->engine);
    }
    ssw_exchange_reply_text(exchange, 200, "text/plain; version=0.0.4", &text);
    ssw_strbuf_deinit(&text);
}

/* A browser asks before it posts JSON. */
void ssw_route_preflight(ssw_exchange *exchange)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    exchange->result = MHD_NO;
    if (!response)
        return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    MHD_add_response_header(response, "Access-Control-Allow-Headers", "*, Authorization");
    exchange->result = MHD_queue_response(exchange->connection, 204, response);
    MHD_destroy_response(response);
}
