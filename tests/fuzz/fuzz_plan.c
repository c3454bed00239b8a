/* Plan files, prompt files and the words of --arm: refused or read, with one line of error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plan/plan.h"
#include "bench/plan/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < 1)
        return 0;
    size_t n = n_bytes - 1;
    char *text = malloc(n + 1);
    if (!text)
        abort();
    memcpy(text, bytes + 1, n);
    text[n] = '\0';
    ssw_plan plan;
    ssw_schedule schedule;
    ssw_error err = {0};
    ssw_status status;
    ssw_plan_init(&plan);
    if (bytes[0] == 'y')
        status = ssw_plan_read_yaml(&plan, "f", text, n, &err);
    else if (bytes[0] == 'p')
        status = ssw_plan_read_prompts(&plan, "f", text, n, &err);
    else
        status = ssw_plan_add_arm_option(&plan, text, &err);
    if (!status)
        status = ssw_plan_finish(&plan, 0, &err);
    if (status && !err.message[0])
        abort();
    if (!status && ssw_schedule_init(&schedule, &plan, &err) == SSW_OK)
        ssw_schedule_deinit(&schedule);
    ssw_plan_deinit(&plan);
    free(text);
    return 0;
}
