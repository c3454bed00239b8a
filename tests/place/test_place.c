/* Placement on made-up devices: a model of four layers, whose tensors are powers of two in bytes so that sums
 * tell which of them were counted. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "place/place.h"

enum { N_LAYERS = 4, PER_LAYER = 4, N_ITEMS = 3 + N_LAYERS * PER_LAYER };

static const ssw_place_device cpu_only[] = {{"CPU", 0}};
static const ssw_place_device with_gpu[] = {{"CPU", 0}, {"CUDA0", 0}};

/* embedding 1, output norm 2, output 4; per layer attention 8, router 16, expert 1000, expert bias 100, all +
 * layer */
static void make_items(ssw_place_item items[N_ITEMS])
{
    char name[64];
    static const struct {
        const char *name;
        uint64_t bytes;
    } global[] = {{"token_embd.weight", 1}, {"output_norm.weight", 2}, {"output.weight", 4}},
      layers[] = {{"attn_q.weight", 8},
                  {"ffn_gate_inp.weight", 16},
                  {"ffn_up_exps.weight", 1000},
                  {"ffn_up_exps.bias", 100}};
    int n = 0;
    for (int i = 0; i < 3; i++)
        ssw_place_item_init(&items[n++], ssw_tensor_role_of(global[i].name), global[i].bytes);
    for (int layer = 0; layer < N_LAYERS; layer++) {
        for (int i = 0; i < PER_LAYER; i++) {
            snprintf(name, sizeof name, "blk.%d.%s", layer, layers[i].name);
            ssw_place_item_init(&items[n++], ssw_tensor_role_of(name), layers[i].bytes);
        }
    }
}

static ssw_place_summary place(const ssw_place_device *devices, int32_t n_devices, int32_t ngl,
                               int32_t n_cpu_moe, ssw_place_item items[N_ITEMS])
{
    ssw_place_summary summary;
    ssw_place_request request = {devices, n_devices, N_LAYERS, ngl, n_cpu_moe};
    make_items(items);
    ssw_place_assign(&request, items, N_ITEMS, &summary);
    return summary;
}

static void without_gpu_nothing_moves(void **state)
{
    ssw_place_item items[N_ITEMS];
    for (int moe = 0; moe <= N_LAYERS; moe += N_LAYERS) {
        ssw_place_summary s = place(cpu_only, 1, SSW_PLACE_LAYERS_ALL, moe, items);
        assert_int_equal(s.device_bytes[SSW_PLACE_CPU], 7 + 4 * 1124);
        assert_int_equal(s.expert_bytes_moved, 0);
    }
}

static void all_on_the_gpu_but_the_embedding(void **state)
{
    ssw_place_item items[N_ITEMS];
    ssw_place_summary s = place(with_gpu, 2, SSW_PLACE_LAYERS_ALL, 0, items);
    assert_int_equal(s.device_bytes[SSW_PLACE_CPU], 1);
    assert_int_equal(s.device_bytes[SSW_PLACE_GPU], 6 + 4 * 1124);
    assert_int_equal(s.expert_bytes_moved, 0);
}

static void cpu_moe_moves_experts_and_their_biases_only(void **state)
{
    ssw_place_item items[N_ITEMS];
    ssw_place_summary s = place(with_gpu, 2, SSW_PLACE_LAYERS_ALL, SSW_PLACE_LAYERS_ALL, items);
    assert_int_equal(s.device_bytes[SSW_PLACE_CPU], 1 + 4 * 1100);
    assert_int_equal(s.device_bytes[SSW_PLACE_GPU], 6 + 4 * 24);
    assert_int_equal(s.expert_bytes_moved, 4 * 1100);
}

static void n_cpu_moe_counts_from_the_first_layer(void **state)
{
    ssw_place_item items[N_ITEMS];
    ssw_place_summary s = place(with_gpu, 2, SSW_PLACE_LAYERS_ALL, 3, items);
    assert_int_equal(s.expert_bytes_moved, 3 * 1100);
    for (int i = 0; i < N_ITEMS; i++) {
        if (items[i].is_expert)
            assert_int_equal(items[i].device, items[i].layer < 3 ? SSW_PLACE_CPU : SSW_PLACE_GPU);
    }
}

static void ngl_counts_from_the_last_layer_and_the_head_is_one(void **state)
{
    ssw_place_item items[N_ITEMS];
    assert_int_equal(place(with_gpu, 2, 0, 0, items).device_bytes[SSW_PLACE_GPU], 0);
    assert_int_equal(place(with_gpu, 2, 1, 0, items).device_bytes[SSW_PLACE_GPU], 6);
    ssw_place_summary s = place(with_gpu, 2, 3, 0, items); /* head, layers 3 and 2 */
    assert_int_equal(s.device_bytes[SSW_PLACE_GPU], 6 + 2 * 1124);
    s = place(with_gpu, 2, 3, 2, items); /* layers 0 and 1 are in host memory anyway */
    assert_int_equal(s.expert_bytes_moved, 0);
    s = place(with_gpu, 2, 3, 3, items);
    assert_int_equal(s.expert_bytes_moved, 1100);
    assert_int_equal(place(with_gpu, 2, 5, 0, items).device_bytes[SSW_PLACE_CPU], 1);
}

static void says_what_would_fit(void **state)
{
    ssw_place_item items[N_ITEMS];
    ssw_error err;
    ssw_place_device devices[] = {{"CPU", 0}, {"CUDA0", 2400}};
    ssw_place_request request = {devices, 2, N_LAYERS, SSW_PLACE_LAYERS_ALL, 0};
    make_items(items);
    assert_int_equal(ssw_place_check(&request, items, N_ITEMS, &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "CUDA0: needs"));
    assert_non_null(strstr(err.message, "--n-cpu-moe 2 would fit"));
    assert_int_equal(ssw_place_solve_n_cpu_moe(&request, items, N_ITEMS), 2);
    request.n_cpu_moe = 2; /* 6 + 4*24 + 2*1100 = 2302 */
    assert_int_equal(ssw_place_check(&request, items, N_ITEMS, &err), SSW_OK);
    devices[1].free_bytes = 101; /* one byte short of everything but the experts */
    assert_int_equal(ssw_place_check(&request, items, N_ITEMS, &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "not even --cpu-moe"));
    assert_int_equal(ssw_place_solve_n_cpu_moe(&request, items, N_ITEMS), -1);
    devices[0].free_bytes = 10;
    request.n_gpu_layers = 0;
    assert_int_equal(ssw_place_check(&request, items, N_ITEMS, &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "CPU: needs"));
}

static void tables_sum_by_class_device_and_manner(void **state)
{
    ssw_place_item items[N_ITEMS];
    ssw_place_row rows[SSW_PLACE_ROWS_MAX];
    place(with_gpu, 2, SSW_PLACE_LAYERS_ALL, 1, items);
    for (int i = 0; i < N_ITEMS; i++)
        items[i].actual_bytes = items[i].bytes + 1;
    int n = ssw_place_tabulate(items, N_ITEMS, rows);
    uint64_t predicted = 0, experts[2] = {0, 0};
    for (int r = 0; r < n; r++) {
        predicted += rows[r].predicted_bytes;
        if (strcmp(rows[r].table_class, ssw_tensor_class_name(SSW_TENSOR_EXPERT)) == 0) {
            experts[rows[r].device] = rows[r].predicted_bytes;
            assert_int_equal(rows[r].actual_bytes, rows[r].predicted_bytes + rows[r].predicted_bytes / 1000);
        }
    }
    assert_int_equal(predicted, 7 + 4 * 1124);
    assert_int_equal(experts[SSW_PLACE_CPU], 1000);
    assert_int_equal(experts[SSW_PLACE_GPU], 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_gpu_nothing_moves),
        cmocka_unit_test(all_on_the_gpu_but_the_embedding),
        cmocka_unit_test(cpu_moe_moves_experts_and_their_biases_only),
        cmocka_unit_test(n_cpu_moe_counts_from_the_first_layer),
        cmocka_unit_test(ngl_counts_from_the_last_layer_and_the_head_is_one),
        cmocka_unit_test(says_what_would_fit),
        cmocka_unit_test(tables_sum_by_class_device_and_manner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
