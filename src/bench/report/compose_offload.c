/* What the report says of moved experts: proof, refutation, or that there was nothing to move from. */
#include <math.h>
#include <stdio.h>

#include "bench/report/compose.h"

static void write(ssw_composer *composer, const char *text)
{
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static void write_bytes(ssw_composer *composer, double bytes, const char *key, const char *formula, size_t n)
{
    ssw_number_text text;
    ssw_figure figure = ssw_compose_plain(bytes, "bytes", formula, n);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_figures_put(composer->figures, &figure, "%s", key),
                          ssw_number_format_mib(text, bytes));
    write(composer, " MiB");
}

/* No GPU: whether host memory agrees that nothing moved is looked up, not assumed. */
static void write_no_gpu(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    double experts = fabs(analysis->arms[analysis->proof_arm].claimed_bytes);
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(composer->page, SSW_PAGE_STRONG, "No GPU took part");
    write(composer, ", so ");
    ssw_page_write(composer->page, SSW_PAGE_CODE, "--cpu-moe");
    write(composer, " had nowhere to move the experts from, and VRAM was not measured. ");
    if (memory == SSW_MEMORY_COUNT) {
        write(composer, "Host memory was not measured either.");
        return;
    }
    const ssw_summary *saved =
        &analysis->arms[analysis->proof_arm].memory_comparisons[memory][SSW_PHASE_LOADED].saved;
    bool agrees = ssw_analysis_says_nothing_moved(analysis, saved);
    ssw_number_text text;
    write(composer, agrees ? "Host memory agrees: after load it differs by "
                           : "Yet after load the arms' host memory differs by ");
    write_bytes(composer, saved->mean, "offload.host_difference",
                "mean over blocks of host memory of the first arm − of the other, after load", saved->n);
    if (saved->n > 1)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s",
                       ssw_number_format_interval(text, saved->ci_low / 1048576, saved->ci_high / 1048576));
    write(composer, "; the expert tensors are ");
    write_bytes(composer, experts, "offload.claimed",
                "bytes of expert tensors that the arms' arguments place differently", 1);
    write(composer, agrees ? ". Differences below are noise, or the flag's own cost, not offload."
                           : ". This run does not explain it.");
}

/* "NAME" for the arm that stands for all, "NAME.ARM" for others. */
static const char *key_of(const ssw_composer *composer, char key[SSW_FIGURE_KEY_MAX], const char *name,
                          size_t arm)
{
    if (arm == composer->analysis->proof_arm)
        snprintf(key, SSW_FIGURE_KEY_MAX, "offload.%s", name);
    else
        snprintf(key, SSW_FIGURE_KEY_MAX, "offload.%s.%s", name, ssw_compose_arm_name(composer, arm));
    return key;
}

static void write_claim(ssw_composer *composer, size_t arm)
{
    const ssw_arm_results *results = &composer->analysis->arms[arm];
    const ssw_summary *saved = &results->memory_comparisons[SSW_MEMORY_VRAM][SSW_PHASE_LOADED].saved;
    const ssw_summary *gained = &results->memory_comparisons[SSW_MEMORY_RSS][SSW_MEMORY_PEAK].saved;
    char key[SSW_FIGURE_KEY_MAX];
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    if (composer->analysis->n_arms > 2)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s: ", ssw_compose_arm_name(composer, arm));
    write(composer, results->proof == SSW_OFFLOAD_AGREES ? "Proof that the experts moved: VRAM fell by "
                    : results->proof == SSW_OFFLOAD_DISAGREES
                        ? "Invalid: the experts did not move as the flag says. VRAM fell by "
                        : "Invalid: the experts left the GPU and are not in host memory. VRAM fell by ");
    write_bytes(composer, saved->mean, key_of(composer, key, "vram_saved", arm),
                "mean over blocks of VRAM of the first arm − of the other, after load", saved->n);
    write(composer, ", the arguments keep ");
    write_bytes(composer, results->claimed_bytes, key_of(composer, key, "claimed", arm),
                "bytes of expert tensors that the arms' arguments place differently", 1);
    write(composer, " of the GGUF's expert tensors in host memory");
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (must agree within %.0f MiB)",
                   ssw_analysis_offload_tolerance(results->claimed_bytes) / 1048576);
    if (gained->n) {
        write(composer, ", whose peak rose by ");
        write_bytes(composer, -gained->mean, key_of(composer, key, "host_gained", arm),
                    "mean over blocks of the peak RSS of the other arm − of the first", gained->n);
    }
    write(composer, ".");
}

void ssw_compose_offload(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    if (analysis->proof == SSW_OFFLOAD_NO_GPU)
        write_no_gpu(composer);
    else if (analysis->proof == SSW_OFFLOAD_NOT_MEASURED)
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN,
                           "VRAM could not be read, so nothing here proves that the experts moved.");
    size_t n_agree = 0;
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        ssw_offload_proof proof = analysis->arms[arm].proof;
        n_agree += proof == SSW_OFFLOAD_AGREES;
        if ((proof == SSW_OFFLOAD_AGREES && n_agree == 1) || ssw_analysis_offload_is_refuted(proof))
            write_claim(composer, arm);
    }
    if (n_agree > 1) /* a sweep */
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " The claims of %zu more arms are borne out likewise.",
                       n_agree - 1);
}
