/* The section on energy, clocks, temperatures and PCIe traffic. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

static const struct {
    const char *key, *name, *formula;
} energies[SSW_ENERGY_COUNT] = {
    [SSW_ENERGY_GPU] = {"gpu", "GPUs, J/token",
                        "NVML's energy counter at t_last − at t_send, over all GPUs, / tokens"},
    [SSW_ENERGY_PACKAGE] = {"package", "processor packages, J/token",
                            "RAPL's package counters at t_last − at t_send / tokens"},
    [SSW_ENERGY_DRAM] = {"dram", "DRAM, J/token", "RAPL's DRAM counters at t_last − at t_send / tokens"},
};

static const struct {
    const char *key, *name, *unit;
    double scale;
    bool highest; /* else the median */
} levels[SSW_LEVEL_COUNT] = {
    [SSW_LEVEL_CLOCK_SM] = {"clock_sm", "SM clock, MHz, median", "MHz", 1, false},
    [SSW_LEVEL_CLOCK_MEM] = {"clock_mem", "memory clock, MHz, median", "MHz", 1, false},
    [SSW_LEVEL_POWER] = {"power", "power, W, median", "W", 1e-3, false},
    [SSW_LEVEL_TEMPERATURE] = {"temperature", "temperature, °C, highest", "°C", 1, true},
    [SSW_LEVEL_PCIE_RX] = {"pcie_rx", "PCIe to the GPU, MB/s, median", "MB/s", 1e-3, false},
    [SSW_LEVEL_PCIE_TX] = {"pcie_tx", "PCIe from the GPU, MB/s, median", "MB/s", 1e-3, false},
};

/* Source: nvml.h, "Clocks event reasons". */
static const struct {
    uint64_t bit;
    const char *name;
} reasons[] = {
    {0x1, "idle"},
    {0x2, "clocks set by a person"},
    {0x4, "power cap"},
    {0x8, "hardware slowdown"},
    {0x10, "sync boost"},
    {0x20, "software thermal"},
    {0x40, "hardware thermal"},
    {0x80, "power brake"},
    {0x100, "display clock"},
};

static bool has_energy(const ssw_analysis *analysis, int k)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->energy[arm].per_token[k].n > 0)
            return true;
    }
    return false;
}

static bool has_level(const ssw_analysis *analysis, int k)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->energy[arm].levels[k].n > 0)
            return true;
    }
    return false;
}

static void add_energy_cell(ssw_composer *composer, size_t arm, int k)
{
    const ssw_energy_results *results = &composer->analysis->energy[arm];
    const ssw_summary *summary = &results->per_token[k];
    const ssw_ratio *ratio = &results->ratios[k];
    const char *name = ssw_compose_arm_name(composer, arm);
    ssw_number_text text;
    ssw_figure figure = ssw_compose_spread(summary, "J/token", energies[k].formula);
    ssw_page_cell_number(
        composer->page, SSW_PAGE_NEUTRAL,
        ssw_figures_put(composer->figures, &figure, "energy_per_token.%s.%s.mean", energies[k].key, name),
        ssw_number_format_spread(text, summary->mean, summary->sd));
    if (arm == 0 || ratio->n == 0)
        return;
    figure = (ssw_figure){.value = ratio->ratio,
                          .unit = "",
                          .formula = "exp(mean over blocks of a block's mean ln(arm / first arm))",
                          .n = ratio->n,
                          .sd = ratio->log_sd,
                          .ci_low = ratio->ci_low,
                          .ci_high = ratio->ci_high};
    const ssw_figure *kept = ssw_figures_put(composer->figures, &figure,
                                             "energy_per_token.%s.%s.ratio_by_block", energies[k].key, name);
    if (!kept)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "ratio ");
    double half = (ratio->ci_high - ratio->ci_low) / 2;
    ssw_page_write_figure(composer->page, SSW_PAGE_FAINT, kept,
                          ssw_number_format(text, ratio->ratio, ssw_number_decimals(ratio->ratio, half)));
    if (ratio->n >= 2)
        ssw_page_print(composer->page, SSW_PAGE_FAINT, " %s",
                       ssw_number_format_interval(text, ratio->ci_low, ratio->ci_high));
}

static void add_level_cell(ssw_composer *composer, size_t arm, int k)
{
    const ssw_summary *summary = &composer->analysis->energy[arm].levels[k];
    double value = levels[k].scale * (levels[k].highest ? summary->max : summary->median);
    ssw_number_text text;
    ssw_figure figure = ssw_compose_plain(value, levels[k].unit,
                                          levels[k].highest ? "highest reading while requests ran, first GPU"
                                                            : "median reading while requests ran, first GPU",
                                          summary->n);
    ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL,
                         ssw_figures_put(composer->figures, &figure, "gpu.%s.%s", levels[k].key,
                                         ssw_compose_arm_name(composer, arm)),
                         ssw_number_format(text, value, levels[k].scale < 1 ? 1 : 0));
}

static void add_reasons_row(ssw_composer *composer)
{
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, "reasons for lower clocks");
    for (size_t arm = 0; arm < composer->analysis->n_arms; arm++) {
        uint64_t seen = composer->analysis->energy[arm].throttle;
        bool any = false;
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
            if (seen & reasons[i].bit) {
                ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s%s", any ? ", " : "", reasons[i].name);
                any = true;
            }
        }
        if (!any)
            ssw_page_write(composer->page, SSW_PAGE_PLAIN, "none");
    }
}

static void add_table(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    ssw_page_add_table(composer->page, 1 + analysis->n_arms);
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, "measure and formula");
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, ssw_compose_arm_name(composer, arm));
    for (int k = 0; k < SSW_ENERGY_COUNT; k++) {
        if (!has_energy(analysis, k))
            continue;
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, energies[k].name);
        ssw_page_break_line(composer->page);
        ssw_page_write(composer->page, SSW_PAGE_FAINT, energies[k].formula);
        for (size_t arm = 0; arm < analysis->n_arms; arm++)
            add_energy_cell(composer, arm, k);
    }
    for (int k = 0; k < SSW_LEVEL_COUNT; k++) {
        if (!has_level(analysis, k))
            continue;
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, levels[k].name);
        for (size_t arm = 0; arm < analysis->n_arms; arm++)
            add_level_cell(composer, arm, k);
    }
    if (has_level(analysis, SSW_LEVEL_CLOCK_SM))
        add_reasons_row(composer);
}

/* Each source that said nothing, with its reason where one is known. */
static void add_absent(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_manifest_machine *machine = &analysis->evidence->manifest.machine;
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    ssw_page_write(
        composer->page, SSW_PAGE_PLAIN,
        "Counters are read every 20 ms and count the whole device, whoever uses it; between two readings a "
        "straight line is drawn. Short requests hold the coarseness of the counter.");
    if (!has_energy(analysis, SSW_ENERGY_GPU)) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "No GPU energy: %.200s.",
                       machine->nvml          ? "NVML gives no energy counter"
                       : machine->nvml_reason ? machine->nvml_reason
                                              : "no NVML");
    }
    if (!has_energy(analysis, SSW_ENERGY_PACKAGE)) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "No package energy: %.200s.",
                       machine->rapl_reason ? machine->rapl_reason : "no RAPL counter was read");
    }
    if (!has_energy(analysis, SSW_ENERGY_DRAM)) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "No DRAM energy: %.200s.",
                       machine->rapl          ? machine->rapl
                       : machine->rapl_reason ? machine->rapl_reason
                                              : "no RAPL counter was read");
    }
    if (machine->nvml && !has_level(analysis, SSW_LEVEL_PCIE_RX)) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, "No PCIe traffic: the driver does not tell it.");
    }
}

void ssw_compose_energy(ssw_composer *composer)
{
    bool any = false;
    for (int k = 0; k < SSW_ENERGY_COUNT; k++)
        any |= has_energy(composer->analysis, k);
    for (int k = 0; k < SSW_LEVEL_COUNT; k++)
        any |= has_level(composer->analysis, k);
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, "Energy and clocks");
    if (any)
        add_table(composer);
    add_absent(composer);
}
