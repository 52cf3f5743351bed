//! What one seed does to the server: the faults and their times. A plan can be made smaller, and still is a plan.

use std::fmt;

use store::mends::Mend;

use crate::dice::Dice;

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all other randomness comes from.
    pub seed: u64,
    /// Milliseconds in which faults come and users do what they like.
    pub length: u64,
    /// Users.
    pub users: u64,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
    /// A mend that is taken out.
    pub without: Option<Mend>,
    /// Machines. Several share Redis; one has a disk.
    pub nodes: u64,
    /// How many replicas of Redis must have a change before it is answered.
    pub replicas: usize,
    /// Milliseconds in which all heals at the end.
    pub heals: u64,
}

/// How long things may take to heal when nothing goes wrong any more: webhooks rest for five minutes at most.
const HEALS: u64 = 330_000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Milliseconds from the beginning.
    pub at: u64,
    /// It.
    pub what: What,
}

/// What can go wrong. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The process is killed, after so many more steps of its tasks, and comes back after a while.
    Kill { power: bool, steps: u64, down: u64 },
    /// The process is asked to end, and comes back after a while.
    Stop { down: u64 },
    /// The disk is full.
    Full { lasts: u64 },
    /// Writes fail.
    Write { lasts: u64 },
    /// Syncs fail.
    Sync { lasts: u64 },
    /// The disk does not answer.
    Hang { lasts: u64 },
    /// The disk is slow.
    Slow { lasts: u64, each: u64 },
    /// Bytes of an old file change, and the process is killed.
    Rot,
    /// Somebody sets the machine's clock.
    Step { by: i64 },
    /// The app's backend answers nothing or with errors.
    Backend { lasts: u64 },
    /// Clients do not reach the server.
    Cut { lasts: u64 },
    /// The live service knows nothing.
    Live { lasts: u64 },
    /// The process of a machine is killed, after so many more steps, and comes back after a while.
    KillNode { node: usize, steps: u64, down: u64 },
    /// A machine does not reach Redis, nor its Sentinels.
    CutNode { node: usize, lasts: u64 },
    /// The same for so long that it misses what was said meanwhile.
    MissNode { node: usize, lasts: u64 },
    /// The way from a machine to Redis is slow.
    SlowNode { node: usize, lasts: u64, each: u64 },
    /// What a machine follows in Redis comes later to it than the answers to what it asks.
    LateNode { node: usize, lasts: u64, by: u64 },
    /// The process of a machine stands still, and so does its clock; it goes on as if nothing had been.
    StallNode { node: usize, lasts: u64 },
    /// All connections to Redis break.
    HangUp,
    /// Redis comes back empty.
    Forget,
    /// A failover that an operator wishes: it takes a replica after a while, and the old master hears of it later.
    FailOver { begins: u64, takes: u64, tells: u64 },
    /// The master dies, Sentinels take a replica, and it comes back after a while.
    MasterDies { begins: u64, takes: u64, down: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} ms {:?}", self.at, self.what)
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64, length: u64) -> Self {
        let mut dice = Dice::apart(seed, 2);
        // Some runs are rough, some have one fault.
        let many = dice.from(1, 4);
        let count = dice.from(1, (length / 60_000).max(1) * many);
        let mut faults: Vec<Fault> =
            (0..count).map(|_| Fault { at: dice.from(1_000, length), what: What::any(&mut dice) }).collect();
        faults.sort_by_key(|fault| fault.at);
        Self { seed, length, users: dice.from(2, 8), faults, without: None, nodes: 1, replicas: 0, heals: HEALS }
    }
}

impl Plan {
    /// The plan of a seed for several machines that share Redis.
    pub fn shared(seed: u64, length: u64, nodes: u64) -> Self {
        let mut dice = Dice::apart(seed, 5);
        let many = dice.from(1, 4);
        let count = dice.from(1, (length / 60_000).max(1) * many);
        let replicas = usize::from(dice.yes(500));
        let any =
            |dice: &mut Dice| Fault { at: dice.from(1_000, length), what: What::any_shared(dice, nodes, replicas > 0) };
        let mut faults: Vec<Fault> = (0..count).map(|_| any(&mut dice)).collect();
        faults.sort_by_key(|fault| fault.at);
        Self { seed, length, users: dice.from(2, 8), faults, without: None, nodes, replicas, heals: HEALS }
    }
}

impl What {
    fn any_shared(dice: &mut Dice, nodes: u64, waits: bool) -> Self {
        let lasts = if dice.yes(700) { dice.from(200, 5_000) } else { dice.from(5_000, 40_000) };
        let node = dice.below(nodes) as usize;
        match dice.below(18) {
            0..=2 => Self::KillNode { node, steps: dice.below(60), down: dice.from(100, 8_000) },
            3..=5 => Self::CutNode { node, lasts },
            6 => Self::MissNode { node, lasts },
            7 => Self::SlowNode { node, lasts, each: dice.from(10, 1_000) },
            8 => Self::HangUp,
            9 => Self::Forget,
            10 | 11 => {
                Self::FailOver { begins: dice.below(50), takes: dice.from(100, 1_500), tells: dice.from(50, 1_000) }
            }
            12 | 13 if waits => Self::MasterDies {
                begins: dice.from(800, 3_000),
                takes: dice.from(50, 600),
                down: dice.from(4_000, 20_000),
            },
            12 | 13 => Self::Cut { lasts: lasts / 3 },
            14 => Self::Backend { lasts },
            15 => Self::LateNode { node, lasts, by: dice.from(50, 900) },
            // Who calls it waits for so long: what is not answered is not done later.
            16 => Self::StallNode { node, lasts: dice.from(200, 4_000) },
            _ => Self::Live { lasts },
        }
    }

    fn any(dice: &mut Dice) -> Self {
        let lasts = if dice.yes(700) { dice.from(200, 5_000) } else { dice.from(5_000, 40_000) };
        match dice.below(19) {
            0..=3 => Self::Kill { power: false, steps: dice.below(60), down: dice.from(100, 8_000) },
            4..=7 => Self::Kill { power: true, steps: dice.below(60), down: dice.from(100, 8_000) },
            8 => Self::Stop { down: dice.from(100, 3_000) },
            9 => Self::Full { lasts },
            10 => Self::Write { lasts },
            11 => Self::Sync { lasts },
            12 => Self::Hang { lasts },
            13 => Self::Slow { lasts, each: dice.from(10, 2_000) },
            14 => Self::Step { by: step(dice) },
            15 => Self::Backend { lasts },
            16 => Self::Cut { lasts: lasts / 3 },
            17 => Self::Live { lasts },
            _ => Self::Rot,
        }
    }
}

fn step(dice: &mut Dice) -> i64 {
    let by = match dice.below(3) {
        0 => dice.from(1_000, 20_000),
        1 => dice.from(20_000, 120_000),
        _ => dice.from(1_800_000, 7_200_000),
    };
    let by = by.cast_signed();
    if dice.yes(500) { by } else { -by }
}
