/* A worker in a layer, and the few things that all the layer code asks of it. Private to layer.c and
 * latent.c.
 */
#ifndef SSW_ENGINE_STATION_H
#define SSW_ENGINE_STATION_H

#include "engine/forward_parts.h"

typedef struct ssw_station {
    ssw_forward *f;
    const ssw_model_hparams *h;
    const ssw_pass *pass;
    ssw_cpu_worker *worker;
    int index, n_workers;
    int32_t layer;
    int32_t n_rows; /* rows that are still computed: after the last attention only the outputs */
    bool is_alone;  /* so few rows that each worker norms and routes for itself */
    ssw_forward_rows *rows;
} ssw_station;

static inline const ssw_cpu_matrix *ssw_station_matrix(const ssw_station *s, ssw_model_slot slot)
{
    return ssw_weights_matrix(s->f->setup.weights, s->layer, slot);
}

static inline const float *ssw_station_floats(const ssw_station *s, ssw_model_slot slot)
{
    return ssw_weights_floats(s->f->setup.weights, s->layer, slot);
}

/* out = the matrix times the normed rows. No barrier: products that do not read each other may follow. */
void ssw_station_product(const ssw_station *s, ssw_model_slot weight, ssw_model_slot bias, float *out);

/* Latent attention (model.h): from the normed rows to the queries and keys that the cache's attention takes,
 * and from what it attended, in f->head_latent, to f->attended. A barrier is the last thing in both. */
void ssw_latent_project(const ssw_station *s);
void ssw_latent_unfold(const ssw_station *s);

#endif
