/* How fast the CPU multiplies this model's experts: a few jobs as prompts have them, timed once at start.
 *
 * The weights are the first host layer's own, pinned as they are; the activations are made up, where the
 * device will write them. A repetition takes the experts that follow, so that weights come out of memory. */
#include "base/clock.h"
#include "engine/gpu_parts.h"

enum {
    JOB_EXPERTS = 4, /* at least, of each job */
    JOB_PAIRS = 64,  /* tokens of each of them */
    REPEATS_MIN = 4,
    REPEATS_MAX = 24
};
#define LONG_ENOUGH_NS (20 * SSW_NS_PER_MS)

ssw_host_expert ssw_gpu_describe_expert(const ssw_gpu *gpu, int32_t layer, int32_t n_pairs, double bytes)
{
    const ssw_cuda_experts *own = &gpu->share.layers[layer].own;
    return (ssw_host_expert){.n_pairs = n_pairs,
                             .products = 3 * (double)gpu->h->n_embd * (double)gpu->share.split,
                             .bytes = bytes,
                             .has_tiles = ssw_cpu_team_has_bf16(gpu->team, own->gate.dtype) &&
                                          ssw_cpu_team_has_bf16(gpu->team, own->down.dtype)};
}

typedef struct trial {
    const ssw_gpu *gpu;
    int32_t layer;
    int32_t n_pairs, n_groups; /* so many tokens each have their n_used experts to themselves */
    bool in_tiles;
    int64_t took_ns; /* of one job */
} trial;

static void fill_activations(void *context, int index, int n_workers)
{
    const trial *t = context;
    const ssw_gpu_handover *hand = &t->gpu->handover;
    int64_t n_embd = t->gpu->h->n_embd, n = (int64_t)t->n_pairs * t->n_groups;
    ssw_cpu_worker *worker = ssw_cpu_team_worker(t->gpu->team, index);
    float *x = hand->x ? hand->x : hand->y;
    for (int64_t row = index; row < n; row += n_workers) {
        for (int64_t i = 0; i < n_embd; i++)
            x[row * n_embd + i] = (float)((row * 7 + i * 13) % 101 - 50) / 50;
    }
    ssw_cpu_barrier(worker);
    if (hand->x_q8)
        ssw_cpu_quantize(worker, &(ssw_cpu_quantize_args){x, n_embd, n, n_embd, hand->x_q8});
}

static void run_job(void *context, int index, int n_workers)
{
    trial *t = context;
    const ssw_gpu *gpu = t->gpu;
    ssw_cpu_worker *worker = ssw_cpu_team_worker(gpu->team, index);
    (void)n_workers;
    ssw_cpu_barrier(worker); /* all are awake */
    int64_t begin_ns = ssw_clock_now_ns();
    ssw_gpu_multiply_experts(gpu, worker, t->layer, t->n_pairs * t->n_groups, gpu->handover.chosen,
                             t->in_tiles);
    ssw_cpu_barrier(worker);
    if (index == 0)
        t->took_ns = ssw_clock_now_ns() - begin_ns;
}

static void choose(const trial *t, int32_t first)
{
    const ssw_model_hparams *h = t->gpu->h;
    const ssw_gpu_handover *hand = &t->gpu->handover;
    for (int32_t row = 0; row < t->n_pairs * t->n_groups; row++) {
        for (int32_t i = 0; i < h->n_experts_used; i++) {
            int32_t at = row * h->n_experts_used + i;
            hand->chosen[at] = (first + row / t->n_pairs * h->n_experts_used + i) % h->n_experts;
            hand->weights[at] = 1;
        }
    }
}

/* The least of several, so that a neighbour on the machine does not count. */
static double time_jobs(trial *t)
{
    int64_t best_ns = INT64_MAX, all_ns = 0;
    int32_t n_experts = t->n_groups * t->gpu->h->n_experts_used;
    for (int32_t i = 0; i < REPEATS_MIN || (i < REPEATS_MAX && all_ns < LONG_ENOUGH_NS); i++) {
        choose(t, i * n_experts % t->gpu->h->n_experts);
        ssw_pool_run(t->gpu->setup.pool, run_job, t);
        best_ns = t->took_ns < best_ns ? t->took_ns : best_ns;
        all_ns += t->took_ns;
    }
    return (double)(best_ns > 0 ? best_ns : 1) / SSW_NS_PER_S;
}

/* Multiply-adds per second and thread. */
static double measure(const ssw_gpu *gpu, int32_t layer, bool in_tiles)
{
    int32_t n_used = gpu->h->n_experts_used, n_batch = gpu->setup.n_batch;
    trial t = {.gpu = gpu, .layer = layer, .in_tiles = in_tiles};
    t.n_pairs = n_batch < JOB_PAIRS ? n_batch : JOB_PAIRS;
    t.n_groups = (JOB_EXPERTS + n_used - 1) / n_used;
    t.n_groups = t.n_groups < gpu->h->n_experts / n_used ? t.n_groups : gpu->h->n_experts / n_used;
    t.n_groups = t.n_groups < n_batch / t.n_pairs ? t.n_groups : n_batch / t.n_pairs;
    ssw_pool_run(gpu->setup.pool, fill_activations, &t);
    const ssw_host_expert expert = ssw_gpu_describe_expert(gpu, layer, t.n_pairs, 0);
    return expert.products * t.n_pairs * t.n_groups * n_used /
           (time_jobs(&t) * ssw_pool_threads(gpu->setup.pool));
}

/* The first layer handed over, or the first of those whose experts may get to tiles; -1: none. */
static int32_t find_layer(const ssw_gpu *gpu, bool in_tiles)
{
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        ssw_host_expert most = {0};
        if (ssw_gpu_layer_is_handed_over(gpu, layer))
            most = ssw_gpu_describe_expert(gpu, layer, gpu->setup.n_batch, 0);
        if (most.n_pairs > 0 && (!in_tiles || ssw_host_is_in_tiles(&most)))
            return layer;
    }
    return -1;
}

/* What was set up; else the class of what is measured. 0 where there is nothing to multiply so. */
static double find_rate(const ssw_gpu *gpu, bool in_tiles, double set_up, double *measured)
{
    int32_t layer = find_layer(gpu, in_tiles);
    *measured = 0;
    if (layer < 0 || set_up > 0)
        return layer < 0 ? 0 : set_up;
    if (ssw_cpu_team_isa(gpu->team) != SSW_CPU_ISA_REFERENCE) /* which would take minutes */
        *measured = measure(gpu, layer, in_tiles);
    return ssw_host_rate_class(*measured);
}

void ssw_gpu_find_rates(ssw_gpu *gpu)
{
    ssw_engine_cpu_rates measured, *rates = &gpu->watch.rates;
    char found[SSW_HOST_RATES_TEXT_MAX], taken[SSW_HOST_RATES_TEXT_MAX];
    gpu->watch.log = gpu->setup.log;
    rates->vectors = find_rate(gpu, false, gpu->setup.rates.vectors, &measured.vectors);
    rates->tiles = find_rate(gpu, true, gpu->setup.rates.tiles, &measured.tiles);
    ssw_host_format_rates(&measured, found);
    ssw_host_format_rates(rates, taken);
    if (measured.vectors > 0 || measured.tiles > 0)
        ssw_log_write(
            &gpu->setup.log, SSW_LOG_INFO,
            "experts of prompts on the CPU: measured %s billion multiply-adds per second and thread, "
            "taken as --cpu-moe-rate %s",
            found, taken);
}

ssw_engine_cpu_rates ssw_gpu_read_rates(const ssw_gpu *gpu)
{
    return gpu->watch.rates;
}

void ssw_gpu_read_prompt_times(const ssw_gpu *gpu, ssw_engine_bound bound, ssw_engine_prompt_times *out)
{
    ssw_host_watch_read(&gpu->watch, bound, out);
}
