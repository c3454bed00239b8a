/* samples.jsonl, line by line. */
#include "bench/evidence/evidence_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/evidence/json_fields.h"

enum { RESERVE_BYTES = 1 << 20 };

static void give_up_reserve(ssw_evidence_writer *writer)
{
    if (*writer->reserve_path)
        unlink(writer->reserve_path);
    *writer->reserve_path = '\0';
}

ssw_status ssw_evidence_writer_open(ssw_evidence_writer *writer, const char *dir, ssw_error *err)
{
    *writer = (ssw_evidence_writer){.samples = {.fd = -1}};
    ssw_status status = ssw_jsonl_open(&writer->samples, dir, "samples.jsonl", err);
    if (status)
        return status;
    snprintf(writer->reserve_path, sizeof writer->reserve_path, "%.4000s/.reserve", dir);
    int fd = open(writer->reserve_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, RESERVE_BYTES);
    if (fd >= 0)
        close(fd);
    if (failed == EFBIG) { /* a limit on each file's size, not a full disk: a reserve would not help */
        give_up_reserve(writer);
    } else if (failed) {
        unlink(writer->reserve_path);
        ssw_jsonl_close(&writer->samples, NULL);
        return ssw_error_set_errno(err, SSW_ERR_IO, failed, "%s: no room for a reserve of %d bytes", dir,
                                   RESERVE_BYTES);
    }
    return SSW_OK;
}

ssw_status ssw_evidence_writer_close(ssw_evidence_writer *writer, ssw_error *err)
{
    give_up_reserve(writer);
    return ssw_jsonl_close(&writer->samples, err);
}

/* Takes line. After a full disk the line is written from the reserve, and the error is returned all the same.
 */
static ssw_status append(ssw_evidence_writer *writer, const char *kind, json_t *line, ssw_error *err)
{
    ssw_error first = {0};
    if (!line || !ssw_json_put(line, "kind", json_string(kind)) ||
        !ssw_json_put(line, "t_ns", json_integer(ssw_clock_now_ns()))) {
        json_decref(line);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a line of samples.jsonl");
    }
    ssw_status status = ssw_jsonl_append(&writer->samples, json_incref(line), true, &first);
    if (status == SSW_ERR_IO && *writer->reserve_path) {
        give_up_reserve(writer);
        if (ssw_jsonl_append(&writer->samples, json_incref(line), true, NULL) == SSW_OK)
            ssw_error_prefix(&first, "the last line was saved, but");
    }
    json_decref(line);
    if (status && err)
        *err = first;
    return status;
}

static json_t *server_line(const ssw_writer_server *server)
{
    json_t *pid = server->pid ? json_integer(server->pid) : json_null();
    return json_pack("{s:s, s:i, s:i, s:o}", "arm", server->arm, "block", server->block, "position",
                     server->position, "pid", pid);
}

/* Adds nullable integers: pairs of key and value, ended by NULL. */
static json_t *with_int(json_t *line, const char *key, int64_t value)
{
    json_t *item = value == SSW_EVIDENCE_NONE ? json_null() : json_integer(value);
    if (!line || !ssw_json_put(line, key, item)) {
        json_decref(line);
        return NULL;
    }
    return line;
}

ssw_status ssw_evidence_write_clock(ssw_evidence_writer *writer, ssw_error *err)
{
    int64_t before_ns = ssw_clock_now_ns();
    int64_t wall_ns = ssw_clock_wall_ns();
    int64_t middle_ns = before_ns + (ssw_clock_now_ns() - before_ns) / 2;
    return append(
        writer, "clock",
        json_pack("{s:I, s:I}", "monotonic_ns", (json_int_t)middle_ns, "wall_ns", (json_int_t)wall_ns), err);
}

ssw_status ssw_evidence_write_start(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                    const ssw_manifest_arm *arm, int64_t page_cache_bytes, ssw_error *err)
{
    json_t *line = with_int(server_line(server), "port", arm->port);
    line = with_int(line, "page_cache_bytes", page_cache_bytes);
    if (line && !ssw_json_put(line, "argv", ssw_json_words(arm->argv.words, arm->argv.n))) {
        json_decref(line);
        line = NULL;
    }
    return append(writer, "server_start", line, err);
}

ssw_status ssw_evidence_write_ready(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                    const ssw_writer_ready *ready, ssw_error *err)
{
    json_t *line =
        with_int(with_int(server_line(server), "spawn_ns", ready->spawn_ns), "ready_ns", ready->ready_ns);
    if (line &&
        (!ssw_json_put(line, "served_model", ssw_json_make_text(ready->served_model)) ||
         !ssw_json_put(line, "buffers", ssw_server_buffers_to_json(ready->buffers, ready->n_buffers)))) {
        json_decref(line);
        line = NULL;
    }
    return append(writer, "server_ready", line, err);
}

ssw_status ssw_evidence_write_stop(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                   const ssw_writer_stop *stop, ssw_error *err)
{
    json_t *line =
        with_int(with_int(server_line(server), "exit_code", stop->exit_code), "signal", stop->exit_signal);
    line = with_int(line, "memory_back_ns", stop->memory_back_ns);
    if (line && !ssw_json_put(line, "reason", json_string(stop->reason))) {
        json_decref(line);
        line = NULL;
    }
    return append(writer, "server_stop", line, err);
}

ssw_status ssw_evidence_write_audit(ssw_evidence_writer *writer, const ssw_self_audit *audit, ssw_error *err)
{
    return append(writer, "self_audit", ssw_self_audit_to_json(audit), err);
}

ssw_status ssw_evidence_write_sample(ssw_evidence_writer *writer, const ssw_sample *sample, ssw_error *err)
{
    return append(writer, "sample", ssw_sample_to_json(sample), err);
}

ssw_status ssw_evidence_write_left_out(ssw_evidence_writer *writer, const ssw_left_out *left_out,
                                       ssw_error *err)
{
    return append(writer, "left_out",
                  json_pack("{s:s, s:i, s:I, s:I}", "arm", left_out->arm, "from_block", left_out->from_block,
                            "cost_ns", (json_int_t)left_out->cost_ns, "limit_ns",
                            (json_int_t)left_out->limit_ns),
                  err);
}

ssw_status ssw_evidence_write_look(ssw_evidence_writer *writer, const ssw_look *look, ssw_error *err)
{
    json_t *half_width = look->half_width < 0 ? json_null() : json_real(look->half_width);
    return append(writer, "look",
                  json_pack("{s:i, s:s?, s:s?, s:o, s:i}", "block", look->block, "arm", look->arm, "metric",
                            look->metric, "half_width", half_width, "stop", look->stop),
                  err);
}

ssw_status ssw_evidence_write_end(ssw_evidence_writer *writer, const char *reason, int n_samples,
                                  ssw_error *err)
{
    return append(writer, "run_end", json_pack("{s:s, s:i}", "reason", reason, "samples", n_samples), err);
}
