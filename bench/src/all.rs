//! `bench all`: measurements in a row, several times over, and with `--compare` of two builds in turn. Each is a run of this same
//! program. Knows of a measurement its name and its figures.

use crate::server::{Setup, Workspace};
use crate::table::{Verdict, median};
use crate::{Failure, Outcome};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A measurement, by the name of its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    Http,
    Memory,
    Restart,
    Leaks,
    Players,
    Whep,
    Mix,
    Chat,
    Floods,
}

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Another build to compare with. Ratios are of the first one's figures to this one's.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// How often each is measured; medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only these, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Name>,
    /// Whatever each of them is to be told besides.
    #[arg(last = true)]
    more: Vec<String>,
}

/// A figure's values, of the build and of the other one, one a round.
struct Figure {
    name: String,
    values: [Vec<f64>; 2],
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    use clap::ValueEnum;
    let names = if options.only.is_empty() { Name::value_variants() } else { &options.only };
    let workspace = Workspace::new()?;
    for &name in names {
        let command = name.to_possible_value().ok_or("a measurement without a name")?;
        let figures = measure(options, command.get_name(), &workspace)?;
        print(command.get_name(), options.compare.is_some(), &figures);
    }
    Ok(Verdict::Reached)
}

fn measure(options: &Options, name: &str, workspace: &Workspace) -> Result<Vec<Figure>, Failure> {
    let builds: Vec<&Path> =
        [Some(&options.setup.bin), options.compare.as_ref()].into_iter().flatten().map(AsRef::as_ref).collect();
    let mut figures = Vec::new();
    for round in 0..options.rounds {
        // Neither is always the one that comes second.
        let mut order: Vec<usize> = (0..builds.len()).collect();
        order.rotate_left(round as usize % builds.len());
        for build in order {
            eprintln!("{name}, round {} of {}: {}", round + 1, options.rounds, builds[build].display());
            let file = workspace.path().join("figures");
            run_one(options, name, builds[build], &file)?;
            take(&mut figures, build, &std::fs::read_to_string(&file)?);
        }
    }
    Ok(figures)
}

fn run_one(options: &Options, name: &str, build: &Path, figures: &Path) -> Result<(), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).arg("--bin").arg(build).arg("--figures").arg(figures);
    command.args(["--server-core", &options.setup.server_core.to_string()]);
    command.args(["--generator-core", &options.setup.generator_core.to_string()]);
    let status = command.args(&options.more).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{name} of {} ended with {status}", build.display()).into()) }
}

/// Adds what one run wrote to the figures of its build.
fn take(figures: &mut Vec<Figure>, build: usize, written: &str) {
    for (name, value) in written.lines().filter_map(|line| line.split_once('\t')) {
        let Ok(value) = value.parse() else { continue };
        let at = figures.iter().position(|figure| figure.name == name).unwrap_or_else(|| {
            figures.push(Figure { name: name.to_owned(), values: [Vec::new(), Vec::new()] });
            figures.len() - 1
        });
        figures[at].values[build].push(value);
    }
}

/// The ratios of a figure's neighbouring rounds. None where there is nothing to divide by, or a round lacks the figure.
fn ratios(figure: &Figure) -> Option<Vec<f64>> {
    let [own, other] = &figure.values;
    let comparable = own.len() == other.len() && !other.is_empty() && other.iter().all(|value| *value != 0.0);
    comparable.then(|| own.iter().zip(other).map(|(own, other)| own / other).collect())
}

fn spread(values: &[f64]) -> [f64; 2] {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    [least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
}

fn print(name: &str, compared: bool, figures: &[Figure]) {
    if compared {
        println!(
            "{:<44} {:>12} {:>12} {:>7}   {:<15}",
            format!("== {name}"),
            "this",
            "other",
            "ratio",
            "least to most"
        );
    } else {
        println!("{:<44} {:>12}   {:<15}", format!("== {name}"), "median", "least to most");
    }
    for figure in figures {
        let [own, other] = &figure.values;
        let middle = median(own.clone());
        if !compared {
            let [least, most] = spread(own);
            println!("{:<44} {middle:>12.3}   {least:.3} to {most:.3}", figure.name);
        } else if let Some(ratios) = ratios(figure) {
            let [least, most] = spread(&ratios);
            let ratio = median(ratios);
            println!(
                "{:<44} {middle:>12.3} {:>12.3} {ratio:>7.3}   {least:.3} to {most:.3}",
                figure.name,
                median(other.clone())
            );
        } else {
            println!("{:<44} {middle:>12.3} {:>12.3} {:>7}", figure.name, median(other.clone()), "-");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_builds_are_compared_round_by_round() {
        let mut figures = Vec::new();
        for (build, written) in
            [(0, "CPU\t10\nlost\t0\n"), (1, "CPU\t20\nlost\t0\n"), (1, "CPU\t10\nlost\t1\n"), (0, "CPU\t9\nlost\t0\n")]
        {
            take(&mut figures, build, written);
        }
        take(&mut figures, 0, "only here\t4\nno number\tx\n");
        assert_eq!(figures.iter().map(|figure| figure.name.as_str()).collect::<Vec<_>>(), ["CPU", "lost", "only here"]);
        let found = ratios(&figures[0]).unwrap();
        assert_eq!((found.as_slice(), spread(&found)), (&[0.5, 0.9][..], [0.5, 0.9]));
        assert!(ratios(&figures[1]).is_none(), "nothing to divide by");
        assert!(ratios(&figures[2]).is_none(), "not in both");
    }
}
