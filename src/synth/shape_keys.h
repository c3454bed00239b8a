/* The metadata keys of a shape, as llama.cpp's converter writes them for its architecture
 * (conversion/gpt_oss.py, phi.py, deepseek.py, llama.py, qwen.py and the common part in base.py). */
#ifndef SSW_SYNTH_SHAPE_KEYS_H
#define SSW_SYNTH_SHAPE_KEYS_H

#include "gguf/gguf_writer.h"
#include "synth/tensor_plan.h"

/* general.*, <architecture>.* and seesaw.synth.* (how the file was made); options must be resolved. */
void ssw_shape_keys_write(const ssw_synth_options *options, ssw_gguf_writer *writer);

#endif
