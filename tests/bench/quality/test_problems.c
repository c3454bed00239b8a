/* The built-in problem set, the code found in replies, and programs run in the sandbox: right and wrong
 * answers, and those that would fool a judge who looks at the exit code alone. */
#include "../../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/evidence/quality_files.h"
#include "bench/quality/execute.h"
#include "bench/quality/problems.h"
#include "bench/quality/sandbox.h"

static ssw_arena arena;
static ssw_problems problems;
static bool has_sandbox;

static void built_in_set(void **state)
{
    (void)state;
    assert_true(problems.n >= 12);
    assert_non_null(ssw_problems_find(&problems, "is_prime"));
    assert_null(ssw_problems_find(&problems, "no such"));
    for (size_t i = 0; i < problems.n; i++)
        assert_non_null(strstr(problems.items[i].tests, "candidate("));
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"schema\": 2}",
        "{\"schema\": 1, \"problems\": []}",
        "{\"schema\": 1, \"problems\": [{}]}",
        "{\"schema\": 1, \"problems\": [{\"name\": \"\", \"prompt\": \"p\", \"entry\": \"e\", \"tests\": "
        "\"t\"}]}",
        "{\"schema\": 1, \"problems\": [{\"name\": \"a\", \"prompt\": \"p\", \"entry\": \"e\", \"tests\": "
        "\"t\"},"
        " {\"name\": \"a\", \"prompt\": \"p\", \"entry\": \"e\", \"tests\": \"t\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssw_problems out;
        ssw_error err;
        assert_int_not_equal(ssw_problems_parse(&arena, bad[i], strlen(bad[i]), &out, &err), SSW_OK);
    }
}

static void finds_code(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *code;
    } cases[] = {
        {"Here:\n```python\ndef f():\n    return 1\n```\nIt works.", "def f():\n    return 1\n"},
        {"Install:\n```sh\npip install x\n```\nthen\n```\ndef f(): pass\n```", "def f(): pass\n"},
        {"```python\ndef f():\n    return 1", "def f():\n    return 1"},
        {"def f():\n    return 1\n", "def f():\n    return 1\n"},
        {"I cannot help.", NULL},
        {"", NULL},
        {"```", NULL},
    };
    ssw_strbuf code;
    ssw_strbuf_init(&code, 1 << 16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ssw_problem_extract_code(cases[i].reply, &code), cases[i].code != NULL);
        if (cases[i].code)
            assert_string_equal(ssw_strbuf_text(&code), cases[i].code);
    }
    ssw_strbuf_deinit(&code);
}

static bool passes(const char *name, const char *code)
{
    ssw_strbuf program;
    ssw_sandbox_options options;
    ssw_sandbox_result result;
    ssw_sandbox_options_init(&options);
    options.wall_ns *= 6; /* a busy machine */
    ssw_strbuf_init(&program, 1 << 16);
    assert_int_equal(
        ssw_problem_make_program(ssw_problems_find(&problems, name), code, "m4rk", &program, NULL), SSW_OK);
    assert_int_equal(ssw_sandbox_run(&options, ssw_strbuf_text(&program), &result, NULL), SSW_OK);
    ssw_strbuf_deinit(&program);
    size_t n = strlen(result.tail);
    return result.exit_code == 0 && n >= 6 && strcmp(result.tail + n - 6, "\nm4rk\n") == 0;
}

static void judges_programs(void **state)
{
    (void)state;
    if (!has_sandbox)
        skip();
    assert_true(passes("gcd", "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n"));
    assert_true(passes("gcd", "def helper():\n    pass\ndef any_name(a, b):\n    while b:\n        a, b = b, "
                              "a % b\n    return a\n"));
    assert_false(passes("gcd", "def gcd(a, b):\n    return 1\n"));
    assert_false(passes("gcd", "def gcd(a, b)\n"));
    assert_false(passes("gcd", "x = 1\n"));
    assert_false(passes("gcd", "import os\nos._exit(0)\n"));
    assert_false(passes("gcd", "raise SystemExit(0)\n"));
    assert_false(passes("gcd", "import os\ndef gcd(a, b):\n    print('ok')\n    os._exit(0)\n"));
    assert_true(passes("reverse_string", "def reverse_string(text):\n    \"\"\"\\u00e4 \\\\ 'quoted' "
                                         "\xc3\xa4 \xf0\x9f\x98\x80\"\"\"\n    return text[::-1]\n"));
    assert_true(passes(
        "is_prime", "def is_prime(n):\n    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))\n"
                    "if __name__ == '__main__':\n    print(is_prime(int(input())))\n"));
}

/* A folder with one reply to gcd, and what executions.jsonl then says. */
static ssw_execution execute(const char *bwrap, ssw_execute_result *result)
{
    static ssw_plan_prompt prompt = {.id = "q1", .label = "gcd", .text = "?"};
    static ssw_sample sample = {.id = "b0.p0.a.q1.r1", .arm = "a", .prompt = "q1", .run = 1, .attempt = 1};
    static ssw_evidence evidence;
    ssw_sandbox_options sandbox;
    ssw_execution *found;
    ssw_error err = {0};
    size_t n;
    char dir[] = "executions-XXXXXX", path[64];
    ssw_sandbox_options_init(&sandbox);
    sandbox.wall_ns *= 6; /* a busy machine */
    sandbox.bwrap = bwrap;
    assert_non_null(mkdtemp(dir));
    snprintf(evidence.dir, sizeof evidence.dir, "%s", dir);
    evidence.manifest.plan.prompts = &prompt;
    evidence.manifest.plan.n_prompts = 1;
    evidence.samples = &sample;
    evidence.n_samples = 1;
    sample.text = "```python\ndef gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n```";
    if (ssw_quality_execute(&evidence, &problems, &sandbox, -1, NULL, NULL, result, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_executions_read(&arena, dir, &n, &found, NULL), SSW_OK);
    assert_int_equal(n, 1);
    snprintf(path, sizeof path, "%s/executions.jsonl", dir);
    unlink(path);
    rmdir(dir);
    return found[0];
}

static void nothing_runs_without_a_sandbox(void **state)
{
    (void)state;
    ssw_execute_result result;
    ssw_execution line = execute("/nonexistent/bwrap", &result);
    assert_true(result.no_sandbox && result.n_programs == 0 && result.n_passed == 0);
    assert_string_equal(line.outcome, "not-run");
    assert_non_null(strstr(line.detail, "no sandbox"));
    if (!has_sandbox)
        skip();
    line = execute(NULL, &result);
    assert_true(!result.no_sandbox && result.n_programs == 1 && result.n_passed == 1);
    assert_string_equal(line.outcome, "passed");
    assert_true(line.exit_code == 0 && line.wall_ns > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(built_in_set), cmocka_unit_test(refuses),
                                       cmocka_unit_test(finds_code), cmocka_unit_test(judges_programs),
                                       cmocka_unit_test(nothing_runs_without_a_sandbox)};
    ssw_error err;
    ssw_sandbox_options options;
    ssw_sandbox_options_init(&options);
    ssw_arena_init(&arena, 16 << 20);
    if (ssw_problems_parse(&arena, ssw_problems_python, strlen(ssw_problems_python), &problems, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    has_sandbox = ssw_sandbox_check(&options, &err) == SSW_OK;
    if (!has_sandbox)
        fprintf(stderr, "programs are not judged: %s\n", err.message);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ssw_arena_deinit(&arena);
    return failed;
}
