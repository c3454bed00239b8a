/* The same-configuration guard, arms that run already, and the words of a plan's choices. */
#include <string.h>

#include "../../cmocka_all.h"

#include "bench/plan/plan_guard.h"

/* Checks arms a, b and, where given, c; allow may be NULL. NULL when they may be compared, else the message.
 */
static const char *check(const char *a, const char *b, const char *c, const char *allow)
{
    static ssw_error err;
    ssw_plan plan;
    err.message[0] = '\0';
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm(&plan, "a", a, NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm(&plan, "b", b, NULL), SSW_OK);
    if (c)
        assert_int_equal(ssw_plan_add_arm(&plan, "c", c, NULL), SSW_OK);
    if (allow)
        assert_int_equal(ssw_plan_allow_difference(&plan, allow, NULL), SSW_OK);
    ssw_status status = ssw_plan_check_arms(&plan, &err);
    assert_true(status == SSW_OK || status == SSW_ERR_USAGE);
    ssw_plan_deinit(&plan);
    return status ? err.message : NULL;
}

static void expect_refusal(const char *message, const char *words)
{
    assert_non_null(message);
    if (!strstr(message, words))
        fail_msg("\"%s\" does not say \"%s\"", message, words);
}

static void test_the_guard(void **state)
{
    (void)state;
    assert_null(check("", "", NULL, NULL));
    assert_null(check("-t 4", "-t 4 --cpu-moe", NULL, NULL));
    assert_null(check("--cpu-moe -t 4", "-t 4", NULL, NULL)); /* order does not matter */
    assert_null(check("-t 4", "-t 8", NULL, NULL));           /* one difference is the treatment */
    assert_null(check("", "--n-cpu-moe 4", "--n-cpu-moe 8", NULL));
    assert_null(check("--cpu-moe", "--n-cpu-moe 4", NULL, NULL)); /* both say where experts lie */
    assert_null(check("A=1 -t 4", "A=1 -t 4 -ot exps=CPU", NULL, NULL));
    assert_null(check("", "--cpu-moe --moe-cache-mib 512", "-ot exps=CPU --moe-cache-mib=256", NULL));
    expect_refusal(check("-t 4", "-t 8 --cpu-moe", NULL, NULL),
                   "differ in more than the treatment (--cpu-moe): -t; if that is meant, name it");
    assert_null(check("-t 4", "-t 8 --cpu-moe", NULL, "-t"));
    expect_refusal(check("", "OMP_NUM_THREADS=2 --cpu-moe", NULL, NULL), "OMP_NUM_THREADS");
    assert_null(check("", "OMP_NUM_THREADS=2 --cpu-moe", NULL, "OMP_NUM_THREADS"));
    expect_refusal(check("-t 4 -c 512", "-t 8 -c 1024", NULL, NULL), "more than one thing: -t, -c");
    assert_null(check("-t 4 -c 512", "-t 8 -c 1024", NULL, "-c"));
    expect_refusal(check("", "--cpu-moe", "-t 8", NULL), "arms \"a\" and \"c\"");
    expect_refusal(check("--ctx-size=1 --cpu-moe", "--ctx-size=2", NULL, NULL), ": --ctx-size");
    expect_refusal(check("-t 4", "-t 4 -t 4 --cpu-moe", NULL, NULL),
                   ": -t"); /* given twice is a difference */
    expect_refusal(check("-t 4", "-t 8 --cpu-moe", NULL, "-threads"), ": -t");
}

/* Arms of servers of different kinds: that is the treatment, and what else differs is not. */
static void test_servers_of_different_kinds(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_error err;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "ours=-t 4", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "theirs@llama-server:/opt/x/server=-t 4 --a=b@c", NULL),
                     SSW_OK);
    assert_int_equal(ssw_plan_add_url_option(&plan, "third@ollama=http://127.0.0.1:11434", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "fourth@=x", &err), SSW_ERR_USAGE);
    plan.n_arms = 3;
    assert_null(plan.arms[0].server);
    assert_string_equal(plan.arms[1].name, "theirs");
    assert_string_equal(plan.arms[1].server, "llama-server:/opt/x/server");
    assert_string_equal(plan.arms[1].args[2], "--a=b@c");
    assert_string_equal(plan.arms[2].server, "ollama");
    assert_string_equal(plan.arms[2].url, "http://127.0.0.1:11434");
    assert_int_equal(ssw_plan_check_arms(&plan, &err), SSW_ERR_USAGE);
    expect_refusal(err.message, "more than the treatment (the server): --a");
    assert_int_equal(ssw_plan_allow_difference(&plan, "--a", NULL), SSW_OK);
    assert_int_equal(ssw_plan_check_arms(&plan, NULL), SSW_OK);
    assert_string_equal(ssw_plan_describe_treatment(&plan, 1, &plan.arena),
                        "adds: (server llama-server:/opt/x/server) --a=b@c");
    ssw_plan_deinit(&plan);
    ssw_plan_init(&plan); /* a server and --cpu-moe at once would be two treatments */
    assert_int_equal(ssw_plan_add_arm_option(&plan, "a=", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "b@x=--cpu-moe", NULL), SSW_OK);
    assert_int_equal(ssw_plan_check_arms(&plan, &err), SSW_ERR_USAGE);
    expect_refusal(err.message, "(the server): --cpu-moe");
    ssw_plan_deinit(&plan);
}

static void test_treatments_are_described(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm(&plan, "a", "-t 4", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm(&plan, "b", "X=1 -t 8 --cpu-moe", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm(&plan, "c", "-t 4", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_url_option(&plan, "http://127.0.0.1:8080/", NULL), SSW_OK);
    assert_string_equal(ssw_plan_describe_treatment(&plan, 0, &plan.arena), "(first arm)");
    assert_string_equal(ssw_plan_describe_treatment(&plan, 1, &plan.arena),
                        "adds: X=1 -t 8 --cpu-moe; lacks: -t 4");
    assert_string_equal(ssw_plan_describe_treatment(&plan, 2, &plan.arena), "(the same as the first arm)");
    assert_string_equal(ssw_plan_describe_treatment(&plan, 3, &plan.arena), "runs already");
    ssw_plan_deinit(&plan);
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *option, *name, *url;
        int port;
    } good[] = {
        {"http://127.0.0.1:8080", "running", "http://127.0.0.1:8080", 8080},
        {"theirs=http://box/api/", "theirs", "http://box/api", 80},
        {"six=http://[::1]:1", "six", "http://[::1]:1", 1},
    };
    static const char *const bad[] = {"https://x",      "http://",     "http://:80",  "http://x:0",
                                      "http://x:65536", "http://x:8y", "http://x y",  "http://u@x",
                                      "a b=http://x",   "=http://x",   "http://[::1", "x"};
    ssw_plan plan;
    ssw_plan_init(&plan);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(ssw_plan_add_url_option(&plan, good[i].option, NULL), SSW_OK);
        assert_string_equal(plan.arms[i].name, good[i].name);
        assert_string_equal(plan.arms[i].url, good[i].url);
        assert_int_equal(plan.arms[i].port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ssw_plan_add_url_option(&plan, bad[i], NULL) != SSW_ERR_USAGE)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(plan.n_arms, 3);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    ssw_plan_deinit(&plan);
}

/* Two arms may be one running server (A/A), but a server to be started needs a port of its own. */
static void test_shared_ports(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_url(&plan, "a", "http://127.0.0.1:11436", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_url(&plan, "b", "http://127.0.0.1:11436", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm(&plan, "c", "", NULL), SSW_OK);
    plan.arms[2].port = 11436;
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_ERR_USAGE);
    ssw_plan_deinit(&plan);
}

static void test_choices(void **state)
{
    (void)state;
    ssw_plan_page_cache cache = SSW_PLAN_CACHE_AS_IS;
    ssw_plan_ask ask = SSW_PLAN_ASK_CHAT;
    int fixed = 0;
    ssw_error err;
    assert_int_equal(ssw_plan_parse_page_cache("cold", &cache, NULL), SSW_OK);
    assert_int_equal(cache, SSW_PLAN_CACHE_COLD);
    assert_string_equal(ssw_plan_page_cache_name(cache), "cold");
    assert_int_equal(ssw_plan_parse_page_cache("tepid", &cache, &err), SSW_ERR_USAGE);
    assert_string_equal(err.message, "unknown state of the page cache \"tepid\": as-is, warm or cold");
    assert_int_equal(cache, SSW_PLAN_CACHE_COLD);
    assert_int_equal(ssw_plan_parse_ask("completion", &ask, NULL), SSW_OK);
    assert_int_equal(ask, SSW_PLAN_ASK_COMPLETION);
    assert_int_equal(ssw_plan_parse_length("fixed", &fixed, NULL), SSW_OK);
    assert_int_equal(fixed, 1);
    assert_int_equal(ssw_plan_parse_length("long", &fixed, &err), SSW_ERR_USAGE);
    assert_string_equal(err.message, "unknown length \"long\": natural or fixed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_of_different_kinds),
        cmocka_unit_test(test_the_guard),
        cmocka_unit_test(test_treatments_are_described),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_shared_ports),
        cmocka_unit_test(test_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
