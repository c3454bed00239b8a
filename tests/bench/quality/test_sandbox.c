/* Hostile programs: what a model's reply could do, and that it cannot do it here. Each program tells by its
 * exit code or its output what it reached; the test looks also from outside (files, processes). Skipped,
 * loudly, where bwrap cannot make namespaces. */
#include "../../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/quality/sandbox.h"

static ssw_sandbox_options limits;

static ssw_sandbox_result run(const char *program)
{
    ssw_sandbox_result out;
    ssw_error err = {0};
    if (ssw_sandbox_run(&limits, program, &out, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return out;
}

static void ends_well(const char *program)
{
    ssw_sandbox_result out = run(program);
    if (out.outcome != SSW_SANDBOX_ENDED || out.exit_code != 0)
        fail_msg("outcome %d, exit code %d: %s", out.outcome, out.exit_code, out.tail);
}

static void tells_how_a_program_ends(void **state)
{
    (void)state;
    ssw_sandbox_result out = run("print('hello')\n");
    assert_string_equal(out.tail, "hello\n");
    assert_int_equal(out.exit_code, 0);
    out = run("assert 1 == 2\n");
    assert_int_equal(out.exit_code, 1);
    assert_non_null(strstr(out.tail, "AssertionError"));
    out = run("import os; os.kill(os.getpid(), 9)\n");
    assert_int_equal(out.outcome, SSW_SANDBOX_KILLED);
    out = run("def broken(:\n");
    assert_non_null(strstr(out.tail, "SyntaxError"));
}

static void endless_loop(void **state)
{
    (void)state;
    ssw_sandbox_options short_limits = limits;
    ssw_sandbox_result out;
    short_limits.wall_ns = 2 * SSW_NS_PER_S;
    assert_int_equal(ssw_sandbox_run(&short_limits, "import time\nwhile True: time.sleep(1)\n", &out, NULL),
                     SSW_OK);
    assert_int_equal(out.outcome, SSW_SANDBOX_TIMEOUT);
    /* processor time ends a busy one; the wall clock would be 60 s away */
    short_limits = limits;
    short_limits.cpu_s = 1;
    short_limits.wall_ns = 60 * SSW_NS_PER_S;
    assert_int_equal(ssw_sandbox_run(&short_limits, "while True: pass\n", &out, NULL), SSW_OK);
    assert_int_equal(out.outcome, SSW_SANDBOX_KILLED);
}

static void memory_hog(void **state)
{
    (void)state;
    ends_well("try:\n"
              "    x = bytearray(1 << 30)\n"
              "except MemoryError:\n"
              "    raise SystemExit(0)\n"
              "raise SystemExit(9)\n");
    /* a full /tmp is full, not the machine's memory */
    ends_well("try:\n"
              "    for i in range(64):\n"
              "        open('/tmp/%d' % i, 'wb').write(bytes(1 << 20))\n"
              "except OSError:\n"
              "    raise SystemExit(0)\n"
              "raise SystemExit(9)\n");
}

/* Bounded even if the limit failed: at most 200 children, which sleep. */
static void fork_bomb(void **state)
{
    (void)state;
    ssw_sandbox_result out = run("import os, time\n"
                                 "n = 0\n"
                                 "try:\n"
                                 "    while n < 200:\n"
                                 "        if os.fork() == 0:\n"
                                 "            time.sleep(30)\n"
                                 "            os._exit(0)\n"
                                 "        n += 1\n"
                                 "except OSError:\n"
                                 "    pass\n"
                                 "os.write(1, b'children %d\\n' % n)\n"
                                 "os._exit(0)\n");
    int n = -1;
    assert_int_equal(sscanf(out.tail, "children %d", &n), 1);
    assert_true(n >= 0 && n < limits.processes);
}

/* The children of a program that ended are gone with its PID namespace: they would touch the pipe that
 * drain() reads. */
static void leaves_nothing_behind(void **state)
{
    (void)state;
    ssw_sandbox_result out = run("import os, time\n"
                                 "if os.fork() == 0:\n"
                                 "    os.setsid()\n"
                                 "    time.sleep(600)\n"
                                 "os._exit(0)\n");
    assert_int_equal(out.outcome, SSW_SANDBOX_ENDED); /* not TIMEOUT: the end of its output came */
    assert_int_equal(out.exit_code, 0);
}

static void no_network(void **state)
{
    (void)state;
    ends_well("import socket\n"
              "for address in (('127.0.0.1', 22), ('1.1.1.1', 53)):\n"
              "    s = socket.socket()\n"
              "    s.settimeout(1)\n"
              "    try:\n"
              "        s.connect(address)\n"
              "    except OSError:\n"
              "        continue\n"
              "    raise SystemExit(9)\n"
              "names = [n for i, n in socket.if_nameindex()]\n"
              "raise SystemExit(0 if names in ([], ['lo']) else 8)\n");
}

static void no_files_outside(void **state)
{
    char path[64], program[512];
    (void)state;
    snprintf(path, sizeof path, "/tmp/seesaw-sandbox-%d", (int)getpid());
    snprintf(program, sizeof program,
             "open('%s', 'w').write('inside')\n"
             "for path in ('/usr/x', '/x', '/usr/bin/x', '/dev/x', '/etc/x'):\n"
             "    try:\n"
             "        open(path, 'w')\n"
             "    except OSError:\n"
             "        continue\n"
             "    raise SystemExit(9)\n",
             path);
    ends_well(program);
    assert_int_not_equal(access(path, F_OK), 0); /* its /tmp is not ours */
}

static void no_secrets(void **state)
{
    (void)state;
    setenv("SEESAW_TEST_SECRET", "secret", 1);
    ends_well("import os\n"
              "for path in ('/etc/shadow', '/etc/passwd', '/root', '/home', '/proc/1/environ', "
              "'/proc/self/environ', '/sys'):\n"
              "    if os.path.exists(path):\n"
              "        raise SystemExit(9)\n"
              "raise SystemExit(8 if 'SEESAW_TEST_SECRET' in os.environ or os.getuid() == 0 else 0)\n");
}

static void floods_of_output(void **state)
{
    (void)state;
    ssw_sandbox_result out = run("for i in range(100000):\n    print('x' * 100)\nprint('end')\n");
    assert_int_equal(out.exit_code, 0);
    assert_int_equal(strlen(out.tail), SSW_SANDBOX_TAIL_BYTES);
    assert_string_equal(out.tail + SSW_SANDBOX_TAIL_BYTES - 4, "end\n");
}

static void says_when_there_is_none(void **state)
{
    (void)state;
    ssw_sandbox_options other = limits;
    ssw_error err;
    other.bwrap = "/nonexistent/bwrap";
    assert_int_equal(ssw_sandbox_check(&other, &err), SSW_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "bwrap does not start"));
    other.bwrap = "/bin/true"; /* a bwrap that makes no namespaces and runs nothing */
    assert_int_equal(ssw_sandbox_check(&other, &err), SSW_ERR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tells_how_a_program_ends),
                                       cmocka_unit_test(endless_loop),
                                       cmocka_unit_test(memory_hog),
                                       cmocka_unit_test(fork_bomb),
                                       cmocka_unit_test(leaves_nothing_behind),
                                       cmocka_unit_test(no_network),
                                       cmocka_unit_test(no_files_outside),
                                       cmocka_unit_test(no_secrets),
                                       cmocka_unit_test(floods_of_output),
                                       cmocka_unit_test(says_when_there_is_none)};
    ssw_error err;
    ssw_sandbox_options_init(&limits);
    limits.wall_ns = 60 * SSW_NS_PER_S; /* a busy machine; no program here needs it but the one that sleeps */
    if (ssw_sandbox_check(&limits, &err)) {
        fprintf(stderr, "SKIPPED: %s\n", err.message);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
