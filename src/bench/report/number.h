/* Numbers as people read them: as many digits as the uncertainty justifies. Pure. */
#ifndef SSW_BENCH_REPORT_NUMBER_H
#define SSW_BENCH_REPORT_NUMBER_H

enum { SSW_NUMBER_TEXT_MAX = 64 };

typedef char ssw_number_text[SSW_NUMBER_TEXT_MAX];

/* Decimals that show the second significant digit of an uncertainty (σ or half an interval), 0 to 9. Without
 * one (NAN, 0 or negative) as many as show four significant digits of the value. */
int ssw_number_decimals(double value, double uncertainty);

/* "12,666", "41.30", "−3.2"; thousands are grouped; NAN is "–", infinity "∞". */
const char *ssw_number_format(ssw_number_text text, double value, int decimals);

/* "217.3 ± 4.1" (σ); without σ only the value. */
const char *ssw_number_format_spread(ssw_number_text text, double value, double sd);

/* "[0.684, 0.702]", decimals from its own half width. "–" for NAN. */
const char *ssw_number_format_interval(ssw_number_text text, double low, double high);

/* A size in percent without its sign: "4.1", "12", "over 1,000"; beyond that only the magnitude is news. */
const char *ssw_number_format_percent(ssw_number_text text, double percent);

/* A ratio in words: "3.2 % higher", "6.9 times lower" (from a factor of 1.5 on), "equal" for exactly 1. */
const char *ssw_number_format_change(ssw_number_text text, double ratio, const char *higher,
                                     const char *lower);

/* Bytes as MiB without the unit: two decimals below 10 MiB, one below 1000. */
const char *ssw_number_format_mib(ssw_number_text text, double bytes);

#endif
