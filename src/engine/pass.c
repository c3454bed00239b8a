/* Cutting items into passes. */
#include "engine/pass.h"

#include <string.h>

static void add_logits(ssw_pass *pass, int32_t output, float *logits, ssw_top_logit *top)
{
    pass->logits[pass->n_logits++] = (ssw_pass_logits){output, logits, top};
}

static void add_part(ssw_pass *pass, const ssw_eval_item *item, ssw_pass_cursor *cursor, int32_t index,
                     int32_t n, int32_t n_vocab)
{
    ssw_pass_part *part = &pass->parts[pass->n_parts++];
    bool is_last = cursor->n_done + n == item->n_tokens;
    *part = (ssw_pass_part){.item = index,
                            .sequence = cursor->sequence,
                            .position = cursor->position,
                            .first_row = pass->n_rows,
                            .n_rows = n,
                            .first_output = pass->n_outputs};
    if (item->logits_all || item->hidden_sum)
        part->n_outputs = n;
    else if ((item->logits || item->top) && is_last)
        part->n_outputs = 1;
    memcpy(pass->tokens + pass->n_rows, item->tokens + cursor->n_done, (size_t)n * sizeof *item->tokens);
    for (int32_t i = 0; item->logits_all && i < n; i++)
        add_logits(pass, part->first_output + i,
                   item->logits_all + (size_t)(cursor->n_done + i) * (size_t)n_vocab, NULL);
    if ((item->logits || item->top) && is_last && !item->logits_all) /* with both, the caller's copy is made
                                                                        at the end */
        add_logits(pass, part->first_output + part->n_outputs - 1, item->logits, item->top);
    pass->n_rows += n;
    pass->n_outputs += part->n_outputs;
    cursor->position += n;
    cursor->n_done += n;
}

bool ssw_pass_fill(ssw_pass *pass, const ssw_eval_item *items, ssw_pass_cursor *cursors, int32_t n_items,
                   int32_t n_batch, int32_t n_vocab)
{
    pass->n_rows = pass->n_outputs = pass->n_logits = pass->n_parts = 0;
    for (int32_t i = 0; i < n_items && pass->n_rows < n_batch; i++) {
        int32_t left = items[i].n_tokens - cursors[i].n_done;
        int32_t room = n_batch - pass->n_rows;
        if (left > 0)
            add_part(pass, &items[i], &cursors[i], i, left < room ? left : room, n_vocab);
    }
    return pass->n_rows > 0;
}
