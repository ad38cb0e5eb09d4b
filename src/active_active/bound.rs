//! What a sample says about all keys: the one-sided bounds of Clopper and Pearson (1934), which
//! hold for every sample size, also when nothing was found.

/// How sure a bound is.
const CONFIDENCE: f64 = 0.95;

/// At most this share of all keys differs, with 95 % confidence, when `found` of `checked` do.
/// `None` without a sample.
pub fn upper_share(found: u64, checked: u64) -> Option<f64> {
    upper_share_at(found, checked, CONFIDENCE)
}

/// As [`upper_share`], with another confidence than 95 %.
pub fn upper_share_at(found: u64, checked: u64, confidence: f64) -> Option<f64> {
    if checked == 0 || found > checked {
        return None;
    }
    if found == checked {
        return Some(1.0);
    }
    // The share at which so few or fewer would be found in so few samples: with 95 %, in one of
    // twenty.
    Some(bisect(|share| {
        at_most(found, checked, share) > 1.0 - confidence
    }))
}

/// At least this share of all keys differs, with 95 % confidence, when `found` of `checked` do.
/// `None` without a sample.
pub fn lower_share(found: u64, checked: u64) -> Option<f64> {
    if checked == 0 || found > checked {
        return None;
    }
    let Some(fewer) = found.checked_sub(1) else {
        return Some(0.0);
    };
    // The share at which so many or more would be found in one of twenty samples.
    Some(bisect(|share| {
        1.0 - at_most(fewer, checked, share) < 1.0 - CONFIDENCE
    }))
}

/// The share in 0..1 up to which `is_below` holds.
fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    let mut low: f64 = 0.0;
    let mut high: f64 = 1.0;
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that at most `found` of `checked` differ when this share of all does: the
/// binomial distribution, as an incomplete beta function (Abramowitz and Stegun 26.5.24).
fn at_most(found: u64, checked: u64, share: f64) -> f64 {
    if found >= checked {
        return 1.0;
    }
    let agreeing = (checked - found) as f64;
    incomplete_beta(agreeing, found as f64 + 1.0, 1.0 - share)
}

/// The regularised incomplete beta function `I_x(a, b)`.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let scale = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges quickly on one side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        scale.exp() * beta_fraction(a, b, x) / a
    } else {
        1.0 - scale.exp() * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by
/// Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS: u32 = 10_000;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut numerator = 1.0;
    let mut denominator = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = denominator;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        denominator = 1.0 / nonzero(1.0 + even * denominator);
        numerator = nonzero(1.0 + even / numerator);
        fraction *= denominator * numerator;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        denominator = 1.0 / nonzero(1.0 + odd * denominator);
        numerator = nonzero(1.0 + odd / numerator);
        let change = denominator * numerator;
        fraction *= change;
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function, by Stirling's series (Abramowitz and Stegun 6.1.41) above
/// 10, where its first terms are exact to 12 digits.
fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut product: f64 = 1.0;
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actual: Option<f64>, expected: f64) {
        let actual = actual.unwrap();
        assert!(
            (actual / expected - 1.0).abs() < 1e-3,
            "{actual} {expected}"
        );
    }

    /// Expected: the sums of the binomial distribution, bisected to 0.05 (Python, double
    /// precision).
    #[test]
    fn bounds_are_those_of_the_binomial_distribution() {
        check(upper_share(0, 1000), 2.991_250e-3);
        check(upper_share(0, 100_000), 2.995_687e-5);
        check(upper_share(1, 1000), 4.734_994e-3);
        check(upper_share(5, 10_000), 1.051_014e-3);
        check(upper_share(20, 1000), 2.893_012e-2);
        // The closed forms of the extremes.
        check(upper_share(0, 10), 1.0 - 0.05_f64.powf(0.1));
        check(lower_share(10, 10), 0.05_f64.powf(0.1));
        check(lower_share(1, 10), 1.0 - 0.95_f64.powf(0.1));
    }

    #[test]
    fn the_extremes_are_certain() {
        assert_eq!(upper_share(7, 7), Some(1.0));
        assert_eq!(lower_share(0, 7), Some(0.0));
        assert_eq!(upper_share(0, 0), None);
        assert_eq!(lower_share(3, 2), None);
    }

    #[test]
    fn the_bounds_enclose_the_estimate_at_every_size() {
        for checked in [1, 2, 30, 1000, 50_000, 1_000_000] {
            for found in [0, 1, checked / 3, checked / 2, checked] {
                let estimate = found as f64 / checked as f64;
                let low = lower_share(found, checked).unwrap();
                let high = upper_share(found, checked).unwrap();
                assert!(
                    low <= estimate && estimate <= high,
                    "{found} of {checked}: {low} {high}"
                );
                assert!(high - low < 1.0 || checked == 1);
            }
        }
    }
}
