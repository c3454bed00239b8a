/* See the header. */
#include "../cmocka_all.h"

#include "write_quantized.h"

#include "quantize/quantize.h"

void write_quantized(const char *model_path, const ssw_type_mix *mix, const char *path)
{
    ssw_error err = {0};
    ssw_gguf *from = NULL;
    ssw_quantize_result result;
    if (ssw_gguf_open(model_path, &from, &err) != SSW_OK ||
        ssw_quantize_file(from, path, mix, &(ssw_quantize_run){.n_threads = 2}, &result, &err) != SSW_OK)
        fail_msg("%s, %s: %s", model_path, mix->name, err.message);
    ssw_gguf_close(from);
}
