//! Targets, verdicts and the arithmetic of repeated measurements. Knows nothing of what was measured.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

/// Where figures are written besides, for a program that compares them.
static FIGURES: OnceLock<File> = OnceLock::new();

/// Writes all figures that are printed from now on into this file as well, a name and a number each.
pub fn keep_figures(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    let _ = FIGURES.set(file);
    Ok(())
}

/// A figure that is printed in a form of its own.
pub fn figure(name: &str, value: f64) {
    if let Some(mut file) = FIGURES.get() {
        // Who compares misses it then, and says so.
        let _ = writeln!(file, "{name}\t{value}");
    }
}

/// The figure that a printed value begins with, if it does, with its unit behind its name.
fn figure_of(name: &str, value: &str) {
    if let Some((number, unit)) = leading(value) {
        let name = if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") };
        figure(&name, number);
    }
}

/// The number that a text begins with, and the word behind it.
fn leading(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let unit = text[end..].split(' ').nth(1).unwrap_or_default();
    Some((text[..end].parse().ok()?, unit))
}

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

/// The value that this share of `values` is not above, from 0 to 1; 0 of none.
pub fn share(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Prints one line of name, value and target, and gives the verdict on it. `good` is what was asked for.
pub fn line(name: &str, value: String, target: &str, good: bool) -> Verdict {
    let verdict = Verdict::of(good);
    figure_of(name, &value);
    println!("{name:<44} {value:>14}   {target:<18} {verdict}");
    verdict
}

/// Prints one line of name and value that nothing was asked for.
pub fn note(name: &str, value: String) {
    figure_of(name, &value);
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
    fn shares() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| share(hundred.clone(), part)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(share(vec![4.0], 0.99), 4.0);
        assert_eq!(share(vec![], 0.5), 0.0);
    }

    #[test]
    fn figures_are_the_numbers_that_values_begin_with() {
        assert_eq!(["12.5 %", "-3"].map(leading), [Some((12.5, "%")), Some((-3.0, ""))]);
        assert_eq!(["none", ""].map(leading), [None, None]);
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
