/* What is decided between blocks: whether the A/A arm goes on, and whether the interval is narrow enough to
 * stop. Each decision is written down before it takes effect. */
#include <stdio.h>
#include <string.h>

#include "bench/run/runner_internal.h"

/* The A/A arm's index, or −1; only that which was added for AUTO may be left out. */
static int find_aa(const ssw_runner *runner)
{
    return runner->plan->aa == SSW_PLAN_AA_AUTO ? ssw_manifest_find_arm(runner->manifest, SSW_PLAN_AA_NAME)
                                                : -1;
}

void ssw_runner_recall_decisions(ssw_runner *runner)
{
    const ssw_evidence *before = runner->options->before;
    runner->left_out_arm = -1;
    if (!before)
        return;
    if (before->left_out.arm) {
        runner->left_out_arm = ssw_manifest_find_arm(runner->manifest, before->left_out.arm);
        runner->left_out_from = before->left_out.from_block;
    }
    for (size_t i = 0; i < before->n_looks; i++)
        runner->stopped |= before->looks[i].stop;
}

bool ssw_runner_leaves_out(const ssw_runner *runner)
{
    return runner->start.arm == runner->left_out_arm && runner->start.block >= runner->left_out_from;
}

static void tell(ssw_runner *runner, const char *text)
{
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_NOTE, .text = text});
}

static ssw_status weigh_aa(ssw_runner *runner, int64_t cost_ns, ssw_error *err)
{
    const ssw_plan *plan = runner->plan;
    int arm = find_aa(runner), left = plan->runs - 1 - runner->start.block;
    char text[160];
    if (arm < 0 || cost_ns == SSW_EVIDENCE_NONE || cost_ns <= SSW_PLAN_AA_NS_MAX / (left > 0 ? left : 1))
        return SSW_OK;
    const ssw_left_out left_out = {.arm = SSW_PLAN_AA_NAME,
                                   .from_block = runner->start.block + 1,
                                   .cost_ns = cost_ns,
                                   .limit_ns = SSW_PLAN_AA_NS_MAX};
    ssw_status status = ssw_evidence_write_left_out(&runner->writer, &left_out, err);
    if (status)
        return status;
    runner->left_out_arm = arm;
    runner->left_out_from = left_out.from_block;
    runner->result->n_total -= left * (int)plan->n_prompts;
    snprintf(text, sizeof text,
             "A/A is left out from here on: %.0f s a block, %d blocks to go (--aa insists)",
             (double)cost_ns / 1e9, left);
    tell(runner, text);
    return SSW_OK;
}

/* A look that an earlier session wrote down is not taken again. */
static bool was_looked_at(const ssw_runner *runner, int block)
{
    const ssw_evidence *before = runner->options->before;
    for (size_t i = 0; before && i < before->n_looks; i++) {
        if (before->looks[i].block == block)
            return true;
    }
    return false;
}

static ssw_status look(ssw_runner *runner, ssw_error *err)
{
    const ssw_plan *plan = runner->plan;
    int block = runner->start.block, n_blocks = block + 1;
    char text[160];
    if (plan->precision <= 0 || n_blocks < ssw_plan_first_look(plan) || n_blocks % 2 != 0 ||
        n_blocks == plan->runs || was_looked_at(runner, block))
        return SSW_OK;
    ssw_look seen = {.block = block, .half_width = -1};
    ssw_status status = runner->options->looker(runner->options->looker_context, block, &seen, err);
    if (!status)
        status = ssw_evidence_write_look(&runner->writer, &seen, err);
    if (status)
        return status;
    runner->stopped = seen.stop;
    if (seen.stop)
        runner->result->n_total = runner->result->n_done;
    if (seen.half_width >= 0)
        snprintf(text, sizeof text, "after %d blocks %s of %s is known within %.1f %%: %s", n_blocks,
                 seen.metric, seen.arm, seen.half_width * 100, seen.stop ? "enough" : "going on");
    else
        snprintf(text, sizeof text, "after %d blocks there is no interval yet: going on", n_blocks);
    tell(runner, text);
    return SSW_OK;
}

ssw_status ssw_runner_end_block(ssw_runner *runner, int64_t cost_ns, ssw_error *err)
{
    ssw_status status = runner->plan->design == SSW_PLAN_ABBA ? weigh_aa(runner, cost_ns, err) : SSW_OK;
    if (!status)
        status = look(runner, err);
    if (status)
        runner->result->outcome = SSW_RUN_EVIDENCE_FAILED;
    return status;
}
