/* Experts in host memory: the device asks, the pool's workers answer.
 *
 * For each such layer the device writes normed rows, choices and weights to mapped memory and raises `ready`;
 * every worker watches that word itself, so that no barrier stands before the work. The result goes to y, the
 * first worker raises `done`, and the device, which has computed shared experts meanwhile, adds y. Both words
 * carry the number of the step. */
#include <sched.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/clock.h"
#include "engine/activation.h"
#include "engine/carver.h"
#include "engine/gpu_parts.h"

enum { ALIGNMENT_BYTES = 256, LOOKS_PER_CLOCK = 1 << 14 };
bool ssw_gpu_layer_is_handed_over(const ssw_gpu *gpu, int32_t layer)
{
    return ssw_weights_matrix(gpu->setup.weights, layer, SSW_MODEL_GATE_EXPS) != NULL;
}

/* ---- memory ---- */

static void carve_handover(ssw_gpu_handover *hand, const ssw_gpu *gpu, uint8_t *base)
{
    const ssw_model_hparams *h = gpu->h;
    ssw_carver c = {base, 0, ALIGNMENT_BYTES};
    uint64_t n = (uint64_t)gpu->setup.n_batch, pairs = n * (uint64_t)h->n_experts_used;
    hand->ready = ssw_carve(&c, (uint64_t)h->n_layers, sizeof *hand->ready);
    hand->done = ssw_carve(&c, (uint64_t)h->n_layers, sizeof *hand->done);
    hand->gave_up = ssw_carve(&c, 1, sizeof *hand->gave_up);
    if (gpu->host_takes_f32)
        hand->x = ssw_carve(&c, n * (uint64_t)h->n_embd, sizeof(float));
    if (gpu->host_takes_q8)
        hand->x_q8 = ssw_carve(&c, n, ssw_cpu_q8_row_bytes(h->n_embd));
    hand->chosen = ssw_carve(&c, pairs, sizeof(int32_t));
    hand->weights = ssw_carve(&c, pairs, sizeof(float));
    hand->y = ssw_carve(&c, n * (uint64_t)h->n_embd, sizeof(float));
    hand->n_bytes = c.at;
}

static void find_host_experts(ssw_gpu *gpu)
{
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        const ssw_cpu_matrix *gate = ssw_weights_matrix(gpu->setup.weights, layer, SSW_MODEL_GATE_EXPS);
        if (!gate)
            continue;
        gpu->has_host_experts = true;
        bool is_float = ssw_dtype_find((uint32_t)gate->dtype)->block_elements == 1;
        gpu->host_takes_f32 |= is_float || gpu->setup.isa == SSW_CPU_ISA_REFERENCE;
        gpu->host_takes_q8 |= !is_float && gpu->setup.isa != SSW_CPU_ISA_REFERENCE;
    }
}

ssw_status ssw_gpu_open_handover(ssw_gpu *gpu, ssw_error *err)
{
    ssw_gpu_handover *hand = &gpu->handover;
    find_host_experts(gpu);
    if (!gpu->has_host_experts)
        return SSW_OK;
    carve_handover(hand, gpu, NULL);
    ssw_status status = ssw_cuda_alloc_host(&hand->memory, hand->n_bytes, err);
    if (status != SSW_OK)
        return status;
    carve_handover(hand, gpu, hand->memory);
    gpu->bytes.pinned += hand->n_bytes;
    hand->scratch_bytes = ssw_cpu_moe_scratch_bytes(gpu->setup.n_batch, gpu->h->n_experts_used,
                                                    gpu->h->n_ff_expert, gpu->h->n_embd);
    hand->scratch = ssw_cpu_memory_alloc(hand->scratch_bytes);
    hand->verdicts = calloc((size_t)gpu->h->n_layers, sizeof *hand->verdicts);
    if (!hand->scratch || !hand->verdicts)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %llu bytes of expert buffers",
                             (unsigned long long)hand->scratch_bytes);
    ssw_cpu_team_options options = {.pool = gpu->setup.pool,
                                    .isa = gpu->setup.isa,
                                    .max_tokens = gpu->setup.n_batch,
                                    .max_experts_used = gpu->h->n_experts_used};
    return ssw_cpu_team_open(&options, &gpu->team, err);
}

void ssw_gpu_close_handover(ssw_gpu *gpu)
{
    ssw_cpu_team_close(gpu->team);
    ssw_cpu_memory_free(gpu->handover.scratch, gpu->handover.scratch_bytes);
    free(gpu->handover.verdicts);
    ssw_cuda_free_host(gpu->handover.memory);
}

/* ---- the device's side ---- */

void ssw_gpu_announce(ssw_gpu *gpu, int32_t layer, ssw_cuda_router_args *router)
{
    ssw_gpu_handover *hand = &gpu->handover;
    router->host_chosen = hand->chosen;
    router->host_weights = hand->weights;
    router->ready = &hand->ready[layer];
    router->step = &gpu->step->number;
}

void ssw_gpu_enqueue_request(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    ssw_gpu_handover *hand = &gpu->handover;
    uint64_t pairs = (uint64_t)n_rows * (uint64_t)gpu->h->n_experts_used;
    ssw_cuda_copy_async(gpu->compute, hand->chosen, gpu->chosen, pairs * sizeof(int32_t));
    ssw_cuda_copy_async(gpu->compute, hand->weights, gpu->expert_weights, pairs * sizeof(float));
    ssw_cuda_signal_set(gpu->compute, &hand->ready[layer], &gpu->step->number);
}

void ssw_gpu_enqueue_result(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    ssw_gpu_handover *hand = &gpu->handover;
    if (n_rows <= SSW_CUDA_GEMV_TOKENS_MAX) {
        ssw_cuda_await_args args = {.signal = &hand->done[layer],
                                    .step = &gpu->step->number,
                                    .patience_ns = (uint64_t)gpu->setup.patience_ns,
                                    .gave_up = hand->gave_up,
                                    .rows = hand->y,
                                    .out = gpu->x,
                                    .n = n_rows,
                                    .cols = gpu->h->n_embd};
        ssw_cuda_await_add(gpu->compute, &args);
        return;
    }
    ssw_cuda_signal_wait(gpu->compute, &hand->done[layer], &gpu->step->number,
                         (uint64_t)gpu->setup.patience_ns, hand->gave_up);
    ssw_cuda_add(gpu->compute, hand->y, (int64_t)n_rows * gpu->h->n_embd, gpu->x);
}

/* ---- the host's side ---- */

static void rest(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* What the first worker finds holds for all of them: they meet at the same barriers or at none. */
static bool agree(ssw_gpu *gpu, int32_t layer, bool has_answered)
{
    atomic_uint_fast64_t *verdict = &gpu->handover.verdicts[layer];
    uint64_t own = (uint64_t)gpu->step_host->number * 2 + has_answered;
    uint_fast64_t found = atomic_load(verdict);
    if (found >> 1 != own >> 1 && atomic_compare_exchange_strong(verdict, &found, own))
        return has_answered;
    return found & 1;
}

/* False when the device has stopped answering. */
static bool await_ready(ssw_gpu *gpu, int32_t layer)
{
    const uint32_t *word = &gpu->handover.ready[layer].value;
    uint32_t wanted = gpu->step_host->number;
    int64_t begin_ns = 0;
    bool is_late = false;
    for (uint32_t looks = 1; !is_late && __atomic_load_n(word, __ATOMIC_ACQUIRE) != wanted; looks++) {
        rest();
        if (looks % LOOKS_PER_CLOCK != 0)
            continue;
        sched_yield(); /* to whoever the device needs in order to answer */
        int64_t now_ns = ssw_clock_now_ns();
        if (begin_ns == 0)
            begin_ns = now_ns;
        is_late = now_ns - begin_ns > gpu->setup.patience_ns || atomic_load(&gpu->is_lost);
    }
    if (agree(gpu, layer, !is_late))
        return true;
    atomic_store(&gpu->is_lost, true);
    return false;
}

typedef struct host_job {
    ssw_gpu *gpu;
    const ssw_gpu_shape *shape;
} host_job;

/* The first rows of every matrix. */
static ssw_cpu_matrix first_rows(const ssw_cpu_matrix *whole, int64_t n)
{
    ssw_cpu_matrix view = *whole;
    view.rows = n;
    return view;
}

void ssw_gpu_multiply_experts(const ssw_gpu *gpu, ssw_cpu_worker *worker, int32_t layer, int32_t n_rows,
                              const int32_t *chosen, bool may_use_bf16)
{
    const ssw_model_hparams *h = gpu->h;
    const ssw_weights *weights = gpu->setup.weights;
    const ssw_gpu_handover *hand = &gpu->handover;
    const ssw_gpu_host_layer *own = &gpu->share.layers[layer];
    ssw_cpu_matrix gate =
        first_rows(ssw_weights_matrix(weights, layer, SSW_MODEL_GATE_EXPS), gpu->share.split);
    ssw_cpu_matrix up = first_rows(ssw_weights_matrix(weights, layer, SSW_MODEL_UP_EXPS), gpu->share.split);
    ssw_cpu_moe_args args = {
        .gate = &gate,
        .up = &up,
        .down = ssw_weights_matrix(weights, layer, SSW_MODEL_DOWN_EXPS),
        .gate_bias = own->gate_bias,
        .up_bias = own->up_bias,
        .down_bias = ssw_weights_floats(weights, layer, SSW_MODEL_DOWN_EXPS_BIAS),
        .x = {hand->x, h->n_embd, hand->x_q8},
        .n = n_rows,
        .n_used = h->n_experts_used,
        .chosen = chosen,
        .weights = hand->weights,
        .out = hand->y,
        .out_stride = h->n_embd,
        .may_use_bf16 = may_use_bf16,
        .scratch = hand->scratch,
    };
    ssw_set_activation(&args, h);
    ssw_cpu_moe(worker, &args);
}

/* The experts that are left to the CPU. bf16 in prompts: which side computes an expert follows from the batch
 * anyway. */
static void multiply(const ssw_gpu *gpu, ssw_cpu_worker *worker, int32_t layer, const ssw_gpu_shape *shape)
{
    int32_t left[SSW_GPU_FEW_PAIRS_MAX];
    const int32_t *chosen = shape->is_streamed ? gpu->share.own_chosen
                                               : ssw_gpu_leave_out_cached(gpu, layer, shape->n_rows, left);
    ssw_gpu_multiply_experts(gpu, worker, layer, shape->n_rows, chosen, shape->is_streamed);
}

static void count_times(ssw_gpu_host_layer *layer, int64_t wait_ns, int64_t work_ns)
{
    atomic_fetch_add_explicit(&layer->n_steps, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&layer->wait_ns, wait_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&layer->work_ns, work_ns, memory_order_relaxed);
}

void ssw_gpu_read_layer_times(const ssw_gpu *gpu, int32_t layer, ssw_gpu_layer_times *out)
{
    *out = (ssw_gpu_layer_times){0};
    if (!gpu->share.layers)
        return;
    ssw_gpu_host_layer *from = &gpu->share.layers[layer];
    out->n_steps = atomic_load_explicit(&from->n_steps, memory_order_relaxed);
    out->wait_ns = atomic_load_explicit(&from->wait_ns, memory_order_relaxed);
    out->work_ns = atomic_load_explicit(&from->work_ns, memory_order_relaxed);
}

static void serve(void *context, int index, int n_workers)
{
    const host_job *job = context;
    ssw_gpu *gpu = job->gpu;
    ssw_cpu_worker *worker = ssw_cpu_team_worker(gpu->team, index);
    (void)n_workers;
    int64_t begin_ns = ssw_clock_now_ns();
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        if (!ssw_gpu_layer_is_handed_over(gpu, layer))
            continue;
        if (!await_ready(gpu, layer))
            return;
        if (index == 0)
            ssw_gpu_count_uses(gpu, layer, job->shape);
        int64_t ready_ns = ssw_clock_now_ns();
        if (job->shape->is_streamed) {
            if (index == 0)
                ssw_gpu_plan_stream(gpu, layer, job->shape->n_rows);
            ssw_cpu_barrier(worker);
            if (index == 0) { /* the others begin meanwhile */
                ready_ns = ssw_clock_now_ns();
                ssw_gpu_finish_layer(gpu, job->shape);
                ssw_gpu_enqueue_layers(gpu, job->shape);
            }
        }
        multiply(gpu, worker, layer, job->shape);
        ssw_cpu_barrier(worker);
        if (index > 0)
            continue;
        __atomic_store_n(&gpu->handover.done[layer].value, gpu->step_host->number, __ATOMIC_RELEASE);
        int64_t done_ns = ssw_clock_now_ns();
        if (job->shape->is_streamed)
            ssw_host_watch_layer(&gpu->watch, gpu->share.plan.host_bound, gpu->share.plan.host_ns,
                                 done_ns - ready_ns);
        else
            count_times(&gpu->share.layers[layer], ready_ns - begin_ns, done_ns - ready_ns);
        begin_ns = done_ns;
    }
}

ssw_status ssw_gpu_check_answers(const ssw_gpu *gpu, ssw_error *err)
{
    double patience_s = (double)gpu->setup.patience_ns / SSW_NS_PER_S;
    if (atomic_load(&gpu->is_lost))
        return ssw_error_set(err, SSW_ERR_TIMEOUT,
                             "the GPU has not answered for %.3g s: start again, or without it (-ngl 0)",
                             patience_s);
    if (gpu->handover.gave_up && __atomic_load_n(gpu->handover.gave_up, __ATOMIC_ACQUIRE) != 0)
        return ssw_error_set(err, SSW_ERR_TIMEOUT, "the CPU's experts were not ready within %.3g s",
                             patience_s);
    return SSW_OK;
}

ssw_status ssw_gpu_serve_experts(ssw_gpu *gpu, const ssw_gpu_shape *shape, ssw_error *err)
{
    host_job job = {gpu, shape};
    ssw_pool_run(gpu->setup.pool, serve, &job);
    return ssw_gpu_check_answers(gpu, err);
}
