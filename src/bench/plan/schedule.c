/* The schedule's generator. Its random numbers are SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable
 * pseudorandom number generators"), so that a seed gives the same order with any library version. */
#include "bench/plan/schedule.h"

#include <stdlib.h>

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Below n, without bias: values past the last whole multiple of n are drawn again. */
static uint64_t random_below(uint64_t *state, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t value;
    do {
        value = next_random(state);
    } while (value >= limit);
    return value % n;
}

static void shuffle(int *items, int n, uint64_t *state)
{
    for (int i = 0; i < n; i++)
        items[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)random_below(state, (uint64_t)i + 1);
        int item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

static void fill_sequential(ssw_schedule *schedule, const ssw_plan *plan)
{
    for (int arm = 0; arm < (int)plan->n_arms; arm++) {
        schedule->starts[arm] = (ssw_schedule_start){.position = arm, .arm = arm};
        ssw_schedule_request *request = schedule->requests + (size_t)arm * schedule->n_requests;
        for (int prompt = 0; prompt < (int)plan->n_prompts; prompt++) {
            for (int run = 1; run <= plan->runs; run++)
                *request++ = (ssw_schedule_request){.prompt = prompt, .run = run};
        }
    }
}

/* Row `row` of a cyclic Latin square whose first row is 0, 1, n − 1, 2, n − 2, ... (Williams, 1949): in the
 * rows 0 .. n − 1 of an even n each arm follows each other arm once; of an odd n it takes the mirrored rows
 * too. */
static int williams(int n, int row, int column)
{
    int step = column % 2 == 1 ? (column + 1) / 2 : n - column / 2;
    return (row + step) % n;
}

static void fill_abba(ssw_schedule *schedule, const ssw_plan *plan, int *prompt_order)
{
    int n_arms = (int)plan->n_arms, labels[SSW_PLAN_ARMS_MAX], rows[SSW_PLAN_ARMS_MAX];
    int n_rows =
        n_arms % 2 == 0 ? n_arms / 2 : n_arms; /* each with its mirror: for an even n that is a row too */
    uint64_t state = plan->seed;
    for (int block = 0; block < plan->runs; block++) {
        int step = block % (2 * n_rows);
        if (step == 0) {
            shuffle(labels, n_arms, &state);
            shuffle(rows, n_rows, &state);
        }
        shuffle(prompt_order, (int)plan->n_prompts, &state);
        for (int position = 0; position < n_arms; position++) {
            size_t start = (size_t)block * plan->n_arms + (size_t)position;
            int place = step % 2 == 0 ? position : n_arms - 1 - position;
            schedule->starts[start] = (ssw_schedule_start){
                .block = block, .position = position, .arm = labels[williams(n_arms, rows[step / 2], place)]};
            ssw_schedule_request *requests = schedule->requests + start * schedule->n_requests;
            for (size_t i = 0; i < plan->n_prompts; i++)
                requests[i] = (ssw_schedule_request){.prompt = prompt_order[i], .run = block + 1};
        }
    }
}

ssw_status ssw_schedule_init(ssw_schedule *schedule, const ssw_plan *plan, ssw_error *err)
{
    size_t runs = (size_t)plan->runs;
    *schedule = (ssw_schedule){0};
    if (plan->design == SSW_PLAN_SEQUENTIAL) {
        schedule->n_starts = plan->n_arms;
        schedule->n_requests = plan->n_prompts * runs;
    } else {
        schedule->n_starts = plan->n_arms * runs;
        schedule->n_requests = plan->n_prompts;
    }
    schedule->starts = calloc(schedule->n_starts, sizeof *schedule->starts);
    schedule->requests = calloc(schedule->n_starts * schedule->n_requests, sizeof *schedule->requests);
    int *prompt_order = calloc(plan->n_prompts, sizeof *prompt_order);
    if (!schedule->starts || !schedule->requests || !prompt_order) {
        free(prompt_order);
        ssw_schedule_deinit(schedule);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the schedule");
    }
    if (plan->design == SSW_PLAN_SEQUENTIAL)
        fill_sequential(schedule, plan);
    else
        fill_abba(schedule, plan, prompt_order);
    free(prompt_order);
    return SSW_OK;
}

void ssw_schedule_deinit(ssw_schedule *schedule)
{
    free(schedule->starts);
    free(schedule->requests);
    *schedule = (ssw_schedule){0};
}

const ssw_schedule_request *ssw_schedule_requests_of(const ssw_schedule *schedule, size_t start)
{
    return schedule->requests + start * schedule->n_requests;
}
