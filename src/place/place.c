/* The rules of placement, and the sums over them. */
#include "place/place.h"

#include <stdio.h>
#include <string.h>

void ssw_place_item_init(ssw_place_item *item, ssw_tensor_role role, uint64_t bytes)
{
    memset(item, 0, sizeof *item);
    item->table_class = ssw_tensor_class_name(role.kind);
    item->how = "mapped file";
    item->layer = role.layer;
    item->is_expert = role.kind == SSW_TENSOR_EXPERT || role.kind == SSW_TENSOR_EXPERT_BIAS;
    item->is_input = role.kind == SSW_TENSOR_EMBEDDING;
    item->bytes = bytes;
}

/* Where an item would be if no expert were kept back. */
static int32_t layer_device(const ssw_place_request *request, const ssw_place_item *item)
{
    if (request->n_devices < 2 || request->n_gpu_layers <= 0 || item->is_input)
        return SSW_PLACE_CPU;
    int64_t first_on_gpu = (int64_t)request->n_layers + 1 - request->n_gpu_layers;
    int64_t layer = item->layer < 0 ? request->n_layers : item->layer;
    return layer >= first_on_gpu ? SSW_PLACE_GPU : SSW_PLACE_CPU;
}

int32_t ssw_place_device_of(const ssw_place_request *request, const ssw_place_item *item)
{
    if (item->is_forced && request->n_devices > 1)
        return item->forced_device;
    if (item->is_expert && item->layer < request->n_cpu_moe)
        return SSW_PLACE_CPU;
    return layer_device(request, item);
}

void ssw_place_assign(const ssw_place_request *request, ssw_place_item *items, int32_t n_items,
                      ssw_place_summary *summary)
{
    memset(summary, 0, sizeof *summary);
    for (int32_t i = 0; i < n_items; i++) {
        ssw_place_item *item = &items[i];
        item->device = ssw_place_device_of(request, item);
        summary->device_bytes[item->device] += item->bytes;
        if (item->is_expert && item->device == SSW_PLACE_CPU && layer_device(request, item) != SSW_PLACE_CPU)
            summary->expert_bytes_moved += item->bytes;
    }
}

static bool fits(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                 uint64_t needed_bytes[SSW_PLACE_DEVICES_MAX], int32_t *full_device)
{
    memset(needed_bytes, 0, SSW_PLACE_DEVICES_MAX * sizeof *needed_bytes);
    for (int32_t i = 0; i < n_items; i++)
        needed_bytes[ssw_place_device_of(request, &items[i])] += items[i].bytes;
    for (int32_t d = 0; d < request->n_devices; d++) {
        if (request->devices[d].free_bytes != 0 && needed_bytes[d] > request->devices[d].free_bytes) {
            *full_device = d;
            return false;
        }
    }
    return true;
}

int32_t ssw_place_solve_n_cpu_moe(const ssw_place_request *request, const ssw_place_item *items,
                                  int32_t n_items)
{
    uint64_t needed_bytes[SSW_PLACE_DEVICES_MAX];
    int32_t full_device;
    ssw_place_request attempt = *request;
    for (attempt.n_cpu_moe = 0; attempt.n_cpu_moe <= request->n_layers; attempt.n_cpu_moe++) {
        if (fits(&attempt, items, n_items, needed_bytes, &full_device))
            return attempt.n_cpu_moe;
    }
    return -1;
}

static double gib(uint64_t bytes)
{
    return (double)bytes / (double)(UINT64_C(1) << 30);
}

ssw_status ssw_place_check(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                           ssw_error *err)
{
    uint64_t needed_bytes[SSW_PLACE_DEVICES_MAX];
    int32_t full = 0;
    if (fits(request, items, n_items, needed_bytes, &full))
        return SSW_OK;
    char advice[96] = "";
    int32_t n = ssw_place_solve_n_cpu_moe(request, items, n_items);
    if (full != SSW_PLACE_CPU && n >= 0)
        snprintf(advice, sizeof advice, "; --n-cpu-moe %d would fit", n);
    else if (full != SSW_PLACE_CPU)
        snprintf(advice, sizeof advice, "; not even --cpu-moe would fit");
    return ssw_error_set(err, SSW_ERR_LIMIT, "%s: needs %.2f GiB, %.2f GiB are free%s",
                         request->devices[full].name, gib(needed_bytes[full]),
                         gib(request->devices[full].free_bytes), advice);
}

int32_t ssw_place_tabulate(const ssw_place_item *items, int32_t n_items,
                           ssw_place_row rows[SSW_PLACE_ROWS_MAX])
{
    int32_t n_rows = 0;
    for (int32_t i = 0; i < n_items; i++) {
        const ssw_place_item *item = &items[i];
        int32_t r = 0;
        while (r < n_rows && (rows[r].device != item->device || strcmp(rows[r].how, item->how) != 0 ||
                              strcmp(rows[r].table_class, item->table_class) != 0))
            r++;
        if (r == n_rows && n_rows == SSW_PLACE_ROWS_MAX)
            r = n_rows - 1;
        else if (r == n_rows)
            rows[n_rows++] = (ssw_place_row){item->table_class, item->how, item->device, 0, 0};
        rows[r].predicted_bytes += item->bytes;
        rows[r].actual_bytes += item->actual_bytes;
    }
    return n_rows;
}
