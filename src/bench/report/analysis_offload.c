/* Did each arm move what its arguments say? Rule 5 of docs/METHOD.md. */
#include <math.h>
#include <string.h>

#include "bench/report/analysis.h"

static const double FLOOR_BYTES =
    64.0 * (1 << 20);                 /* contexts and compute buffers differ by some MiB as well */
static const double HOST_SHARE = 0.5; /* of moved bytes, that host memory must hold at its peak */

static bool has_word(const ssw_plan_arm *arm, const char *word)
{
    for (size_t i = 0; i < arm->n_args; i++) {
        if (strcmp(arm->args[i], word) == 0)
            return true;
    }
    return false;
}

/* Bytes that the arm keeps in host memory by its arguments; NAN when that cannot be told. Evidence of
 * programs that did not write it down is read by --cpu-moe alone. */
static double kept_bytes(const ssw_manifest *manifest, size_t arm)
{
    int64_t bytes = manifest->arms[arm].offload_bytes;
    if (bytes != SSW_EVIDENCE_NONE)
        return (double)bytes;
    if (manifest->arms[arm].adapter || manifest->model.expert_bytes <= 0)
        return NAN;
    return has_word(&manifest->plan.arms[arm], "--cpu-moe") ? (double)manifest->model.expert_bytes : 0;
}

double ssw_analysis_offload_tolerance(double claimed)
{
    return fmax(SSW_OFFLOAD_TOLERANCE * fabs(claimed), fmin(FLOOR_BYTES, fabs(claimed) / 2));
}

/* The arm that holds the moved experts in host memory: this one, or the first where the claim is negative. */
static bool is_in_host(const ssw_analysis *analysis, size_t arm)
{
    double claimed = analysis->arms[arm].claimed_bytes;
    size_t holder = claimed > 0 ? arm : 0;
    double peak = analysis->arms[holder].memory.phases[SSW_MEMORY_RSS][SSW_MEMORY_PEAK].mean;
    return !(peak < HOST_SHARE * fabs(claimed)); /* true when it was not measured */
}

static ssw_offload_proof prove(const ssw_analysis *analysis, size_t arm)
{
    double claimed = analysis->arms[arm].claimed_bytes;
    const ssw_summary *saved =
        &analysis->arms[arm].memory_comparisons[SSW_MEMORY_VRAM][SSW_PHASE_LOADED].saved;
    if (!(fabs(claimed) > 0))
        return SSW_OFFLOAD_NOT_CLAIMED;
    if (analysis->evidence->manifest.machine.n_gpus == 0)
        return SSW_OFFLOAD_NO_GPU;
    if (saved->n == 0)
        return SSW_OFFLOAD_NOT_MEASURED;
    if (fabs(saved->mean - claimed) > ssw_analysis_offload_tolerance(claimed))
        return SSW_OFFLOAD_DISAGREES;
    return is_in_host(analysis, arm) ? SSW_OFFLOAD_AGREES : SSW_OFFLOAD_NOT_IN_HOST;
}

bool ssw_analysis_offload_is_refuted(ssw_offload_proof proof)
{
    return proof == SSW_OFFLOAD_DISAGREES || proof == SSW_OFFLOAD_NOT_IN_HOST;
}

void ssw_analysis_prove_offload(ssw_analysis *analysis)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    analysis->proof = SSW_OFFLOAD_NOT_CLAIMED;
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        ssw_arm_results *results = &analysis->arms[arm];
        results->claimed_bytes = kept_bytes(manifest, arm) - kept_bytes(manifest, 0);
        results->proof = prove(analysis, arm);
        bool first_claim = analysis->proof_arm == 0 && results->proof != SSW_OFFLOAD_NOT_CLAIMED;
        bool first_refuted = ssw_analysis_offload_is_refuted(results->proof) &&
                             !ssw_analysis_offload_is_refuted(analysis->proof);
        if (first_claim || first_refuted) {
            analysis->proof_arm = arm;
            analysis->proof = results->proof;
        }
    }
}

bool ssw_analysis_says_nothing_moved(const ssw_analysis *analysis, const ssw_summary *saved)
{
    double experts = fabs(analysis->arms[analysis->proof_arm].claimed_bytes);
    if (saved->n == 0)
        return false;
    if (fabs(saved->mean) <= SSW_OFFLOAD_TOLERANCE * experts)
        return true;
    return saved->ci_low <= 0 && saved->ci_high >= 0 && saved->ci_high < experts / 2 &&
           saved->ci_low > -experts / 2;
}
