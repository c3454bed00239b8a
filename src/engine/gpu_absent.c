/* Where the program was built without CUDA: no device is ever found, so that nothing else here is called. */
#include <stdlib.h>

#include "engine/gpu.h"

ssw_status ssw_gpu_find(ssw_gpu_device *out, ssw_error *err)
{
    (void)out;
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "this program was built without CUDA");
}

ssw_status ssw_gpu_check_model(const ssw_model *model, ssw_error *err)
{
    (void)model;
    return ssw_gpu_find(NULL, err);
}

ssw_status ssw_gpu_measure_copies(ssw_gpu_device *device, ssw_error *err)
{
    return ssw_gpu_find(device, err);
}

ssw_gpu_expert_cache_plan ssw_gpu_plan_cache(const ssw_gpu_setup *setup)
{
    (void)setup;
    return (ssw_gpu_expert_cache_plan){0};
}

uint64_t ssw_gpu_predict_cache_bytes(const ssw_gpu_setup *setup, int32_t layer)
{
    (void)setup, (void)layer;
    return 0;
}

uint64_t ssw_gpu_predict_buffer_bytes(const ssw_gpu_setup *setup)
{
    (void)setup;
    return 0;
}

ssw_status ssw_gpu_open(const ssw_gpu_setup *setup, ssw_gpu **out, ssw_error *err)
{
    (void)setup;
    *out = NULL;
    return ssw_gpu_find(NULL, err);
}

void ssw_gpu_close(ssw_gpu *gpu)
{
    (void)gpu;
}

ssw_gpu_bytes ssw_gpu_count_bytes(const ssw_gpu *gpu)
{
    (void)gpu;
    return (ssw_gpu_bytes){0};
}

uint64_t ssw_gpu_weight_bytes(const ssw_gpu *gpu, int32_t entry)
{
    (void)gpu, (void)entry;
    return 0;
}

ssw_gpu_expert_uses ssw_gpu_read_uses(const ssw_gpu *gpu)
{
    (void)gpu;
    return (ssw_gpu_expert_uses){0};
}

ssw_status ssw_gpu_run(ssw_gpu *gpu, const ssw_pass *pass, const float *x, ssw_error *err)
{
    (void)gpu, (void)pass, (void)x;
    return ssw_gpu_find(NULL, err);
}

ssw_status ssw_gpu_read_hidden(ssw_gpu *gpu, const float **hidden, ssw_error *err)
{
    (void)gpu;
    *hidden = NULL;
    return ssw_gpu_find(NULL, err);
}

ssw_engine_cpu_rates ssw_gpu_read_rates(const ssw_gpu *gpu)
{
    (void)gpu;
    return (ssw_engine_cpu_rates){0};
}

void ssw_gpu_read_prompt_times(const ssw_gpu *gpu, ssw_engine_bound bound, ssw_engine_prompt_times *out)
{
    (void)gpu, (void)bound;
    *out = (ssw_engine_prompt_times){0};
}

void ssw_gpu_read_layer_times(const ssw_gpu *gpu, int32_t layer, ssw_gpu_layer_times *out)
{
    (void)gpu, (void)layer;
    *out = (ssw_gpu_layer_times){0};
}
