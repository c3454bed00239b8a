/* What can be computed apart: a layer's routed experts, all of them; and the rest of the layer with its KV
 * cache, which is on the GPU for the last layers only. Experts in host memory below a layer on the GPU are
 * handed over; the other way round nothing is. */
#include "place/override.h"

#include <string.h>

typedef enum group { GROUP_EXPERTS, GROUP_REST } group;

static bool is_in(const ssw_place_item *item, int32_t layer, group which)
{
    return item->name && !item->is_input && item->layer == layer &&
           item->is_expert == (which == GROUP_EXPERTS);
}

/* The first of a group; NULL: it has none. */
static const ssw_place_item *first_of(const ssw_place_item *items, int32_t n_items, int32_t layer,
                                      group which)
{
    for (int32_t i = 0; i < n_items; i++) {
        if (is_in(&items[i], layer, which))
            return &items[i];
    }
    return NULL;
}

static const ssw_place_item *first_forced(const ssw_place_item *items, int32_t n_items, int32_t layer,
                                          group which)
{
    for (int32_t i = 0; i < n_items; i++) {
        if (is_in(&items[i], layer, which) && items[i].is_forced)
            return &items[i];
    }
    return NULL;
}

static const char *device_name(const ssw_place_request *request, const ssw_place_item *item)
{
    return request->devices[item->device].name;
}

static ssw_status refuse_parts(const ssw_place_request *request, const ssw_place_item *forced,
                               const ssw_place_item *other, group which, ssw_error *err)
{
    const char *forced_on = device_name(request, forced), *other_on = device_name(request, other);
    if (which == GROUP_EXPERTS)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "an override puts tensor '%s' on %s, but '%s' is on %s: a layer's expert "
                             "matrices and biases are computed together; let the pattern match them all, as "
                             "'blk\\.%d\\.ffn_.*_exps=%s' does",
                             forced->name, forced_on, other->name, other_on, (int)forced->layer, forced_on);
    if (forced->layer < 0)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "an override puts tensor '%s' on %s, but '%s' is on %s: the final norm and the "
                             "output head are computed together; let the pattern match both, as "
                             "'^output=%s' does",
                             forced->name, forced_on, other->name, other_on, forced_on);
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                         "an override puts tensor '%s' on %s, but '%s' is on %s: a layer's attention, norms, "
                         "router and shared experts are computed together with its KV cache; let the pattern "
                         "match the whole layer, as 'blk\\.%d\\.=%s' does, or use -ngl",
                         forced->name, forced_on, other->name, other_on, (int)forced->layer, forced_on);
}

/* All of a group on one device. */
static ssw_status check_group(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                              int32_t layer, group which, ssw_error *err)
{
    const ssw_place_item *forced = first_forced(items, n_items, layer, which);
    for (int32_t i = 0; forced && i < n_items; i++) {
        if (is_in(&items[i], layer, which) && items[i].device != forced->device)
            return refuse_parts(request, forced, &items[i], which, err);
    }
    return SSW_OK;
}

/* Experts on the GPU want their layer there. */
static ssw_status check_layer(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                              int32_t layer, ssw_error *err)
{
    const ssw_place_item *experts = first_of(items, n_items, layer, GROUP_EXPERTS);
    const ssw_place_item *rest = first_of(items, n_items, layer, GROUP_REST);
    if (!experts || !rest || experts->device == rest->device || rest->device == SSW_PLACE_GPU)
        return SSW_OK;
    const ssw_place_item *forced = first_forced(items, n_items, layer, GROUP_EXPERTS);
    if (!forced)
        forced = first_forced(items, n_items, layer, GROUP_REST);
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                         "an override puts tensor '%s' on %s, but layer %d's experts cannot be on the GPU "
                         "while its attention is in host memory; place the layer whole, as "
                         "'blk\\.%d\\.=CPU' does, or raise -ngl",
                         forced ? forced->name : experts->name,
                         device_name(request, forced ? forced : experts), (int)layer, (int)layer);
}

/* Those on the GPU are the last; the head goes with the last of all. */
static ssw_status check_order(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                              int32_t layer, ssw_error *err)
{
    bool is_last = layer + 1 == request->n_layers;
    const ssw_place_item *here = first_of(items, n_items, layer, GROUP_REST);
    const ssw_place_item *next = first_of(items, n_items, is_last ? -1 : layer + 1, GROUP_REST);
    if (!here || !next || here->device == next->device || (!is_last && here->device == SSW_PLACE_CPU))
        return SSW_OK;
    const ssw_place_item *forced = first_forced(items, n_items, is_last ? -1 : layer + 1, GROUP_REST);
    if (!forced)
        forced = first_forced(items, n_items, layer, GROUP_REST);
    if (!forced) /* by n_gpu_layers alone */
        return SSW_OK;
    if (is_last)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "an override puts tensor '%s' on %s: the output head is computed where the last "
                             "layer is; leave it out of the pattern, or place layer %d likewise",
                             forced->name, device_name(request, forced), (int)layer);
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                         "an override puts tensor '%s' on %s, so that layer %d would be in host memory after "
                         "layer %d on the GPU: layers on the GPU are the last ones; place layers 0 to %d in "
                         "host memory too, or their experts only, as 'blk\\.%d\\.ffn_.*_exps=CPU' does",
                         forced->name, device_name(request, forced), (int)layer + 1, (int)layer, (int)layer,
                         (int)layer + 1);
}

ssw_status ssw_place_overrides_check(const ssw_place_request *request, const ssw_place_item *items,
                                     int32_t n_items, ssw_error *err)
{
    if (request->n_devices < 2) /* everything is in host memory */
        return SSW_OK;
    for (int32_t i = 0; i < n_items; i++) {
        if (items[i].is_input && items[i].name && items[i].device != SSW_PLACE_CPU)
            return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                                 "an override puts tensor '%s' on %s: the token embedding stays in host "
                                 "memory, of which a row is read per token; leave it out of the pattern",
                                 items[i].name, device_name(request, &items[i]));
    }
    ssw_status status = check_group(request, items, n_items, -1, GROUP_REST, err);
    for (int32_t layer = 0; layer < request->n_layers && status == SSW_OK; layer++) {
        status = check_group(request, items, n_items, layer, GROUP_EXPERTS, err);
        if (status == SSW_OK)
            status = check_group(request, items, n_items, layer, GROUP_REST, err);
        if (status == SSW_OK)
            status = check_layer(request, items, n_items, layer, err);
    }
    for (int32_t layer = 0; layer < request->n_layers && status == SSW_OK; layer++)
        status = check_order(request, items, n_items, layer, err);
    return status;
}
