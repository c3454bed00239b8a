/* Placement by name: llama.cpp's -ot PATTERN=DEVICE[,PATTERN=DEVICE...].
 *
 * A pattern is a regular expression, searched for anywhere in a tensor's name. Of several the first that
 * matches decides, whatever n_gpu_layers and n_cpu_moe say. A bias of experts that no pattern names goes with
 * its matrix; a layer's KV cache goes with its attention.
 *
 * What may be placed apart are a layer's routed experts and whatever else the layer has: overrides_check
 * refuses the combinations that cannot be computed. Not thread-safe: one call at a time on one handle. */
#ifndef SSW_PLACE_OVERRIDE_H
#define SSW_PLACE_OVERRIDE_H

#include "place/place.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_PLACE_OVERRIDES_MAX = 64, SSW_PLACE_OVERRIDE_BYTES_MAX = 256 };

typedef struct ssw_place_overrides ssw_place_overrides;

/* texts: the flag's values, in the order in which they were given. Devices: CPU, CUDA0, and GPU for CUDA0.
 * SSW_ERR_USAGE says which part of a text is wrong. *out is never NULL on success, even without texts. */
ssw_status ssw_place_overrides_open(const char *const *texts, int32_t n_texts, ssw_place_overrides **out,
                                    ssw_error *err);
void ssw_place_overrides_close(ssw_place_overrides *overrides); /* NULL is allowed */

/* Forces the items whose names match, and those that follow them. Once, before ssw_place_assign. */
ssw_status ssw_place_overrides_apply(const ssw_place_overrides *overrides, ssw_place_item *items,
                                     int32_t n_items, ssw_error *err);

/* After ssw_place_assign: whether what was forced can be computed. SSW_ERR_UNSUPPORTED names a tensor and
 * says what to do. */
ssw_status ssw_place_overrides_check(const ssw_place_request *request, const ssw_place_item *items,
                                     int32_t n_items, ssw_error *err);

/* What became of one pattern. */
typedef struct ssw_place_override_effect {
    char text[SSW_PLACE_OVERRIDE_BYTES_MAX]; /* "PATTERN=DEVICE" */
    int32_t n_decided;                       /* tensors whose device it decided */
    int32_t n_moved;                         /* of those that would be elsewhere without any pattern */
    uint64_t moved_bytes;
    bool is_shadowed; /* it decided nothing, but matches tensors that earlier patterns decided */
} ssw_place_override_effect;

int32_t ssw_place_overrides_count(const ssw_place_overrides *overrides); /* patterns */
void ssw_place_overrides_describe(const ssw_place_overrides *overrides, int32_t index,
                                  const ssw_place_request *request, const ssw_place_item *items,
                                  int32_t n_items, ssw_place_override_effect *out);

#ifdef __cplusplus
}
#endif
#endif
