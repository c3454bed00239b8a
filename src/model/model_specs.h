/* Short names for the tables of tensors, and the rows that several families share. Included by the families'
 * files only. */
#ifndef SSW_MODEL_MODEL_SPECS_H
#define SSW_MODEL_MODEL_SPECS_H

#include "model/model_arch.h"

#define MATRIX      SSW_MODEL_MATRIX
#define FLOATS      SSW_MODEL_FLOATS
#define EMBD        SSW_MODEL_DIM_EMBD
#define VOCAB       SSW_MODEL_DIM_VOCAB
#define HEADS       SSW_MODEL_DIM_HEADS
#define HEAD        SSW_MODEL_DIM_HEAD
#define Q           SSW_MODEL_DIM_Q
#define KV          SSW_MODEL_DIM_KV
#define PAIRS       SSW_MODEL_DIM_ROPE_PAIRS
#define FF          SSW_MODEL_DIM_FF_EXPERT
#define EXPS        SSW_MODEL_DIM_EXPERTS
#define DENSE       SSW_MODEL_DIM_FF_DENSE
#define SHARED      SSW_MODEL_DIM_FF_SHARED
#define QUERIES     SSW_MODEL_DIM_QUERIES
#define Q_RANK      SSW_MODEL_DIM_Q_RANK
#define KV_RANK     SSW_MODEL_DIM_KV_RANK
#define NOPE        SSW_MODEL_DIM_NOPE
#define VALUE       SSW_MODEL_DIM_VALUE
#define KEYS_VALUES SSW_MODEL_DIM_KEYS_VALUES
#define ATTENDED    SSW_MODEL_DIM_ATTENDED

/* A pre-norm transformer without biases, as LLaMA's: all but its feed-forward networks. */
#define SSW_MODEL_SPECS_LLAMA_ATTENTION                                                                      \
    {SSW_MODEL_TOKEN_EMBD, "token_embd.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_ALWAYS},                    \
        {SSW_MODEL_OUTPUT_NORM, "output_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},                     \
        {SSW_MODEL_OUTPUT, "output.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_OPTIONAL},                      \
        {SSW_MODEL_ATTN_NORM, "attn_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},                         \
        {SSW_MODEL_ATTN_Q, "attn_q.weight", MATRIX, {EMBD, Q}, SSW_MODEL_ALWAYS},                            \
        {SSW_MODEL_ATTN_K, "attn_k.weight", MATRIX, {EMBD, KV}, SSW_MODEL_ALWAYS},                           \
        {SSW_MODEL_ATTN_V, "attn_v.weight", MATRIX, {EMBD, KV}, SSW_MODEL_ALWAYS},                           \
        {SSW_MODEL_ATTN_OUT, "attn_output.weight", MATRIX, {Q, EMBD}, SSW_MODEL_ALWAYS},                     \
    {                                                                                                        \
        SSW_MODEL_FFN_NORM, "ffn_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS                              \
    }

/* Router and experts without biases, in all but the leading dense layers. */
#define SSW_MODEL_SPECS_EXPERTS                                                                              \
    {SSW_MODEL_ROUTER, "ffn_gate_inp.weight", MATRIX, {EMBD, EXPS}, SSW_MODEL_EXPERT_LAYERS},                \
        {SSW_MODEL_GATE_EXPS, "ffn_gate_exps.weight", MATRIX, {EMBD, FF, EXPS}, SSW_MODEL_EXPERT_LAYERS},    \
        {SSW_MODEL_UP_EXPS, "ffn_up_exps.weight", MATRIX, {EMBD, FF, EXPS}, SSW_MODEL_EXPERT_LAYERS},        \
    {                                                                                                        \
        SSW_MODEL_DOWN_EXPS, "ffn_down_exps.weight", MATRIX, {FF, EMBD, EXPS}, SSW_MODEL_EXPERT_LAYERS       \
    }

/* Leading layers with one feed-forward network, and experts beside the routed ones that every token uses. */
#define SSW_MODEL_SPECS_DENSE_AND_SHARED                                                                     \
    {SSW_MODEL_FFN_GATE, "ffn_gate.weight", MATRIX, {EMBD, DENSE}, SSW_MODEL_DENSE_LAYERS},                  \
        {SSW_MODEL_FFN_UP, "ffn_up.weight", MATRIX, {EMBD, DENSE}, SSW_MODEL_DENSE_LAYERS},                  \
        {SSW_MODEL_FFN_DOWN, "ffn_down.weight", MATRIX, {DENSE, EMBD}, SSW_MODEL_DENSE_LAYERS},              \
        {SSW_MODEL_GATE_SHARED, "ffn_gate_shexp.weight", MATRIX, {EMBD, SHARED}, SSW_MODEL_EXPERT_LAYERS},   \
        {SSW_MODEL_UP_SHARED, "ffn_up_shexp.weight", MATRIX, {EMBD, SHARED}, SSW_MODEL_EXPERT_LAYERS},       \
    {                                                                                                        \
        SSW_MODEL_DOWN_SHARED, "ffn_down_shexp.weight", MATRIX, {SHARED, EMBD}, SSW_MODEL_EXPERT_LAYERS      \
    }

#endif
