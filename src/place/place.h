/* Placement: which tensor lives on which device, from sizes and flags alone. Pure: no I/O, no allocation.
 *
 * The rules are llama.cpp's, so that one flag means the same in both programs:
 *   - the token embedding stays in host memory;
 *   - n_gpu_layers counts from the last layer backwards; the output norm and head count as one more layer
 * after it;
 *   - n_cpu_moe keeps the routed experts (matrices and their biases) of the first N layers in host memory;
 *   - a layer's KV cache lies with its attention;
 *   - what is forced by name (override.h) comes before all of that. */
#ifndef SSW_PLACE_PLACE_H
#define SSW_PLACE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/tensor_class.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_PLACE_CPU = 0, /* the device index of host memory */
    SSW_PLACE_GPU = 1, /* the only GPU */
    SSW_PLACE_DEVICES_MAX = 2,
    SSW_PLACE_LAYERS_ALL = 1 << 20, /* as n_gpu_layers or n_cpu_moe: every layer */
    SSW_PLACE_ROWS_MAX = 32
};

typedef struct ssw_place_device {
    const char *name;    /* "CPU", "CUDA0" */
    uint64_t free_bytes; /* what placement may use; 0: not limited */
} ssw_place_device;

/* Something that takes memory: a tensor of the file, a layer's KV cache, a compute buffer. */
typedef struct ssw_place_item {
    const char *table_class; /* for the table: "attention", "kv cache"; compared as text */
    const char *how;         /* "mapped file", "repacked", "allocated" */
    const char *name;        /* the tensor's, borrowed; NULL: no tensor, or one that overrides do not see */
    int32_t layer;           /* -1: belongs to none */
    bool is_expert;          /* what n_cpu_moe moves */
    bool is_input;           /* stays in host memory */
    uint64_t bytes;          /* predicted, in the form in which it is kept */
    uint64_t actual_bytes;   /* filled in by whoever allocated it */
    /* Out of ssw_place_overrides_apply: the rules above do not count. Without a GPU nothing is forced. */
    bool is_forced;
    int32_t forced_device, forced_by; /* forced_by: the pattern's number */
    int32_t device;                   /* out of ssw_place_assign */
} ssw_place_item;

typedef struct ssw_place_request {
    const ssw_place_device *devices; /* [n_devices], host memory first */
    int32_t n_devices;
    int32_t n_layers;
    int32_t n_gpu_layers;
    int32_t n_cpu_moe;
} ssw_place_request;

typedef struct ssw_place_summary {
    uint64_t device_bytes[SSW_PLACE_DEVICES_MAX];
    uint64_t expert_bytes_moved; /* kept in host memory by n_cpu_moe or an override, that would have been on
                                    the GPU */
} ssw_place_summary;

/* The flags of an item from a tensor's role. */
void ssw_place_item_init(ssw_place_item *item, ssw_tensor_role role, uint64_t bytes);

/* Where assign puts an item. */
int32_t ssw_place_device_of(const ssw_place_request *request, const ssw_place_item *item);

/* Sets every item's device. Never fails for lack of room: that is ssw_place_check. */
void ssw_place_assign(const ssw_place_request *request, ssw_place_item *items, int32_t n_items,
                      ssw_place_summary *summary);

/* SSW_ERR_LIMIT "CUDA0: needs 12.3 GiB, 8.0 GiB are free; --n-cpu-moe 14 would fit" when a device's items
 * exceed it. */
ssw_status ssw_place_check(const ssw_place_request *request, const ssw_place_item *items, int32_t n_items,
                           ssw_error *err);

/* The smallest n_cpu_moe with which everything fits; -1 when not even all experts in host memory are enough.
 */
int32_t ssw_place_solve_n_cpu_moe(const ssw_place_request *request, const ssw_place_item *items,
                                  int32_t n_items);

/* One row of the table that a program prints. */
typedef struct ssw_place_row {
    const char *table_class;
    const char *how;
    int32_t device;
    uint64_t predicted_bytes;
    uint64_t actual_bytes;
} ssw_place_row;

/* Sums items of the same class, device and manner, in order of first appearance. Returns the number of rows;
 * items beyond the maximum are summed into the last row. */
int32_t ssw_place_tabulate(const ssw_place_item *items, int32_t n_items,
                           ssw_place_row rows[SSW_PLACE_ROWS_MAX]);

#ifdef __cplusplus
}
#endif
#endif
