/* One Slurm job array out of one `seesaw ab`: a task for each model (a quantisation is a model's file of its
 * own). The arms of a comparison stay in one task, since pairs need one machine; a task has its node for
 * itself. Pure: only text.
 *
 * Source: sbatch(1), "Job arrays" and the options named here. The folder must be seen under the same path by
 * the nodes, as home folders of clusters are. */
#ifndef SSW_BENCH_LAUNCH_SLURM_JOB_H
#define SSW_BENCH_LAUNCH_SLURM_JOB_H

#include <stdbool.h>

#include "base/strbuf.h"

enum { SSW_LAUNCH_MODELS_MAX = 1000, SSW_LAUNCH_WORDS_MAX = 1024, SSW_SLURM_WORD_BYTES_MAX = 4400 };

typedef struct ssw_slurm_job {
    const char *dir;           /* of the launch; absolute */
    const char *program;       /* seesaw's path */
    const char *const *models; /* as -m takes them; files by absolute path */
    size_t n_models;
    const char *const *arguments; /* of `seesaw ab`, but for -m, --out and the launcher's own */
    size_t n_arguments;
    const char *partition, *gres, *time; /* NULL: Slurm's default */
} ssw_slurm_job;

/* The batch script. Task I measures model I into DIR/task-I, goes on with a run that an earlier try of the
 * task left there, and leaves its exit status in DIR/task-I/exit-status. SSW_ERR_LIMIT when it grows too
 * large. */
ssw_status ssw_slurm_write_script(const ssw_slurm_job *job, ssw_strbuf *out, ssw_error *err);

typedef struct ssw_slurm_words { /* an sbatch command line, with the storage of its words */
    const char *argv[16];
    char storage[6][SSW_SLURM_WORD_BYTES_MAX];
} ssw_slurm_words;

/* sbatch --parsable, waiting for the array's end or not; script is the batch script's path. */
void ssw_slurm_make_argv(const ssw_slurm_job *job, const char *script, bool wait, ssw_slurm_words *out);

#endif
