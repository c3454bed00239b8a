/* Numbers as people read them. */
#include "bench/report/number.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DECIMALS_MAX = 9, GROUP_FROM_DIGITS = 4 };

static int digits_before_point(double value)
{
    return value > 0 ? (int)floor(log10(value)) + 1 : 1;
}

static int clamp_decimals(int decimals)
{
    return decimals < 0 ? 0 : decimals > DECIMALS_MAX ? DECIMALS_MAX : decimals;
}

int ssw_number_decimals(double value, double uncertainty)
{
    if (isfinite(uncertainty) && uncertainty > 0)
        return clamp_decimals(2 - digits_before_point(uncertainty));
    if (!isfinite(value) || value == floor(value))
        return 0;
    return clamp_decimals(4 - digits_before_point(fabs(value)));
}

const char *ssw_number_format(ssw_number_text text, double value, int decimals)
{
    if (isnan(value))
        return strcpy(text, "–");
    if (isinf(value))
        return strcpy(text, value > 0 ? "∞" : "−∞");
    char plain[SSW_NUMBER_TEXT_MAX];
    int n = snprintf(plain, sizeof plain, fabs(value) < 1e15 ? "%.*f" : "%.*e", decimals, fabs(value));
    if (n < 0 || n >= (int)sizeof plain)
        n = snprintf(plain, sizeof plain, "%.3e", fabs(value));
    int whole = (int)strspn(plain, "0123456789");
    char *out = text;
    if (value < 0 && strspn(plain, "0.") != strlen(plain)) {
        memcpy(out, "−", sizeof "−" - 1);
        out += sizeof "−" - 1;
    }
    for (int i = 0; i < n && out < text + SSW_NUMBER_TEXT_MAX - 2; i++) {
        if (i && i < whole && whole >= GROUP_FROM_DIGITS && (whole - i) % 3 == 0)
            *out++ = ',';
        *out++ = plain[i];
    }
    *out = '\0';
    return text;
}

const char *ssw_number_format_spread(ssw_number_text text, double value, double sd)
{
    ssw_number_text mean, spread;
    int decimals = ssw_number_decimals(value, sd);
    ssw_number_format(mean, value, decimals);
    if (isnan(sd))
        return strcpy(text, mean);
    snprintf(text, SSW_NUMBER_TEXT_MAX, "%.28s ± %.28s", mean, ssw_number_format(spread, sd, decimals));
    return text;
}

const char *ssw_number_format_interval(ssw_number_text text, double low, double high)
{
    ssw_number_text first, second;
    if (isnan(low) || isnan(high))
        return strcpy(text, "–");
    int decimals = ssw_number_decimals(low, (high - low) / 2);
    snprintf(text, SSW_NUMBER_TEXT_MAX, "[%.28s, %.28s]", ssw_number_format(first, low, decimals),
             ssw_number_format(second, high, decimals));
    return text;
}

const char *ssw_number_format_percent(ssw_number_text text, double percent)
{
    if (percent > 1000)
        return strcpy(text, "over 1,000");
    return ssw_number_format(text, percent, percent < 10 ? 1 : 0);
}

const char *ssw_number_format_change(ssw_number_text text, double ratio, const char *higher,
                                     const char *lower)
{
    if (!isfinite(ratio) || ratio <= 0)
        return strcpy(text, "–");
    const char *word = ratio >= 1 ? higher : lower;
    double factor = ratio >= 1 ? ratio : 1 / ratio;
    if (ratio == 1) {
        strcpy(text, "equal");
    } else if (factor >= 1.5) {
        snprintf(text, SSW_NUMBER_TEXT_MAX, factor < 10 ? "%.1f times %.32s" : "%.0f times %.32s", factor,
                 word);
    } else {
        double percent = fabs(ratio - 1) * 100;
        snprintf(text, SSW_NUMBER_TEXT_MAX, percent < 0.05 ? "%.2f %% %.32s" : "%.1f %% %.32s", percent,
                 word);
    }
    return text;
}

const char *ssw_number_format_mib(ssw_number_text text, double bytes)
{
    double mib = bytes / 1048576;
    return ssw_number_format(text, mib, fabs(mib) < 10 ? 2 : fabs(mib) < 1000 ? 1 : 0);
}
