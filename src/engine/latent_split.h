/* Older files with latent attention hold the heads' two matrices as one tensor, attn_kv_b: of each head the
 * rows that make its key, then those that make its value. The first part is wanted the other way round, so
 * neither can be copied as it stands: both are written again, as F32 from F32 and as F16 from every other
 * type. */
#ifndef SSW_ENGINE_LATENT_SPLIT_H
#define SSW_ENGINE_LATENT_SPLIT_H

#include "cpu/ops.h"
#include "model/model.h"

typedef struct ssw_latent_part {
    const ssw_model_hparams *hparams; /* NULL: no part, a tensor of its own */
    bool is_value;
} ssw_latent_part;

/* The type and the shape of a part's matrices, one a head: [kv_rank][nope_dim] or [value_dim][kv_rank]. */
ssw_dtype ssw_latent_part_dtype(const ssw_gguf_tensor *joint);
int64_t ssw_latent_part_rows(const ssw_latent_part *part);
int64_t ssw_latent_part_cols(const ssw_latent_part *part);

/* All heads' matrices as a file would hold them; the caller frees them. NULL without memory. */
void *ssw_latent_part_make(const ssw_latent_part *part, const ssw_gguf_tensor *joint);

#endif
