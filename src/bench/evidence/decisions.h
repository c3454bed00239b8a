/* What a run decided while it went on, as lines of samples.jsonl: plain data for writer, reader and runner.
 */
#ifndef SSW_BENCH_EVIDENCE_DECISIONS_H
#define SSW_BENCH_EVIDENCE_DECISIONS_H

#include <stdint.h>

typedef struct ssw_left_out { /* "left_out": the A/A arm, for want of time */
    const char *arm;
    int from_block;
    int64_t cost_ns;  /* of its one start, from the start to the end of the pause after it */
    int64_t limit_ns; /* that the rest of the run would have exceeded */
} ssw_left_out;

typedef struct ssw_look {     /* "look": at the width of the interval over blocks */
    int block;                /* after which */
    const char *arm, *metric; /* of the widest interval; metric is its key in figures.json */
    double
        half_width; /* exp(half of the interval of the log-ratio) − 1: 0.03 is 3 %; negative: there is none */
    int stop;       /* 1: the run ends here */
} ssw_look;

#endif
