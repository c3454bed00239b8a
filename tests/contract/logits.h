/* How far two rows of logits are from each other. Pure. */
#ifndef SSW_TESTS_LOGITS_H
#define SSW_TESTS_LOGITS_H

#include <stdint.h>

int32_t largest_logit(const float *logits, int32_t n); /* its token; of equals the lower */
/* KL of the distribution of q from that of p, in nats. */
double divergence(const float *p, const float *q, int32_t n);
float max_difference(const float *a, const float *b, int64_t n); /* infinite if any is NaN */

#endif
