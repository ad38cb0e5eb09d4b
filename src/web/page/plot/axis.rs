//! The axes of values: round marks, and one unit for all of them.

/// A mark on an axis of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    /// In seconds or bytes.
    pub(super) value: f64,
    pub(super) text: String,
}

/// An axis from zero up to `most`, with a mark at each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    step: f64,
    /// The highest mark, in seconds or bytes.
    pub(super) most: f64,
    unit: Unit,
}

/// The one unit of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Unit {
    /// In seconds or bytes.
    size: f64,
    word: &'static str,
}

/// Steps of an axis of seconds, in units, the shortest first.
const STEPS_OF_TIME: [(Unit, &[f64]); 5] = [
    (unit(0.001, "ms"), &[5.0, 10.0, 20.0, 50.0, 100.0, 200.0]),
    (unit(1.0, "s"), &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]),
    (unit(60.0, "min"), &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0]),
    (unit(3600.0, "h"), &[1.0, 2.0, 5.0, 12.0]),
    (unit(86_400.0, "d"), &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0]),
];

/// The longest step of time, in seconds: longer lags do not make the axis longer.
const LONGEST_STEP: f64 = 100.0 * 86_400.0;

/// The least that an axis of bytes reaches.
const LEAST_BYTES: f64 = 1024.0;

/// The units of bytes, each 1024 times the one before.
const UNITS_OF_BYTES: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// Steps of an axis, at most.
const MOST_STEPS: f64 = 4.0;

/// More marks than any axis has, so that the loop over them ends.
const MOST_MARKS: u8 = 10;

const fn unit(size: f64, word: &'static str) -> Unit {
    Unit { size, word }
}

impl Axis {
    /// An axis of seconds that holds `highest`.
    pub(super) fn seconds(highest: f64) -> Self {
        let least = highest / MOST_STEPS;
        for (unit, steps) in STEPS_OF_TIME {
            for step in steps {
                let step = step * unit.size;
                if step >= least * 0.999 {
                    return Self::with(step, unit, highest);
                }
            }
        }
        let days = unit(86_400.0, "d");
        Self::with(LONGEST_STEP, days, highest.min(LONGEST_STEP * MOST_STEPS))
    }

    /// An axis of bytes that holds `highest`: its step is a power of two.
    pub(super) fn bytes(highest: f64) -> Self {
        let highest = highest.max(LEAST_BYTES);
        let step = (highest / MOST_STEPS).log2().ceil().exp2();
        let mut unit = unit(1.0, UNITS_OF_BYTES[0]);
        for word in &UNITS_OF_BYTES[1..] {
            let larger = unit.size * 1024.0;
            // Marks are at least half a unit apart: 0.5 MiB, 1 MiB, 1.5 MiB.
            if step < larger / 2.0 {
                break;
            }
            unit = Unit { size: larger, word };
        }
        Self::with(step, unit, highest)
    }

    fn with(step: f64, unit: Unit, highest: f64) -> Self {
        let steps = (highest / step * 0.999_999).ceil().max(1.0);
        Self {
            step,
            most: step * steps,
            unit,
        }
    }

    /// The marks, from zero on.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        for n in 0..=MOST_MARKS {
            let value = self.step * f64::from(n);
            if value > self.most * 1.001 {
                break;
            }
            let in_units = rounded(value / self.unit.size);
            marks.push(Mark {
                value,
                text: format!("{in_units} {}", self.unit.word),
            });
        }
        marks
    }
}

/// Without the digits that binary fractions add. Marks are whole or half units.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis) -> Vec<String> {
        axis.marks().into_iter().map(|mark| mark.text).collect()
    }

    #[test]
    fn bytes_are_in_binary_steps() {
        let kib = 1024.0;
        assert_eq!(
            texts(Axis::bytes(1500.0 * kib)),
            ["0 MiB", "0.5 MiB", "1 MiB", "1.5 MiB"]
        );
        assert_eq!(
            texts(Axis::bytes(4096.0)),
            ["0 KiB", "1 KiB", "2 KiB", "3 KiB", "4 KiB"]
        );
        assert_eq!(
            texts(Axis::bytes(0.0)),
            ["0 B", "256 B", "512 B", "768 B", "1024 B"]
        );
    }

    #[test]
    fn seconds_are_in_one_unit() {
        assert_eq!(
            texts(Axis::seconds(150.0)),
            ["0 s", "50 s", "100 s", "150 s"]
        );
        assert_eq!(
            texts(Axis::seconds(20.0)),
            ["0 s", "5 s", "10 s", "15 s", "20 s"]
        );
        assert_eq!(texts(Axis::seconds(0.01)), ["0 ms", "5 ms", "10 ms"]);
        assert_eq!(
            texts(Axis::seconds(230.0)),
            ["0 min", "1 min", "2 min", "3 min", "4 min"]
        );
    }

    /// What 18 decades of values come to: few marks, one unit, short texts without a tail of
    /// digits.
    #[test]
    fn every_axis_has_few_short_marks_of_one_unit() {
        for exponent in -60..=180 {
            let highest = 10_f64.powf(f64::from(exponent) / 10.0);
            for axis in [Axis::seconds(highest.min(1e9)), Axis::bytes(highest)] {
                let texts = texts(axis);
                assert!((2..=6).contains(&texts.len()), "{highest}: {texts:?}");
                let unit = |text: &str| text.split(' ').nth(1).map(str::to_owned);
                assert!(
                    texts.iter().all(|text| unit(text) == unit(&texts[0])),
                    "{texts:?}"
                );
                assert!(texts.iter().all(|text| text.len() <= 9), "{texts:?}");
                let decimals = |text: &str| text.split(['.', ' ']).nth(1).map_or(0, str::len);
                let fraction = |text: &String| text.contains('.') && decimals(text) > 1;
                assert!(!texts.iter().any(fraction), "{texts:?}");
            }
        }
    }

    #[test]
    fn the_highest_value_is_on_the_axis() {
        for exponent in -20..=80 {
            let highest = 10_f64.powf(f64::from(exponent) / 10.0);
            for axis in [Axis::seconds(highest.min(3e7)), Axis::bytes(highest)] {
                assert!(axis.most >= highest.min(3e7) * 0.999, "{highest}: {axis:?}");
            }
        }
    }
}
