//! A simulator of the server: one seed is one whole run of its parts, its users and its faults, on one thread and by a clock
//! that is wound. `tests/sim` runs it; docs/decisions/039-a-simulator-of-our-own.md says why it is as it is.

mod backend;
mod book;
mod check;
mod dice;
mod disk;
mod live;
mod plan;
mod process;
mod redis;
mod run;
mod shrink;
#[cfg(test)]
mod tests;
mod user;
mod world;

use std::time::{Duration, Instant};

use plan::Plan;

/// Simulated milliseconds of a run.
const LENGTH: u64 = 600_000;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    let first = number("--from").unwrap_or(1);
    let length = number("--seconds").map_or(LENGTH, |seconds| seconds * 1_000);
    let nodes = number("--nodes").unwrap_or(1);
    let plan = |seed| if nodes > 1 { Plan::shared(seed, length, nodes) } else { Plan::of(seed, length) };
    match words.first().map(String::as_str) {
        Some("sweep") => sweep(first, plan, Duration::from_secs(60 * number("--minutes").unwrap_or(1))),
        Some("seed") => show(&plan(number("seed").unwrap_or(first)), words.iter().any(|w| w == "--all")),
        _ => {
            eprintln!(
                "sim sweep --minutes N [--from SEED] [--seconds S] [--nodes N] | sim seed N [--seconds S] [--nodes N] [--all]"
            );
            std::process::ExitCode::FAILURE
        }
    }
}

/// Runs seed after seed until one fails or the time is over.
fn sweep(first: u64, plan: impl Fn(u64) -> Plan, time: Duration) -> std::process::ExitCode {
    let begun = Instant::now();
    let mut seed = first;
    let mut calls = 0;
    while begun.elapsed() < time {
        let outcome = run::run(&plan(seed));
        calls += outcome.calls;
        if outcome.broken.is_some() {
            println!("seed {seed} fails");
            return show(&plan(seed), false);
        }
        seed += 1;
    }
    let seeds = seed - first;
    let minutes = (first..seed).map(|seed| plan(seed).length).sum::<u64>() / 60_000;
    println!(
        "{seeds} seeds, {minutes} simulated minutes, {calls} calls, {:.0} s: all is well",
        begun.elapsed().as_secs_f64()
    );
    std::process::ExitCode::SUCCESS
}

/// Runs a plan, and shows how it fails when it is as small as it can be.
fn show(plan: &Plan, all: bool) -> std::process::ExitCode {
    let outcome = run::run(plan);
    if all {
        outcome.history.iter().for_each(|line| println!("{line}"));
    }
    let Some(broken) = outcome.broken else {
        println!("seed {}: {} calls, all is well", plan.seed, outcome.calls);
        return std::process::ExitCode::SUCCESS;
    };
    let (small, outcome) = shrink::shrink(plan, &broken);
    println!("seed {}: {}: {}", plan.seed, broken.rule, broken.why);
    println!("at its smallest: {} users, {} ms, faults:", small.users, small.length);
    small.faults.iter().for_each(|fault| println!("{fault}"));
    let lines = outcome.history.len();
    println!("its last {} of {lines} lines:", lines.min(60));
    outcome.history.iter().skip(lines.saturating_sub(60)).for_each(|line| println!("{line}"));
    std::process::ExitCode::FAILURE
}
