//! Targets, verdicts and the arithmetic of repeated measurements. Knows nothing of what was measured.

use std::fmt;

/// Whether what was measured is as good as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least as good, or nothing was asked for.
    Reached,
    /// Not as good.
    Short,
}

impl Verdict {
    /// A verdict from a comparison.
    pub fn of(good: bool) -> Self {
        if good { Verdict::Reached } else { Verdict::Short }
    }

    /// Short as soon as one of both is.
    pub fn and(self, other: Self) -> Self {
        Verdict::of(self == Verdict::Reached && other == Verdict::Reached)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Reached => "PASS",
            Verdict::Short => "short",
        })
    }
}

/// The middle one of `values` (the upper of the two middle ones); 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints one line of name, value and target, and gives the verdict on it. `good` is what was asked for.
pub fn line(name: &str, value: String, target: &str, good: bool) -> Verdict {
    let verdict = Verdict::of(good);
    println!("{name:<44} {value:>14}   {target:<18} {verdict}");
    verdict
}

/// Prints one line of name and value that nothing was asked for.
pub fn note(name: &str, value: String) {
    println!("{name:<44} {value:>14}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![1.0, 2.0]), 2.0);
    }

    #[test]
    fn one_short_makes_all_short() {
        let reached = Verdict::Reached;
        let short = Verdict::Short;
        assert_eq!(reached.and(reached), reached);
        assert_eq!(reached.and(short), short);
        assert_eq!(short.and(reached), short);
    }
}
