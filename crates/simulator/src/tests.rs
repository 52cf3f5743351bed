//! Seeds that are run with every check.

use crate::plan::Plan;
use crate::run::run;

/// Milliseconds of a run here.
const LENGTH: u64 = 120_000;

fn holds(plan: &Plan) {
    let outcome = run(plan);
    if let Some(broken) = outcome.broken {
        let faults: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
        let last = outcome.history.len().saturating_sub(60);
        panic!(
            "seed {}: {}: {}\n{}\n{}\ntests/sim seed {} --seconds {} makes it smaller",
            plan.seed,
            broken.rule,
            broken.why,
            faults.join("\n"),
            outcome.history[last..].join("\n"),
            plan.seed,
            plan.length / 1_000,
        );
    }
    assert!(outcome.calls > 10, "seed {}: {} calls only", plan.seed, outcome.calls);
}

#[test]
fn seeds_hold() {
    for seed in 1..=20 {
        holds(&Plan::of(seed, LENGTH));
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let plan = Plan::of(7, LENGTH);
    assert_eq!(run(&plan).history, run(&plan).history);
}
