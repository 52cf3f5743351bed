//! Seeds that are run with every check.

use store::mends::Mend;

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

/// Seeds that are looked through for a fault whose mend is taken out.
const SEEDS: u64 = 200;

/// Every mend, and the rule that is broken without it. What the simulator cannot see of the faults that were mended: what
/// concerns Redis and several nodes, the protocol of HTTP, how long things take, rights of files, records of later versions.
const MENDS: [(Mend, &[&str]); 9] = [
    (Mend::DamageIsSkipped, &["nothing acknowledged is lost"]),
    (Mend::UnknownIsSaid, &["nothing acknowledged is lost", "refused is not done"]),
    (Mend::ClockIsSteady, &["who gives signs of life stays", "who is silent goes", "nobody is too fast who is not"]),
    (Mend::ChatIsKept, &["chat outlives the process"]),
    (Mend::GroupBeginsWithRoom, &["a group begins with its room"]),
    (Mend::ToldIsNoted, &["webhooks: few come again"]),
    // Those that the simulator found by itself.
    (Mend::ToldIsKnown, &["webhooks: few come again"]),
    (Mend::MissedIsWritten, &["chat: no gaps, one order", "chat outlives the process"]),
    (Mend::BansEndByTheWall, &["a ban holds", "nothing acknowledged is lost"]),
];

#[test]
fn each_fault_is_found_when_its_mend_is_taken_out() {
    for (mend, rules) in MENDS {
        let found = (1..=SEEDS).find_map(|seed| run(&Plan { without: Some(mend), ..Plan::of(seed, 600_000) }).broken);
        let broken = found.unwrap_or_else(|| panic!("{mend:?} is not missed in {SEEDS} seeds"));
        assert!(rules.contains(&broken.rule), "{mend:?}: {}: {}", broken.rule, broken.why);
        println!("{mend:?}: {}: {}", broken.rule, broken.why);
    }
}
