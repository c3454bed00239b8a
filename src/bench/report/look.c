/* The widest interval of a run so far. */
#include "bench/report/look.h"

#include <math.h>
#include <stdio.h>

#include "bench/report/analysis.h"

ssw_status ssw_report_look(const char *dir, int block, char arm_name[SSW_LOOK_ARM_MAX], ssw_look *out,
                           ssw_error *err)
{
    ssw_analysis *analysis;
    *out = (ssw_look){.block = block, .half_width = -1};
    ssw_status status = ssw_analysis_open(dir, &analysis, err);
    if (status)
        return status;
    ssw_metric metric = ssw_analysis_headline_rate(analysis);
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    size_t same_arm = ssw_analysis_find_same(analysis);
    bool known = true;
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        const ssw_ratio *ratio = &analysis->arms[arm].comparisons[metric].by_block;
        double half_width = ssw_stats_half_width(ratio);
        if (arm == same_arm)
            continue;
        known = known && isfinite(half_width);
        if (!(half_width > out->half_width))
            continue;
        out->half_width = half_width;
        snprintf(arm_name, SSW_LOOK_ARM_MAX, "%s", manifest->arms[arm].name);
    }
    if (known && out->half_width >= 0) {
        out->arm = arm_name;
        out->metric = ssw_metric_describe(metric)->key;
        out->stop = out->half_width <= manifest->plan.precision;
    } else {
        out->half_width = -1;
    }
    ssw_analysis_close(analysis);
    return SSW_OK;
}
