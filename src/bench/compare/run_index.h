/* An SQLite file of what runs found, so that machines and dates can be compared without their folders.
 *
 * It holds nothing that the run folders do not: it can be deleted and built again. docs/INDEX.md has the
 * schema. The file is taken as hostile: another schema or damage is SSW_ERR_FORMAT, texts are cut, and SQLite
 * runs with its defensive settings. One thread; several processes may write one file in turn. */
#ifndef SSW_BENCH_COMPARE_RUN_INDEX_H
#define SSW_BENCH_COMPARE_RUN_INDEX_H

#include "bench/compare/compare_row.h"

enum { SSW_RUN_INDEX_SCHEMA = 2 };

typedef struct ssw_run_index ssw_run_index;

/* may_write: makes the file where it is not there; without it that is SSW_ERR_USAGE. */
ssw_status ssw_run_index_open(const char *path, bool may_write, ssw_run_index **out, ssw_error *err);
void ssw_run_index_close(ssw_run_index *index); /* NULL is allowed */

/* All rows at once or none; a run that is known already is replaced. Folders are stored as absolute paths. */
ssw_status ssw_run_index_put(ssw_run_index *index, const ssw_compare_rows *rows, ssw_error *err);

typedef struct ssw_run_index_query {
    const char *model;   /* its name contains this, letters' case aside; NULL: any */
    const char *since;   /* created at that UTC date or later: YYYY-MM-DD and what may follow; NULL: any */
    const char *machine; /* its id (machine_id.h) begins so; NULL: any */
} ssw_run_index_query;

/* Appends rows by date, then by arm. */
ssw_status ssw_run_index_find(ssw_run_index *index, const ssw_run_index_query *query, ssw_compare_rows *rows,
                              ssw_error *err);

/* Forgets every run. */
ssw_status ssw_run_index_clear(ssw_run_index *index, ssw_error *err);

#endif
