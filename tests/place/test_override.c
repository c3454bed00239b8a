/* Placement by name, on a made-up model of three layers: attention, router, two expert matrices with a bias
 * each, and a KV cache. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "place/override.h"

enum { N_LAYERS = 3, PER_LAYER = 7, N_ITEMS = 3 + N_LAYERS * PER_LAYER, NAME_MAX_BYTES = 64 };

static const ssw_place_device devices[] = {{"CPU", 0}, {"CUDA0", 0}};

typedef struct world {
    char names[N_ITEMS][NAME_MAX_BYTES];
    ssw_place_item items[N_ITEMS];
    ssw_place_request request;
    ssw_place_overrides *overrides;
    ssw_error err;
} world;

static void add(world *w, int *n, uint64_t bytes)
{
    ssw_place_item_init(&w->items[*n], ssw_tensor_role_of(w->names[*n]), bytes);
    w->items[*n].name = w->names[*n];
    (*n)++;
}

static void make_model(world *w)
{
    static const char *const global[] = {"token_embd.weight", "output_norm.weight", "output.weight"};
    static const char *const of_layer[] = {"attn_q.weight",    "ffn_gate_inp.weight",  "ffn_up_exps.weight",
                                           "ffn_up_exps.bias", "ffn_down_exps.weight", "ffn_down_exps.bias"};
    int n = 0;
    memset(w, 0, sizeof *w);
    w->request = (ssw_place_request){devices, 2, N_LAYERS, SSW_PLACE_LAYERS_ALL, 0};
    for (int i = 0; i < 3; i++) {
        snprintf(w->names[n], NAME_MAX_BYTES, "%s", global[i]);
        add(w, &n, 1);
    }
    for (int layer = 0; layer < N_LAYERS; layer++) {
        for (int i = 0; i < PER_LAYER - 1; i++) {
            snprintf(w->names[n], NAME_MAX_BYTES, "blk.%d.%s", layer, of_layer[i]);
            add(w, &n, 100);
        }
        w->items[n++] =
            (ssw_place_item){.table_class = "kv cache", .how = "allocated", .layer = layer, .bytes = 10};
    }
    assert_int_equal(n, N_ITEMS);
}

/* Opens, applies, assigns; the caller closes. */
static ssw_status place(world *w, const char *const *texts, int n_texts)
{
    ssw_place_summary summary;
    assert_int_equal(ssw_place_overrides_open(texts, n_texts, &w->overrides, &w->err), SSW_OK);
    assert_int_equal(ssw_place_overrides_apply(w->overrides, w->items, N_ITEMS, &w->err), SSW_OK);
    ssw_place_assign(&w->request, w->items, N_ITEMS, &summary);
    return ssw_place_overrides_check(&w->request, w->items, N_ITEMS, &w->err);
}

static ssw_status place_one(world *w, const char *text)
{
    make_model(w);
    return place(w, &text, 1);
}

static int32_t device_of(const world *w, const char *name)
{
    for (int i = 0; i < N_ITEMS; i++) {
        if (w->items[i].name && strcmp(w->items[i].name, name) == 0)
            return w->items[i].device;
    }
    fail_msg("no tensor '%s'", name);
    return -1;
}

static int32_t count_on_cpu(const world *w)
{
    int32_t n = 0;
    for (int i = 0; i < N_ITEMS; i++)
        n += w->items[i].device == SSW_PLACE_CPU;
    return n;
}

static void a_pattern_moves_experts_before_the_numbers_do(void **state)
{
    (void)state;
    world w;
    assert_int_equal(place_one(&w, "blk\\.1\\.ffn_.*_exps=CPU"), SSW_OK);
    assert_int_equal(count_on_cpu(&w), 1 + 4);
    assert_int_equal(device_of(&w, "blk.1.ffn_up_exps.weight"), SSW_PLACE_CPU);
    assert_int_equal(device_of(&w, "blk.1.attn_q.weight"), SSW_PLACE_GPU);
    ssw_place_overrides_close(w.overrides);

    make_model(&w); /* the other way round: kept on the GPU against n_cpu_moe */
    w.request.n_cpu_moe = N_LAYERS;
    const char *text = "blk\\.2\\.ffn_.*_exps=GPU";
    assert_int_equal(place(&w, &text, 1), SSW_OK);
    assert_int_equal(device_of(&w, "blk.1.ffn_up_exps.weight"), SSW_PLACE_CPU);
    assert_int_equal(device_of(&w, "blk.2.ffn_up_exps.weight"), SSW_PLACE_GPU);
    assert_int_equal(ssw_place_solve_n_cpu_moe(&w.request, w.items, N_ITEMS), 0);
    ssw_place_overrides_close(w.overrides);
}

static void biases_follow_their_matrices_and_caches_their_layers(void **state)
{
    (void)state;
    world w;
    assert_int_equal(place_one(&w, "exps\\.weight=CPU"), SSW_OK);
    assert_int_equal(device_of(&w, "blk.0.ffn_down_exps.bias"), SSW_PLACE_CPU);
    assert_int_equal(count_on_cpu(&w), 1 + N_LAYERS * 4);
    ssw_place_overrides_close(w.overrides);
    assert_int_equal(place_one(&w, "blk\\.0\\.=CPU"), SSW_OK);
    assert_int_equal(count_on_cpu(&w), 1 + PER_LAYER); /* the cache too, which has no name */
    ssw_place_overrides_close(w.overrides);
}

static void the_first_match_decides(void **state)
{
    (void)state;
    world w;
    make_model(&w);
    const char *const texts[] = {"blk\\.0\\..*exps=CUDA0,exps=CPU", "blk\\.1\\..*exps=CUDA0"};
    assert_int_equal(place(&w, texts, 2), SSW_OK);
    assert_int_equal(ssw_place_overrides_count(w.overrides), 3);
    assert_int_equal(device_of(&w, "blk.0.ffn_up_exps.weight"), SSW_PLACE_GPU);
    assert_int_equal(device_of(&w, "blk.1.ffn_up_exps.weight"), SSW_PLACE_CPU);
    ssw_place_overrides_close(w.overrides);
}

static ssw_place_override_effect effect_of(const world *w, int32_t index)
{
    ssw_place_override_effect effect;
    ssw_place_overrides_describe(w->overrides, index, &w->request, w->items, N_ITEMS, &effect);
    return effect;
}

static void says_what_each_pattern_did(void **state)
{
    (void)state;
    world w;
    make_model(&w);
    const char *text = "exps=CPU,blk\\.1\\..*exps=CPU,nonsense=CPU,attn=CUDA0";
    assert_int_equal(place(&w, &text, 1), SSW_OK);
    ssw_place_override_effect e = effect_of(&w, 0);
    assert_string_equal(e.text, "exps=CPU");
    assert_int_equal(e.n_decided, N_LAYERS * 4);
    assert_int_equal(e.n_moved, N_LAYERS * 4);
    assert_int_equal(e.moved_bytes, N_LAYERS * 400);
    assert_false(e.is_shadowed);
    e = effect_of(&w, 1);
    assert_int_equal(e.n_decided, 0);
    assert_true(e.is_shadowed);
    e = effect_of(&w, 2);
    assert_int_equal(e.n_decided, 0);
    assert_false(e.is_shadowed);
    e = effect_of(&w, 3);
    assert_int_equal(e.n_decided, N_LAYERS);
    assert_int_equal(e.n_moved, 0);
    ssw_place_overrides_close(w.overrides);
}

static void expect_refused(const char *text, const char *tensor, const char *words)
{
    world w;
    assert_int_equal(place_one(&w, text), SSW_ERR_UNSUPPORTED);
    if (!strstr(w.err.message, tensor) || !strstr(w.err.message, words))
        fail_msg("expected '%s' and '%s' in: %s", tensor, words, w.err.message);
    ssw_place_overrides_close(w.overrides);
}

static void refuses_what_cannot_be_computed_apart(void **state)
{
    (void)state;
    expect_refused("blk\\.2\\.ffn_up_exps=CPU", "'blk.2.ffn_up_exps.weight'", "'blk\\.2\\.ffn_.*_exps=CPU'");
    expect_refused("exps\\.bias=CPU", "'blk.0.ffn_up_exps.bias'", "computed together");
    expect_refused("blk\\.0\\.attn=CPU", "'blk.0.attn_q.weight'", "'blk\\.0\\.=CPU'");
    expect_refused("blk\\.2\\.=CPU", "'blk.2.attn_q.weight'", "layers on the GPU are the last ones");
    expect_refused("blk\\.0\\.(attn|ffn_gate_inp)=CPU", "'blk.0.attn_q.weight'", "place the layer whole");
    expect_refused("token_embd=GPU", "'token_embd.weight'", "token embedding stays in host memory");
    expect_refused("output_norm=CPU", "'output_norm.weight'", "^output=CPU");
    expect_refused("^output=CPU", "'output_norm.weight'", "where the last layer is");
}

static void whole_layers_are_taken(void **state)
{
    (void)state;
    world w;
    assert_int_equal(place_one(&w, "blk\\.[01]\\.=CPU"), SSW_OK);
    ssw_place_overrides_close(w.overrides);
    assert_int_equal(place_one(&w, "blk\\.=CPU,^output=CPU"), SSW_OK);
    assert_int_equal(count_on_cpu(&w), N_ITEMS);
    ssw_place_overrides_close(w.overrides);
    make_model(&w); /* without a GPU nothing is forced */
    w.request.n_devices = 1;
    const char *text = "blk\\.2\\.ffn_up=GPU";
    assert_int_equal(place(&w, &text, 1), SSW_OK);
    assert_int_equal(count_on_cpu(&w), N_ITEMS);
    ssw_place_overrides_close(w.overrides);
}

static void expect_bad(const char *text, const char *words)
{
    ssw_place_overrides *overrides;
    ssw_error err;
    assert_int_not_equal(ssw_place_overrides_open(&text, 1, &overrides, &err), SSW_OK);
    assert_null(overrides);
    if (!strstr(err.message, words))
        fail_msg("expected '%s' in: %s", words, err.message);
}

static void refuses_bad_texts(void **state)
{
    (void)state;
    char long_text[SSW_PLACE_OVERRIDE_BYTES_MAX + 8], many[8 * (SSW_PLACE_OVERRIDES_MAX + 1)] = "";
    expect_bad("exps", "'exps' is not PATTERN=DEVICE");
    expect_bad("", "is not PATTERN=DEVICE");
    expect_bad("=CPU", "is not PATTERN=DEVICE");
    expect_bad("exps=CPU,", "is not PATTERN=DEVICE");
    expect_bad("blk\\.\\d{1,2}=CPU", "a comma begins the next one");
    expect_bad("exps=CUDA1", "no device 'CUDA1'; there are CPU, CUDA0 and GPU");
    expect_bad("exps=", "no device ''");
    expect_bad("exps(=CPU", "missing closing parenthesis");
    memset(long_text, 'a', sizeof long_text);
    memcpy(long_text + sizeof long_text - 5, "=CPU", 5);
    expect_bad(long_text, "longer than 255 bytes");
    for (int i = 0; i <= SSW_PLACE_OVERRIDES_MAX; i++)
        memcpy(many + strlen(many), i ? ",a=GPU" : "a=GPU", i ? 7 : 6);
    expect_bad(many, "more than 64 overrides");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_moves_experts_before_the_numbers_do),
        cmocka_unit_test(biases_follow_their_matrices_and_caches_their_layers),
        cmocka_unit_test(the_first_match_decides),
        cmocka_unit_test(says_what_each_pattern_did),
        cmocka_unit_test(refuses_what_cannot_be_computed_apart),
        cmocka_unit_test(whole_layers_are_taken),
        cmocka_unit_test(refuses_bad_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
