/* See run_index.h. Every value reaches SQLite as a bound parameter. */
#include "bench/compare/run_index.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_MS = 10000, VALUE_BYTES_MAX = 1 << 16 };

struct ssw_run_index {
    char path[SSW_COMPARE_DIR_MAX];
    sqlite3 *db;
};

static const char schema[] =
    "CREATE TABLE arm ("
    " run_id TEXT NOT NULL, position INTEGER NOT NULL, dir TEXT NOT NULL, n INTEGER NOT NULL,"
    " created_utc TEXT NOT NULL, model TEXT NOT NULL, model_sha256 TEXT NOT NULL, machine TEXT NOT NULL,"
    " cpu TEXT NOT NULL, gpu TEXT NOT NULL, \"commit\" TEXT NOT NULL, server TEXT NOT NULL,"
    " setting TEXT NOT NULL, state TEXT NOT NULL, arm TEXT NOT NULL, treatment TEXT NOT NULL,"
    " PRIMARY KEY (run_id, position));"
    "CREATE INDEX arm_by_date ON arm (created_utc);"
    "CREATE TABLE figure ("
    " run_id TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,"
    " mean REAL NOT NULL, ci_low REAL, ci_high REAL,"
    " PRIMARY KEY (run_id, position, name),"
    " FOREIGN KEY (run_id, position) REFERENCES arm (run_id, position) ON DELETE CASCADE);"
    "PRAGMA user_version = 2;";

static ssw_status fail(const ssw_run_index *index, const char *what, ssw_error *err)
{
    int code = sqlite3_errcode(index->db);
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
    return ssw_error_set(err, damaged ? SSW_ERR_FORMAT : SSW_ERR_IO, "%s: %s: %s%s", index->path, what,
                         sqlite3_errmsg(index->db),
                         damaged ? " (it may be deleted; `seesaw index' makes it again)" : "");
}

static ssw_status execute(ssw_run_index *index, const char *sql, ssw_error *err)
{
    return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SSW_OK
                                                                       : fail(index, "it refuses", err);
}

static ssw_status read_version(ssw_run_index *index, int *version, ssw_error *err)
{
    sqlite3_stmt *statement = NULL;
    ssw_status status = SSW_OK;
    if (sqlite3_prepare_v2(index->db, "PRAGMA user_version", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        status = fail(index, "not an index", err);
    else
        *version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

/* Two processes may find a new file at once, so the schema is made under SQLite's write lock. */
static ssw_status prepare(ssw_run_index *index, bool may_write, ssw_error *err)
{
    int version = 0;
    ssw_status status = execute(index, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF", err);
    if (!status && may_write)
        status = execute(index, "BEGIN IMMEDIATE", err);
    if (!status)
        status = read_version(index, &version, err);
    if (!status && version == 0 && may_write)
        status = execute(index, schema, err);
    else if (!status && version != SSW_RUN_INDEX_SCHEMA)
        status = ssw_error_set(err, SSW_ERR_FORMAT,
                               "%s: its schema is %d, this program reads %d; delete the file and record the "
                               "runs again: seesaw index DIR...",
                               index->path, version, SSW_RUN_INDEX_SCHEMA);
    if (!status && may_write)
        status = execute(index, "COMMIT", err);
    return status;
}

ssw_status ssw_run_index_open(const char *path, bool may_write, ssw_run_index **out, ssw_error *err)
{
    int flags = may_write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    if (strlen(path) >= SSW_COMPARE_DIR_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "%.200s: the path is too long", path);
    if (!may_write && access(path, R_OK) != 0)
        return ssw_error_set_errno(err, SSW_ERR_USAGE, errno, "index %s", path);
    ssw_run_index *index = calloc(1, sizeof *index);
    if (!index)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the index");
    snprintf(index->path, sizeof index->path, "%s", path);
    ssw_status status = SSW_OK;
    if (sqlite3_open_v2(path, &index->db, flags, NULL) != SQLITE_OK) {
        status = index->db ? fail(index, "it cannot be opened", err)
                           : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the index");
    } else {
        sqlite3_busy_timeout(index->db, BUSY_MS);
        sqlite3_limit(index->db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
        sqlite3_db_config(index->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        status = prepare(index, may_write, err);
    }
    if (status)
        ssw_run_index_close(index);
    else
        *out = index;
    return status;
}

void ssw_run_index_close(ssw_run_index *index)
{
    if (!index)
        return;
    sqlite3_close(index->db);
    free(index);
}

static void bind_real(sqlite3_stmt *statement, int place, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(statement, place, value);
    else
        sqlite3_bind_null(statement, place);
}

static ssw_status run_once(ssw_run_index *index, sqlite3_stmt *statement, ssw_error *err)
{
    ssw_status status = sqlite3_step(statement) == SQLITE_DONE ? SSW_OK : fail(index, "writing", err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

/* The rows outlive the statements, so nothing is copied. */
static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

static ssw_status put_row(ssw_run_index *index, sqlite3_stmt *arm, sqlite3_stmt *figure,
                          const ssw_compare_row *row, ssw_error *err)
{
    char *absolute = realpath(row->dir, NULL);
    bind_text(arm, 1, row->texts[SSW_COMPARE_RUN_ID]);
    sqlite3_bind_int(arm, 2, row->position);
    bind_text(arm, 3, absolute ? absolute : row->dir);
    sqlite3_bind_int(arm, 4, row->n_samples);
    for (int i = 0; i < SSW_COMPARE_RUN_ID; i++)
        bind_text(arm, 5 + i, row->texts[i]);
    ssw_status status = run_once(index, arm, err);
    free(absolute);
    for (int i = 0; !status && i < SSW_COMPARE_FIGURES; i++) {
        if (!isfinite(row->figures[i].mean))
            continue;
        bind_text(figure, 1, row->texts[SSW_COMPARE_RUN_ID]);
        sqlite3_bind_int(figure, 2, row->position);
        bind_text(figure, 3, ssw_compare_figure_key((ssw_compare_figure)i));
        sqlite3_bind_double(figure, 4, row->figures[i].mean);
        bind_real(figure, 5, row->figures[i].ci_low);
        bind_real(figure, 6, row->figures[i].ci_high);
        status = run_once(index, figure, err);
    }
    return status;
}

ssw_status ssw_run_index_put(ssw_run_index *index, const ssw_compare_rows *rows, ssw_error *err)
{
    sqlite3_stmt *forget = NULL, *arm = NULL, *figure = NULL;
    ssw_status status = execute(index, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    if (sqlite3_prepare_v2(index->db, "DELETE FROM arm WHERE run_id = ?1", -1, &forget, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(index->db, "INSERT INTO arm VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", -1, &arm,
                           NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(index->db, "INSERT INTO figure VALUES (?,?,?,?,?,?)", -1, &figure, NULL) !=
            SQLITE_OK)
        status = fail(index, "writing", err);
    for (size_t i = 0; !status && i < rows->n; i++) {
        const char *id = rows->rows[i].texts[SSW_COMPARE_RUN_ID];
        if (i == 0 || strcmp(id, rows->rows[i - 1].texts[SSW_COMPARE_RUN_ID]) != 0) {
            bind_text(forget, 1, id);
            status = run_once(index, forget, err);
        }
        if (!status)
            status = put_row(index, arm, figure, &rows->rows[i], err);
    }
    sqlite3_finalize(forget);
    sqlite3_finalize(arm);
    sqlite3_finalize(figure);
    if (!status)
        return execute(index, "COMMIT", err);
    execute(index, "ROLLBACK", NULL);
    return status;
}

static void take_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    ssw_compare_copy_text(out, size, text ? (const char *)text : "");
}

static ssw_status take_figures(ssw_run_index *index, sqlite3_stmt *figures, ssw_compare_row *row,
                               ssw_error *err)
{
    int code;
    bind_text(figures, 1, row->texts[SSW_COMPARE_RUN_ID]);
    sqlite3_bind_int(figures, 2, row->position);
    while ((code = sqlite3_step(figures)) == SQLITE_ROW) {
        const unsigned char *name = sqlite3_column_text(figures, 0);
        for (int i = 0; name && i < SSW_COMPARE_FIGURES; i++) {
            if (strcmp((const char *)name, ssw_compare_figure_key((ssw_compare_figure)i)) != 0)
                continue;
            double values[3];
            for (int c = 0; c < 3; c++)
                values[c] = sqlite3_column_type(figures, c + 1) == SQLITE_NULL
                                ? (double)NAN
                                : sqlite3_column_double(figures, c + 1);
            row->figures[i] = (ssw_compare_value){values[0], values[1], values[2]};
        }
    }
    sqlite3_reset(figures);
    return code == SQLITE_DONE ? SSW_OK : fail(index, "reading", err);
}

static ssw_status take_row(ssw_run_index *index, sqlite3_stmt *arms, sqlite3_stmt *figures,
                           ssw_compare_rows *rows, ssw_error *err)
{
    ssw_compare_row *row = NULL;
    ssw_status status = ssw_compare_rows_add(rows, &row, err);
    if (status)
        return status;
    take_text(arms, 0, row->texts[SSW_COMPARE_RUN_ID], sizeof row->texts[0]);
    row->position = sqlite3_column_int(arms, 1);
    take_text(arms, 2, row->dir, sizeof row->dir);
    row->n_samples = sqlite3_column_int(arms, 3);
    for (int i = 0; i < SSW_COMPARE_RUN_ID; i++)
        take_text(arms, 4 + i, row->texts[i], sizeof row->texts[i]);
    return take_figures(index, figures, row, err);
}

ssw_status ssw_run_index_find(ssw_run_index *index, const ssw_run_index_query *query, ssw_compare_rows *rows,
                              ssw_error *err)
{
    static const char select_arms[] =
        "SELECT run_id, position, dir, n, created_utc, model, model_sha256, machine, cpu, gpu, \"commit\", "
        "server, setting, state, arm, treatment FROM arm"
        " WHERE (?1 IS NULL OR instr(lower(model), lower(?1)) > 0) AND (?2 IS NULL OR created_utc >= ?2)"
        " AND (?3 IS NULL OR substr(machine, 1, length(?3)) = ?3) ORDER BY created_utc, run_id, position";
    static const char select_figures[] =
        "SELECT name, mean, ci_low, ci_high FROM figure WHERE run_id = ?1 AND position = ?2";
    sqlite3_stmt *arms = NULL, *figures = NULL;
    ssw_status status = SSW_OK;
    int code = SQLITE_DONE;
    if (sqlite3_prepare_v2(index->db, select_arms, -1, &arms, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(index->db, select_figures, -1, &figures, NULL) != SQLITE_OK) {
        status = fail(index, "not an index", err);
        goto cleanup;
    }
    bind_text(arms, 1, query->model);
    bind_text(arms, 2, query->since);
    bind_text(arms, 3, query->machine);
    while (!status && (code = sqlite3_step(arms)) == SQLITE_ROW)
        status = take_row(index, arms, figures, rows, err);
    if (!status && code != SQLITE_DONE)
        status = fail(index, "reading", err);
cleanup:
    sqlite3_finalize(arms);
    sqlite3_finalize(figures);
    return status;
}

ssw_status ssw_run_index_clear(ssw_run_index *index, ssw_error *err)
{
    return execute(index, "DELETE FROM arm", err);
}
