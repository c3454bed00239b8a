/* The placement table. */
#include "cli/placement_table.h"

#include <inttypes.h>
#include <string.h>

static void print_row(FILE *out, const char *tensors, const char *device, const char *how,
                      uint64_t predicted_bytes, uint64_t actual_bytes)
{
    fprintf(out, "  %-18s %-7s %-12s %15" PRIu64 " %15" PRIu64 "\n", tensors, device, how, predicted_bytes,
            actual_bytes);
}

void ssw_cli_print_placement(const ssw_engine_info *info, FILE *out)
{
    fprintf(out,
            "model: %s (%s), %.1f M parameters, %d layers, %d experts of which %d are used, %.1f MiB; "
            "context %d x %d\n",
            info->name, info->architecture, (double)info->n_parameters / 1e6, (int)info->n_layers,
            (int)info->n_experts, (int)info->n_experts_used, (double)info->model_bytes / 1048576.0,
            (int)info->ctx_size, (int)info->n_parallel);
    fprintf(out, "cpu:   %s, %d threads, %d of them bound to a core\n", info->isa, (int)info->n_threads,
            (int)info->n_threads_pinned);
    if (info->cpu_moe_rates.vectors > 0)
        fprintf(
            out,
            "prompts with experts in host memory are planned with %g GB/s of copies and, of each thread, %g "
            "billion multiply-adds per second (%g with AMX)\n",
            info->copy_bytes_per_s / 1e9, info->cpu_moe_rates.vectors / 1e9, info->cpu_moe_rates.tiles / 1e9);
    fprintf(out, "  %-18s %-7s %-12s %15s %15s\n", "tensors", "device", "how", "predicted bytes",
            "actual bytes");
    uint64_t predicted_bytes = 0, actual_bytes = 0;
    for (int32_t i = 0; i < info->n_places; i++) {
        const ssw_engine_place *place = &info->places[i];
        print_row(out, place->tensors, place->device, place->how, place->predicted_bytes,
                  place->actual_bytes);
        predicted_bytes += place->predicted_bytes;
        actual_bytes += place->actual_bytes;
    }
    print_row(out, "total", "", "", predicted_bytes, actual_bytes);
}

static void say_experts(const ssw_engine_info *info, FILE *out)
{
    uint64_t host_bytes = 0, gpu_bytes = 0;
    for (int32_t i = 0; i < info->n_places; i++) {
        bool is_host = strcmp(info->places[i].device, "CPU") == 0;
        if (strcmp(info->places[i].tensors, "experts") == 0)
            *(is_host ? &host_bytes : &gpu_bytes) += info->places[i].actual_bytes;
    }
    fprintf(out, "experts: %.1f MiB in host memory, %.1f MiB on the GPU\n", (double)host_bytes / 1048576.0,
            (double)gpu_bytes / 1048576.0);
}

void ssw_cli_print_offload_effect(const ssw_engine_info *info, FILE *out)
{
    for (int32_t i = 0; i < info->n_places; i++) {
        if (strcmp(info->places[i].device, "CPU") != 0) {
            say_experts(info, out);
            return;
        }
    }
    fputs("experts: no GPU, so everything is in host memory anyway; --cpu-moe, --n-cpu-moe and -ot moved "
          "nothing\n",
          out);
}
