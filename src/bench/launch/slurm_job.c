/* The batch script's text. */
#include "bench/launch/slurm_job.h"

#include <stdio.h>
#include <string.h>

/* In single quotes, as a shell reads them. */
static void append_quoted(ssw_strbuf *out, const char *word)
{
    ssw_strbuf_append_text(out, "'");
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            ssw_strbuf_append_text(out, "'\\''");
        else
            ssw_strbuf_append(out, c, 1);
    }
    ssw_strbuf_append_text(out, "'");
}

ssw_status ssw_slurm_write_script(const ssw_slurm_job *job, ssw_strbuf *out, ssw_error *err)
{
    ssw_strbuf_append_text(
        out, "#!/bin/sh\n"
             "# A task of `seesaw ab --launcher slurm`: measures one model, or goes on with it.\n"
             "case $SLURM_ARRAY_TASK_ID in\n");
    for (size_t i = 0; i < job->n_models; i++) {
        ssw_strbuf_append_format(out, "%zu) model=", i);
        append_quoted(out, job->models[i]);
        ssw_strbuf_append_text(out, " ;;\n");
    }
    ssw_strbuf_append_text(out, "*) exit 2 ;;\nesac\nout=");
    append_quoted(out, job->dir);
    ssw_strbuf_append_text(out, "/task-$SLURM_ARRAY_TASK_ID\n"
                                "mkdir -p \"$out\"\n"
                                "rm -f \"$out/exit-status\"\n"
                                "hostname >\"$out/node\"\n"
                                "set -- \"$out\"/baseline-ab-*/\n"
                                "if [ -e \"$1/manifest.json\" ]; then\n    ");
    append_quoted(out, job->program);
    ssw_strbuf_append_text(out, " ab --resume \"$1\" >>\"$out/output\" 2>&1\nelse\n    ");
    append_quoted(out, job->program);
    ssw_strbuf_append_text(out, " ab -m \"$model\" --out \"$out\"");
    for (size_t i = 0; i < job->n_arguments; i++) {
        ssw_strbuf_append_text(out, " ");
        append_quoted(out, job->arguments[i]);
    }
    ssw_strbuf_append_text(out, " >\"$out/output\" 2>&1\nfi\n"
                                "code=$?\n"
                                "echo $code >\"$out/exit-status\"\n"
                                "exit $code\n");
    return ssw_strbuf_check(out, "the batch script", err);
}

void ssw_slurm_make_argv(const ssw_slurm_job *job, const char *script, bool wait, ssw_slurm_words *out)
{
    size_t n = 0, n_stored = 0;
    const struct {
        const char *name, *value;
    } options[] = {{"--partition", job->partition}, {"--gres", job->gres}, {"--time", job->time}};
    memset(out, 0, sizeof *out);
    out->argv[n++] = "sbatch";
    out->argv[n++] = "--parsable";
    out->argv[n++] = "--exclusive"; /* a measurement shares its node with nobody */
    out->argv[n++] = "--requeue";
    out->argv[n++] = "--job-name=seesaw-ab";
    if (wait)
        out->argv[n++] = "--wait";
    snprintf(out->storage[n_stored], SSW_SLURM_WORD_BYTES_MAX, "--array=0-%zu", job->n_models - 1);
    out->argv[n++] = out->storage[n_stored++];
    snprintf(out->storage[n_stored], SSW_SLURM_WORD_BYTES_MAX, "--output=%.4200s/slurm-%%a.log", job->dir);
    out->argv[n++] = out->storage[n_stored++];
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!options[i].value)
            continue;
        snprintf(out->storage[n_stored], SSW_SLURM_WORD_BYTES_MAX, "%s=%.4200s", options[i].name,
                 options[i].value);
        out->argv[n++] = out->storage[n_stored++];
    }
    out->argv[n] = script;
}
