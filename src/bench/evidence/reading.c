/* Memory readings to JSON and back. */
#include "bench/evidence/reading.h"

#include <string.h>

#include "bench/evidence/json_fields.h"
#include "bench/evidence/sample.h"

static const char *const phase_names[SSW_PHASE_COUNT] = {"idle",    "loading", "loaded",  "warmup",
                                                         "prefill", "decode",  "between", "stopped"};

static const ssw_json_field reading_fields[] = {
    SSW_JSON_FIELD(I64, ssw_reading, t_ns),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_reading, arm),
    SSW_JSON_FIELD(COUNT, ssw_reading, block),
    SSW_JSON_FIELD(COUNT, ssw_reading, position),
    SSW_JSON_FIELD(I64, ssw_reading, pss_anon_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, pss_file_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, pss_shmem_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, rss_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, swap_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, major_faults),
    SSW_JSON_FIELD(I64, ssw_reading, cpu_ns),
    SSW_JSON_FIELD(I64, ssw_reading, available_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, vram_process_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, vram_device_bytes),
    SSW_JSON_FIELD(I64, ssw_reading, vram_foreign_bytes),
    SSW_JSON_FIELD(TEXT, ssw_reading, vram_source),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_util),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_clock_sm_mhz),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_clock_mem_mhz),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_power_mw),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_throttle),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_temperature_c),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_pcie_tx_kb_s),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_pcie_rx_kb_s),
    SSW_JSON_FIELD(I64, ssw_reading, gpu_energy_mj),
    SSW_JSON_FIELD(I64, ssw_reading, package_energy_uj),
    SSW_JSON_FIELD(I64, ssw_reading, dram_energy_uj),
    SSW_JSON_FIELD(I64, ssw_reading, smaps_cost_ns),
};
enum { N_FIELDS = sizeof reading_fields / sizeof *reading_fields };

const char *ssw_phase_name(ssw_phase phase)
{
    return (unsigned)phase < SSW_PHASE_COUNT ? phase_names[phase] : "?";
}

void ssw_reading_init(ssw_reading *reading)
{
    *reading = (ssw_reading){.arm = ""};
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (reading_fields[i].type == SSW_JSON_I64)
            *(int64_t *)((char *)reading + reading_fields[i].offset) = SSW_EVIDENCE_NONE;
    }
}

json_t *ssw_reading_to_json(const ssw_reading *reading)
{
    json_t *object = json_object();
    if (object && !(ssw_json_put_fields(object, reading, reading_fields, N_FIELDS) &&
                    ssw_json_put(object, "phase", json_string(ssw_phase_name(reading->phase))))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

ssw_status ssw_reading_from_json(ssw_arena *arena, const json_t *object, ssw_reading *out, ssw_error *err)
{
    *out = (ssw_reading){0};
    ssw_status status = ssw_json_get_fields(arena, object, out, reading_fields, N_FIELDS, err);
    if (status)
        return status;
    if (out->t_ns == SSW_EVIDENCE_NONE)
        return ssw_error_set(err, SSW_ERR_FORMAT, "no \"t_ns\"");
    const char *phase = json_string_value(json_object_get(object, "phase"));
    for (int i = 0; phase && i < SSW_PHASE_COUNT; i++) {
        if (strcmp(phase, phase_names[i]) == 0) {
            out->phase = (ssw_phase)i;
            return SSW_OK;
        }
    }
    return ssw_error_set(err, SSW_ERR_FORMAT, "unknown phase \"%.40s\"", phase ? phase : "");
}
