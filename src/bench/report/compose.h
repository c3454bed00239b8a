/* From an analysis to a page and its figures. One function per section; compose.c holds their order. */
#ifndef SSW_BENCH_REPORT_COMPOSE_H
#define SSW_BENCH_REPORT_COMPOSE_H

#include "bench/report/analysis.h"
#include "bench/report/figures.h"
#include "bench/report/number.h"
#include "bench/report/page.h"
#include "bench/report/plots.h"
#include "bench/report/report.h"
#include "bench/report/sums.h"

typedef struct ssw_composer {
    const ssw_analysis *analysis;
    ssw_figures *figures;
    ssw_page *page;
    const ssw_plots *plots;
    const ssw_sums *sums;
} ssw_composer;

void ssw_compose_page(ssw_composer *composer);
/* What stands in docs/VALIDATION.md: no plots, no replies, no method. */
void ssw_compose_section(ssw_composer *composer);
/* The table and the verdict for a terminal, at most lines_max lines. */
void ssw_compose_summary(ssw_composer *composer, int lines_max, ssw_strbuf *out);

/* Of which there are too few for a verdict. */
const char *ssw_compose_too_few(const ssw_comparison *comparison);

ssw_report_worth ssw_compose_worth(const ssw_analysis *analysis);

/* The sections, in their order. */
void ssw_compose_verdict(ssw_composer *composer);
void ssw_compose_offload(ssw_composer *composer); /* cells of the verdict */
void ssw_compose_tiles(ssw_composer *composer);
void ssw_compose_tradeoff(ssw_composer *composer); /* nothing for two arms without a sweep */
void ssw_compose_overall(ssw_composer *composer);
void ssw_compose_statistics(ssw_composer *composer);
void ssw_compose_prompts(ssw_composer *composer);
void ssw_compose_lengths(ssw_composer *composer); /* nothing where all prompts are of one length */
void ssw_compose_memory(ssw_composer *composer);
void ssw_compose_energy(ssw_composer *composer);
void ssw_compose_token_verdict(ssw_composer *composer);   /* a sentence where many counts disagree */
void ssw_compose_token_agreement(ssw_composer *composer); /* an item of "Validity" */
void ssw_compose_quality_verdict(ssw_composer *composer); /* sentences of the verdict */
void ssw_compose_quality(ssw_composer *composer);         /* nothing where the run has no quality phase */
void ssw_compose_validity(ssw_composer *composer);
void ssw_compose_servers(ssw_composer *composer);
void ssw_compose_missing(ssw_composer *composer);
void ssw_compose_replies(ssw_composer *composer);
void ssw_compose_method(ssw_composer *composer);
void ssw_compose_provenance(ssw_composer *composer);
void ssw_compose_hashes(ssw_composer *composer);

/* The arms are values of one flag: their sentences stand for those of each arm. */
bool ssw_compose_is_sweep(const ssw_analysis *analysis);
void ssw_compose_sweep_verdict(ssw_composer *composer);
/* "0.91 [0.87, 0.95] ms per token": of each GiB that the arm saves; only where its tradeoff has a price. */
void ssw_compose_write_price(ssw_composer *composer, size_t arm);

/* A figure without spread or interval. */
ssw_figure ssw_compose_plain(double value, const char *unit, const char *formula, size_t n);
/* A mean with both. */
ssw_figure ssw_compose_spread(const ssw_summary *summary, const char *unit, const char *formula);

/* Figures that several sections print. NULL where there is nothing to print. */
const ssw_figure *ssw_compose_mean(ssw_composer *composer, size_t arm, ssw_metric metric);
const ssw_figure *ssw_compose_ratio(ssw_composer *composer, size_t arm, ssw_metric metric);
const ssw_figure *ssw_compose_detectable(ssw_composer *composer, size_t arm, ssw_metric metric);
/* The verdict's sentence about the A/A arm; nothing without one. */
void ssw_compose_noise(ssw_composer *composer);
const ssw_figure *ssw_compose_memory_mean(ssw_composer *composer, size_t arm, ssw_memory memory, int phase);

const char *ssw_compose_arm_name(const ssw_composer *composer, size_t arm);
const char *ssw_compose_prompt_name(const ssw_composer *composer, size_t prompt);
/* Good or bad where a difference was shown and the metric has a better side, else neutral. */
ssw_page_tone ssw_compose_tone(const ssw_comparison *comparison, ssw_metric metric);

#endif
