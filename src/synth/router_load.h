/* How often each expert shall be chosen, and the router weights that make it so over random tokens.
 *
 * The router's logits of a synthetic model are normal with standard deviation 1 over random tokens. An expert
 * is among the k chosen when its logit passes a threshold that hardly moves from token to token, so P(chosen)
 * = P(N > t), and t comes from the wanted load by the normal quantile. Pure. */
#ifndef SSW_SYNTH_ROUTER_LOAD_H
#define SSW_SYNTH_ROUTER_LOAD_H

#include <stdint.h>

enum { SSW_ROUTER_EXPERTS_MAX = 1024 };

/* Largest load (share of tokens that choose the expert) each way of steering can give. */
#define SSW_ROUTER_BIAS_LOAD_MAX  0.98
#define SSW_ROUTER_SCALE_LOAD_MAX 0.45

/* load[n_experts]: sums to n_used. skew 0 is uniform; else proportional to 1/rank^skew, ranks drawn from the
 * seed; what passes load_max is spread over the others. */
void ssw_router_load_fill(double *load, int n_experts, int n_used, double skew, double load_max,
                          uint64_t seed);

/* Added to the logit of an expert (gpt-oss has such a bias). */
double ssw_router_load_bias(double load);
/* Multiplies the row of an expert where there is no bias. 1 for the uniform load n_used / n_experts (at most
 * 1/2). */
double ssw_router_load_scale(double load, double uniform_load);

/* x with P(N(0,1) < x) = p; p in (0, 1). */
double ssw_router_normal_quantile(double p);

#endif
