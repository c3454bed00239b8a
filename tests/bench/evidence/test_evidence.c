/* What is written is what is read back; torn, hostile and foreign files are refused or said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/evidence_writer.h"
#include "bench/evidence/machine_id.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "evidence-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *words_of(int i)
{
    static const char *const words[] = {"server", "-m", "model", "a \"quoted\" word\n\xc3\xa9"};
    return words[i];
}

static void write_manifest(void)
{
    ssw_manifest manifest;
    static const char *argv[4], *environment[] = {"A=1", "B=x=y"};
    static ssw_manifest_file file = {"m.gguf", 123456789012, "0123"};
    static ssw_manifest_gpu gpu = {.index = 0,
                                   .name = "GPU",
                                   .memory_bytes = 7,
                                   .power_limit_mw = SSW_EVIDENCE_NONE,
                                   .clock_sm_max_mhz = 1,
                                   .clock_mem_max_mhz = 2};
    static ssw_manifest_start starts[] = {{0, 0, "offload"}, {0, 1, "baseline"}};
    for (int i = 0; i < 4; i++)
        argv[i] = words_of(i);
    ssw_manifest_init(&manifest);
    assert_int_equal(ssw_plan_finish(&manifest.plan, 0, NULL), SSW_OK);
    manifest.plan.seed = UINT64_MAX;
    manifest.plan.prompts[1].tokens = 8;
    manifest.plan.runs = 12;
    manifest.plan.aa = SSW_PLAN_AA_AUTO;
    manifest.plan.precision = 0.03;
    manifest.plan.equivalence_margin = 0.015;
    manifest.tool_version = "1";
    manifest.created_utc = "2026-01-01T00:00:00Z";
    manifest.argv = (ssw_manifest_words){4, argv};
    manifest.model = (ssw_manifest_model){.name = "m",
                                          .n_files = 1,
                                          .files = &file,
                                          .parameters = 5,
                                          .expert_bytes = SSW_EVIDENCE_NONE,
                                          .expert_bytes_per_token = 3};
    manifest.n_arms = 2;
    for (int i = 0; i < 2; i++)
        manifest.arms[i] = (ssw_manifest_arm){.name = manifest.plan.arms[i].name,
                                              .port = manifest.plan.arms[i].port,
                                              .argv = {4, argv},
                                              .env = {2, environment},
                                              .server = file};
    manifest.machine.cpu = "CPU";
    manifest.machine.n_gpus = 1;
    manifest.machine.gpus = &gpu;
    manifest.n_schedule = 2;
    manifest.schedule = starts;
    ssw_error err = {0};
    if (ssw_manifest_write(&manifest, dir, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_manifest_write(&manifest, dir, &err),
                     SSW_ERR_IO); /* evidence is never overwritten */
    ssw_manifest_deinit(&manifest);
}

static void test_manifest_round_trip(void **state)
{
    (void)state;
    ssw_manifest read;
    ssw_error err = {0};
    write_manifest();
    ssw_manifest_init(&read);
    if (ssw_manifest_read(&read, dir, &err))
        fail_msg("%s", err.message);
    assert_true(read.plan.seed == UINT64_MAX);
    assert_int_equal(read.plan.aa, SSW_PLAN_AA_AUTO);
    assert_true(read.plan.precision == 0.03 && read.plan.equivalence_margin == 0.015);
    assert_int_equal(read.plan.min_runs, 6);
    assert_int_equal(read.plan.n_prompts, 4);
    assert_int_equal(read.plan.prompts[0].tokens, SSW_PLAN_NO_COUNT);
    assert_int_equal(read.plan.prompts[1].tokens, 8);
    assert_int_equal(read.plan.prompts[3].published_tokens, 27);
    assert_string_equal(read.plan.arms[1].args[0], "--cpu-moe");
    assert_int_equal(read.argv.n, 4);
    assert_string_equal(read.argv.words[3], words_of(3));
    assert_int_equal(read.n_arms, 2);
    assert_int_equal(read.arms[1].env.n, 2);
    assert_string_equal(read.arms[1].env.words[1], "B=x=y");
    assert_null(read.arms[1].server_version);
    assert_true(read.model.files[0].bytes == 123456789012);
    assert_true(read.model.expert_bytes == SSW_EVIDENCE_NONE && read.model.expert_bytes_per_token == 3);
    assert_true(read.machine.gpus[0].power_limit_mw == SSW_EVIDENCE_NONE);
    assert_true(read.machine.memory_bytes == SSW_EVIDENCE_NONE);
    assert_string_equal(read.schedule[0].arm, "offload");
    assert_int_equal(ssw_manifest_find_arm(&read, "offload"), 1);
    assert_int_equal(ssw_manifest_find_arm(&read, "none"), -1);
    assert_int_equal(ssw_manifest_find_prompt(&read, "q4"), 3);
    ssw_manifest_deinit(&read);
}

static const char *id_of(const ssw_manifest_machine *machine)
{
    static ssw_machine_id_text ids[2];
    static int turn;
    turn = !turn;
    assert_int_equal(ssw_machine_id(machine, ids[turn], NULL), SSW_OK);
    return ids[turn];
}

/* printf '0123456789ab\nCPU\n8\n16\n62\nGPU\nGPU-1\n' | sha256sum */
static void test_machine_id(void **state)
{
    (void)state;
    ssw_manifest_gpu gpus[] = {{.name = "GPU", .uuid = "GPU-1"}, {.name = "GPU", .uuid = "GPU-2"}};
    const ssw_manifest_machine machine = {.hostname_hash = "0123456789ab",
                                          .cpu = "CPU",
                                          .cores = 8,
                                          .threads = 16,
                                          .memory_bytes = 67000000000,
                                          .n_gpus = 1,
                                          .gpus = gpus};
    ssw_manifest_machine other = machine;
    assert_string_equal(id_of(&machine), "cd60cab4fa61");
    other.kernel = "another", other.swap_bytes = 1, other.memory_bytes -= 100 << 20;
    assert_string_equal(id_of(&other), id_of(&machine));
    other = machine, other.gpus = gpus + 1;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.n_gpus = 2;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.cpu = NULL;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.cores = SSW_EVIDENCE_NONE;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.threads = 8;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.memory_bytes /= 2;
    assert_string_not_equal(id_of(&other), id_of(&machine));
    other = machine, other.hostname_hash = "0123456789ac";
    assert_string_not_equal(id_of(&other), id_of(&machine));
}

static ssw_sample make_sample(const ssw_frame *frames, size_t n_frames)
{
    ssw_sample sample = {.id = "b0.p0.offload.q1.r1",
                         .arm = "offload",
                         .run = 1,
                         .attempt = 1,
                         .prompt = "q1",
                         .request = "{}",
                         .http_status = 200,
                         .start_ns = 1,
                         .send_ns = 2,
                         .sent_ns = 3,
                         .end_ns = 9,
                         .n_frames = n_frames,
                         .frames = frames,
                         .finish_reason = "length",
                         .has_usage = true,
                         .usage = {5, 6, SSW_EVIDENCE_NONE},
                         .has_timings = true,
                         .timings = {4, 6, 1, 12.5, -1},
                         .text = "\xc3\xa9\xff!",
                         .reasoning = "",
                         .logprobs = "[{\"token\":\"a\",\"logprob\":-0.5}]"};
    ssw_sample_add_flag(&sample, "short");
    ssw_sample_add_flag(&sample, "short");
    return sample;
}

static void write_run(void)
{
    static const char *argv[] = {"x"};
    static const ssw_frame frames[] = {
        {4, 10, SSW_FRAME_ROLE, NULL}, {6, 20, SSW_FRAME_CONTENT, "\xc3\xa9"}, {8, 30, SSW_FRAME_DONE, NULL}};
    ssw_evidence_writer writer;
    const ssw_writer_server server = {.arm = "offload", .pid = 77};
    const ssw_manifest_arm arm = {.port = 11437, .argv = {1, argv}};
    const ssw_server_buffer buffer = {.device = "CUDA0", .use = "model", .bytes = 4096};
    const ssw_writer_ready ready = {
        .spawn_ns = 100, .ready_ns = 250, .served_model = "m", .buffers = &buffer, .n_buffers = 1};
    const ssw_writer_stop stop = {.reason = "crashed",
                                  .exit_code = SSW_EVIDENCE_NONE,
                                  .exit_signal = 11,
                                  .memory_back_ns = SSW_EVIDENCE_NONE};
    ssw_sample sample = make_sample(frames, 3), failed = sample;
    failed.error = "HTTP 500: no";
    failed.attempt = 2;
    assert_int_equal(ssw_evidence_writer_open(&writer, dir, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_clock(&writer, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_start(&writer, &server, &arm, 8192, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_ready(&writer, &server, &ready, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_sample(&writer, &sample, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_sample(&writer, &failed, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_stop(&writer, &server, &stop, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_end(&writer, "failed", 2, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_writer_close(&writer, NULL), SSW_OK);
}

static void test_samples_round_trip(void **state)
{
    (void)state;
    ssw_evidence *evidence;
    ssw_error err = {0};
    write_manifest();
    write_run();
    if (ssw_evidence_open(dir, &evidence, &err))
        fail_msg("%s", err.message);
    assert_int_equal(evidence->n_samples, 2);
    const ssw_sample *s = &evidence->samples[0];
    assert_string_equal(s->id, "b0.p0.offload.q1.r1");
    assert_true(s->start_ns == 1 && s->send_ns == 2 && s->sent_ns == 3 && s->end_ns == 9);
    assert_int_equal(s->n_frames, 3);
    assert_int_equal(s->frames[1].kind, SSW_FRAME_CONTENT);
    assert_string_equal(s->frames[1].text, "\xc3\xa9");
    assert_null(s->frames[2].text);
    assert_ptr_equal(ssw_sample_first_text(s), &s->frames[1]);
    assert_ptr_equal(ssw_sample_last_text(s), &s->frames[1]);
    assert_string_equal(s->text, "\xc3\xa9\xef\xbf\xbd!"); /* the bad byte became U+FFFD */
    assert_string_equal(s->logprobs, "[{\"token\":\"a\",\"logprob\":-0.5}]");
    assert_int_equal(s->n_flags, 1);
    assert_true(ssw_sample_has_flag(s, "short"));
    assert_true(s->has_usage && s->usage.completion_tokens == 6 &&
                s->usage.cached_tokens == SSW_EVIDENCE_NONE);
    assert_true(s->has_timings && s->timings.prompt_ms == 12.5 && s->timings.predicted_ms < 0);
    assert_true(ssw_evidence_is_measured(s) && !ssw_evidence_is_measured(&evidence->samples[1]));
    assert_int_equal(evidence->n_servers, 1);
    const ssw_server_life *life = &evidence->servers[0];
    assert_true(life->spawn_ns == 100 && life->ready_ns == 250 && life->pid == 77 && life->port == 11437);
    assert_int_equal(life->page_cache_bytes, 8192);
    assert_int_equal(life->n_buffers, 1);
    assert_string_equal(life->buffers[0].device, "CUDA0");
    assert_string_equal(life->buffers[0].use, "model");
    assert_int_equal(life->buffers[0].bytes, 4096);
    assert_string_equal(life->stop_reason, "crashed");
    assert_true(life->exit_signal == 11 && life->exit_code == SSW_EVIDENCE_NONE);
    assert_string_equal(life->served_model, "m");
    assert_int_equal(evidence->n_clocks, 1);
    assert_string_equal(evidence->end_reason, "failed");
    assert_int_equal(evidence->torn_lines, 0);
    ssw_evidence_close(evidence);
}

static void test_decisions_round_trip(void **state)
{
    (void)state;
    ssw_evidence_writer writer;
    ssw_evidence *evidence;
    ssw_error err = {0};
    const ssw_left_out left_out = {"offload", 1, 200, 900};
    const ssw_look wide = {.block = 5, .half_width = -1};
    const ssw_look narrow = {.block = 7, .arm = "offload", .metric = "tps", .half_width = 0.025, .stop = 1};
    write_manifest();
    assert_int_equal(ssw_evidence_writer_open(&writer, dir, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_left_out(&writer, &left_out, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_look(&writer, &wide, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_writer_close(&writer, NULL), SSW_OK);
    if (ssw_evidence_open(dir, &evidence, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_evidence_count_runs(evidence), 12); /* nothing said stop */
    ssw_evidence_close(evidence);
    assert_int_equal(ssw_evidence_writer_open(&writer, dir, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_write_look(&writer, &narrow, NULL), SSW_OK);
    assert_int_equal(ssw_evidence_writer_close(&writer, NULL), SSW_OK);
    if (ssw_evidence_open(dir, &evidence, &err))
        fail_msg("%s", err.message);
    assert_string_equal(evidence->left_out.arm, "offload");
    assert_true(evidence->left_out.from_block == 1 && evidence->left_out.cost_ns == 200);
    assert_int_equal(evidence->n_looks, 2);
    assert_null(evidence->looks[0].arm);
    assert_true(evidence->looks[0].half_width < 0 && evidence->looks[1].half_width == 0.025);
    assert_string_equal(evidence->looks[1].metric, "tps");
    assert_int_equal(ssw_evidence_count_runs(evidence), 8);
    ssw_evidence_close(evidence);
}

static void append(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_a_torn_line_is_said_and_cut_off(void **state)
{
    (void)state;
    ssw_evidence *evidence;
    write_manifest();
    write_run();
    append("samples.jsonl", "{\"kind\":\"sample\",\"id\":\"b0");
    append("telemetry.jsonl", "{\"t_ns\":1"); /* nothing but a torn line */
    assert_int_equal(ssw_evidence_open(dir, &evidence, NULL), SSW_OK);
    assert_int_equal(evidence->torn_lines, 2);
    assert_int_equal(evidence->n_samples, 2);
    ssw_evidence_close(evidence);
    write_run(); /* a resumed run cuts it off before it appends */
    assert_int_equal(ssw_evidence_open(dir, &evidence, NULL), SSW_OK);
    assert_int_equal(evidence->n_samples, 4);
    assert_int_equal(evidence->torn_lines, 1);
    ssw_evidence_close(evidence);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *line, *words;
    } cases[] = {
        {"samples.jsonl", "not json\n", "line 1"},
        {"samples.jsonl", "{}\n", "no \"kind\""},
        {"samples.jsonl", "{\"kind\":\"mystery\"}\n", "unknown kind \"mystery\""},
        {"samples.jsonl", "{\"kind\":\"sample\",\"id\":7}\n", "\"id\" is not a string"},
        {"samples.jsonl", "{\"kind\":\"server_stop\",\"reason\":\"done\"}\n", "before any server_start"},
        {"samples.jsonl", "{\"kind\":\"clock\",\"monotonic_ns\":1.5}\n",
         "\"monotonic_ns\" is not an integer or null"},
        {"samples.jsonl", "{\"kind\":\"look\",\"block\":12,\"stop\":1}\n", "a look after block 12 of 12"},
        {"samples.jsonl", "{\"kind\":\"look\",\"block\":-1,\"stop\":1}\n", "\"block\" is not an integer"},
        {"samples.jsonl", "{\"kind\":\"left_out\",\"arm\":\"baseline\",\"from_block\":1}\n",
         "no arm after the first"},
        {"samples.jsonl", "{\"kind\":\"clock\",\"kind\":\"clock\"}\n", "duplicate"},
        {"telemetry.jsonl", "{\"t_ns\":1,\"arm\":\"a\",\"block\":0,\"position\":0,\"phase\":\"asleep\"}\n",
         "asleep"},
        {"telemetry.jsonl", "[1]\n", "not a JSON object"},
        {"tokens.jsonl", "{\"id\":null}\n", "\"id\""},
    };
    write_manifest();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        ssw_evidence *evidence;
        ssw_error err = {0};
        append("samples.jsonl", "");
        append(cases[i].file, cases[i].line);
        ssw_status status = ssw_evidence_open(dir, &evidence, &err);
        snprintf(path, sizeof path, "%s/%s", dir, cases[i].file);
        if (status != SSW_ERR_FORMAT || !strstr(err.message, cases[i].words) || !strstr(err.message, path) ||
            !strstr(err.message, "line 1") || strchr(err.message, '\n'))
            fail_msg("case %zu: %s", i, status ? err.message : "accepted");
        unlink(path);
    }
}

static void test_manifests_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "[]", "{\"schema\": 2, \"created_utc\": \"x\"}", "{\"schema\": 1}",
        "{\"schema\": 1, \"created_utc\": \"x\", \"tool\": {\"name\": \"s\", \"version\": \"1\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[128];
        ssw_manifest manifest;
        ssw_error err = {0};
        snprintf(path, sizeof path, "%s/manifest.json", dir);
        unlink(path);
        append("manifest.json", bad[i]);
        ssw_manifest_init(&manifest);
        assert_int_not_equal(ssw_manifest_read(&manifest, dir, &err), SSW_OK);
        assert_non_null(strstr(err.message, path));
        ssw_manifest_deinit(&manifest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine_id),
        cmocka_unit_test_setup_teardown(test_manifest_round_trip, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_samples_round_trip, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_a_torn_line_is_said_and_cut_off, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_decisions_round_trip, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_bad_lines_are_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_manifests_that_are_refused, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
